package memo

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/frames"
)

var update = flag.Bool("update", false, "rewrite the frozen fixtures")

// manyFiles is a project whose entries depend on several files.
func manyFiles() map[string]string {
	files := map[string]string{"top.txt": "top"}
	for i := range 32 {
		files[fmt.Sprintf("src/p%d/f%d.txt", i%4, i)] = fmt.Sprint(i)
	}
	return files
}

var query = Query{1, 2, 3}

// A host is a project with its memo.
type host struct {
	*Memo
	w           *tree.Workspace
	root, state string
}

func project(t *testing.T, files map[string]string) *host {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return open(t, root, t.TempDir())
}

// open opens a project as another process would.
func open(t *testing.T, root, state string) *host {
	t.Helper()
	w, err := tree.Preload(state).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	h := &host{Open(state), w, root, state}
	h.Workspace = w
	return h
}

// close ends what open began.
func (h *host) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(h.Save(), h.w.Close()); err != nil {
		t.Fatal(err)
	}
}

// find finds the input root of src and of what is asked for by pattern.
func (h *host) find(t *testing.T) (root string, r *Recorder) {
	t.Helper()
	r = &Recorder{}
	w := h.w.Observed(r)
	var in tree.Inputs
	add := func(p string) {
		t.Helper()
		if err := in.Add(w, p, p); err != nil {
			t.Fatal(err)
		}
	}
	add("src")
	names, err := w.Glob(".", []string{"top.txt", "src/p1/*.txt"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		add(name)
	}
	if _, err := w.Lookup("absent"); err == nil {
		add("absent")
	}
	built, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		t.Fatal(err)
	}
	return built.Root.String(), r
}

// remember puts what find finds, and returns it.
func (h *host) remember(t *testing.T) string {
	t.Helper()
	root, r := h.find(t)
	h.Put(query, []byte(root), r)
	return root
}

// TestGet: an entry is valid exactly as long as the workspace would give the same
// value; a change that does not matter does not invalidate it.
func TestGet(t *testing.T) {
	edits := []struct {
		name string
		edit func(root string) error
		kept bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"a file that it does not depend on", func(root string) error { return os.WriteFile(filepath.Join(root, "other"), nil, 0o644) }, true},
		{"the same content again", func(root string) error { return os.WriteFile(filepath.Join(root, "top.txt"), []byte("top"), 0o644) }, true},
		{"content", func(root string) error { return os.WriteFile(filepath.Join(root, "src/p0/f0.txt"), []byte("x"), 0o644) }, false},
		{"executable", func(root string) error { return os.Chmod(filepath.Join(root, "src/p0/f0.txt"), 0o755) }, false},
		{"removed", func(root string) error { return os.Remove(filepath.Join(root, "src/p0/f0.txt")) }, false},
		{"added", func(root string) error { return os.WriteFile(filepath.Join(root, "src/p0/new"), nil, 0o644) }, false},
		{"added where a file was absent", func(root string) error { return os.WriteFile(filepath.Join(root, "absent"), nil, 0o644) }, false},
		{"a link to the same content", func(root string) error {
			if err := os.Rename(filepath.Join(root, "top.txt"), filepath.Join(root, "moved.txt")); err != nil {
				return err
			}
			return os.Symlink("moved.txt", filepath.Join(root, "top.txt"))
		}, false},
		{"a link to the same directory", func(root string) error {
			if err := os.Rename(filepath.Join(root, "src"), filepath.Join(root, "moved")); err != nil {
				return err
			}
			return os.Symlink("moved", filepath.Join(root, "src"))
		}, false},
		{"a directory in the place of a file", func(root string) error {
			if err := os.Remove(filepath.Join(root, "top.txt")); err != nil {
				return err
			}
			return os.Mkdir(filepath.Join(root, "top.txt"), 0o755)
		}, false},
	}
	for _, e := range edits {
		t.Run(e.name, func(t *testing.T) {
			h := project(t, manyFiles())
			want := h.remember(t)
			h.close(t)
			if err := e.edit(h.root); err != nil {
				t.Skipf("the host cannot: %v", err)
			}
			got, ok := open(t, h.root, h.state).Get(query)
			if ok != e.kept || ok && string(got) != want {
				t.Errorf("got %q, %t; want %q, %t", got, ok, want, e.kept)
			}
		})
	}
}

