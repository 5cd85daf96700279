package install_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

func fileOf(path, text string) bundle.File {
	return bundle.File{Path: path, Digest: action.Of([]byte(text))}
}

// TestDirSinkLinks holds that a directory with links in it is not left.
func TestDirSinkLinks(t *testing.T) {
	t.Parallel()
	outside, dir := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("theirs"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"dir": outside, "file": filepath.Join(outside, "file"), "inside": "sub"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skipf("this system makes no links: %v", err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "sub"), 0o777); err != nil {
		t.Fatal(err)
	}
	s, err := install.NewDirSink(dir, install.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, p := range []string{"dir/new", "dir/file", "inside/new", "../new", "sub/../../new", "sub"} {
		f := fileOf(p, "ours")
		if _, err := s.Has(t.Context(), f, false); err == nil {
			t.Errorf("%s: Has has nothing against it", p)
		}
		if err := s.Put(t.Context(), f, strings.NewReader("ours")); err == nil {
			t.Errorf("%s was put", p)
		}
	}
	// A link in the place of a file is replaced, and what it points to is left.
	if err := s.Put(t.Context(), fileOf("file", "ours"), strings.NewReader("ours")); err != nil {
		t.Fatal(err)
	}
	if got := bundletest.ReadTree(t, outside); len(got) != 1 || got["file"] != "theirs" {
		t.Errorf("%v", got)
	}
	if info, err := os.Lstat(filepath.Join(dir, "file")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("%v, %v", info, err)
	}
	bundletest.NoTemps(t, dir)
}

func TestDirSinkWrong(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := install.NewDirSink(dir, install.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, text := range map[string]string{"other": "oops", "short": "our", "long": "ours and more", "none": ""} {
		if err := s.Put(t.Context(), fileOf("a/b", "ours"), strings.NewReader(text)); !errors.Is(err, bundle.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := bundletest.ReadTree(t, dir); len(got) > 0 {
		t.Errorf("%v", got)
	}
}

func TestDirSinkStrict(t *testing.T) {
	t.Parallel()
	x := bundletest.Tree{"source": {"a": "alpha", "b": "beta"}}
	b, h := bundletest.OfSpec(t, x.Spec(1)), bundletest.NewHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b"), []byte("my own work"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := install.NewDirSink(dir, install.DirOptions{Strict: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = install.Bundle(t.Context(), b, install.Options{Cache: h.Cache, Sink: func(string) (install.Sink, error) { return s, nil }})
	if err == nil || !strings.Contains(err.Error(), "differs from the bundle's") {
		t.Errorf("%v", err)
	}
	if got := bundletest.ReadTree(t, dir); len(got) != 1 || got["b"] != "my own work" {
		t.Errorf("%v", got)
	}
}

// TestDirSinkMerge has two bundles with a file each that grows.
func TestDirSinkMerge(t *testing.T) {
	t.Parallel()
	h, dir := bundletest.NewHost(t), t.TempDir()
	s, err := install.NewDirSink(dir, install.DirOptions{Merge: func(path string) func(old, new []byte) ([]byte, error) {
		if path != "list" {
			return nil
		}
		return func(old, new []byte) ([]byte, error) {
			if strings.Contains(string(old), string(new)) {
				return old, nil
			}
			return append(old, new...), nil
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	sink := func(string) (install.Sink, error) { return s, nil }
	one := bundletest.OfSpec(t, bundletest.Tree{"modules": {"list": "v1\n", "x": "x"}, "sumdb": {"list": "v2\n"}}.Spec(1))
	spec := bundletest.Tree{"modules": {"list": "v3\n", "x": "x"}}.Spec(2)
	for i := range spec.Components[0].Files {
		if f := &spec.Components[0].Files[i]; f.Path == "list" {
			f.Always = true
		}
	}
	spec.Base = create.BaseOfBundle(one)
	for i, b := range []*bundle.Bundle{one, one, bundletest.OfSpec(t, spec)} {
		done, err := install.Bundle(context.Background(), b, install.Options{Cache: h.Cache, Sink: sink})
		if err != nil || done.Already != (i == 1) {
			t.Fatalf("%d: %+v, %v", i, done, err)
		}
	}
	list := bundletest.ReadTree(t, dir)["list"]
	for _, v := range []string{"v1\n", "v2\n", "v3\n"} {
		if strings.Count(list, v) != 1 {
			t.Errorf("%q", list)
		}
	}
}
