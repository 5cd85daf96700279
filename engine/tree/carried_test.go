package tree

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

const elsewhere = byte(42)

var askElsewhere = Question{elsewhere}

// carriedFrom is what a workspace with the files, and with dir as the place
// "SDK", finds out and carries.
func carriedFrom(t *testing.T, files map[string]string, dir string) (root string, text []byte) {
	t.Helper()
	w := project(t, files)
	v := w.View()
	root = rootOf(t, v.Workspace)
	if _, err := v.Lookup(filepath.ToSlash(dir) + "/version"); err != nil {
		t.Fatal(err)
	}
	w.Remember(ask, []byte(root), v)
	text, carried := w.Carry(map[Question]Question{ask: askElsewhere, {7}: {8}}, Places{"SDK": filepath.ToSlash(dir)})
	if !slices.Equal(carried, []Question{ask}) {
		t.Errorf("carried %v", carried)
	}
	return root, text
}

func sdk(t *testing.T, version string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "version"), []byte(version), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestCarriedAnswers: what one workspace found out is recalled in another one,
// under another path, exactly as long as all that it rests on is the same.
func TestCarriedAnswers(t *testing.T) {
	root, text := carriedFrom(t, manyFiles(), sdk(t, "1"))
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
			w := project(t, files)
			list, err := ReadCarried(text, Places{"SDK": filepath.ToSlash(sdk(t, c.sdk))})
			if err != nil {
				t.Fatal(err)
			}
			here := Question{1}
			if w.Adopt(here, Question{9}, list) {
				t.Error("adopted what nobody answered")
			}
			if w.Knows(here) || !w.Adopt(here, askElsewhere, list) || !w.Knows(here) {
				t.Error("not adopted")
			}
			got, ok := w.Recall(here)
			if ok != c.kept || ok && string(got) != root {
				t.Errorf("recalled %q, %t, want %q, %t", got, ok, root, c.kept)
			}
			if !c.kept {
				return
			}
			// It is remembered like what was found out here.
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got, ok := reopen(t, w.root, w.state).Recall(here); !ok || string(got) != root {
				t.Errorf("the next run recalls %q, %t", got, ok)
			}
		})
	}
}

// TestCarriedWithoutItsPlace: an answer that rests on what this host does not
// have is none.
func TestCarriedWithoutItsPlace(t *testing.T) {
	_, text := carriedFrom(t, manyFiles(), sdk(t, "1"))
	list, err := ReadCarried(text, Places{"OTHER": "/x"})
	if err != nil {
		t.Fatal(err)
	}
	if w := project(t, manyFiles()); w.Adopt(ask, askElsewhere, list) {
		t.Error("adopted")
	}
}

// TestParanoidCarriesNothing: neither to others nor from them.
func TestParanoidCarriesNothing(t *testing.T) {
	_, text := carriedFrom(t, manyFiles(), sdk(t, "1"))
	list, err := ReadCarried(text, Places{"SDK": "/x"})
	if err != nil {
		t.Fatal(err)
	}
	w := project(t, manyFiles())
	remember(t, w)
	w.Paranoid = true
	if text, carried := w.Carry(map[Question]Question{ask: askElsewhere}, nil); text != nil || carried != nil {
		t.Error("carried")
	}
	if w.Adopt(Question{1}, askElsewhere, list) {
		t.Error("adopted")
	}
}

func TestPlaces(t *testing.T) {
	here := Places{"GO": "/usr/lib/go", "ROOT": "/"}
	there := Places{"GO": "/opt/go/", "ROOT": "/"}
	for file, want := range map[string]string{
		"/usr/lib/go":           "/opt/go/",
		"/usr/lib/go/src/a.go":  "/opt/go/src/a.go",
		"/usr/lib/go-1.2/a.go":  "/usr/lib/go-1.2/a.go",
		"usr/lib/go/a.go":       "usr/lib/go/a.go",
		"/usr/lib/gox":          "/usr/lib/gox",
		"/usr/lib/go/\x00GO/.x": "/opt/go/\x00GO/.x",
	} {
		if got, ok := there.file(here.name(file)); !ok || got != want {
			t.Errorf("%q: %q, %t, want %q", file, got, ok, want)
		}
	}
	if got, ok := there.file("\x00C/x"); ok {
		t.Errorf("an unknown place is %q", got)
	}
}

