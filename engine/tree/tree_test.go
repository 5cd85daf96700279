package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/frames"
)

func file(path, content string) File {
	return File{Path: path, Digest: action.Of([]byte(content)), Source: Source{Inline: []byte(content)}}
}

func TestBuildOrderDoesNotMatter(t *testing.T) {
	files := []File{file("b/c", "1"), file("a", "2"), file("b/a/x", "3")}
	one, err := Build(files, nil, []string{"e"})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(files)
	two, err := Build(files, nil, []string{"e"})
	if err != nil {
		t.Fatal(err)
	}
	if one.Root != two.Root {
		t.Errorf("roots %s and %s", one.Root, two.Root)
	}
	if len(one.Dirs) != 4 { // root, b, b/a, e
		t.Errorf("%d directories", len(one.Dirs))
	}
}

func TestBuildRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		files []File
		links []Link
		empty []string
	}{
		"two contents":     {files: []File{file("a", "1"), file("a", "2")}},
		"file and dir":     {files: []File{file("a", "1"), file("a/b", "2")}},
		"dir and file":     {files: []File{file("a/b", "1"), file("a", "2")}},
		"link and file":    {files: []File{file("a", "1")}, links: []Link{{"a", "b"}}},
		"empty and file":   {files: []File{file("a", "1")}, empty: []string{"a"}},
		"absolute":         {files: []File{file("/a", "1")}},
		"parent":           {files: []File{file("../a", "1")}},
		"not clean":        {files: []File{file("a//b", "1")}},
		"nothing":          {files: []File{file("", "1")}},
		"absolute link":    {links: []Link{{"/a", "b"}}},
		"empty dir parent": {empty: []string{"../x"}},
	} {
		if tr, err := Build(c.files, c.links, c.empty); err == nil {
			t.Errorf("%s: no error, but %+v", name, tr)
		}
	}
	if _, err := Build([]File{file("a", "1"), file("a", "1")}, nil, nil); err != nil {
		t.Errorf("the same file twice: %v", err)
	}
}

func TestFlattenIsMessageBack(t *testing.T) {
	want, err := Build(
		[]File{file("a", "1"), file("d/b", "2"), file("d/e/c", "3"), file("f/e/c", "3")},
		[]Link{{"d/l", "b"}}, []string{"g", "d/h"})
	if err != nil {
		t.Fatal(err)
	}
	msg, err := want.Message()
	if err != nil {
		t.Fatal(err)
	}
	files, links, empty, err := Flatten(msg, "x")
	if err != nil {
		t.Fatal(err)
	}
	for i := range files {
		files[i].Path = strings.TrimPrefix(files[i].Path, "x/")
	}
	for i := range links {
		links[i].Path = strings.TrimPrefix(links[i].Path, "x/")
	}
	for i := range empty {
		empty[i] = strings.TrimPrefix(empty[i], "x/")
	}
	got, err := Build(files, links, empty)
	if err != nil {
		t.Fatal(err)
	}
	if got.Root != want.Root {
		t.Errorf("root %s, want %s", got.Root, want.Root)
	}
}

func TestFlattenRefusesHostileTrees(t *testing.T) {
	for _, name := range []string{"..", ".", "", "a/b", `a\b`, "a\x00"} {
		msg := &action.Tree{Root: action.Directory{Files: []action.FileNode{{Name: name}}}}
		if files, _, _, err := Flatten(msg, "out"); err == nil {
			t.Errorf("name %q became %v", name, files)
		}
	}
	msg := &action.Tree{Root: action.Directory{Directories: []action.DirectoryNode{{Name: "gone", Digest: action.Of([]byte("x"))}}}}
	if _, _, _, err := Flatten(msg, "out"); err == nil {
		t.Error("a directory that is not in the message")
	}
}

func inlineOpen(f File) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(f.Source.Inline)), nil
}

func TestFS(t *testing.T) {
	tr, err := Build([]File{file("a.txt", "alpha"), file("d/b.txt", "beta"), file("d/e/c", "")}, []Link{{"l", "d/b.txt"}, {"dl", "d"}}, []string{"empty"})
	if err != nil {
		t.Fatal(err)
	}
	fsys := FS(tr, inlineOpen)
	if err := fstest.TestFS(fsys, "a.txt", "d/b.txt", "d/e/c"); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"l": "beta", "dl/b.txt": "beta"} {
		if b, err := fs.ReadFile(fsys, name); err != nil || string(b) != want {
			t.Errorf("read %s: %q, %v", name, b, err)
		}
	}
	if to, err := fs.ReadLink(fsys, "dl"); err != nil || to != "d" {
		t.Errorf("readlink: %q, %v", to, err)
	}
	if _, err := fsys.Open("../a.txt"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("open ../a.txt: %v", err)
	}
}

