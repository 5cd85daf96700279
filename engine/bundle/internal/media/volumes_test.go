package media

import (
	"os"
	"path/filepath"
	"testing"
)

const fixture = "../../../../testdata/formats/bundle-1"

func FuzzVolume(f *testing.F) {
	names, err := filepath.Glob(filepath.Join(fixture+"-volumes", "*.tar"))
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		name := filepath.Join(t.TempDir(), "x-001-of-002.tar")
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
		m, err := openVolumes([]string{name})
		if err != nil {
			return
		}
		defer m.Close()
		for d := range m.places {
			x, err := m.Blob(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			// Blobs lie within the volume.
			if bad, err := Verify(t.Context(), x, d, nil); err != nil || bad != nil && bad.Offset < 0 {
				t.Errorf("%v, %v", bad, err)
			}
		}
	})
}