// TestGenerations: a change during a run is noticed in the same workspace, once
// it is reported to the workspace.
func TestGenerations(t *testing.T) {
	h := project(t, manyFiles())
	h.remember(t)
	if _, ok := h.Get(query); !ok {
		t.Fatal("no value")
	}
	name := filepath.Join(h.root, "src", "p0", "f0.txt")
	if err := os.WriteFile(name, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.w.Forget("src/p0/f0.txt")
	if _, ok := h.Get(query); ok {
		t.Error("valid although a file was written")
	}
	if err := os.WriteFile(name, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.w.Forget("src/p0/f0.txt")
	if _, ok := h.Get(query); !ok {
		t.Error("not valid although everything is as it was")
	}
}

// A counting workspace counts what it is asked.
type counting struct {
	Workspace
	n atomic.Int64
}

func (c *counting) Lookup(p string) (tree.Entry, error) {
	c.n.Add(1)
	return c.Workspace.Lookup(p)
}

func (c *counting) ListingHash(p string, sources bool) ([32]byte, error) {
	c.n.Add(1)
	return c.Workspace.ListingHash(p, sources)
}

func (c *counting) IsDir(p string) (bool, error) {
	c.n.Add(1)
	return c.Workspace.IsDir(p)
}

// TestEachDependencyIsCheckedOnce: however many entries depend on a file, it is
// looked at once.
func TestEachDependencyIsCheckedOnce(t *testing.T) {
	h := project(t, manyFiles())
	_, r := h.find(t)
	for i := range byte(20) {
		h.Put(Query{i}, []byte{i}, r)
	}
	h.close(t)
	again := open(t, h.root, h.state)
	c := &counting{Workspace: again.w}
	again.Workspace = c
	for i := range byte(20) {
		if got, ok := again.Get(Query{i}); !ok || !bytes.Equal(got, []byte{i}) {
			t.Fatalf("%d: got %v, %t", i, got, ok)
		}
	}
	if n, want := c.n.Load(), int64(r.Len()); n != want {
		t.Errorf("asked %d times, want %d", n, want)
	}
}

// TestDamagedFile: cut off anywhere, or with any byte changed, the file gives the
// right value or none.
func TestDamagedFile(t *testing.T) {
	h := project(t, manyFiles())
	want := h.remember(t)
	h.close(t)
	whole, err := os.ReadFile(h.file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte) {
		t.Helper()
		entries := map[Query]*entry{}
		_ = decodeFile(b, fileMagic, entries)
		for q, e := range entries {
			if q != query || string(e.value) != want || e.n == 0 {
				t.Fatalf("%x: %+v", q, e)
			}
		}
	}
	for i := range whole {
		try(whole[:i])
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		try(bad)
	}
	// A damaged file is rewritten.
	if err := os.WriteFile(h.file, whole[:len(whole)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	again := open(t, h.root, h.state)
	if _, ok := again.Get(query); ok {
		t.Fatal("a value of an entry that is cut off")
	}
	again.remember(t)
	again.close(t)
	if b, err := os.ReadFile(h.file); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("not rewritten: %v", err)
	}
}

// TestTwoWriters: what two processes learn at the same time is kept.
func TestTwoWriters(t *testing.T) {
	h := project(t, manyFiles())
	h.remember(t)
	h.close(t)
	list := []*host{open(t, h.root, h.state), open(t, h.root, h.state)}
	for i, one := range list {
		if _, ok := one.Get(query); !ok {
			t.Error("no value")
		}
		_, r := one.find(t)
		one.Put(Query{byte(i)}, []byte{byte(i)}, r)
	}
	for _, one := range list {
		one.close(t)
	}
	last := open(t, h.root, h.state)
	for i := range list {
		if got, ok := last.Get(Query{byte(i)}); !ok || !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("%d: %v, %t", i, got, ok)
		}
	}
}

// TestFileDoesNotGrowForever: superseded entries and those of queries that are no
// longer used are removed.
func TestFileDoesNotGrowForever(t *testing.T) {
	h := project(t, manyFiles())
	value := bytes.Repeat([]byte("x"), 50_000)
	for i := range byte(40) {
		h = open(t, h.root, h.state)
		_, r := h.find(t)
		h.Put(Query{i}, value, r)
		h.close(t)
	}
	fi, err := os.Stat(h.file)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(fileSlack*60_000 + fileMin + 60_000); fi.Size() > most {
		t.Errorf("%d bytes after 40 runs, want at most %d", fi.Size(), most)
	}
}

// TestLinksAreNotRecorded: where a link leads is not an observation, and what
// depends on it is not kept.
func TestLinksAreNotRecorded(t *testing.T) {
	h := project(t, manyFiles())
	if err := os.Symlink("top.txt", filepath.Join(h.root, "link")); err != nil {
		t.Skipf("the host cannot: %v", err)
	}
	_, r := h.find(t)
	if _, err := h.w.Observed(r).Lookup("link"); err != nil {
		t.Fatal(err)
	}
	if h.Put(query, nil, r); h.Has(query) {
		t.Error("kept")
	}
}

// TestChangesWhileRecording: what was found twice and differed is not kept.
func TestChangesWhileRecording(t *testing.T) {
	h := project(t, manyFiles())
	_, r := h.find(t)
	if err := os.WriteFile(filepath.Join(h.root, "top.txt"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	h.w.Forget("top.txt")
	if _, err := h.w.Observed(r).Lookup("top.txt"); err != nil {
		t.Fatal(err)
	}
	if h.Put(query, nil, r); h.Has(query) {
		t.Error("kept")
	}
}

// BenchmarkGet4000 checks an entry of 4,000 files in a workspace whose stat index
// knows them.
func BenchmarkGet4000(b *testing.B) {
	root, state := b.TempDir(), b.TempDir()
	for i := range 4000 {
		p := filepath.Join(root, fmt.Sprint(i/100), fmt.Sprint(i))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o777), os.WriteFile(p, []byte(p), 0o666)); err != nil {
			b.Fatal(err)
		}
	}
	process := func(f func(m *Memo, w *tree.Workspace)) {
		w, err := tree.Preload(state).Open(root, "dist")
		if err != nil {
			b.Fatal(err)
		}
		m := Open(state)
		m.Workspace = w
		f(m, w)
		if err := errors.Join(m.Save(), w.Close()); err != nil {
			b.Fatal(err)
		}
	}
	process(func(m *Memo, w *tree.Workspace) {
		r := &Recorder{}
		if err := (&tree.Inputs{}).Add(w.Observed(r), ".", "."); err != nil {
			b.Fatal(err)
		}
		m.Put(query, []byte("value"), r)
	})
	b.ReportAllocs()
	for b.Loop() {
		process(func(m *Memo, w *tree.Workspace) {
			if _, ok := m.Get(query); !ok {
				b.Fatal("no value")
			}
		})
	}
}

const fileFixture = "../../testdata/formats/answers-2"

// fixture is written by hand, so that it is the same everywhere.
func fixture() *Memo {
	list := []*dependency{
		{observation: observation{kind: noFile, path: "absent"}},
		{observation: observation{kind: aFile, path: "a.txt", hash: [32]byte{1}}},
		{observation: observation{kind: aProgram, path: "bin/tool", hash: [32]byte{2}}},
		{observation: observation{kind: aListing, path: "dir", hash: [32]byte{3}}},
		{observation: observation{kind: noListing, path: "none"}},
		{observation: observation{kind: notADir, path: "a.txt"}},
		{observation: observation{kind: aDir, path: "dir"}},
		{observation: observation{kind: aSources, path: "src", hash: [32]byte{4}}},
	}
	return &Memo{load: func() {}, entries: map[Query]*entry{
		{7}: {value: []byte("seven"), table: list, numbers: []byte{0, 1, 1, 1, 1, 1, 1, 1}, n: 8},
		{9}: {value: []byte("nine"), table: list, numbers: []byte{1, 2}, n: 2},
	}}
}

func TestFileFixture(t *testing.T) {
	b := frames.Encode([]byte(fileMagic), fixture().body(func(*entry) bool { return true }))
	if *update {
		if err := os.WriteFile(fileFixture, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(fileFixture)
	if err != nil || !bytes.Equal(b, frozen) {
		t.Fatalf("wrote %x\nwant  %x\n%v", b, frozen, err)
	}
	entries := map[Query]*entry{}
	if !decodeFile(frozen, fileMagic, entries) {
		t.Fatal("it is damaged")
	}
	if got, want := textOf(entries), textOf(fixture().entries); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// textOf writes entries out, sorted.
func textOf(entries map[Query]*entry) []string {
	var out []string
	for q, e := range entries {
		var list []string
		e.each(func(d *dependency) bool {
			list = append(list, fmt.Sprintf("%c %s %x", d.kind, d.path, d.hash[:1]))
			return true
		})
		slices.Sort(list)
		out = append(out, fmt.Sprintf("%x %s %s", q[:1], e.value, strings.Join(list, ", ")))
	}
	slices.Sort(out)
	return out
}

// FuzzDecodeFile: what is read can be written and is the same when read again.
func FuzzDecodeFile(f *testing.F) {
	b, err := os.ReadFile(fileFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(fileMagic)+frames.HeaderSize:])
	f.Fuzz(func(t *testing.T, body []byte) {
		m := &Memo{entries: map[Query]*entry{}}
		if !decodeFile(frames.Encode([]byte(fileMagic), body), fileMagic, m.entries) || len(m.entries) == 0 {
			return
		}
		again := map[Query]*entry{}
		body = m.body(func(*entry) bool { return true })
		if !decodeFile(frames.Encode([]byte(fileMagic), body), fileMagic, again) {
			t.Fatal("what was written is damaged")
		}
		if got, want := textOf(again), textOf(m.entries); !slices.Equal(got, want) {
			t.Fatalf("read %q, then %q", want, got)
		}
	})
}
