package gocache

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

// bodies are objects of all kinds and sizes.
var bodies = []string{"", "x", "ab", "abc", string(packageMagic), string(packageMagic) + "p", "go index v2\nindex", "go index v99\n", large}

func fileText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestPutThenGet(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	if want := []string{"get", "put", "close"}; !reflect.DeepEqual(c.known, want) {
		t.Errorf("knows %v, want %v", c.known, want)
	}
	for i, body := range bodies {
		if r := c.get(testID(i)); !r.Miss {
			t.Errorf("%d: got %+v before put", i, r)
		}
		if r := c.put(testID(i), body); r.Err != "" || fileText(t, r.DiskPath) != body {
			t.Errorf("%d: put: %+v", i, r)
		}
	}
	c.close()

	// Another process, another view of the store.
	c = serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	for i, body := range bodies {
		r := c.get(testID(i))
		want := action.Of([]byte(body))
		if r.Miss || r.Err != "" || r.Size != want.Size || !slices.Equal(r.OutputID, want.Hash[:]) ||
			!filepath.IsAbs(r.DiskPath) || fileText(t, r.DiskPath) != body || r.Time == nil || !r.Time.Equal(fixedTime) {
			t.Errorf("%d: got %+v", i, r)
		}
	}
	if r := c.get(testID(99)); !r.Miss {
		t.Errorf("got %+v for what was never put", r)
	}
	rep := c.close()
	if len(rep.Hits) != len(bodies) || count(rep.Hits) != 3 || len(rep.Puts) != 0 || len(rep.Notes)+len(rep.Damaged) != 0 {
		t.Errorf("report: %+v", rep)
	}
	if k := rep.Hits[testID(6)]; k != Index {
		t.Errorf("an index is taken for %s", k)
	}
}

// Packages of a scope are served to go commands of it alone, and what these make
// stays in it; they get what counts everywhere too.
func TestScoped(t *testing.T) {
	dir := t.TempDir()
	scoped := func(name string) *client {
		s := openStore(t, dir)
		if name != "" {
			s.Scope = store.NewScope(name)
		}
		return serve(t, &Server{Store: s, Dir: dir})
	}
	plain, a, b := scoped(""), scoped("a"), scoped("b")
	a.put(testID(1), "made in a")
	plain.put(testID(2), "made everywhere")
	for _, c := range []struct {
		name   string
		c      *client
		id     int
		misses bool
	}{
		{"plain", plain, 1, true}, {"a", a, 1, false}, {"b", b, 1, true},
		{"plain", plain, 2, false}, {"a", a, 2, false}, {"b", b, 2, false},
	} {
		if r := c.c.get(testID(c.id)); r.Miss != c.misses {
			t.Errorf("%s, %d: %+v", c.name, c.id, r)
		}
	}
	for _, c := range []*client{plain, a, b} {
		c.close()
	}
}

// What a go command made is not a hit when it asks for it again.
func TestReportTellsMadeFromFound(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	c.put(testID(1), "a")
	c.get(testID(1))
	c.put(testID(2), "b")
	one := c.close()
	if len(one.Hits) != 0 || len(one.Puts) != 2 {
		t.Errorf("report: %+v", one)
	}
	two := &Report{Hits: map[ActionID]Kind{testID(2): Other, testID(3): Package}, Puts: map[ActionID]Kind{testID(4): Package}}
	two.merge(one)
	if len(two.Hits) != 1 || len(two.Puts) != 3 {
		t.Errorf("merged: %+v", two)
	}
}

func TestPutReplacesAnEntry(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	c.put(testID(1), "first")
	c.put(testID(1), "second")
	if r := c.get(testID(1)); r.Miss || fileText(t, r.DiskPath) != "second" {
		t.Errorf("got %+v", r)
	}
	c.close()
}

func TestRefusedRequests(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	id, other := testID(1), testID(2)
	if r := c.ask(&request{Command: "get", ActionID: []byte("short")}, nil); !r.Miss {
		t.Errorf("short id: %+v", r)
	}
	if r := c.ask(&request{Command: "get2", ActionID: id[:]}, nil); r.Err == "" {
		t.Errorf("unknown command: %+v", r)
	}
	// The stream goes on behind a body that nobody wanted.
	if r := c.ask(&request{Command: "put", ActionID: []byte("short"), OutputID: other[:], BodySize: int64(len(large))}, []byte(large)); r.Err == "" {
		t.Errorf("put under a short id: %+v", r)
	}
	if r := c.ask(&request{Command: "put", ActionID: id[:], OutputID: other[:], BodySize: 3}, []byte("abc")); !strings.Contains(r.Err, "announced") {
		t.Errorf("another body than announced: %+v", r)
	}
	if r := c.get(id); !r.Miss {
		t.Errorf("the wrong body is served: %+v", r)
	}
	if rep := c.close(); len(rep.Puts) != 0 {
		t.Errorf("report: %+v", rep)
	}
}

