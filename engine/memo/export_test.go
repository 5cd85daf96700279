package memo

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/internal/frames"
)

// portableQuery is query in its portable form.
var portableQuery = Query{42}

// exported is what a host with the files, and with dir as the root "SDK", finds
// and exports.
func exported(t *testing.T, files map[string]string, dir string) (root string, b []byte) {
	t.Helper()
	h := project(t, files)
	root, r := h.find(t)
	if _, err := h.w.Observed(r).Lookup(filepath.ToSlash(dir) + "/version"); err != nil {
		t.Fatal(err)
	}
	h.Put(query, []byte(root), r)
	b, list := h.Export(map[Query]Query{query: portableQuery, {7}: {8}}, Roots{"SDK": filepath.ToSlash(dir)})
	if !slices.Equal(list, []Query{query}) {
		t.Errorf("exported %v", list)
	}
	return root, b
}

func sdk(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestImport: what one workspace found is valid in another one, at another path,
// exactly as long as everything that it depends on is the same.
func TestImport(t *testing.T) {
	root, b := exported(t, manyFiles(), sdk(t, "1"))
	for _, c := range []struct {
		name string
		edit map[string]string
		sdk  string
		kept bool
	}{
		{"the same", nil, "1", true},
		{"with outputs", map[string]string{"dist/out": "made"}, "1", true},
		{"other content", map[string]string{"src/p0/f0.txt": "x"}, "1", false},
		{"another file", map[string]string{"src/p0/new.txt": "x"}, "1", false},
		{"another SDK", nil, "2", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := manyFiles()
			maps.Copy(files, c.edit)
			h := project(t, files)
			x, err := ReadExported(b, Roots{"SDK": filepath.ToSlash(sdk(t, c.sdk))})
			if err != nil {
				t.Fatal(err)
			}
			local := Query{1}
			if h.Import(local, Query{9}, x) {
				t.Error("imported what nobody exported")
			}
			if h.Has(local) || !h.Import(local, portableQuery, x) || !h.Has(local) {
				t.Error("not imported")
			}
			got, ok := h.Get(local)
			if ok != c.kept || ok && string(got) != root {
				t.Errorf("got %q, %t, want %q, %t", got, ok, root, c.kept)
			}
			if !c.kept {
				return
			}
			// It is kept like what was found here.
			h.close(t)
			if got, ok := open(t, h.root, h.state).Get(local); !ok || string(got) != root {
				t.Errorf("the next process gets %q, %t", got, ok)
			}
		})
	}
}

// TestImportWithoutRoot: an entry that depends on a root which this host does not
// have is not imported.
func TestImportWithoutRoot(t *testing.T) {
	_, b := exported(t, manyFiles(), sdk(t, "1"))
	x, err := ReadExported(b, Roots{"OTHER": "/x"})
	if err != nil {
		t.Fatal(err)
	}
	if project(t, manyFiles()).Import(query, portableQuery, x) {
		t.Error("imported")
	}
}

func TestRoots(t *testing.T) {
	here := Roots{"GO": "/usr/lib/go", "ROOT": "/"}
	there := Roots{"GO": "/opt/go/", "ROOT": "/"}
	for file, want := range map[string]string{
		"/usr/lib/go":           "/opt/go/",
		"/usr/lib/go/src/a.go":  "/opt/go/src/a.go",
		"/usr/lib/go-1.2/a.go":  "/usr/lib/go-1.2/a.go",
		"usr/lib/go/a.go":       "usr/lib/go/a.go",
		"/usr/lib/gox":          "/usr/lib/gox",
		"/usr/lib/go/\x00GO/.x": "/opt/go/\x00GO/.x",
	} {
		if got, ok := there.local(here.portable(file)); !ok || got != want {
			t.Errorf("%q: %q, %t, want %q", file, got, ok, want)
		}
	}
	if got, ok := there.local("\x00C/x"); ok {
		t.Errorf("an unknown root is %q", got)
	}
}

// TestOutputsDoNotCount: that there are outputs does not invalidate an entry.
func TestOutputsDoNotCount(t *testing.T) {
	h := project(t, manyFiles())
	root, r := h.find(t)
	if _, err := h.w.Observed(r).ReadDir("."); err != nil {
		t.Fatal(err)
	}
	h.Put(query, []byte(root), r)
	h.close(t)
	if err := os.Mkdir(filepath.Join(h.root, "dist"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := open(t, h.root, h.state).Get(query); !ok {
		t.Error("the output directory counts")
	}
	if err := os.Mkdir(filepath.Join(h.root, "dist2"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := open(t, h.root, h.state).Get(query); ok {
		t.Error("another one does not")
	}
}

const exportFixture = "../../testdata/formats/carried-answers-1"

func TestExportFixture(t *testing.T) {
	m := fixture()
	for _, d := range m.entries[Query{7}].table {
		if d.path == "dir" {
			d.path = "/sdk/dir"
		}
	}
	b, _ := m.Export(map[Query]Query{{7}: {7}, {9}: {9}}, Roots{"SDK": "/sdk"})
	if *update {
		if err := os.WriteFile(exportFixture, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(exportFixture)
	if err != nil || string(b) != string(frozen) {
		t.Fatalf("wrote %x\nwant  %x\n%v", b, frozen, err)
	}
	x, err := ReadExported(frozen, Roots{"SDK": "/sdk"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := textOf(x.entries), textOf(m.entries); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// FuzzReadExported: whatever the store has, reading ends, and what was read can
// be imported, checked and written again.
func FuzzReadExported(f *testing.F) {
	b, err := os.ReadFile(exportFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(exportMagic)+frames.HeaderSize:])
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, body []byte) {
		x, err := ReadExported(frames.Encode([]byte(exportMagic), body), Roots{"SDK": filepath.ToSlash(root)})
		if err != nil {
			return
		}
		h := open(t, root, t.TempDir())
		queries := map[Query]Query{}
		for q := range x.entries {
			if !h.Import(q, q, x) {
				t.Fatal("not imported")
			}
			h.Get(q)
			queries[q] = q
		}
		b, _ := h.Export(queries, nil)
		if len(queries) == 0 {
			return
		}
		again, err := ReadExported(b, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := textOf(again.entries), textOf(x.entries); !slices.Equal(got, want) {
			t.Fatalf("read %q, then %q", want, got)
		}
	})
}
