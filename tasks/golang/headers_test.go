package golang

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestIncludesOf(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"#include <a.h>", []string{"a.h"}},
		{"int x;\n # include \"b/c.h\"\n#include <d.h>\r\n", []string{"b/c.h", "d.h"}},
		{"/* #include \"in/comment.h\"\n// #include <e.h>\nimport \"C\"\n", []string{"in/comment.h", "e.h"}},
		{"x #include <no.h>\n", nil},
		{"#include_next <no.h>\n#include <open\n#include \"\"\n", nil},
		{"// we include <this> too\n#includes\n#include<f.h> // include <g.h>\n", []string{"f.h"}},
	} {
		if got := includesOf([]byte(tt.text)); !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

// Looking at lines with the word finds what the expression finds in the whole.
func TestIncludesOfIsTheExpression(t *testing.T) {
	whole := regexp.MustCompile("(?m)" + includeLine.String())
	parts := []string{"#", "include", " ", "\t", "<", ">", "\"", "a.h", "\n", "\r\n", "/", "*", "x", "# include <b>\n"}
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	for range 20_000 {
		var s strings.Builder
		for range r.IntN(24) {
			s.WriteString(parts[r.IntN(len(parts))])
		}
		var want []string
		for _, m := range whole.FindAllStringSubmatch(s.String(), -1) {
			want = append(want, m[1])
		}
		found += len(want)
		if got := includesOf([]byte(s.String())); !slices.Equal(got, want) {
			t.Fatalf("%q: got %q, want %q", s.String(), got, want)
		}
	}
	if found < 100 {
		t.Errorf("only %d includes among all texts", found)
	}
}
