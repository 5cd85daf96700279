package source

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
)

func TestRevision(t *testing.T) {
	r := newRepo(t)
	for _, name := range []string{"same", "edited", "removed", "dir/same", "touched", "größe/ä b", "assumed"} {
		r.write(name, name)
	}
	if err := os.Symlink("dir", filepath.Join(r.dir, "link")); err != nil {
		t.Skip("no symbolic links here: ", err)
	}
	r.write(".gitignore", "*.out\n")
	r.write("run.sh", "")
	os.Chmod(filepath.Join(r.dir, "run.sh"), 0o755)
	r.must("add", "-A")
	r.must("commit", "-q", "-m", "first")
	r.must("tag", "base")
	r.write("committed", "")
	r.must("add", "-A")
	r.must("commit", "-q", "-m", "second")
	r.write("edited", "edited again")
	r.write("staged", "")
	r.must("add", "staged")
	r.write("untracked", "")
	r.write("ignored.out", "")
	os.Remove(filepath.Join(r.dir, "removed"))
	os.Chtimes(filepath.Join(r.dir, "touched"), fixtureInfo.Time, fixtureInfo.Time)
	r.must("update-index", "--assume-unchanged", "assumed")

	rev, err := OpenRevision(t.Context(), filepath.Join(r.dir, "dir"), "base")
	if err != nil {
		t.Fatal(err)
	}
	if want := r.must("rev-parse", "base"); rev.Commit != want || filepath.Base(rev.Top) != filepath.Base(r.dir) {
		t.Errorf("%+v, want commit %s", rev, want)
	}
	changes, err := rev.Changes(t.Context())
	want := []Change{
		{Path: "committed", Added: true}, {Path: "edited"}, {Path: "removed", Removed: true},
		{Path: "staged", Added: true}, {Path: "untracked", Added: true},
	}
	if err != nil || !reflect.DeepEqual(changes, want) {
		t.Errorf("%+v, %v", changes, err)
	}
	tracked, err := rev.Tracked(t.Context())
	if err != nil || !tracked["same"] || !tracked["größe/ä b"] || !tracked["staged"] || tracked["assumed"] || tracked["untracked"] || tracked["ignored.out"] {
		t.Errorf("%v, %v", tracked, err)
	}
	files, err := rev.Files(t.Context(), ".")
	if err != nil {
		t.Fatal(err)
	}
	defer files.Close()
	if err := fstest.TestFS(files, "removed", "edited", "dir/same", "größe/ä b", "run.sh"); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{"edited": "edited", "link/same": "dir/same", "removed": "removed"} {
		if b, err := fs.ReadFile(files, name); err != nil || string(b) != text {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if _, err := fs.Stat(files, "committed"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a later file: %v", err)
	}
	below, err := rev.Files(t.Context(), "dir")
	if err != nil {
		t.Fatal(err)
	}
	defer below.Close()
	if b, err := fs.ReadFile(below, "same"); err != nil || string(b) != "dir/same" {
		t.Errorf("%q, %v", b, err)
	}
	for _, name := range []string{"", "nowhere", "-h", "--all", "HEAD:edited", "base..HEAD"} {
		if _, err := OpenRevision(t.Context(), r.dir, name); !errors.Is(err, ErrNoRevision) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