// blob is the file of an object in the store of dir.
func blob(t *testing.T, s *store.Disk, body string) string {
	t.Helper()
	name := s.BlobFile(action.Of([]byte(body)))
	if err := os.Chmod(name, 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestDamagedObjectsAreMisses(t *testing.T) {
	for what, harm := range map[string]func(name string) error{
		"flipped":   func(name string) error { return os.WriteFile(name, []byte(strings.Replace(large, "5", "6", 1)), 0o644) },
		"truncated": func(name string) error { return os.Truncate(name, 100) },
		"emptied":   func(name string) error { return os.Truncate(name, 0) },
		"gone":      os.Remove,
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := openStore(t, dir)
			c := serve(t, &Server{Store: s, Dir: dir})
			c.put(testID(1), large)
			c.close()
			if err := harm(blob(t, s, large)); err != nil {
				t.Fatal(err)
			}
			c = serve(t, &Server{Store: openStore(t, dir), Dir: dir})
			if r := c.get(testID(1)); !r.Miss {
				t.Errorf("got %+v", r)
			}
			c.put(testID(1), large)
			if r := c.get(testID(1)); r.Miss || fileText(t, r.DiskPath) != large {
				t.Errorf("after it was made anew: %+v", r)
			}
			rep := c.close()
			if damaged := what != "gone"; damaged != (len(rep.Damaged) == 1) || len(rep.Notes) != 0 {
				t.Errorf("report: %q, %q", rep.Damaged, rep.Notes)
			}
		})
	}
}

func TestDamagedAndForeignEntriesAreMisses(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	c := serve(t, &Server{Store: s, Dir: dir})
	c.put(testID(1), "one")
	c.put(testID(2), "two")
	hex := Key(testID(1)).Hex()
	if err := os.WriteFile(filepath.Join(dir, "ac", hex[:2], hex), []byte("rubbish"), 0o644); err != nil {
		t.Fatal(err)
	}
	object := action.Of([]byte("two"))
	for _, r := range []*action.Result{
		{},
		{ExitCode: 1, OutputFiles: []action.OutputFile{{Path: string(Other), Digest: object}}},
		{OutputFiles: []action.OutputFile{{Path: "../../etc/passwd", Digest: object}}},
		{OutputFiles: []action.OutputFile{{Path: "a", Digest: object}, {Path: "b", Digest: object}}},
	} {
		if err := s.PutResult(t.Context(), Key(testID(2)), r); err != nil {
			t.Fatal(err)
		}
		if r := c.get(testID(2)); !r.Miss {
			t.Errorf("got %+v", r)
		}
	}
	if r := c.get(testID(1)); !r.Miss {
		t.Errorf("got %+v", r)
	}
	if rep := c.close(); len(rep.Damaged) != 1 || len(rep.Notes) == 0 {
		t.Errorf("report: %q, %q", rep.Damaged, rep.Notes)
	}
}

// A fullStore takes nothing.
type fullStore struct{ *store.Disk }

func (fullStore) Put(context.Context, io.Reader) (action.Digest, error) {
	return action.Digest{}, errors.New("no space left on device")
}

func TestAFullStoreFailsNoPut(t *testing.T) {
	dir, temp := t.TempDir(), t.TempDir()
	for name, s := range map[string]Store{"full": fullStore{openStore(t, dir)}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, &Server{Store: s, Dir: dir, Temp: temp})
			for i, body := range bodies {
				if r := c.put(testID(i), body); r.Err != "" || !filepath.IsAbs(r.DiskPath) || fileText(t, r.DiskPath) != body {
					t.Errorf("%d: put: %+v", i, r)
				}
				if r := c.get(testID(i)); !r.Miss {
					t.Errorf("%d: get: %+v", i, r)
				}
			}
			rep := c.close()
			if rep.Failed != len(bodies) || len(rep.Puts) != 0 {
				t.Errorf("report: %+v", rep)
			}
			if wants := name == "full"; wants != (len(rep.Notes) == 1) {
				t.Errorf("notes: %q", rep.Notes)
			}
		})
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A panickyStore is one with a mistake in it.
type panickyStore struct{ *store.Disk }

