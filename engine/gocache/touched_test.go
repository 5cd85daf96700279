package gocache

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

var update = flag.Bool("update", false, "rewrite the frozen fixtures")

var step = action.Of([]byte("a step"))

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range []record{{}, {cgo: true}, {ids: []ActionID{testID(1)}}, {cgo: true, ids: []ActionID{testID(1), testID(2), testID(3)}}} {
		b := r.encode()
		got, err := decodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.encode(), b) || got.cgo != r.cgo || len(got.ids) != len(r.ids) {
			t.Errorf("%+v became %+v", r, got)
		}
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(record{}.encode())
	f.Add(record{cgo: true, ids: []ActionID{testID(1), testID(2)}}.encode())
	f.Add([]byte(recordMagic))
	f.Add([]byte(recordMagic + "cgo 2\n"))
	f.Add(append(record{}.encode(), "00"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := decodeRecord(b); err == nil && !bytes.Equal(r.encode(), b) {
			t.Errorf("%q was read and would be written %q", b, r.encode())
		}
	})
}

func TestTouched(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	if u, err := Touched(t.Context(), s, step); err != nil || u.Known {
		t.Fatalf("%+v, %v", u, err)
	}
	c := serve(t, &Server{Store: s, Dir: dir})
	for i, body := range bodies {
		c.put(testID(i), body)
	}
	c.put(testID(50), "an object that will be gone")
	c.close()
	var ids []ActionID
	for i := range bodies {
		ids = append(ids, testID(i))
	}
	ids = append(ids, testID(50), testID(77)) // the last has no entry
	if err := os.Remove(s.BlobFile(action.Of([]byte("an object that will be gone")))); err != nil {
		t.Fatal(err)
	}
	if err := (record{ids: ids}).write(t.Context(), s, step); err != nil {
		t.Fatal(err)
	}
	u, err := Touched(t.Context(), s, step)
	if err != nil || !u.Known || u.Cgo || len(u.Entries) != len(bodies)-2 || u.Kept != 2 || u.Lost != 2 {
		t.Errorf("%+v, %v", u, err)
	}
	for _, e := range u.Entries {
		if e.Kind == Index {
			t.Errorf("an index would travel: %+v", e)
		}
		if r, err := s.Result(t.Context(), e.Key()); r == nil || err != nil || r.OutputFiles[0].Digest != e.Object {
			t.Errorf("%+v: %+v, %v", e, r, err)
		}
	}
	if !slices.IsSortedFunc(u.Entries, func(a, b Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) }) {
		t.Error("not sorted")
	}

	if err := (record{cgo: true, ids: ids}).write(t.Context(), s, step); err != nil {
		t.Fatal(err)
	}
	if u, err := Touched(t.Context(), s, step); err != nil || !u.Known || !u.Cgo || len(u.Entries) != 0 {
		t.Errorf("with cgo: %+v, %v", u, err)
	}
}

