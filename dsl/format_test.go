package dsl

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

func TestFormat(t *testing.T) {
	for _, name := range goldenInputs(t, "testdata/format", ".in.hcl", ".out.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got, diags := Format(src, name)
		if diags.HasErrors() {
			t.Fatal(diags)
		}
		golden(t, strings.TrimSuffix(name, ".in.hcl")+".out.hcl", string(got))
		checkFormatted(t, src, got)
	}
}

func TestFormatRefusesBrokenFiles(t *testing.T) {
	got, diags := Format([]byte("stage \"x\" {\n"), "Airbuildfile")
	if got != nil || !diags.HasErrors() {
		t.Errorf("Format = %q, %v", got, diags)
	}
}

// checkFormatted holds what every formatted file must: the same tokens, and
// nothing left to do.
func checkFormatted(t *testing.T, src, got []byte) {
	t.Helper()
	if a, b := tokenTexts(src), tokenTexts(got); a != b {
		t.Errorf("tokens changed\n--- before\n%s\n--- after\n%s", a, b)
	}
	again, diags := Format(got, "again")
	if diags.HasErrors() || !bytes.Equal(again, got) {
		t.Errorf("not settled: %v\n--- once\n%s\n--- twice\n%s", diags, got, again)
	}
}

// tokenTexts lists the tokens, without white space at the end of comments.
func tokenTexts(src []byte) string {
	tokens, _ := hclsyntax.LexConfig(src, "", hcl.InitialPos)
	var texts []string
	for _, tok := range tokens {
		if tok.Type == hclsyntax.TokenComment || tok.Type == hclsyntax.TokenNewline {
			texts = append(texts, strings.TrimRight(string(tok.Bytes), " \t\r\n"))
			continue
		}
		texts = append(texts, string(tok.Bytes))
	}
	return strings.TrimRight(strings.Join(texts, "\n"), "\n")
}

func FuzzFormat(f *testing.F) {
	for _, name := range goldenInputs(f, "testdata/format", ".in.hcl", ".out.hcl") {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("a = stage.b[\"c\",\"d\"]\n"))
	f.Add([]byte("a = <<E\n  x\nE\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		got, diags := Format(src, "Airbuildfile")
		if !diags.HasErrors() {
			checkFormatted(t, src, got)
		}
	})
}