func (panickyStore) Result(context.Context, action.Digest) (*action.Result, error) { panic("oops") }
func (panickyStore) Put(context.Context, io.Reader) (action.Digest, error)         { panic("oops") }

func TestAPanicIsAMiss(t *testing.T) {
	dir := t.TempDir()
	c := serve(t, &Server{Store: panickyStore{openStore(t, dir)}, Dir: dir})
	if r := c.get(testID(1)); !r.Miss {
		t.Errorf("get: %+v", r)
	}
	if r := c.put(testID(1), "x"); r.Err == "" {
		t.Errorf("put: %+v", r)
	}
	c.close()
}

func TestManyAtOnce(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 3 { // servers, as several go commands of a run
		c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
		all.Go(func() {
			var work sync.WaitGroup
			for w := range 4 {
				work.Go(func() {
					for i := range 20 {
						body := fmt.Sprint("body ", (i+w)%20)
						if r := c.put(testID((i+w)%20), body); r.Err != "" {
							t.Errorf("put: %s", r.Err)
						}
						if r := c.get(testID((i + w) % 20)); r.Miss || fileText(t, r.DiskPath) != body {
							t.Errorf("get: %+v", r)
						}
					}
				})
			}
			work.Wait()
			c.close()
		})
	}
	all.Wait()
	rep, err := openStore(t, dir).Verify(t.Context(), nil)
	if err != nil || !rep.OK() || rep.Entries != 20 || rep.Blobs != 20 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// The go command that is killed says no close.
func TestEndOfInput(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "\n", `{"ID":1,"Command":"get","ActionID":"AA=="}` + "\n"} {
		s := &Server{Store: openStore(t, dir), Dir: dir}
		if err := s.Serve(t.Context(), strings.NewReader(text), io.Discard, func(*Report) error { return nil }); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{"nonsense\n", `{"ID":1,"Command":"put","BodySize":-1}` + "\n",
		`{"ID":1,"Command":"put","BodySize":3}` + "\n", `{"ID":1,"Command":"put","BodySize":3}` + "\n\n\"YW",
		`{"ID":1,"Command":"put","BodySize":3}` + "\n\n\"YWJjZA==\"\n", `{"ID":1,"Command":"put","BodySize":3}` + "\nx",
		strings.Repeat("x", maxRequest+1)} {
		s := &Server{Store: openStore(t, dir), Dir: dir}
		if err := s.Serve(t.Context(), strings.NewReader(text), io.Discard, func(*Report) error { return nil }); err == nil {
			t.Errorf("%.40q: no error", text)
		}
	}
}

// asGo writes an entry as the go command's own cache has it.
func asGo(t *testing.T, dir string, id ActionID, body string) (entry, object string) {
	t.Helper()
	d := action.Of([]byte(body))
	entry, object = ambientName(dir, id, "a"), ambientName(dir, d.Hash, "d")
	for name, text := range map[string]string{
		entry:  fmt.Sprintf("v1 %x %x %20d %20d\n", id[:], d.Hash[:], d.Size, fixedTime.UnixNano()),
		object: body,
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o777), os.WriteFile(name, []byte(text), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	return entry, object
}

func TestTakesOverFromTheUsersCache(t *testing.T) {
	dir, own := t.TempDir(), t.TempDir()
	for i, body := range bodies {
		asGo(t, own, testID(i), body)
	}
	_, flipped := asGo(t, own, testID(100), "a good object")
	_, short := asGo(t, own, testID(101), "another good object")
	bad, _ := asGo(t, own, testID(102), "a third")
	other, _ := asGo(t, own, testID(103), "a fourth")
	asGo(t, own, testID(104), "a fifth")
	for name, text := range map[string]string{
		flipped: "a goot object", short: "another", bad: "v1 rubbish\n",
		other: fileText(t, ambientName(own, testID(104), "a")),
	} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir, Ambient: own})
	for i, body := range bodies {
		if r := c.get(testID(i)); r.Miss || fileText(t, r.DiskPath) != body || strings.HasPrefix(r.DiskPath, own) || !r.Time.Equal(fixedTime) {
			t.Errorf("%d: got %+v", i, r)
		}
	}
	for i := 100; i < 104; i++ {
		if r := c.get(testID(i)); !r.Miss {
			t.Errorf("%d: got %+v", i, r)
		}
	}
	rep := c.close()
	if count(rep.Hits) != 3 || rep.Hits[testID(6)] != Index {
		t.Errorf("report: %+v", rep)
	}
	// It is there now, without the user's.
	c = serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	if r := c.get(testID(5)); r.Miss {
		t.Error("not kept")
	}
	c.close()
}