// A record that was harmed is none.
func TestTouchedOfADamagedRecord(t *testing.T) {
	s := openStore(t, t.TempDir())
	for _, text := range []string{"", "rubbish", recordMagic, recordMagic + "cgo 0\nx\n", strings.Replace(recordMagic, "1", "2", 1) + "cgo 0\n"} {
		d, err := s.Put(t.Context(), strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PutResult(t.Context(), touchedKey(step), &action.Result{OutputFiles: []action.OutputFile{{Path: recordPath, Digest: d}}}); err != nil {
			t.Fatal(err)
		}
		if u, err := Touched(t.Context(), s, step); err != nil || u.Known {
			t.Errorf("%q: %+v, %v", text, u, err)
		}
	}
}

// The fixture holds an entry of each kind and a record, as files of a store.
func TestFixture(t *testing.T) {
	const fixture = "../../testdata/formats/gocache-2"
	dir := t.TempDir()
	s := openStore(t, dir)
	c := serve(t, &Server{Store: s, Dir: dir})
	r := record{}
	for i, body := range []string{string(packageMagic) + "compiled", "go index v2\nindex", "", "# vet\n"} {
		if r := c.put(testID(i), body); r.Err != "" {
			t.Fatal(r.Err)
		}
		r.ids = append(r.ids, testID(i))
	}
	c.close()
	c = serve(t, &Server{Store: s, Dir: dir, Salts: []Salt{{1, 2}}})
	if r := c.put(testID(9), string(packageMagic)+"with C"); r.Err != "" {
		t.Fatal(r.Err)
	}
	c.close()
	if err := r.write(t.Context(), s, step); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.RemoveAll(fixture); err != nil {
			t.Fatal(err)
		}
		for name, text := range files(t, dir) {
			name = filepath.Join(fixture, filepath.FromSlash(name))
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, want := files(t, dir), files(t, fixture); !maps.Equal(got, want) {
		t.Errorf("wrote\n%q\nwant\n%q", got, want)
	}
	frozen := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(frozen, os.DirFS(fixture)); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(frozen)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if u, err := Touched(t.Context(), s, step); err != nil || len(u.Entries) != 3 || u.Kept != 1 || u.Lost != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// files returns what is in the rooms of a store.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, room := range []string{"ac", "cas"} {
		err := fs.WalkDir(os.DirFS(dir), room, func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				found[name] = fileText(t, filepath.Join(dir, filepath.FromSlash(name)))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// A fakeGo stands for the launcher of the go command, and for the executor
// that starts it and what it does.
type fakeGo struct {
	l     engine.Launcher // decorated
	calls int
	do    func(env []string, try int) int // returns the exit code
}

func (f *fakeGo) Launch(context.Context, *engine.Step, engine.Share) (engine.Launch, error) {
	return engine.Launch{Path: "/go", Env: []string{"GOCACHE=/the user's", "A=b"}}, nil
}

func (f *fakeGo) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	f.calls++
	prog, err := f.l.Launch(ctx, p.Step, engine.Share{})
	if err != nil {
		return nil, err
	}
	return &action.Result{ExitCode: int32(f.do(prog.Env, f.calls))}, nil
}

// reportsIn is the directory for reports that GOCACHEPROG names.
func reportsIn(env []string) string {
	_, rest, _ := strings.Cut(last(env, "GOCACHEPROG"), "-report ")
	dir, _, _ := strings.Cut(rest, " ")
	return dir
}

func testCache(t *testing.T, f *fakeGo) (*Cache, engine.Executor) {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cache{Store: openStore(t, dir), Dir: dir, Command: []string{self, "serve"},
		TempDir: func() (string, error) { return os.MkdirTemp(t.TempDir(), "") }}
	f.l = c.Launcher(f)
	return c, c.Executor(f)
}

func prepared() *engine.Prepared {
	return &engine.Prepared{Key: step, Step: &engine.Step{Name: "bin", Command: action.Command{Env: []action.EnvVar{{Name: "CGO_ENABLED", Value: "0"}}}}}
}

func TestStepIsServedAndRecorded(t *testing.T) {
	var reports string
	f := &fakeGo{do: func(env []string, _ int) int {
		reports = reportsIn(env)
		for i, r := range []*Report{
			{Hits: map[ActionID]Kind{testID(1): Package, testID(2): Other}, Notes: []string{"a note"}},
			{Puts: map[ActionID]Kind{testID(3): Package}, Damaged: []string{"blob"}},
		} {
			m, err := Begin(reports)
			if err != nil {
				t.Fatal(i, err)
			}
			if err := m.End(r); err != nil {
				t.Fatal(err)
			}
		}
		if got := last(env, "GOCACHE"); filepath.Base(got) != "gocache" || last(env, "A") != "b" {
			t.Errorf("environment: %q", env)
		}
		if prog := last(env, "GOCACHEPROG"); !strings.HasSuffix(prog, `-ambient "/the user's"`) {
			t.Errorf("GOCACHEPROG=%s", prog)
		}
		return 0
	}}
	c, e := testCache(t, f)
	p := prepared()
	if res, err := e.Execute(t.Context(), p); err != nil || res.ExitCode != 0 {
		t.Fatal(res, err)
	}
	want := engine.Compiled{Hits: 1, Misses: 1, Notes: []string{"a note"}, Damaged: []string{"blob"}}
	if !reflect.DeepEqual(p.Compiled, want) {
		t.Errorf("got %+v, want %+v", p.Compiled, want)
	}
	if _, err := os.Stat(reports); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the reports stay: %v", err)
	}
	r, err := readRecord(t.Context(), c.Store, step)
	if err != nil || r == nil || r.cgo || len(r.ids) != 3 {
		t.Errorf("record: %+v, %v", r, err)
	}
}

func TestStepWithCgoIsMarked(t *testing.T) {
	f := &fakeGo{do: func([]string, int) int { return 0 }}
	c, e := testCache(t, f)
	p := prepared()
	p.Step.Command.Env = nil
	if _, err := e.Execute(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if r, err := readRecord(t.Context(), c.Store, step); err != nil || r == nil || !r.cgo {
		t.Errorf("record: %+v, %v", r, err)
	}
}

// A server that was killed takes the go command with it: the step is run once
// more, without. A step that fails by itself is not.
func TestKilledServer(t *testing.T) {
	for _, killed := range []bool{true, false} {
		f := &fakeGo{do: func(env []string, try int) int {
			prog := last(env, "GOCACHEPROG")
			if try == 2 {
				if prog != "" || last(env, "GOCACHE") != "/the user's" {
					t.Errorf("environment of the second try: %q", env)
				}
				return 0
			}
			if killed {
				if _, err := Begin(reportsIn(env)); err != nil {
					t.Fatal(err)
				}
			}
			return 1
		}}
		c, e := testCache(t, f)
		p := prepared()
		res, err := e.Execute(t.Context(), p)
		if err != nil || (res.ExitCode == 0) != killed || (f.calls == 2) != killed || (len(p.Compiled.Notes) == 1) != killed {
			t.Errorf("killed %v: %+v, %v, %d calls, %q", killed, res, err, f.calls, p.Compiled.Notes)
		}
		if r, err := readRecord(t.Context(), c.Store, step); err != nil || r != nil {
			t.Errorf("record: %+v, %v", r, err)
		}
	}
}

// Whatever is wrong, the go command runs.
func TestTroubleMeansNoCompileCache(t *testing.T) {
	for name, harm := range map[string]func(*Cache){
		"program gone": func(c *Cache) { c.Command[0] += ".gone" },
		"no place":     func(c *Cache) { os.WriteFile(placeDir(c.Dir), nil, 0o666) },
		"no directory": func(c *Cache) { c.TempDir = func() (string, error) { return "", errors.New("no") } },
		"quotes":       func(c *Cache) { c.Command = append(c.Command, `'"`) },
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeGo{do: func(env []string, _ int) int {
				if last(env, "GOCACHEPROG") != "" || last(env, "GOCACHE") != "/the user's" {
					t.Errorf("environment: %q", env)
				}
				return 0
			}}
			c, e := testCache(t, f)
			harm(c)
			p := prepared()
			if res, err := e.Execute(t.Context(), p); err != nil || res.ExitCode != 0 || len(p.Compiled.Notes) != 1 {
				t.Errorf("%+v, %v, %q", res, err, p.Compiled.Notes)
			}
		})
	}
}

// A step that is not wanted, and one that starts no go command, leave no trace.
func TestNothingForOthers(t *testing.T) {
	f := &fakeGo{do: func(env []string, _ int) int {
		if last(env, "GOCACHEPROG") != "" {
			t.Errorf("environment: %q", env)
		}
		return 0
	}}
	c, e := testCache(t, f)
	c.Wants = func(*engine.Step) bool { return false }
	if _, err := e.Execute(t.Context(), prepared()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(placeDir(c.Dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
