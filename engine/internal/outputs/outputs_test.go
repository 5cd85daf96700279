package outputs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// blobs are Blobs in memory.
type blobs map[action.Digest][]byte

func (b blobs) Open(_ context.Context, d action.Digest) (io.ReadCloser, error) {
	c, ok := b[d]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(c)), nil
}

// A yard is a project for one test. Each of its runs opens it again, as another
// process would.
type yard struct {
	t     *testing.T
	root  string
	blobs blobs
	opts  Options
	steps []Step
}

func newYard(t *testing.T, steps ...Step) *yard {
	return &yard{t: t, root: t.TempDir(), blobs: blobs{}, steps: steps, opts: Options{File: "Airbuildfile", Pipeline: "p"}}
}

// file is a step that makes a file, dir one that makes a directory.
func file(name, path string) Step {
	return Step{Name: name, Outputs: []Declared{{Path: path}}}
}

func dir(name, path string) Step {
	return Step{Name: name, Outputs: []Declared{{Path: path, Dir: true}}}
}

func (y *yard) abs(name string) string { return filepath.Join(y.root, filepath.FromSlash(name)) }

func (y *yard) write(name, content string) {
	y.t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(y.abs(name)), 0o777), os.WriteFile(y.abs(name), []byte(content), 0o666)); err != nil {
		y.t.Fatal(err)
	}
}

// want compares what is below the project's root, without its state: "path" or
// "path=content".
func (y *yard) want(want ...string) {
	y.t.Helper()
	var got []string
	err := filepath.WalkDir(y.root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(y.root, name)
		switch {
		case rel == ".state":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		b, err := os.ReadFile(name)
		got = append(got, filepath.ToSlash(rel)+"="+string(b))
		return err
	})
	slices.Sort(want)
	if err != nil || !slices.Equal(got, want) {
		y.t.Errorf("the project holds %v (%v), want %v", got, err, want)
	}
}

// set makes a Set of files, given as "path=content", or of links, as "path->to".
func (y *yard) set(s Step, list ...string) *Set {
	set := &Set{}
	for _, one := range list {
		if name, to, ok := strings.Cut(one, "->"); ok {
			set.Links = append(set.Links, tree.Link{Path: name, Target: to})
			continue
		}
		name, content, _ := strings.Cut(one, "=")
		d := action.Of([]byte(content))
		y.blobs[d] = []byte(content)
		set.Files = append(set.Files, tree.File{Path: name, Digest: d, Source: tree.Source{Blob: true}})
	}
	for _, d := range s.Outputs {
		if d.Dir {
			set.Dirs = append(set.Dirs, Dir{d.Path, action.Of([]byte(fmt.Sprint(list)))})
		}
	}
	return set
}

// open opens the project for a run. The function closes it.
func (y *yard) open() (*Project, func()) {
	y.t.Helper()
	w, err := tree.Preload(y.abs(".state")).Open(y.root, "dist")
	if err != nil {
		y.t.Fatal(err)
	}
	o := y.opts
	x := NewIndex("dist", y.steps)
	o.Workspace, o.Blobs, o.Index = w, y.blobs, func() *Index { return x }
	return Open(o), func() {
		if err := w.Close(); err != nil {
			y.t.Error(err)
		}
	}
}

