package source

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// manifestFixture is frozen.
var manifestFixture = filepath.Join("..", "..", "testdata", "formats", "source-manifest-1.json")

var carriedTexts = map[string]string{"a.go": "package a\n", "bin/run": "run\n"}

func TestManifestFixture(t *testing.T) {
	want, err := os.ReadFile(manifestFixture)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(want)
	if err != nil {
		t.Fatal(err)
	}
	for p, text := range carriedTexts {
		if m.Files[p] != digestOf([]byte(text)) {
			t.Errorf("%s: %s", p, m.Files[p])
		}
	}
	if got, _, err := m.Encode(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s, %v", got, err)
	}
}

func TestManifestRefuses(t *testing.T) {
	sum := strings.Repeat("a", 64)
	for _, text := range []string{
		``, `[]`, `{}`, `{"version":1}`, `{"version":2,"files":{}}`, `{"version":1,"files":{},"x":1}`, `{"version":1,"files":{}} 1`,
		`{"version":1,"files":{"../a":"` + sum + `"}}`, `{"version":1,"files":{"/a":"` + sum + `"}}`, `{"version":1,"files":{"a":"` + strings.ToUpper(sum) + `"}}`,
		`{"version":1,"files":{"a":"b"}}`, `{"version":1,"files":{},"executable":["a"]}`, `{"version":1,"files":{},"links":{"../a":"b"}}`,
		`{"version":1,"files":{"a":"` + sum + `"},"links":{"a":"b"}}`, `{"version":1,"files":{"a":"` + sum + `"},"executable":["a","a"]}`,
	} {
		if m, err := ParseManifest([]byte(text)); err == nil {
			t.Errorf("%s: %+v", text, m)
		}
	}
}

func FuzzManifest(f *testing.F) {
	seed, err := os.ReadFile(manifestFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseManifest(b)
		if err != nil {
			return
		}
		text, _, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseManifest(text)
		if err != nil || !maps.Equal(again.Files, m.Files) || len(again.Executable) != len(m.Executable) || !maps.Equal(again.Links, m.Links) {
			t.Fatalf("%+v became %+v, %v", m, again, err)
		}
	})
}

// carriedTree is a tree as an import leaves it.
func carriedTree(t *testing.T, describe string, dirty bool) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(manifestFixture)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseManifest(text)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS == "windows" {
		m.Links = nil
	}
	text, digest, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var identity bytes.Buffer
	info := fixtureInfo
	info.Describe, info.Dirty, info.Files = describe, dirty, digest
	if err := WriteJSON(&identity, &info); err != nil {
		t.Fatal(err)
	}
	files := maps.Clone(carriedTexts)
	files[ManifestName], files[FileName] = string(text), identity.String()
	for p, text := range files {
		mode := os.FileMode(0o644)
		if p == "bin/run" {
			mode = 0o755
		}
		name := filepath.Join(dir, filepath.FromSlash(p))
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for p, target := range m.Links {
		if err := os.Symlink(target, filepath.Join(dir, p)); err != nil {
			t.Fatal(err)
		}
	}
	// What was written just now is not remembered.
	past := time.Now().Add(-time.Hour)
	for p := range files {
		if err := os.Chtimes(filepath.Join(dir, p), past, past); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestEdited: what git would call dirty in a clone is dirty in a carried tree,
// whether earlier answers are remembered or not, and clean again when it is put
// back.
func TestEdited(t *testing.T) {
	write := func(name, text string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	must := func(errs ...error) {
		for _, err := range errs {
			if err != nil {
				t.Helper()
				t.Fatal(err)
			}
		}
	}
	tests := map[string]struct {
		edit   func(t *testing.T, dir string)
		edited string
		unix   bool
	}{
		"nothing":   {func(*testing.T, string) {}, "", false},
		"untracked": {write("new.go", "package a\n"), "", false},
		"content":   {write("a.go", "package b\n"), "a.go", false},
		"same":      {write("a.go", "package a\n"), "", false},
		"removed":   {func(t *testing.T, dir string) { must(os.Remove(filepath.Join(dir, "a.go"))) }, "a.go", false},
		"folder": {func(t *testing.T, dir string) {
			must(os.Remove(filepath.Join(dir, "a.go")), os.Mkdir(filepath.Join(dir, "a.go"), 0o777))
		}, "a.go", false},
		"mode": {func(t *testing.T, dir string) { must(os.Chmod(filepath.Join(dir, "bin", "run"), 0o644)) }, "bin/run", true},
		"link": {func(t *testing.T, dir string) {
			must(os.Remove(filepath.Join(dir, "link")), os.Symlink("a.go", filepath.Join(dir, "link")))
		}, "link", true},
		"link instead": {func(t *testing.T, dir string) {
			must(os.Rename(filepath.Join(dir, "a.go"), filepath.Join(dir, "b.go")), os.Symlink("b.go", filepath.Join(dir, "a.go")))
		}, "a.go", true},
		"folder is a link": {func(t *testing.T, dir string) {
			out := t.TempDir()
			must(os.RemoveAll(filepath.Join(dir, "bin")), os.Symlink(out, filepath.Join(dir, "bin")), os.WriteFile(filepath.Join(out, "run"), []byte("run\n"), 0o755))
		}, "bin/run", true},
		"many": {func(t *testing.T, dir string) {
			must(os.Remove(filepath.Join(dir, "a.go")), os.RemoveAll(filepath.Join(dir, "bin")))
		}, "a.go, bin/run", false},
		"no manifest":      {func(t *testing.T, dir string) { must(os.Remove(filepath.Join(dir, ManifestName))) }, ManifestName, false},
		"another manifest": {write(ManifestName, `{"version":1,"files":{}}`), ManifestName, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.unix && runtime.GOOS == "windows" {
				t.Skip("needs modes and links")
			}
			for _, state := range []string{"", t.TempDir()} {
				dir := carriedTree(t, "v1.2.3", false)
				o := Options{State: state}
				read := func() *Info {
					t.Helper()
					i, err := Read(t.Context(), dir, []string{"describe", "dirty"}, o)
					if err != nil {
						t.Fatal(err)
					}
					return i
				}
				if i := read(); i.Dirty || i.Describe != "v1.2.3" || i.Edited != "" {
					t.Fatalf("before: %+v", i)
				}
				tt.edit(t, dir)
				for range 2 {
					want := "v1.2.3"
					if tt.edited != "" {
						want += "-dirty"
					}
					if i := read(); i.Edited != tt.edited || i.Dirty != (tt.edited != "") || i.Describe != want {
						t.Errorf("state %q: %+v", state, i)
					}
				}
			}
		})
	}
}

func TestEditedTwice(t *testing.T) {
	dir := carriedTree(t, "v1.2.3-dirty", true)
	if err := os.WriteFile(filepath.Join(dir, "a.go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	i, err := Read(t.Context(), dir, []string{"describe"}, Options{})
	if err != nil || i.Describe != "v1.2.3-dirty" || i.Edited != "a.go" {
		t.Errorf("%+v, %v", i, err)
	}
	// The rest is not asked of the files.
	i, err = Read(t.Context(), dir, []string{"commit", "time"}, Options{})
	if err != nil || i.Edited != "" {
		t.Errorf("%+v, %v", i, err)
	}
}
