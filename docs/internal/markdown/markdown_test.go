package markdown

import (
	"slices"
	"testing"
)

func TestWords(t *testing.T) {
	const page = "See [the\npage](a.md#b).<!-- schema: x -->\n```\n[kept](in code)\n```\n[end](https://example.com)\n"
	const want = "See the\npage.```\n[kept](in code)\n```\nend\n"
	if got := Words(page); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTable(t *testing.T) {
	if !IsRule("|---|:-:|") || IsRule("| a | b |") {
		t.Error("a rule is not told from a row")
	}
	if got, want := Cells(`| **a** | b\|c |  |`), []string{"a", "b|c", ""}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
