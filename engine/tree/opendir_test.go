package tree_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/airbuild/airbuild/engine/tree"
)

func TestOpenDirFollowsNoLink(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	w, err := tree.Preload(t.TempDir()).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	at := func(p string) string { return filepath.Join(root, filepath.FromSlash(p)) }
	if err := errors.Join(os.MkdirAll(at("src"), 0o777), os.WriteFile(at("file"), nil, 0o666),
		os.Symlink("src", at("in")), os.Symlink(outside, at("out"))); err != nil {
		t.Fatal(err)
	}
	none := func(string) bool { return false }
	var link *tree.LinkError
	for _, p := range []string{"in", "out", "in/deep", "out/deep/er"} {
		if _, err := w.OpenDir(p, none); !errors.As(err, &link) {
			t.Errorf("%s: %v", p, err)
		}
	}
	if _, err := w.OpenDir("file/x", none); !tree.IsNotDir(err) {
		t.Errorf("below a file: %v", err)
	}
	if _, err := w.OpenDir("new", nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("not made: %v", err)
	}
	ours := func(p string) bool { return strings.HasPrefix(p, "out") }
	dir, err := w.OpenDir("out/deep", ours)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.WriteFile("f", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(at("out/deep/f")); err != nil {
		t.Error(err)
	}
	if list, _ := os.ReadDir(outside); len(list) != 0 {
		t.Errorf("outside: %v", list)
	}
}

// Another process that swaps a directory for a link has nothing written through
// the link.
func TestOpenDirWhileItIsSwapped(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	w, err := tree.Preload(t.TempDir()).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	sub, stop := filepath.Join(root, "sub"), make(chan struct{})
	var swapper sync.WaitGroup
	swapper.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			os.RemoveAll(sub)
			os.Symlink(outside, sub)
			os.Remove(sub)
			os.Mkdir(sub, 0o777)
		}
	})
	for range 2000 {
		dir, err := w.OpenDir("sub", func(string) bool { return true })
		if err != nil {
			continue // it may be gone again
		}
		dir.WriteFile("f", nil, 0o666)
		dir.Close()
	}
	close(stop)
	swapper.Wait()
	if list, _ := os.ReadDir(outside); len(list) != 0 {
		t.Errorf("outside: %v", list)
	}
}
