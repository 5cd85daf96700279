package tree

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the frozen fixtures anew")

// manyFiles is a project whose answers rest on several files.
func manyFiles() map[string]string {
	files := map[string]string{"top.txt": "top"}
	for i := range 32 {
		files[fmt.Sprintf("src/p%d/f%d.txt", i%4, i)] = fmt.Sprint(i)
	}
	return files
}

var ask = Question{1, 2, 3}

// rootOf is the input root of src and of what is asked for by pattern.
func rootOf(t *testing.T, w *Workspace) string {
	t.Helper()
	var in Inputs
	if err := w.Add(&in, "src", "src"); err != nil {
		t.Fatal(err)
	}
	names, err := w.Glob(".", []string{"top.txt", "src/p1/*.txt"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := w.Add(&in, name, name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Lookup("absent"); err == nil {
		if err := w.Add(&in, "absent", "absent"); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := Build(in.Files, in.Links, in.Empty)
	if err != nil {
		t.Fatal(err)
	}
	return tree.Root.String()
}

func remember(t *testing.T, w *Workspace) string {
	t.Helper()
	v := w.View()
	root := rootOf(t, v.Workspace)
	w.Remember(ask, []byte(root), v)
	return root
}

// TestRecall: an answer is recalled exactly as long as the workspace would
// give the same one; what does not count for it does not take it away.
func TestRecall(t *testing.T) {
	edits := []struct {
		name string
		edit func(root string) error
		kept bool
	}{
		{"nothing", func(string) error { return nil }, true},
		{"a file it does not rest on", func(root string) error { return os.WriteFile(filepath.Join(root, "other"), nil, 0o644) }, true},
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
			w := project(t, manyFiles())
			want := remember(t, w)
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if err := e.edit(w.root); err != nil {
				t.Skipf("the host cannot: %v", err)
			}
			again := reopen(t, w.root, w.state)
			got, ok := again.Recall(ask)
			if ok != e.kept || ok && string(got) != want {
				t.Errorf("recalled %q, %t; want %q, %t", got, ok, want, e.kept)
			}
		})
	}
}

// TestRecallFollowsTheRun: what changes during a run is noticed in the same
// workspace, once it is told.
func TestRecallFollowsTheRun(t *testing.T) {
	w := project(t, manyFiles())
	remember(t, w)
	if _, ok := w.Recall(ask); !ok {
		t.Fatal("not recalled")
	}
	name := filepath.Join(w.root, "src", "p0", "f0.txt")
	if err := os.WriteFile(name, []byte("other"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Forget("src/p0/f0.txt")
	if _, ok := w.Recall(ask); ok {
		t.Error("recalled although a file was written")
	}
	if err := os.WriteFile(name, []byte("0"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.Forget("src/p0/f0.txt")
	if _, ok := w.Recall(ask); !ok {
		t.Error("not recalled although all is as it was")
	}
}

// TestRecallLooksOnce: however many answers rest on a file, a run looks at it
// once.
func TestRecallLooksOnce(t *testing.T) {
	w := project(t, manyFiles())
	v := w.View()
	rootOf(t, v.Workspace)
	for i := range byte(20) {
		w.Remember(Question{i}, []byte{i}, v)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	for i := range byte(20) {
		if got, ok := again.Recall(Question{i}); !ok || !bytes.Equal(got, []byte{i}) {
			t.Fatalf("%d: recalled %v, %t", i, got, ok)
		}
	}
	// The files, src and its four directories by themselves or their entries,
	// ".", the file that is absent.
	most := int64(len(manyFiles()) + 12)
	if n := again.looks.Load(); n > most {
		t.Errorf("looked %d times, want at most %d", n, most)
	}
}

// TestParanoidRecallsNothing also holds that nothing is remembered of such a
// run.
func TestParanoidRecallsNothing(t *testing.T) {
	w := project(t, manyFiles())
	remember(t, w)
	w.Paranoid = true
	if _, ok := w.Recall(ask); ok {
		t.Error("recalled")
	}
	v := w.View()
	rootOf(t, v.Workspace)
	w.Remember(Question{9}, nil, v)
	w.Paranoid = false
	if _, ok := w.Recall(Question{9}); ok {
		t.Error("remembered")
	}
}

// TestAnswersSurviveDamage: cut off anywhere, or with any byte changed, the
// file gives the true answer or none.
func TestAnswersSurviveDamage(t *testing.T) {
	w := project(t, manyFiles())
	want := remember(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(w.answers.file)
	if err != nil {
		t.Fatal(err)
	}
	try := func(b []byte) {
		t.Helper()
		known := map[Question]*answer{}
		_ = decodeAnswers(b, known)
		for q, a := range known {
			if q != ask || string(a.text) != want || a.n == 0 {
				t.Fatalf("%x: %+v", q, a)
			}
		}
	}
	for i := range whole {
		try(whole[:i])
		bad := bytes.Clone(whole)
		bad[i] ^= 0x10
		try(bad)
	}
	// A damaged file is written anew.
	if err := os.WriteFile(w.answers.file, whole[:len(whole)-1], 0o644); err != nil {
		t.Fatal(err)
	}
	again := reopen(t, w.root, w.state)
	if _, ok := again.Recall(ask); ok {
		t.Fatal("recalled what is cut off")
	}
	remember(t, again)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(w.answers.file); err != nil || !bytes.Equal(b, whole) {
		t.Errorf("not written anew: %v", err)
	}
}

// TestTwoWritersOfAnswers: what two processes learn at the same time is kept.
func TestTwoWritersOfAnswers(t *testing.T) {
	w := project(t, manyFiles())
	remember(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	list := []*Workspace{reopen(t, w.root, w.state), reopen(t, w.root, w.state)}
	for i, w := range list {
		w.Recall(ask)
		v := w.View()
		rootOf(t, v.Workspace)
		w.Remember(Question{byte(i)}, []byte{byte(i)}, v)
	}
	for _, w := range list {
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	last := reopen(t, w.root, w.state)
	for i := range list {
		if got, ok := last.Recall(Question{byte(i)}); !ok || !bytes.Equal(got, []byte{byte(i)}) {
			t.Errorf("%d: %v, %t", i, got, ok)
		}
	}
}

// TestAnswersDoNotGrowForever: superseded answers and those of questions that
// are no longer asked go.
func TestAnswersDoNotGrowForever(t *testing.T) {
	w := project(t, manyFiles())
	text := bytes.Repeat([]byte("x"), 50_000)
	for i := range byte(40) {
		w = reopen(t, w.root, w.state)
		v := w.View()
		rootOf(t, v.Workspace)
		w.Remember(Question{i}, text, v)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fi, err := os.Stat(w.answers.file)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(answersSlack*60_000 + answersMin + 60_000); fi.Size() > most {
		t.Errorf("%d bytes after 40 runs, want at most %d", fi.Size(), most)
	}
}

const answersFixture = "../../testdata/formats/answers-2"

// fixtureAnswers are written by hand, so that they are the same everywhere.
func fixtureAnswers() *answers {
	list := []*watched{
		{sight: sight{kind: sightNone, path: "absent"}},
		{sight: sight{kind: sightFile, path: "a.txt", hash: [32]byte{1}}},
		{sight: sight{kind: sightProgram, path: "bin/tool", hash: [32]byte{2}}},
		{sight: sight{kind: sightDir, path: "dir", hash: [32]byte{3}}},
		{sight: sight{kind: sightNoDir, path: "none"}},
		{sight: sight{kind: sightNotDir, path: "a.txt"}},
		{sight: sight{kind: sightReal, path: "dir"}},
		{sight: sight{kind: sightSources, path: "src", hash: [32]byte{4}}},
	}
	return &answers{known: map[Question]*answer{
		{7}: {text: []byte("seven"), table: list, sights: []byte{0, 1, 1, 1, 1, 1, 1, 1}, n: 8},
		{9}: {text: []byte("nine"), table: list, sights: []byte{1, 2}, n: 2},
	}}
}

func TestAnswersFixture(t *testing.T) {
	b := append([]byte(answersMagic), fixtureAnswers().frame(func(*answer) bool { return true })...)
	if *update {
		if err := os.WriteFile(answersFixture, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	frozen, err := os.ReadFile(answersFixture)
	if err != nil || !bytes.Equal(b, frozen) {
		t.Fatalf("wrote %x\nwant  %x\n%v", b, frozen, err)
	}
	known := map[Question]*answer{}
	if err := decodeAnswers(frozen, known); err != nil {
		t.Fatal(err)
	}
	if got, want := textOf(known), textOf(fixtureAnswers().known); !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// textOf writes answers out, sorted.
func textOf(known map[Question]*answer) []string {
	var out []string
	for q, a := range known {
		line := fmt.Sprintf("%x %s", q[:1], a.text)
		var list []string
		a.each(func(s *watched) bool {
			list = append(list, fmt.Sprintf("%c %s %x", s.kind, s.path, s.hash[:1]))
			return true
		})
		slices.Sort(list)
		out = append(out, line+" "+strings.Join(list, ", "))
	}
	slices.Sort(out)
	return out
}

// FuzzDecodeAnswers: what is read can be written and is the same when read
// again.
func FuzzDecodeAnswers(f *testing.F) {
	b, err := os.ReadFile(answersFixture)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[len(answersMagic)+8:])
	f.Fuzz(func(t *testing.T, body []byte) {
		a := &answers{known: map[Question]*answer{}}
		if err := decodeAnswers(append([]byte(answersMagic), appendFrame(nil, body)...), a.known); err != nil {
			return
		}
		again := map[Question]*answer{}
		frame := a.frame(func(*answer) bool { return true })
		if err := decodeAnswers(append([]byte(answersMagic), frame...), again); err != nil {
			t.Fatal(err)
		}
		if got, want := textOf(again), textOf(a.known); !slices.Equal(got, want) {
			t.Fatalf("read %q, then %q", want, got)
		}
	})
}