// An entry of a very real go command is read.
func TestReadsTheGoCommandsCache(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	own := filepath.Join(t.TempDir(), "own")
	build := goBuild(t, writeModule(t), filepath.Join(t.TempDir(), "m"), "GOCACHE="+own)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	entries, err := filepath.Glob(filepath.Join(own, "*", "*-a"))
	if err != nil || len(entries) < 10 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	dir := t.TempDir()
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir, Ambient: own})
	for _, name := range entries {
		id, err := parseID(strings.TrimSuffix(filepath.Base(name), "-a"))
		if err != nil {
			t.Fatal(err)
		}
		if r := c.get(id); r.Miss {
			t.Errorf("%s is not taken over", name)
		}
	}
	if rep := c.close(); count(rep.Hits) < 5 {
		t.Errorf("%d packages among %d entries", count(rep.Hits), len(entries))
	}
}

// The path that a go command is told begins with its GOCACHE.
func TestPathsThroughTheLink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no link on Windows")
	}
	dir := t.TempDir()
	for range 2 {
		if err := MakePlace(dir); err != nil {
			t.Fatal(err)
		}
	}
	c := serve(t, &Server{Store: openStore(t, dir), Dir: dir})
	r := c.put(testID(1), "x")
	if !strings.HasPrefix(r.DiskPath, placeDir(dir)+string(filepath.Separator)) || fileText(t, r.DiskPath) != "x" {
		t.Errorf("put: %s", r.DiskPath)
	}
	if g := c.get(testID(1)); g.DiskPath != r.DiskPath {
		t.Errorf("get: %s, put: %s", g.DiskPath, r.DiskPath)
	}
	c.close()
}

func TestReportsOfSeveral(t *testing.T) {
	dir := t.TempDir()
	want := &Report{Hits: map[ActionID]Kind{testID(1): Package}, Puts: map[ActionID]Kind{testID(2): Index}, Failed: 2, Notes: []string{"n"}, Damaged: []string{"d"}}
	for range 2 {
		m, err := Begin(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.End(want); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Begin(dir); err != nil { // one that is killed
		t.Fatal(err)
	}
	got, lost, err := readReports(dir)
	if err != nil || lost != 1 || !reflect.DeepEqual(got.Hits, want.Hits) || !reflect.DeepEqual(got.Puts, want.Puts) || got.Failed != 4 || len(got.Notes) != 2 {
		t.Errorf("%+v, %d, %v", got, lost, err)
	}
}

func TestQuote(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"/bin/airbuild", "gocacheprog"}, `/bin/airbuild gocacheprog`},
		{[]string{"/my own/airbuild", ""}, `'/my own/airbuild' ''`},
		{[]string{"it's", `C:\Program Files\a`}, `"it's" 'C:\Program Files\a'`},
		{[]string{`a"b`}, `'a"b'`},
		{[]string{"tab\there"}, "'tab\there'"},
	} {
		if got, err := quote(c.args); err != nil || got != c.want {
			t.Errorf("%q: got %s, %v, want %s", c.args, got, err, c.want)
		}
	}
	if got, err := quote([]string{`'"`}); err == nil {
		t.Errorf("got %s", got)
	}
}

func FuzzServe(f *testing.F) {
	f.Add([]byte(`{"ID":1,"Command":"get","ActionID":"AA=="}` + "\n"))
	f.Add([]byte(`{"ID":1,"Command":"put","ActionID":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","OutputID":"ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=","BodySize":3}` + "\n\n\"YWJj\"\n" + `{"ID":2,"Command":"close"}` + "\n"))
	f.Add([]byte("\n\n{}\n"))
	s, err := store.Open(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, in []byte) {
		var out strings.Builder
		srv := &Server{Store: s, Dir: s.Dir()}
		_ = srv.Serve(t.Context(), strings.NewReader(string(in)), &out, func(r *Report) error {
			_, err := json.Marshal(r)
			return err
		})
		for line := range strings.Lines(out.String()) {
			if err := json.Unmarshal([]byte(line), &response{}); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
	})
}
