package inuse

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestRename(t *testing.T) {
	root, dir := files(t, "new", "old", "newer")
	if err := RenameIn(root, "new", "old"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "old")); err != nil || string(b) != "new" {
		t.Errorf("%q, %v", b, err)
	}
	if err := Rename(filepath.Join(dir, "newer"), filepath.Join(dir, "old")); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "old")); err != nil || string(b) != "newer" {
		t.Errorf("%q, %v", b, err)
	}
	if err := RemoveIn(root, "old"); err != nil {
		t.Error(err)
	}
}

func TestRemoveAll(t *testing.T) {
	root, dir := files(t)
	for _, remove := range []func() error{
		func() error { return RemoveAllIn(root, "a") },
		func() error { return RemoveAll(filepath.Join(dir, "a")) },
	} {
		if err := root.MkdirAll("a/b", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		if _, err := root.Lstat("a"); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

// A file that is missing is not in use: what says so says it at once.
func TestMissing(t *testing.T) {
	root, dir := files(t, "there")
	missing := filepath.Join(dir, "missing")
	for name, err := range map[string]error{
		"rename":           Rename(missing, filepath.Join(dir, "x")),
		"rename elsewhere": Rename(filepath.Join(dir, "there"), filepath.Join(missing, "x")),
		"rename in":        RenameIn(root, "missing", "x"),
		"remove in":        RemoveIn(root, "missing"),
		"open":             Do(func() error { _, err := Open(missing); return err }),
		"read":             Do(func() error { _, err := ReadFile(missing); return err }),
	} {
		if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInUse) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMissesInVain(t *testing.T) {
	root, _ := files(t, "new")
	for _, c := range []struct {
		from, to string
		err      error
		want     bool
	}{
		{"new", "old", fs.ErrNotExist, true},
		{"new", "old", fs.ErrPermission, false},
		{"missing", "old", fs.ErrNotExist, false},
		{"new", "missing/old", fs.ErrNotExist, false},
	} {
		if got := missesInVain(root, c.from, c.to, c.err); got != c.want {
			t.Errorf("rename %s to %s: %v: %v", c.from, c.to, c.err, got)
		}
	}
}

func TestRetry(t *testing.T) {
	busy, broken := errors.New("busy"), errors.New("broken")
	again := func(err error) bool { return err == busy }
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			name  string
			tries []error // the last one for ever
			want  error
			least int // tries
		}{
			{"at once", []error{nil}, nil, 1},
			{"after a while", []error{busy, busy, nil}, nil, 3},
			{"another error", []error{busy, broken}, broken, 2},
			{"never", []error{busy}, busy, 5},
		} {
			n, begin := 0, time.Now()
			err := retry(func() error {
				n++
				return c.tries[min(n, len(c.tries))-1]
			}, again)
			if took := time.Since(begin); err != c.want || n < c.least || took > patience {
				t.Errorf("%s: %d tries in %v, %v", c.name, n, took, err)
			}
		}
	})
}

// files makes a directory with files that hold their names.
func files(t *testing.T, names ...string) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return root, dir
}
