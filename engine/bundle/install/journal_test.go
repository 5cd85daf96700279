package install_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

// FuzzJournal goes on with an import that was interrupted. Whatever its journal
// says, nothing is missing at the end, or the import says so.
func FuzzJournal(f *testing.F) {
	x := bundletest.FixtureTree()
	b := bundletest.OfSpec(f, x.Spec(1))
	f.Add([]byte("pack 0\n"))
	f.Add([]byte("pack 0\npack 1\n"))
	f.Add([]byte("pack 99"))
	f.Add([]byte("sink source \"/elsewhere\"\n"))
	f.Fuzz(func(t *testing.T, rest []byte) {
		h := bundletest.NewHost(t)
		text := install.JournalMagic + "\n"
		for name := range x {
			s, err := h.Sink(name)
			if err != nil {
				t.Fatal(err)
			}
			text += fmt.Sprintf("sink %s %q\n", name, s.ID())
		}
		if err := os.MkdirAll(install.JournalDir(h.Cache), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(install.JournalDir(h.Cache), b.Digest()), append([]byte(text), rest...), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := h.TryImport(b); err == nil {
			h.Check(x)
		}
	})
}

// FuzzResult is what an action's result of a bundle goes through.
func FuzzResult(f *testing.F) {
	x := map[string]string{}
	bundletest.AddResult(x, "bin/m", "output")
	for _, text := range x {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := action.UnmarshalResult(b)
		if err == nil {
			_ = r.Marshal()
		}
	})
}
