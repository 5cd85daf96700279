package carry

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/source"
)

// checkOutOf imports files as source and checks them out.
func (r *receiver) checkOut(dir string, sequence int64, force bool, files map[string]string) (*CheckedOut, error) {
	r.t.Helper()
	b := made(r.t, sequence, 0, texts(Source, files))
	if _, err := r.take(b); err != nil {
		r.t.Fatal(err)
	}
	return CheckOut(r.t.Context(), b, Checkout{Cache: r.cache, Store: r.store, Component: Source, Dir: dir, Force: force})
}

// holds are the files and links below dir, but for airbuild's own.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".airbuild-") {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		if e.Type()&os.ModeSymlink != 0 {
			to, err := os.Readlink(p)
			got[filepath.ToSlash(rel)] = "-> " + to
			return err
		}
		b, err := os.ReadFile(p)
		got[filepath.ToSlash(rel)] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s: %q, want %q", name, got[name], text)
		}
	}
	if len(got) != len(want) {
		t.Errorf("there are %v, want %v", got, want)
	}
}

func TestCheckOut(t *testing.T) {
	r := newReceiver(t)
	dir := filepath.Join(realDir(t), "work")
	first := map[string]string{
		"a.txt": "a", "d/b.txt": "b", "run*": "x", "f/x/y": "y", "g": "g",
		linksFile: `{"l":"a.txt","d/m":"../a.txt"}`,
	}
	got, err := r.checkOut(dir, 1, false, first)
	if err != nil || got.Written != 7 || got.Files != 7 {
		t.Fatalf("%+v, %v", got, err)
	}
	holds(t, dir, map[string]string{"a.txt": "a", "d/b.txt": "b", "run": "x", "f/x/y": "y", "g": "g", "l": "-> a.txt", "d/m": "-> ../a.txt"})
	if fi, err := os.Stat(filepath.Join(dir, "run")); err != nil || keepsModes && fi.Mode()&0o100 == 0 {
		t.Errorf("run: %v, %v", fi.Mode(), err)
	}
	from, err := source.ReadCarried(dir)
	if err != nil || from == nil || len(from.Bundle) != 64 || from.Go != "go1.26.8" {
		t.Errorf("marker %+v, %v", from, err)
	}
	// Again: nothing to do. What is the user's own stays.
	write(t, dir, map[string]string{"own.txt": "own", "d/own": "own"})
	if got, err = r.checkOut(dir, 1, false, first); err != nil || got.Written != 0 || got.Removed != 0 {
		t.Fatalf("%+v, %v", got, err)
	}
	// A file becomes a folder, a folder a file, one goes and one comes.
	second := map[string]string{"a.txt": "a2", "run*": "x", "f": "f", "g/h": "h", linksFile: `{"l":"run"}`}
	if got, err = r.checkOut(dir, 2, false, second); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"a.txt": "a2", "run": "x", "f": "f", "g/h": "h", "l": "-> run", "own.txt": "own", "d/own": "own"})
	if got.Removed != 4 || got.Written != 4 {
		t.Errorf("%+v", got)
	}
}

func TestCheckOutKeepsChanges(t *testing.T) {
	r := newReceiver(t)
	dir := filepath.Join(realDir(t), "work")
	if _, err := r.checkOut(dir, 1, false, map[string]string{"a.txt": "a", "b.txt": "b", "c.txt": "c"}); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"a.txt": "mine", "b.txt": "mine", "d": "in the way", "e/f": "in the way"})
	next := map[string]string{"a.txt": "a2", "c.txt": "c2", "d/x": "x", "e": "e"}
	_, err := r.checkOut(dir, 2, false, next)
	var conflict *ConflictError
	if !errors.As(err, &conflict) || !slices.Equal(conflict.Paths, []string{"a.txt", "d/x", "e"}) || !strings.Contains(err.Error(), "--force") {
		t.Fatalf("%v", err)
	}
	holds(t, dir, map[string]string{"a.txt": "mine", "b.txt": "mine", "c.txt": "c", "d": "in the way", "e/f": "in the way"})
	// What goes, and was changed, stays and is told.
	got, err := r.checkOut(dir, 3, true, map[string]string{"a.txt": "a2", "c.txt": "c2"})
	if err != nil || !slices.Equal(got.Kept, []string{"b.txt"}) {
		t.Fatalf("%+v, %v", got, err)
	}
	holds(t, dir, map[string]string{"a.txt": "a2", "b.txt": "mine", "c.txt": "c2", "d": "in the way", "e/f": "in the way"})
}

func TestCheckOutGoesOn(t *testing.T) {
	r := newReceiver(t)
	dir := filepath.Join(realDir(t), "work")
	if _, err := r.checkOut(dir, 1, false, map[string]string{"a": "1", "b": "1"}); err != nil {
		t.Fatal(err)
	}
	// One that was cut off after its first file, and then a third.
	two := map[string]string{"a": "2", "b": "2"}
	b := made(t, 2, 0, texts(Source, two))
	if _, err := r.take(b); err != nil {
		t.Fatal(err)
	}
	c := &checkout{Checkout: Checkout{Cache: r.cache, Store: r.store, Component: Source, Dir: dir}, bundle: b, want: map[string]bundle.File{}, links: map[string]string{}}
	var err error
	if c.root, err = os.OpenRoot(dir); err != nil {
		t.Fatal(err)
	}
	defer c.root.Close()
	if err := c.list(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.readRecord(); err != nil {
		t.Fatal(err)
	}
	if err := c.begin([]string{"a", "b"}); err != nil {
		t.Fatal(err)
	}
	if err := c.write(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.checkOut(dir, 3, false, map[string]string{"a": "3", "b": "3"}); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, map[string]string{"a": "3", "b": "3"})
}

func TestCheckOutRefuses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("links need rights there")
	}
	outside := realDir(t)
	for name, links := range map[string]string{
		"out": `{"l":"../x"}`, "absolute": `{"l":"/etc"}`, "name": `{"../l":"a"}`, "both": `{"a":"b"}`,
		"below": `{"d":"a"}`, "json": `{`, "chain": `{"l":".","m":"l/../../etc"}`,
	} {
		r := newReceiver(t)
		dir := filepath.Join(realDir(t), "work")
		_, err := r.checkOut(dir, 1, true, map[string]string{"a": "a", "d/b": "b", linksFile: links})
		if !errors.Is(err, bundle.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
		holds(t, dir, nil)
	}
	// A link of the user's that leads out is not followed.
	r := newReceiver(t)
	dir := filepath.Join(realDir(t), "work")
	write(t, dir, map[string]string{"d": "-> " + outside})
	if _, err := r.checkOut(dir, 1, true, map[string]string{"d/b": "b"}); err == nil {
		t.Error("a link was followed")
	}
	holds(t, outside, nil)
	if _, err := CheckOut(t.Context(), made(t, 1, 0, texts(Source, map[string]string{"a": "a"})), Checkout{Cache: r.cache, Store: r.store, Component: Artifacts, Dir: dir}); err == nil {
		t.Error("a component that the bundle does not have")
	}
}
