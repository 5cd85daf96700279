package dsl

import "testing"

// TestSwappedLetters: the commonest slip is near, also in a short name.
func TestSwappedLetters(t *testing.T) {
	for _, c := range []struct{ given, want string }{
		{"og", "go"}, {"dikS", "disk"}, {"g", ""},
	} {
		if got := SuggestName(c.given, []string{"go", "disk", "x"}); got != c.want {
			t.Errorf("%s: %q, want %q", c.given, got, c.want)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"ab", "ba", true}, {"abc", "acb", true}, {"abc", "bca", false}, {"ab", "ab", false}, {"a", "b", false}, {"", "", false}, {"abcd", "badc", false},
	} {
		if swapped(c.a, c.b) != c.want {
			t.Errorf("%s, %s: not %t", c.a, c.b, c.want)
		}
	}
}
