package paths

import (
	"path/filepath"
	"testing"
)

func TestBelow(t *testing.T) {
	for _, c := range []struct {
		dir, p string
		want   bool
	}{
		{"a", "a", true}, {"a", "a/b", true}, {"a", "ab", false}, {"a/b", "a", false}, {"a", "../a", false},
		{"/", "/", true}, {"/", "/a", true}, {"/a", "/a/b", true}, {"/a", "a", false},
	} {
		if got := Below(c.dir, c.p); got != c.want {
			t.Errorf("Below(%q, %q) = %v", c.dir, c.p, got)
		}
	}
}

func TestRel(t *testing.T) {
	root := t.TempDir()
	for _, c := range []struct {
		p, rel string
		ok     bool
	}{
		{".", ".", true}, {"a/b", "a/b", true}, {"..a", "..a", true}, {"..", "", false}, {"../a", "", false},
	} {
		if rel, ok := Rel(root, filepath.Join(root, filepath.FromSlash(c.p))); rel != c.rel || ok != c.ok {
			t.Errorf("%s: %q, %v", c.p, rel, ok)
		}
	}
	if _, ok := Rel(root, "relative"); ok {
		t.Error("a relative path is below an absolute one")
	}
}

func TestLocal(t *testing.T) {
	for p, want := range map[string]bool{
		"a": true, "a/b": true, ".": true, "..a": true, "": false, "/": false, "/a": false, "..": false, "../a": false, "a/..": false, "a/../..": false, "a/": false, "./a": false,
	} {
		if Local(p) != want {
			t.Errorf("Local(%q) = %v", p, !want)
		}
	}
}
