package tree

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
)

// Content gives the text once, when it had to be read for the digest.
func TestContent(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", smallFile/16)
	files := map[string]string{
		"empty": "", "a": "one", "limit": large, "above": large + "x", "far/above": large + large,
	}
	w := project(t, files)
	if err := os.Symlink("a", w.Abs("link")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	buf := make([]byte, 8)
	for name, text := range files {
		want := action.Of([]byte(text))
		d, got, err := w.Content(name, buf)
		if err != nil || d != want || got == nil || string(got) != text {
			t.Errorf("%s: %v, %d bytes, %v", name, d, len(got), err)
		}
		if d, got, err := w.Content(name, buf); err != nil || d != want || got != nil {
			t.Errorf("%s again: %v, %d bytes, %v", name, d, len(got), err)
		}
		if d, err := w.Fresh().Digest(name); err != nil || d != want {
			t.Errorf("%s hashed only: %v, %v", name, d, err)
		}
	}
	if d, got, err := w.Content("link", nil); err != nil || d != action.Of([]byte("one")) || got != nil {
		t.Errorf("link: %v, %q, %v", d, got, err)
	}
	if _, _, err := w.Content("none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, _, err := w.Content("far", nil); !errors.Is(err, ErrIsDir) {
		t.Errorf("a directory: %v", err)
	}
}