func TestFSNoticesChange(t *testing.T) {
	f := file("a", "as it was")
	f.Source.Inline = []byte("as it is!")
	tr, err := Build([]File{f}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(FS(tr, inlineOpen), "a"); err == nil {
		t.Errorf("read %q without an error", b)
	}
}

func TestFSLinkOutAndLoop(t *testing.T) {
	tr, err := Build(nil, []Link{{"out", "../x"}, {"loop", "loop"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"out", "loop"} {
		if _, err := FS(tr, inlineOpen).Open(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open %s: %v", name, err)
		}
	}
}

// project makes files and opens them as a workspace.
func project(t *testing.T, files map[string]string) *Workspace {
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
	return reopen(t, root, t.TempDir())
}

func reopen(t *testing.T, root, state string) *Workspace {
	t.Helper()
	w, err := Preload(state).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

func TestGlob(t *testing.T) {
	w := project(t, map[string]string{
		"a.go": "", "b_test.go": "", "sub/c.go": "", "sub/deep/d.txt": "", "dist/x.go": "", ".git/HEAD": "",
		"sub/.airbuild-tmp": "", "näme with space/é.go": "", ".hidden": "",
	})
	for _, c := range []struct {
		base     string
		patterns []string
		want     string // "" means an error
	}{
		{".", []string{"*.go"}, "a.go b_test.go"},
		{".", []string{"**/*.go"}, "a.go b_test.go näme with space/é.go sub/c.go"},
		{".", []string{"**/*.go", "!*_test.go", "!sub/**"}, "a.go näme with space/é.go"},
		{".", []string{"sub"}, "sub/c.go sub/deep/d.txt"},
		{".", []string{"sub/"}, "sub/c.go sub/deep/d.txt"},
		{"sub", []string{"**"}, "sub/c.go sub/deep/d.txt"},
		{"sub", []string{"deep/*"}, "sub/deep/d.txt"},
		{".", []string{"a.go"}, "a.go"},
		{".", []string{"{a,b_test}.go"}, "a.go b_test.go"},
		{".", []string{".hidden"}, ".hidden"},
		{".", []string{"**"}, ".hidden a.go b_test.go näme with space/é.go sub/c.go sub/deep/d.txt"},
		{".", []string{"*.rs"}, ""},
		{".", []string{"nowhere/*.go"}, ""},
		{".", []string{"[a"}, ""},
	} {
		got, err := w.Glob(c.base, c.patterns, nil)
		if (err != nil) != (c.want == "") || strings.Join(got, " ") != c.want {
			t.Errorf("glob %s %v: %q, %v; want %q", c.base, c.patterns, got, err, c.want)
		}
	}
}

// settle moves a file's times out of the racy window.
func settle(t *testing.T, w *Workspace, name string) {
	t.Helper()
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(w.Abs(name), old, old); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * racyFine) // ctime cannot be set
}

func TestIndexSparesReading(t *testing.T) {
	w := project(t, map[string]string{"a": "one"})
	settle(t, w, "a")
	want, err := w.Digest("a")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	// Poison the remembered digest: if it comes back, the file was not read.
	r := w.index.records["a"]
	r.digest[0] ^= 1
	w.index.put("a", r)
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	if got, _ := again.Digest("a"); got == want {
		t.Error("the file was read although nothing changed")
	}
	if err := os.WriteFile(w.Abs("a"), []byte("two"), 0o666); err != nil {
		t.Fatal(err)
	}
	again = reopen(t, w.root, w.state)
	if got, _ := again.Digest("a"); got != action.Of([]byte("two")) {
		t.Error("an edit was not noticed")
	}
}

func TestIndexIsRacySafe(t *testing.T) {
	now := time.Now().UnixNano()
	for _, c := range []struct {
		name  string
		mtime int64
		want  bool
	}{
		{"long ago", now - int64(time.Hour), false},
		{"just now", now, true},
		{"in the future", now + int64(time.Hour), true},
		{"a second ago, in whole seconds", (now/1e9 - 1) * 1e9, true},
		{"a second ago, in nanoseconds", (now/1e9-1)*1e9 + 1, false},
	} {
		if got := racy(stat{Mtime: c.mtime}, now); got != c.want {
			t.Errorf("%s: racy is %v", c.name, got)
		}
	}
}

func TestIndexSurvivesDamage(t *testing.T) {
	w := project(t, map[string]string{"a": "one"})
	settle(t, w, "a")
	if _, err := w.Digest("a"); err != nil {
		t.Fatal(err)
	}
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(w.state, "index")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if n, ok := decodeIndex(whole, map[string]record{}); !ok || n != 1 {
		t.Fatal(n, ok)
	}
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x40
		if _, ok := decodeIndex(bad, map[string]record{}); ok {
			t.Errorf("byte %d flipped, and it is whole", i)
		}
		// Cut between two frames it is a shorter index, and a right one.
		if _, ok := decodeIndex(whole[:i], map[string]record{}); ok && i != len(indexMagic) {
			t.Errorf("cut at %d, and it is whole", i)
		}
	}
	if err := os.WriteFile(name, []byte("rubbish"), 0o666); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	if d, err := again.Digest("a"); err != nil || d != action.Of([]byte("one")) {
		t.Errorf("digest with a damaged index: %v, %v", d, err)
	}
}

func TestIndexIsAppended(t *testing.T) {
	w := project(t, map[string]string{"a": "one", "b": "two", "sub/c": "three"})
	name := filepath.Join(w.state, "index")
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	known := func() map[string]record { return loadIndex(name).records }
	look := func(w *Workspace, p string) {
		t.Helper()
		if _, err := w.Digest(p); err != nil {
			t.Fatal(err)
		}
	}
	look(w, "a")
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	before := size()
	// Two processes learn different things and save at the same time.
	x, y := reopen(t, w.root, w.state), reopen(t, w.root, w.state)
	look(x, "b")
	look(y, "sub/c")
	if _, err := y.ReadDir("sub"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(x.Save(), y.Save()); err != nil {
		t.Fatal(err)
	}
	if got := known(); len(got) != 4 || size() <= before {
		t.Errorf("%d records in %d bytes, were %d", len(got), size(), before)
	}
	// A frame that a crash cut off costs itself and nothing before it.
	if err := os.Truncate(name, size()-3); err != nil {
		t.Fatal(err)
	}
	if got := known(); len(got) < 2 {
		t.Errorf("%d records are left", len(got))
	}
	z := reopen(t, w.root, w.state)
	look(z, "b")
	look(z, "sub/c")
	z.index.put("b", z.index.records["b"])
	if err := z.Save(); err != nil {
		t.Fatal(err)
	}
	if x := loadIndex(name); x.anew || len(x.records) < 3 {
		t.Errorf("the file was not mended: anew %v, %d records", x.anew, len(x.records))
	}
}

func TestIndexDoesNotGrowForever(t *testing.T) {
	x := loadIndex(filepath.Join(t.TempDir(), "index"))
	for range 3 {
		for i := range 2000 {
			x.put(fmt.Sprint(i), record{})
		}
		if err := x.save(); err != nil {
			t.Fatal(err)
		}
	}
	if y := loadIndex(x.file); y.stored > indexMin || len(y.records) != 2000 {
		t.Errorf("%d records stored, %d hold", y.stored, len(y.records))
	}
}

func TestDirectoriesAreRemembered(t *testing.T) {
	w := project(t, map[string]string{"d/a": "1", "d/sub/x": "2"})
	if err := os.Symlink("a", w.Abs("d/l")); err != nil {
		t.Fatal(err)
	}
	settle(t, w, "d")
	want, err := w.ReadDir("d")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	info, err := os.Stat(w.Abs("d"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := again.index.list("d", statOf(info)); !ok {
		t.Error("an unchanged directory is read again")
	}
	got, err := again.ReadDir("d")
	if err != nil || len(got) != len(want) {
		t.Fatalf("%v, %v", got, err)
	}
	for i := range got {
		if got[i].Name() != want[i].Name() || got[i].Type() != want[i].Type() {
			t.Errorf("entry %d: %v, want %v", i, got[i], want[i])
		}
	}
	if err := os.WriteFile(w.Abs("d/new"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if got, _ := reopen(t, w.root, w.state).ReadDir("d"); len(got) != len(want)+1 {
		t.Errorf("a new file was not seen: %v", got)
	}
	if got, _ := again.ReadDir("d"); len(got) != len(want) {
		t.Error("the answer changed within a run")
	}
	again.Forget("d/new")
	if got, _ := again.ReadDir("d"); len(got) != len(want)+1 {
		t.Error("a file that the run wrote was not seen")
	}
}

func TestParanoid(t *testing.T) {
	w := project(t, map[string]string{"a": "one"})
	settle(t, w, "a")
	if _, err := w.Digest("a"); err != nil {
		t.Fatal(err)
	}
	r := w.index.records["a"]
	r.digest[0] ^= 1
	w.index.put("a", r)
	if err := w.Save(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	again.Paranoid = true
	if d, err := again.Digest("a"); err != nil || d != action.Of([]byte("one")) {
		t.Errorf("%v, %v", d, err)
	}
}

func FuzzDecodeIndex(f *testing.F) {
	f.Add([]byte{})
	f.Add(appendRecord(nil, "a/b", record{}))
	f.Add(appendRecord(appendRecord(nil, "d", record{listing: []byte("fa\x00db\x00")}), "", record{}))
	f.Fuzz(func(t *testing.T, body []byte) {
		records := map[string]record{}
		n, whole := decodeIndex(frames.Encode([]byte(indexMagic), body), records)
		if len(records) > n || n > len(body) {
			t.Errorf("%d records, %d counted, from %d bytes", len(records), n, len(body))
		}
		for _, r := range records {
			decodeListing(r.listing, "")
		}
		if !whole {
			return
		}
		var again []byte
		for name, r := range records {
			again = appendRecord(again, name, r)
		}
		back := map[string]record{}
		if _, whole := decodeIndex(frames.Encode([]byte(indexMagic), again), back); !whole || !reflect.DeepEqual(back, records) {
			t.Error("encoded and decoded again, it differs")
		}
	})
}

func TestAddDirectory(t *testing.T) {
	w := project(t, map[string]string{"d/a": "1", "d/sub/b": "2", "d/.airbuild-x": "t"})
	if err := os.Mkdir(w.Abs("d/none"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a", w.Abs("d/l")); err != nil {
		t.Fatal(err)
	}
	var in Inputs
	if err := in.Add(w, "d", "to"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range in.Files {
		got = append(got, f.Path)
	}
	for _, l := range in.Links {
		got = append(got, l.Path+"->"+l.Target)
	}
	got = append(got, in.Empty...)
	if want := "to/a to/sub/b to/l->a to/none"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if err := os.Symlink("/etc/passwd", w.Abs("d/out")); err != nil {
		t.Fatal(err)
	}
	w.Forget("d/out")
	if err := in.Add(w, "d", "to"); err == nil {
		t.Error("an absolute link was taken as an input")
	}
}

// A cache in the project is not an input: it changes with every run.
func TestCacheInProjectIsIgnored(t *testing.T) {
	w := project(t, map[string]string{"a": "1", "ci/cache/cas/x": "2"})
	w.IgnoreCache(filepath.Join(w.Root(), "ci", "cache"))
	got, err := w.Glob(".", []string{"**"}, nil)
	if err != nil || !slices.Equal(got, []string{"a"}) {
		t.Errorf("%q, %v", got, err)
	}
}

func TestPretend(t *testing.T) {
	w := project(t, map[string]string{"vendor/old": "x"})
	w.Pretend([]File{file("vendor/m/a.go", "1"), file("vendor/modules.txt", "2")})
	var in Inputs
	if err := in.Add(w, "vendor", "vendor"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range in.Files {
		got = append(got, f.Path)
	}
	if want := "vendor/m/a.go vendor/modules.txt vendor/old"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if d, err := w.Digest("vendor/modules.txt"); err != nil || d != action.Of([]byte("2")) {
		t.Errorf("digest %v, %v", d, err)
	}
}

func BenchmarkBuild1500(b *testing.B) {
	var files []File
	for i := range 1500 {
		files = append(files, file(filepath.ToSlash(filepath.Join("vendor", string(rune('a'+i%26)), string(rune('a'+i%17)), time.Duration(i).String())), "x"))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(files, nil, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLinksOutOfTheProject(t *testing.T) {
	w := project(t, map[string]string{"a/file": "f"})
	outside := t.TempDir()
	if err := os.WriteFile(filepath.Join(outside, "file"), []byte("secret"), 0o666); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"out": outside, "a/link": "../out/file", "in": "a", "abs": filepath.Join(w.Root(), "a")} {
		if err := os.Symlink(target, filepath.Join(w.Root(), filepath.FromSlash(name))); err != nil {
			t.Skipf("this host makes no links: %v", err)
		}
	}
	var leads *OutsideError
	for _, p := range []string{"out/file", "in/../out/file", "out/nothing"} {
		if err := (&Inputs{}).Add(w, p, p); !errors.As(err, &leads) || leads.Link != "out" {
			t.Errorf("add %s: %v", p, err)
		}
	}
	for _, pattern := range []string{"out/**", "out/file", "out/f*"} {
		if _, err := w.Glob(".", []string{pattern}, nil); !errors.As(err, &leads) {
			t.Errorf("glob %s: %v", pattern, err)
		}
	}
	for _, p := range []string{"in/file", "abs/file", "a/file", "nothing/x"} {
		if err := (&Inputs{}).Add(w, p, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("add %s: %v", p, err)
		}
	}
}

// What stands in the place of a file of the state is no reason to fail.
func TestDirectoryForState(t *testing.T) {
	state := t.TempDir()
	for _, name := range []string{"index/x", "answers/x", "users.lock/x", "history/x", "closures"} {
		if err := os.MkdirAll(filepath.Join(state, filepath.FromSlash(name)), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	w, err := Preload(state).Open(t.TempDir(), "dist")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(state, "closures")); err != nil {
		t.Error(err)
	}
}
