package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// Discs are changed in one drive: a file that lies on all of them is stored when
// the last was there.
func TestImportDiscByDisc(t *testing.T) {
	contents := tree{"extra/data": {"big": noise(7, 600<<10), "a": "small", "b": noise(8, 90<<10)}}
	dir, volumes := t.TempDir(), t.TempDir()
	if _, err := Create(t.Context(), dir, contents.spec(1), CreateOptions{PackSize: 64 << 10}); err != nil {
		t.Fatal(err)
	}
	b, err := Open(t.Context(), Trust{AllowUnsigned: true}, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	names, err := WriteVolumes(t.Context(), b, volumes, VolumeOptions{Size: 200 << 10})
	if err != nil || len(names) < 4 {
		t.Fatalf("%d volumes, %v", len(names), err)
	}
	cache := t.TempDir()
	sink := func(string) (Sink, error) { return NewDirSink(filepath.Join(cache, "out"), DirOptions{}) }
	for i, name := range []int{2, 0, 3, 1} {
		if i == len(names)-1 {
			break
		}
		err := importVolume(t, names[name], cache, sink)
		if last := i == 3 && len(names) == 4; (err == nil) != last || err != nil && !errors.Is(err, format.ErrMissing) {
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

func importVolume(t *testing.T, name, cache string, sink func(string) (Sink, error)) error {
	t.Helper()
	b, err := Open(t.Context(), Trust{AllowUnsigned: true}, name)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	_, err = Import(t.Context(), b, ImportOptions{Cache: cache, Sink: sink})
	return err
}
