package tasks_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/tasks"
)

func TestProjectFiles(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "project")
	for name, text := range map[string]string{"secret": "s", "dir/secret": "s", "project/a/file": "f", "project/plain": "p"} {
		at := filepath.Join(base, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o777), os.WriteFile(at, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"out": "../secret", "absolute": filepath.Join(base, "secret"), "outdir": "../dir", "a/up": "../../dir",
		"second": "out", "gone": "../nothing", "parent": "..",
		"in": "a/file", "indir": "a", "a/self": "..", "again": "../project/a", "absin": filepath.Join(root, "a"), "dangling": "nothing", "loop": "loop",
	} {
		if err := os.Symlink(target, filepath.Join(root, filepath.FromSlash(name))); err != nil {
			t.Skipf("this host makes no links: %v", err)
		}
	}
	// The project itself may be reached by a link.
	alias := filepath.Join(base, "alias")
	if err := os.Symlink("project", alias); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{root, alias} {
		files := tasks.ProjectFiles(root)
		for name, want := range map[string]string{
			"plain": "p", "a/file": "f", "in": "f", "indir/file": "f", "a/self/plain": "p", "again/file": "f", "absin/file": "f", "a/self/indir/file": "f",
		} {
			got, err := fs.ReadFile(files, name)
			if string(got) != want || err != nil {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			if info, err := fs.Stat(files, name); err != nil || info.Size() != 1 {
				t.Errorf("stat %s: %v", name, err)
			}
		}
		for name, link := range map[string]string{
			"out": "out", "absolute": "absolute", "outdir/secret": "outdir", "a/up/secret": "a/up", "second": "second",
			"indir/up/secret": "indir/up", "a/self/out": "a/self/out", "gone": "gone", "outdir/nothing": "outdir", "parent/secret": "parent",
		} {
			var outside *tasks.OutsideError
			_, err := fs.ReadFile(files, name)
			if !errors.As(err, &outside) || outside.Link != link {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := fs.Stat(files, name); !errors.As(err, &outside) {
				t.Errorf("stat %s: %v", name, err)
			}
			if _, err := fs.ReadDir(files, name); !errors.As(err, &outside) {
				t.Errorf("readdir %s: %v", name, err)
			}
		}
		for name, want := range map[string]error{"nothing": fs.ErrNotExist, "dangling": fs.ErrNotExist, "a/nothing": fs.ErrNotExist, "../secret": fs.ErrInvalid, "/etc": fs.ErrInvalid} {
			if _, err := fs.ReadFile(files, name); !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := fs.ReadFile(files, "loop"); err == nil {
			t.Error("a loop was read")
		}
		names := func(dir string) string {
			list, err := fs.ReadDir(files, dir)
			if err != nil {
				t.Errorf("readdir %s: %v", dir, err)
			}
			var names []string
			for _, e := range list {
				names = append(names, e.Name())
			}
			return strings.Join(names, " ")
		}
		for _, dir := range []string{"a", "indir", "again", "absin"} {
			if got := names(dir); got != "file self up" {
				t.Errorf("%s: %s", dir, got)
			}
		}
	}
}

func TestProjectFilesAreBounded(t *testing.T) {
	root := t.TempDir()
	f, err := os.Create(filepath.Join(root, "big"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(17<<20), f.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(tasks.ProjectFiles(root), "big"); err == nil || !strings.Contains(err.Error(), "16 MiB") {
		t.Error(err)
	}
}
