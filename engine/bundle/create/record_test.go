package create_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
)

// FuzzRecord goes on with a creation that was interrupted. Whatever its record
// says, the bundle is the one that it would have been.
func FuzzRecord(f *testing.F) {
	s := bundletest.FixtureTree().Spec(1)
	whole := f.TempDir()
	want := bundletest.Make(f, whole, s, create.Options{PackSize: 6000})
	b := bundletest.Open(f, bundletest.Anyone, whole)
	f.Add([]byte("{}\n"))
	for n := range want.Packs {
		line, err := create.RecordLine(b, n)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(append(line, '\n'))
	}
	blobs, err := filepath.Glob(filepath.Join(whole, "blobs", "sha256", "*"))
	if err != nil || len(blobs) == 0 {
		f.Fatal(blobs, err)
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		dir := t.TempDir()
		if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o777); err != nil {
			t.Fatal(err)
		}
		for _, name := range blobs {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "blobs", "sha256", filepath.Base(name)), b, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, create.RecordName), record, 0o666); err != nil {
			t.Fatal(err)
		}
		got := bundletest.Make(t, dir, s, create.Options{PackSize: 6000})
		if a, b := bundletest.Must(got.Encode()), bundletest.Must(want.Encode()); action.Of(a) != action.Of(b) {
			t.Errorf("%s\n%s", a, b)
		}
	})
}
