package text

import "testing"

func TestTitle(t *testing.T) {
	if got := Title("word"); got != "Word" {
		t.Errorf("Title is %q", got)
	}
}
