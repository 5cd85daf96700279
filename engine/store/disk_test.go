package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

func TestVersion(t *testing.T) {
	tests := []struct{ found, wantErr string }{
		{"", ""},
		{"airbuild-st", ""}, // its writer died
		{Version, ""},
		{"airbuild-store 2\n", `its format is "airbuild-store 2"`},
		{"something else", `its format is "something else"`},
		{Version + "x", "has more than the format"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		name := filepath.Join(dir, "VERSION")
		if err := os.WriteFile(name, []byte(tt.found), 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir)
		if tt.wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), tt.wantErr) || !strings.Contains(err.Error(), dir) {
				t.Errorf("%q: error %v", tt.found, err)
			}
			if files, _ := os.ReadDir(dir); len(files) != 1 {
				t.Errorf("%q: a store of another format was changed: %v", tt.found, files)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tt.found, err)
			continue
		}
		s.Close()
		if b, err := os.ReadFile(name); err != nil || string(b) != Version {
			t.Errorf("%q became %q, %v", tt.found, b, err)
		}
	}
}

func TestOpenWhereNoStoreCanBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(filepath.Join(file, "store")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v does not name %s", err, file)
	}
}

func TestPutFile(t *testing.T) {
	s := open(t, t.TempDir())
	name := filepath.Join(t.TempDir(), "file")
	for _, text := range []string{"", "text", strings.Repeat("long ", 100_000)} {
		want := action.Of([]byte(text))
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, known := range []action.Digest{{}, want, want} {
			if d, err := s.PutFile(t.Context(), name, known); err != nil || d != want {
				t.Errorf("PutFile(%v) = %v, %v, want %v", known, d, err, want)
			}
		}
		if b, err := s.read(t.Context(), want); err != nil || string(b) != text {
			t.Errorf("%d bytes came back as %d, %v", len(text), len(b), err)
		}
	}
	other := action.Of([]byte("other"))
	if _, err := s.PutFile(t.Context(), name, other); err == nil || !strings.Contains(err.Error(), "changed") {
		t.Errorf("a file that holds something else: %v", err)
	}
	if ok, _ := s.has(t.Context(), other); ok {
		t.Error("something else was stored")
	}
	if _, err := s.PutFile(t.Context(), name+"x", action.Digest{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

func openRoot(t testing.TB, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

func TestCopyTo(t *testing.T) {
	s := open(t, t.TempDir())
	d := put(t, s, "text")
	blob, err := os.Stat(s.BlobFile(d))
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && blob.Mode() != 0o444 {
		t.Errorf("blob has mode %v", blob.Mode())
	}
	dir := t.TempDir()
	root := openRoot(t, dir)
	for _, marked := range []bool{true, false} {
		for _, executable := range []bool{true, false} {
			if !marked {
				if err := os.Chtimes(s.BlobFile(d), time.Time{}, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
			dst := filepath.Join(dir, fmt.Sprint(marked, executable))
			if err := os.WriteFile(dst, []byte("what was there before"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.CopyTo(t.Context(), d, root, filepath.Base(dst), executable); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(dst)
			if err != nil {
				t.Fatal(err)
			}
			if os.SameFile(info, blob) {
				t.Error("the copy is a link into the store")
			}
			if runtime.GOOS != "windows" && (info.Mode()&0o100 != 0) != executable {
				t.Errorf("executable %v: mode %v", executable, info.Mode())
			}
			if b, err := os.ReadFile(dst); err != nil || string(b) != "text" {
				t.Errorf("got %q, %v", b, err)
			}
			// Whoever writes to the copy does not write to the store.
			if err := os.WriteFile(dst, []byte("TEXT"), 0o644); err != nil {
				t.Fatal(err)
			}
			if b, err := s.read(t.Context(), d); err != nil || string(b) != "text" {
				t.Errorf("the store has %q, %v", b, err)
			}
		}
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != 4 {
		t.Errorf("files %v, %v", files, err)
	}
}

func TestCopyToFails(t *testing.T) {
	s := open(t, t.TempDir())
	d, gone := put(t, s, "text"), action.Of([]byte("gone"))
	dir := t.TempDir()
	root := openRoot(t, dir)
	dst := filepath.Join(dir, "dst")
	if err := os.WriteFile(dst, []byte("before"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.CopyTo(t.Context(), gone, root, "dst", false); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no blob: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.CopyTo(ctx, d, root, "dst", false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.CopyTo(t.Context(), d, openRoot(t, filepath.Dir(dir)), filepath.Base(dir), false); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if b, err := os.ReadFile(dst); err != nil || string(b) != "before" {
		t.Errorf("the file holds %q, %v", b, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("left behind: %v, %v", files, err)
	}
}

func TestPutResultNeedsItsBlobs(t *testing.T) {
	s := open(t, t.TempDir())
	here, gone := put(t, s, "here"), action.Of([]byte("gone"))
	tree := func(d action.Digest) action.Digest {
		tree := action.Tree{Root: action.Directory{Files: []action.FileNode{{Name: "f", Digest: d}}}}
		return put(t, s, string(tree.Marshal()))
	}
	whole := tree(here)
	results := map[string]*action.Result{
		"file":           {OutputFiles: []action.OutputFile{{Path: "a", Digest: gone}}},
		"stdout":         {Stdout: gone},
		"stderr":         {Stderr: gone},
		"inputs":         {Metadata: action.Metadata{Inputs: gone}},
		"tree":           {OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: gone}}},
		"file of a tree": {OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: tree(gone)}}},
		"no tree":        {OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: here}}},
		"directory":      {OutputDirectories: []action.OutputDirectory{{Path: "d", Root: gone}}},
	}
	key := action.Of([]byte("key"))
	for name, r := range results {
		if err := s.PutResult(t.Context(), key, r); err == nil {
			t.Errorf("%s: recorded", name)
		}
	}
	if r, err := s.Result(t.Context(), key); r != nil || err != nil {
		t.Errorf("got %v, %v", r, err)
	}
	record(t, s, key, &action.Result{OutputFiles: []action.OutputFile{{Path: "a", Digest: here}}, OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: whole}}})
}

func TestReferences(t *testing.T) {
	s := open(t, t.TempDir())
	a, b, c := put(t, s, "a"), put(t, s, "b"), put(t, s, "c")
	child := action.Directory{Files: []action.FileNode{{Name: "b", Digest: b}}}
	root := action.Directory{
		Files:       []action.FileNode{{Name: "a", Digest: a}},
		Directories: []action.DirectoryNode{{Name: "x", Digest: put(t, s, string(child.Marshal()))}, {Name: "y", Digest: action.Of(child.Marshal())}},
	}
	tree := action.Tree{Root: root, Children: []action.Directory{child}}
	rootDigest, treeDigest := put(t, s, string(root.Marshal())), put(t, s, string(tree.Marshal()))
	tests := []struct {
		name string
		r    action.Result
		want []action.Digest
	}{
		{"nothing", action.Result{}, nil},
		{"each once", action.Result{OutputFiles: []action.OutputFile{{Path: "1", Digest: c}, {Path: "2", Digest: c}}, Stdout: c}, []action.Digest{c}},
		{"tree", action.Result{OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: treeDigest}}}, []action.Digest{treeDigest, a, b}},
		{"tree with root", action.Result{OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: treeDigest, Root: rootDigest}}}, []action.Digest{treeDigest, a, b}},
		{"directories only", action.Result{OutputDirectories: []action.OutputDirectory{{Path: "d", Root: rootDigest}}},
			[]action.Digest{rootDigest, a, action.Of(child.Marshal()), b}},
		{"inputs are one blob", action.Result{Metadata: action.Metadata{Inputs: treeDigest}}, []action.Digest{treeDigest}},
	}
	for _, tt := range tests {
		got, err := s.References(t.Context(), &tt.r)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

// Looking an entry up marks it as used, but seldom.
func TestResultIsMarkedAsUsed(t *testing.T) {
	s := open(t, t.TempDir())
	key := small(t, s)[0]
	written := time.Now().Add(-100 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(s.entryFile(key), written, written); err != nil {
		t.Fatal(err)
	}
	used := func(at time.Time) time.Time {
		t.Helper()
		s.now = func() time.Time { return at }
		if r, err := s.Result(t.Context(), key); r == nil || err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(s.entryFile(key))
		if err != nil {
			t.Fatal(err)
		}
		return info.ModTime()
	}
	if got := used(written.Add(59 * time.Minute)); !got.Equal(written) {
		t.Errorf("after 59 minutes: %v", got)
	}
	later := written.Add(61 * time.Minute)
	if got := used(later); !got.Equal(later) {
		t.Errorf("after 61 minutes: %v", got)
	}
	if past := later.Add(-48 * time.Hour); !used(past).Equal(past) {
		t.Error("a time in the future was left")
	}
}

func TestInfo(t *testing.T) {
	s := open(t, t.TempDir())
	small(t, s)
	if err := os.WriteFile(filepath.Join(s.Dir(), "tmp", "new-1"), []byte("left"), 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if n.Blobs != 9 || n.Entries != 2 || n.Temps != 1 || n.TempBytes != 4 || n.BlobBytes == 0 || n.EntryBytes == 0 ||
		n.Version != "airbuild-store 1" || n.Dir != s.Dir() || n.Oldest.IsZero() || n.Newest.Before(n.Oldest) {
		t.Errorf("%+v", n)
	}
}

func TestVerify(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	calls := 0
	if r, err := s.Verify(t.Context(), func(Report) { calls++ }); err != nil || !r.OK() || r.Blobs != 9 || r.Entries != 2 || calls != 11 {
		t.Fatalf("%+v, %v, %d calls", r, err, calls)
	}

	// A bit rots where no time tells: only Verify sees it.
	program := action.Of([]byte("a program\n"))
	edit(t, s.BlobFile(program), bytes.ToUpper)
	if err := os.Chtimes(s.BlobFile(program), s.mark, s.mark); err != nil {
		t.Fatal(err)
	}
	edit(t, s.entryFile(keys[1]), func(b []byte) []byte { b[20] ^= 1; return b })
	r, err := s.Verify(t.Context(), nil)
	if err != nil || len(r.Damaged) != 2 || len(r.Dangling) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	if r.Damaged[0].Digest != program || r.Damaged[1].What != "entry" || r.Damaged[1].Digest.Hash != keys[1].Hash {
		t.Errorf("damaged: %v", r.Damaged)
	}
	if r.Dangling[0].Key.Hash != keys[0].Hash || r.Dangling[0].Blob != program {
		t.Errorf("dangling: %v", r.Dangling)
	}
	if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() || r.Entries != 0 {
		t.Errorf("the second time: %+v, %v", r, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Verify(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A result that calls something a tree which is none is dangling.
func TestVerifyLostTree(t *testing.T) {
	s := open(t, t.TempDir())
	key, text := action.Of([]byte("key")), put(t, s, "no tree")
	b := encodeEntry(key, &action.Result{OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: text}}})
	if err := errors.Join(os.MkdirAll(filepath.Dir(s.entryFile(key)), 0o755), os.WriteFile(s.entryFile(key), b, 0o644)); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Verify(t.Context(), nil); err != nil || len(r.Dangling) != 1 || r.Dangling[0].Blob != text {
		t.Errorf("%+v, %v", r, err)
	}
}

// The store of these tests: three entries of 1,000 bytes and a little each,
// used one, two and three days ago.
func aged(t *testing.T) (*Disk, []action.Digest) {
	s := open(t, t.TempDir())
	var keys []action.Digest
	now := time.Now()
	for i := range 3 {
		key := put(t, s, fmt.Sprint("key ", i))
		file := put(t, s, strings.Repeat(fmt.Sprint(i), 1000))
		tree := action.Tree{Root: action.Directory{Files: []action.FileNode{{Name: "shared", Digest: put(t, s, "shared")}}}}
		record(t, s, key, &action.Result{
			OutputFiles:       []action.OutputFile{{Path: "a", Digest: file}},
			OutputDirectories: []action.OutputDirectory{{Path: "d", Tree: put(t, s, string(tree.Marshal()))}},
		})
		used := now.Add(-time.Duration(i+1) * 24 * time.Hour)
		if err := os.Chtimes(s.entryFile(key), used, used); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	put(t, s, "nobody names this")
	s.now = func() time.Time { return now.Add(2 * time.Hour) }
	return s, keys
}

func TestPrune(t *testing.T) {
	const day = 24 * time.Hour
	tests := []struct {
		name  string
		o     func(keys []action.Digest) PruneOptions
		keep  []int
		blobs int // that are left: key, file a kept entry; tree and shared
	}{
		{"nothing to do", func([]action.Digest) PruneOptions { return PruneOptions{} }, []int{0, 1, 2}, 8},
		{"age", func([]action.Digest) PruneOptions { return PruneOptions{MaxAge: 2*day + 12*time.Hour} }, []int{0, 1}, 6},
		{"size", func([]action.Digest) PruneOptions { return PruneOptions{MaxBytes: 2000} }, []int{0}, 4},
		{"size of two", func([]action.Digest) PruneOptions { return PruneOptions{MaxBytes: 3000} }, []int{0, 1}, 6},
		{"all", func([]action.Digest) PruneOptions { return PruneOptions{MaxBytes: 1} }, nil, 0},
		{"pinned", func(k []action.Digest) PruneOptions { return PruneOptions{MaxBytes: 1, Keep: k[2:]} }, []int{2}, 4},
		{"pinned beside size", func(k []action.Digest) PruneOptions { return PruneOptions{MaxBytes: 3000, Keep: k[2:]} }, []int{0, 2}, 6},
		{"pinned though old", func(k []action.Digest) PruneOptions { return PruneOptions{MaxAge: time.Hour, Keep: k[1:2]} }, []int{1}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, keys := aged(t)
			o := tt.o(keys)
			dry := o
			dry.DryRun = true
			foretold, err := s.Prune(t.Context(), dry)
			if err != nil {
				t.Fatal(err)
			}
			before, err := s.Info(t.Context())
			if err != nil || before.Entries != 3 || before.Blobs != 9 {
				t.Fatalf("the dry run removed something: %+v, %v", before, err)
			}
			report, err := s.Prune(t.Context(), o)
			if err != nil || report != foretold {
				t.Fatalf("%+v, %v; foretold %+v", report, err, foretold)
			}
			for i, key := range keys {
				r, err := s.Result(t.Context(), key)
				if err != nil || (r != nil) != slices.Contains(tt.keep, i) {
					t.Errorf("entry %d: %v, %v", i, r, err)
				}
			}
			after, err := s.Info(t.Context())
			if err != nil || after.Blobs != tt.blobs || after.Entries != len(tt.keep) {
				t.Errorf("left: %+v, %v", after, err)
			}
			if freed := before.BlobBytes + before.EntryBytes - after.BlobBytes - after.EntryBytes; report.Bytes != freed ||
				report.KeptBytes != after.BlobBytes+after.EntryBytes || report.KeptBlobs != after.Blobs || report.KeptEntries != after.Entries {
				t.Errorf("%+v; freed %d", report, freed)
			}
			if v, err := s.Verify(t.Context(), nil); err != nil || !v.OK() {
				t.Errorf("%+v, %v", v, err)
			}
		})
	}
}

// What is young may be on its way to an entry.
func TestPruneGrace(t *testing.T) {
	s, _ := aged(t)
	name := filepath.Join(s.Dir(), "tmp", "new-1")
	if err := errors.Join(os.WriteFile(name, nil, 0o600), os.Chtimes(name, s.mark, s.mark)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		later        time.Duration
		blobs, temps int
	}{{blobGrace - time.Minute, 0, 0}, {blobGrace + time.Minute, 9, 0}, {tempGrace + time.Minute, 0, 1}} {
		now := time.Now().Add(tt.later)
		s.now = func() time.Time { return now }
		report, err := s.Prune(t.Context(), PruneOptions{MaxBytes: 1})
		if err != nil || report.Blobs != tt.blobs || report.Temps != tt.temps {
			t.Errorf("%v later: %+v, %v", tt.later, report, err)
		}
	}
	if left := temps(t, s); len(left) > 0 {
		t.Errorf("left in tmp: %v", left)
	}
}

// Prune keeps what explain shows of a kept entry, and drops entries that
// cannot be a hit any more.
func TestPruneKeepsOrigin(t *testing.T) {
	s := open(t, t.TempDir())
	keys := small(t, s)
	if err := os.Remove(s.BlobFile(action.Of(nil))); err != nil { // keys[1] needs it
		t.Fatal(err)
	}
	s.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	report, err := s.Prune(t.Context(), PruneOptions{})
	if err != nil || report.Entries != 1 || report.KeptEntries != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	b, err := s.read(t.Context(), keys[0])
	if err != nil {
		t.Fatal(err)
	}
	a, err := action.UnmarshalAction(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.read(t.Context(), a.Command); err != nil {
		t.Error(err)
	}
}

// The fixture is a store of version 1, as files: what this package writes must
// be the same, and what it reads from there must be whole.
func TestFixture(t *testing.T) {
	const fixture = "../../testdata/formats/store-1"
	s := open(t, t.TempDir())
	keys := small(t, s)
	s.Close()
	if *update {
		if err := errors.Join(os.RemoveAll(fixture), os.CopyFS(fixture, os.DirFS(s.Dir())),
			os.RemoveAll(filepath.Join(fixture, "lock")), os.RemoveAll(filepath.Join(fixture, "tmp"))); err != nil {
			t.Fatal(err)
		}
	}
	written, frozen := files(t, s.Dir()), files(t, fixture)
	if !reflect.DeepEqual(written, frozen) {
		t.Errorf("wrote\n%q\nwant\n%q", written, frozen)
	}

	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	for _, key := range keys {
		r, err := s.Result(t.Context(), key)
		if r == nil || err != nil {
			t.Fatalf("entry %s: %v", key.Hex(), err)
		}
		refs, err := s.References(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		if missing, err := s.Missing(t.Context(), refs); err != nil || len(missing) > 0 {
			t.Errorf("missing %v, %v", missing, err)
		}
	}
	if r, err := s.Verify(t.Context(), nil); err != nil || !r.OK() || r.Blobs != 9 || r.Entries != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// files returns what is in a store, without locks.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.HasPrefix(name, "lock/") {
			return err
		}
		b, err := fs.ReadFile(root, name)
		found[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Putting 1 kB that the store does not have.
func BenchmarkPutSmall(b *testing.B) {
	s := open(b, b.TempDir())
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.PutBytes(b.Context(), fmt.Appendf(make([]byte, 1000), "%d", i)); err != nil {
			b.Fatal(err)
		}
	}
}

// Putting 1 kB that is there.
func BenchmarkPutAgain(b *testing.B) {
	s := open(b, b.TempDir())
	text := make([]byte, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Put(b.Context(), bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}

// Asking for 1,000 blobs with the mark, as a hit on a vendor tree does.
func BenchmarkMissingMarked(b *testing.B) {
	s := open(b, b.TempDir())
	var digests []action.Digest
	for i := range 1000 {
		digests = append(digests, put(b, s, fmt.Sprint(i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		if missing, err := s.Missing(b.Context(), digests); err != nil || len(missing) > 0 {
			b.Fatal(missing, err)
		}
	}
}

// Looking up one entry of six outputs.
func BenchmarkResult(b *testing.B) {
	s := open(b, b.TempDir())
	r := new(action.Result)
	for i := range 6 {
		r.OutputFiles = append(r.OutputFiles, action.OutputFile{Path: fmt.Sprint(i), Digest: put(b, s, fmt.Sprint(i))})
	}
	key := action.Of([]byte("key"))
	record(b, s, key, r)
	b.ReportAllocs()
	for b.Loop() {
		if r, err := s.Result(b.Context(), key); r == nil || err != nil {
			b.Fatal(err)
		}
	}
}

// Restoring a program of 8 MiB.
func BenchmarkCopyTo(b *testing.B) {
	s := open(b, b.TempDir())
	d := put(b, s, strings.Repeat("program ", 1<<20))
	root := openRoot(b, b.TempDir())
	b.SetBytes(d.Size)
	for b.Loop() {
		if err := s.CopyTo(b.Context(), d, root, "program", true); err != nil {
			b.Fatal(err)
		}
	}
}

// What stands in the place of a lock costs nobody a run.
func TestDirectoryForALock(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"lock/users", "pruned"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.FromSlash(name), "x"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