// TestOutputsDoNotCount: that outputs are there takes no answer away.
func TestOutputsDoNotCount(t *testing.T) {
	w := project(t, manyFiles())
	v := w.View()
	root := rootOf(t, v.Workspace)
	if _, err := v.ReadDir("."); err != nil {
		t.Fatal(err)
	}
	w.Remember(ask, []byte(root), v)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(w.root, "dist"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := reopen(t, w.root, w.state).Recall(ask); !ok {
		t.Error("the directory counts")
	}
	if err := os.Mkdir(filepath.Join(w.root, "dist2"), 0o777); err != nil {
		t.Fatal(err)
	}
	if _, ok := reopen(t, w.root, w.state).Recall(ask); ok {
		t.Error("another one does not")
	}
}

func TestCounted(t *testing.T) {
	w := &Workspace{dist: "b/dist", cache: ".cache"}
	for _, c := range []struct{ dir, raw, want string }{
		{"b", "da\x00ddist\x00fz\x00", "da\x00fz\x00"},
		{"b", "ddist\x00fz\x00", "fz\x00"},
		{"b", "fa\x00ddist\x00", "fa\x00"},
		{"b", "ddist2\x00dxdist\x00", "ddist2\x00dxdist\x00"},
		{".", "d.cache\x00ddist\x00", "ddist\x00"},
		{"other", "d.git\x00fa\x00", "fa\x00"},
		{"other", "d.a\x00f.git\x00fa\x00", "d.a\x00fa\x00"},
		{"other", "f.airbuild-tmp\x00fa\x00", "fa\x00"},
		{"other", "d.gitlab\x00f.gitignore\x00", "d.gitlab\x00f.gitignore\x00"},
		{"other", "ddist\x00", "ddist\x00"},
	} {
		if got := string(w.counted(c.dir, []byte(c.raw))); got != c.want {
			t.Errorf("%s of %q: %q, want %q", c.dir, c.raw, got, c.want)
		}
	}
}

const carriedFixture = "../../testdata/formats/carried-answers-1"

func TestCarriedFixture(t *testing.T) {
	a := fixtureAnswers()
	for _, s := range a.known[Question{7}].table {
		if s.path == "dir" {
			s.path = "/sdk/dir"
		}
	}
	w := &Workspace{answers: a}
	a.load.Do(func() {})
	asked := map[Question]Question{{7}: {7}, {9}: {9}}
	b, _ := w.Carry(asked, Places{"SDK": "/sdk"})
	if *update {
		if err := os.WriteFile(carriedFixture, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(carriedFixture)
	if err != nil || !bytes.Equal(b, frozen) {
		t.Fatalf("wrote %x\nwant  %x\n%v", b, frozen, err)
	}
	c, err := ReadCarried(frozen, Places{"SDK": "/sdk"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := textOf(c.known), textOf(a.known); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// FuzzReadCarried: whatever the store has, reading ends, and what was read can
// be adopted, looked at and written again.
func FuzzReadCarried(f *testing.F) {
	b, err := os.ReadFile(carriedFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(carriedMagic)+8:])
	root := f.TempDir()
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := ReadCarried(append([]byte(carriedMagic), appendFrame(nil, body)...), Places{"SDK": filepath.ToSlash(root)})
		if err != nil {
			return
		}
		w := reopen(t, root, t.TempDir())
		asked := map[Question]Question{}
		for q := range c.known {
			if !w.Adopt(q, q, c) {
				t.Fatal("not adopted")
			}
			w.Recall(q)
			asked[q] = q
		}
		text, _ := w.Carry(asked, nil)
		if len(asked) == 0 {
			return
		}
		again, err := ReadCarried(text, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := textOf(again.known), textOf(c.known); !slices.Equal(got, want) {
			t.Fatalf("read %q, then %q", want, got)
		}
	})
}
