package tasks_test

import (
	"testing"

	"github.com/airbuild/airbuild/tasks"
)

func TestDidYouMean(t *testing.T) {
	known := []string{"LICENSE", "docs/guide.md", "x"}
	for word, want := range map[string]string{
		"LICENCE": ` Did you mean "LICENSE"?`, "doc/guide.md": ` Did you mean "docs/guide.md"?`, "y": ` Did you mean "x"?`, "README": "", "": ` Did you mean "x"?`,
	} {
		if got := tasks.DidYouMean(word, known); got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}