// run does what a run does with outputs: made are those of each step, nil for one
// that fails.
func (y *yard) run(made ...[]string) (written []string, s Swept) {
	y.t.Helper()
	p, done := y.open()
	defer done()
	if err := p.RemoveStale(); err != nil {
		y.t.Fatal(err)
	}
	var results []Result
	for i, list := range made {
		r := Result{Step: i}
		if list != nil {
			r.Set = y.set(y.steps[i], list...)
			w, err := p.Restore(y.t.Context(), i, r.Set, nil)
			if err != nil {
				y.t.Fatal(err)
			}
			written = append(written, w...)
		}
		results = append(results, r)
	}
	s, err := p.Sweep(results)
	if err != nil {
		y.t.Fatal(err)
	}
	slices.Sort(written)
	return written, s
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestOnlyWhatDiffersIsWritten(t *testing.T) {
	y := newYard(t, file("a", "dist/a"), dir("d", "gen"))
	made := [][]string{{"dist/a=1"}, {"gen/x=2", "gen/y=3"}}
	written, _ := y.run(made...)
	wantList(t, "at first", written, "dist/a", "gen/x", "gen/y")
	written, _ = y.run(made...)
	wantList(t, "again", written)
	y.write("gen/x", "edited")
	if err := os.Remove(y.abs("dist/a")); err != nil {
		t.Fatal(err)
	}
	written, _ = y.run(made...)
	wantList(t, "after an edit", written, "dist/a", "gen/x")
	y.want("dist/a=1", "gen/x=2", "gen/y=3")
}

// What a step made in a directory outside dist and does not make any more goes. The
// user's files stay, also those that airbuild made and the user edited.
func TestStaleFilesOfDirectory(t *testing.T) {
	y := newYard(t, dir("d", "gen"))
	y.write("gen/mine", "m")
	y.run([]string{"gen/a=1", "gen/b=2", "gen/c=3"})
	y.write("gen/b", "edited")
	_, s := y.run([]string{"gen/c=4"})
	wantList(t, "removed", s.Removed, "gen/a")
	wantList(t, "edited", s.Edited, "gen/b")
	y.want("gen/mine=m", "gen/b=edited", "gen/c=4")
}

func TestOutputThatIsNotDeclaredAnyMore(t *testing.T) {
	for name, c := range map[string]struct {
		before  string // content of the file before the first run
		edit    string
		tracked func([]string) map[string]bool
		stays   bool
	}{
		"as it was made":                 {},
		"edited":                         {edit: "e", stays: true},
		"was there before":               {before: "b", stays: true},
		"was there before, not tracked":  {before: "b", tracked: func([]string) map[string]bool { return map[string]bool{} }},
		"tracked":                        {tracked: func([]string) map[string]bool { return map[string]bool{"out/a": true} }, stays: true},
		"nothing is known about tracked": {tracked: func([]string) map[string]bool { return nil }},
	} {
		t.Run(name, func(t *testing.T) {
			y := newYard(t, file("a", "out/a"))
			y.opts.Tracked = c.tracked
			if c.before != "" {
				y.write("out/a", c.before)
			}
			y.run([]string{"out/a=1"})
			if c.edit != "" {
				y.write("out/a", c.edit)
			}
			y.steps = []Step{file("b", "dist/b")}
			stale := Stale(Place{y.root, y.abs(".state"), "dist"}, y.opts.File, func() *Index { return NewIndex("dist", y.steps) }, c.tracked)
			_, s := y.run([]string{"dist/b=2"})
			if _, err := os.Stat(y.abs("out/a")); (err == nil) != c.stays {
				t.Errorf("out/a: %v, want it to stay: %v", err, c.stays)
			}
			if c.stays {
				wantList(t, "stale", stale)
				wantList(t, "removed", s.Removed)
			} else {
				wantList(t, "stale", stale, "out/a")
				wantList(t, "removed", s.Removed, "out/a")
				if _, err := os.Stat(y.abs("out")); err == nil {
					t.Error("the empty directory stays")
				}
			}
		})
	}
}

// A run that is killed leaves nothing unrecorded, and half a line of the log is
// passed over.
func TestKilledRun(t *testing.T) {
	y := newYard(t, dir("d", "gen"), file("a", "a"))
	y.run([]string{"gen/x=1"}, nil)
	p, done := y.open()
	for i, list := range [][]string{{"gen/y=2"}, {"a=3"}} {
		if _, err := p.Restore(t.Context(), i, y.set(y.steps[i], list...), nil); err != nil {
			t.Fatal(err)
		}
	}
	done()
	log, err := os.OpenFile(filepath.Join(y.abs(".state"), recordLog), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := log.WriteString(`{"version":1,"file":"Airbuildfile","path":"cut`); err != nil {
		t.Fatal(err)
	}
	log.Close()
	y.steps = []Step{file("b", "dist/b")}
	_, s := y.run([]string{"dist/b="})
	wantList(t, "removed", s.Removed, "a", "gen/y")
	y.want("dist/b=")
}

func TestSweepOfDist(t *testing.T) {
	y := newYard(t, file("a", "dist/a"), file("b", "dist/b"))
	y.write("dist/mine", "m")
	y.run([]string{"dist/a=1"}, []string{"dist/b=2"})

	y.opts.Pipeline = "q"
	y.steps = []Step{file("c", "dist/c")}
	y.run([]string{"dist/c=3"})
	y.want("dist/a=1", "dist/b=2", "dist/c=3", "dist/mine=m")

	t.Log("a pipeline that makes less")
	y.opts.Pipeline = "p"
	y.steps = []Step{file("a", "dist/a")}
	_, s := y.run([]string{"dist/a=1"})
	wantList(t, "removed", s.Removed, "dist/b")

	t.Log("a step that fails leaves no old output")
	_, s = y.run(nil)
	wantList(t, "removed", s.Removed, "dist/a")

	t.Log("a step whose output has another name, as a single target")
	y.run([]string{"dist/a=1"})
	y.opts.Pipeline = ""
	y.steps = []Step{file("a", "dist/new")}
	_, s = y.run([]string{"dist/new=1"})
	wantList(t, "removed", s.Removed, "dist/a")

	t.Log("a pipeline that is not there any more")
	y.opts.Pipelines = []string{"p"}
	_, s = y.run([]string{"dist/new=1"})
	wantList(t, "removed", s.Removed, "dist/c")
	y.want("dist/mine=m", "dist/new=1")
}

// Outputs of an Airbuildfile that is gone go, and not those that another one makes
// too.
func TestVanishedAirbuildfile(t *testing.T) {
	y := newYard(t, file("a", "x/a"), file("d", "dist/d"))
	y.opts.File = "sub/Airbuildfile"
	y.write("sub/Airbuildfile", "")
	y.run([]string{"x/a=1"}, []string{"dist/d=2"})
	y.opts.File = "Airbuildfile"
	y.steps = []Step{file("b", "x/b")}
	y.run([]string{"x/b=3"})
	y.want("sub/Airbuildfile=", "x/a=1", "dist/d=2", "x/b=3")
	if err := os.RemoveAll(y.abs("sub")); err != nil {
		t.Fatal(err)
	}
	y.run([]string{"x/b=3"})
	y.want("x/b=3")
}

// A link where an output lands is replaced; what it leads to stays as it is. One
// above an output outside dist is the user's.
func TestLinksAreNotFollowed(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows allows symbolic links only to some users")
	}
	outside := t.TempDir()
	y := newYard(t, file("a", "dist/sub/a"), file("b", "b"), dir("d", "gen"))
	if err := errors.Join(os.Mkdir(y.abs("dist"), 0o777), os.WriteFile(filepath.Join(outside, "b"), []byte("theirs"), 0o666),
		os.Symlink(outside, y.abs("dist/sub")), os.Symlink(filepath.Join(outside, "b"), y.abs("b")), os.Symlink(outside, y.abs("gen"))); err != nil {
		t.Fatal(err)
	}
	y.run([]string{"dist/sub/a=1"}, []string{"b=2"}, []string{"gen/x=3", "gen/l->x"})
	if list, err := os.ReadDir(outside); err != nil || len(list) != 1 {
		t.Errorf("outside the project: %v, %v", list, err)
	}
	y.want("dist/sub/a=1", "b=2", "gen/x=3", "gen/l=3")

	if err := os.Symlink(outside, y.abs("other")); err != nil {
		t.Fatal(err)
	}
	y.steps = []Step{file("c", "other/c")}
	p, done := y.open()
	defer done()
	if _, err := p.Restore(t.Context(), 0, y.set(y.steps[0], "other/c=4"), nil); !isLinkError(err) {
		t.Errorf("through a link out of the project: %v", err)
	}
	y.steps = []Step{file("l", "dist/l")}
	p, done2 := y.open()
	defer done2()
	if _, err := p.Restore(t.Context(), 0, y.set(y.steps[0], "dist/l->../../x"), nil); err == nil {
		t.Error("a link out of the project was made")
	}
}

// Before a command writes in place, what airbuild made there is removed, and what
// is left is the user's: it stays when the command does not make it.
func TestReadyInPlace(t *testing.T) {
	y := newYard(t, dir("d", "gen"))
	y.run([]string{"gen/old=1", "gen/both=2"})
	y.write("gen/mine", "m")
	p, done := y.open()
	before, err := p.ReadyInPlace(0)
	if err != nil || len(before) != 1 || !before["gen/mine"] {
		t.Fatalf("before %v, %v", before, err)
	}
	y.want("gen/mine=m")
	set := y.set(y.steps[0], "gen/both=3", "gen/mine=m")
	if _, err := p.Restore(t.Context(), 0, set, before); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sweep([]Result{{0, set}}); err != nil {
		t.Fatal(err)
	}
	done()
	y.steps = []Step{file("b", "dist/b")}
	y.run([]string{"dist/b="})
	y.want("dist/b=", "gen/mine=m")
}

// A directory that is wholly a step's own holds nothing else, and goes as a whole.
func TestOwnedDirectory(t *testing.T) {
	d := dir("d", "gen")
	d.OwnsDirs = true
	y := newYard(t, d)
	y.run([]string{"gen/a=1", "gen/sub/b=2"})
	y.write("gen/other", "o")
	y.run([]string{"gen/a/x=1"}) // a file becomes a directory
	y.want("gen/a/x=1")
	y.steps = []Step{file("b", "dist/b")}
	_, s := y.run([]string{"dist/b="})
	wantList(t, "removed", s.Removed, "gen")
	y.want("dist/b=")
}

// Directories that steps run in stay, also if they are empty.
func TestWorkDirectoryStays(t *testing.T) {
	y := newYard(t, file("a", "work/sub/a"))
	y.run([]string{"work/sub/a=1"})
	b := file("b", "dist/b")
	b.WorkDir = "work"
	y.steps = []Step{b}
	y.run([]string{"dist/b="})
	if list, err := os.ReadDir(y.abs("work")); err != nil || len(list) != 0 {
		t.Errorf("work holds %v, %v", list, err)
	}
}

// What a step reads and writes back is a source, also if it writes a link: it is
// not recorded, so that no later run takes it for stale.
func TestInPlaceLinkStays(t *testing.T) {
	s := Step{Name: "fix", Outputs: []Declared{{Path: "conf", InPlace: true}}}
	y := newYard(t, s)
	y.write("conf", "mine")
	y.write("real", "its")
	y.run([]string{"conf->real"})
	y.run([]string{"conf->real"})
	y.want("conf=its", "real=its")
	y.steps = []Step{file("b", "dist/b")}
	y.run([]string{"dist/b="})
	y.want("conf=its", "dist/b=", "real=its")
}

func TestIndex(t *testing.T) {
	x := NewIndex("dist", []Step{
		{Outputs: []Declared{{Path: "gen", Dir: true}, {Path: "go.mod", InPlace: true}}},
		{Outputs: []Declared{{Path: "dist/a"}, {Path: "gen-b/c"}, {Path: "z"}}},
	})
	for p, want := range map[string]Output{
		"gen": {"gen", 0, true}, "gen/x/y": {"gen", 0, true}, "dist/a": {"dist/a", 1, false}, "gen-b/c": {"gen-b/c", 1, false},
		"gen-b": {}, "go.mod": {}, ".": {},
	} {
		if got, ok := x.Of(p); got != want || ok != (want != Output{}) {
			t.Errorf("Of(%s) = %v, %v", p, got, ok)
		}
	}
	for p, want := range map[string][]string{
		".": {"gen", "gen-b/c", "z"}, "gen": {"gen"}, "gen/x": {"gen"}, "gen-b": {"gen-b/c"}, "dist": nil, "y": nil, "z": {"z"},
	} {
		wantList(t, "Near "+p, x.Near(p), want...)
	}
}
