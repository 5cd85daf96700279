package tree

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"testing"
)

// A log is an Observer that writes down what it receives.
type log []string

func (l *log) File(p string, e Entry, err error) {
	*l = append(*l, fmt.Sprintf("file %s %d %s", p, e.Digest.Size, outcome(err)))
}

func (l *log) Listing(p string, sources bool, hash [sha256.Size]byte, err error) {
	*l = append(*l, fmt.Sprintf("listing %s %t %x %s", p, sources, hash[:2], outcome(err)))
}

func (l *log) Directory(p string) { *l = append(*l, "directory "+p) }

func outcome(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "none"
	case errors.Is(err, ErrIsDir):
		return "directory"
	case errors.Is(err, ErrNotDir):
		return "no directory"
	}
	return fmt.Sprint(err)
}

// TestObserved: an observer receives all that its view is asked, and of nothing
// that other views are.
func TestObserved(t *testing.T) {
	w := project(t, map[string]string{"a.go": "one", "d/b.go": "package d", "d/notes": ""})
	w.IsSource = func(name string) bool { return path.Ext(name) == ".go" }
	hash := func(listing string) string {
		sum := sha256.Sum256([]byte(listing))
		return fmt.Sprintf("%x", sum[:2])
	}
	none := fmt.Sprintf("%x", make([]byte, 2))
	for _, c := range []struct {
		name string
		ask  func(v *Workspace) error
		want []string
	}{
		{"Lookup", func(v *Workspace) error { _, err := v.Lookup("a.go"); return err }, []string{"file a.go 3 <nil>"}},
		{"Content", func(v *Workspace) error { _, _, err := v.Content("a.go", nil); return err }, []string{"file a.go 3 <nil>"}},
		{"Digest", func(v *Workspace) error { _, err := v.Digest("none"); return err }, []string{"file none 0 none"}},
		{"ReadDir", func(v *Workspace) error { _, err := v.ReadDir("d"); return err },
			[]string{"listing d false " + hash("fb.go\x00fnotes\x00") + " <nil>"}},
		{"ReadSources", func(v *Workspace) error { _, err := v.ReadSources("d"); return err },
			[]string{"listing d true " + hash("fb.go\x00") + " <nil>"}},
		{"ReadDir of a file", func(v *Workspace) error { _, err := v.ReadDir("a.go"); return err },
			[]string{"listing a.go false " + none + " no directory"}},
		{"Add", func(v *Workspace) error { return (&Inputs{}).Add(v, "d", "d") },
			[]string{"file d 0 directory", "directory d", "listing d false " + hash("fb.go\x00fnotes\x00") + " <nil>",
				"file d/b.go 9 <nil>", "file d/notes 0 <nil>"}},
		{"a fresh view of it", func(v *Workspace) error { _, err := v.Fresh().Lookup("a.go"); return err }, nil},
	} {
		var told, again log
		err := c.ask(w.Observed(&told))
		if !slices.Equal(told, c.want) {
			t.Errorf("%s: told %q, want %q", c.name, told, c.want)
		}
		// What is known by now is reported as well.
		if now := c.ask(w.Observed(&again)); !slices.Equal(again, c.want) || outcome(now) != outcome(err) {
			t.Errorf("%s again: told %q, %v, want %q, %v", c.name, again, now, c.want, err)
		}
	}
}

// TestListingHash: what is never an input does not count.
func TestListingHash(t *testing.T) {
	w := &Workspace{dist: "b/dist", cache: ".cache", IsSource: func(name string) bool { return name != "notes" }}
	for _, c := range []struct {
		dir, raw, want string
		sources        bool
	}{
		{"b", "da\x00ddist\x00fz\x00", "da\x00fz\x00", false},
		{"b", "ddist\x00fz\x00", "fz\x00", false},
		{"b", "fa\x00ddist\x00", "fa\x00", false},
		{"b", "ddist2\x00dxdist\x00", "ddist2\x00dxdist\x00", false},
		{".", "d.cache\x00ddist\x00", "ddist\x00", false},
		{"other", "d.git\x00fa\x00", "fa\x00", false},
		{"other", "d.a\x00f.git\x00fa\x00", "d.a\x00fa\x00", false},
		{"other", "f.airbuild-tmp\x00fa\x00", "fa\x00", false},
		{"other", "d.gitlab\x00f.gitignore\x00", "d.gitlab\x00f.gitignore\x00", false},
		{"other", "ddist\x00", "ddist\x00", false},
		{"other", "fa\x00fnotes\x00", "fa\x00fnotes\x00", false},
		{"other", "dnotes\x00fa\x00fnotes\x00lnotes\x00", "dnotes\x00fa\x00lnotes\x00", true},
		{"b", "ddist\x00fa\x00fnotes\x00", "fa\x00", true},
	} {
		if w.hashListing(c.dir, []byte(c.raw), c.sources) != sha256.Sum256([]byte(c.want)) {
			t.Errorf("%s of %q, sources %t: not the hash of %q", c.dir, c.raw, c.sources, c.want)
		}
	}
}
