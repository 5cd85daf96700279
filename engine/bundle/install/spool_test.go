package install_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

// Discs are changed in one drive: a file that lies on all of them is stored when
// the last was there.
func TestImportDiscByDisc(t *testing.T) {
	contents := bundletest.Tree{"extra/data": {"big": bundletest.Noise(7, 600<<10), "a": "small", "b": bundletest.Noise(8, 90<<10)}}
	dir, volumes := t.TempDir(), t.TempDir()
	if _, err := create.Bundle(t.Context(), dir, contents.Spec(1), create.Options{PackSize: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(t.Context(), bundle.Trust{AllowUnsigned: true}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	names, err := create.Volumes(t.Context(), b, volumes, create.VolumeOptions{Size: 200 << 10})
	if err != nil || len(names) < 4 {
		t.Fatalf("%d volumes, %v", len(names), err)
	}
	cache := t.TempDir()
	sink := func(string) (install.Sink, error) {
		return install.NewDirSink(filepath.Join(cache, "out"), install.DirOptions{})
	}
	for i, name := range []int{2, 0, 3, 1} {
		if i == len(names)-1 {
			break
		}
		err := importVolume(t, names[name], cache, sink)
		if last := i == 3 && len(names) == 4; (err == nil) != last || err != nil && !errors.Is(err, bundle.ErrMissing) {
			t.Fatalf("disc %d of %d: %v", name+1, len(names), err)
		}
	}
	for n := 4; n < len(names); n++ {
		err = importVolume(t, names[n], cache, sink)
		if last := n == len(names)-1; (err == nil) != last {
			t.Fatalf("disc %d of %d: %v", n+1, len(names), err)
		}
	}
	got, err := os.ReadFile(filepath.Join(cache, "out", "big"))
	if err != nil || string(got) != contents["extra/data"]["big"] {
		t.Errorf("big has %d bytes, %v", len(got), err)
	}
	if left, _ := filepath.Glob(filepath.Join(cache, "carried", "journal", "*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func importVolume(t *testing.T, name, cache string, sink func(string) (install.Sink, error)) error {
	t.Helper()
	b, err := bundle.Open(t.Context(), bundle.Trust{AllowUnsigned: true}, name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = install.Bundle(t.Context(), b, install.Options{Cache: cache, Sink: sink})
	return err
}
