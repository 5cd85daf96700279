package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// srcDiscoverer lists the files of src and says how many there are.
type srcDiscoverer struct {
	query string
	calls *atomic.Int64
}

func (l srcDiscoverer) Discover(_ context.Context, files engine.Files) (engine.Discovery, error) {
	l.calls.Add(1)
	entries, err := files.ReadDir("src")
	if err != nil {
		return engine.Discovery{}, err
	}
	out := engine.Discovery{Facts: []engine.Fact{{Name: "files", Value: fmt.Sprint(len(entries))}}, Notes: []string{"listed"}}
	for _, e := range entries {
		out.Inputs = append(out.Inputs, engine.FileInput("src/"+e.Name()))
	}
	return out, nil
}

func (srcDiscoverer) Costly() bool { return true }

func (l srcDiscoverer) Query(*engine.NamedRoots) (string, error) {
	if l.query == "" {
		return "", errors.New("none")
	}
	return l.query, nil
}

// listed is a bench with a step whose InputDiscoverer counts its calls.
func listed(t *testing.T) (*bench, *atomic.Int64) {
	b := newBench(t)
	b.opts.Program = "airbuild of this test"
	for i := range 40 {
		b.write(fmt.Sprintf("src/%d", i), fmt.Sprint(i))
	}
	calls := &atomic.Int64{}
	b.add(engine.Step{Name: "a", Stage: "a", Discoverer: srcDiscoverer{"list src", calls}, Command: action.Command{
		Arguments: []string{"make", "a"}, OutputPaths: []string{"dist/a"}, OutputFiles: []string{"dist/a"},
	}})
	return b, calls
}

func TestInputsAreRemembered(t *testing.T) {
	b, calls := listed(t)
	key := action.Digest{}
	b.opts.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepFinished {
			key = e.Key
		}
	}
	run := func(want int64, line string) action.Digest {
		t.Helper()
		before := calls.Load()
		b.run()
		b.want(line)
		if n := calls.Load() - before; n != want {
			t.Errorf("listed %d times, want %d", n, want)
		}
		return key
	}
	first := run(1, "done a first run here")
	if again := run(0, "hit a"); again != first {
		t.Errorf("key %s, then %s", first, again)
	}
	b.write("src/7", "other")
	if edited := run(1, "done a src/7 changed"); edited == first {
		t.Error("an edit did not change the key")
	}
	b.write("src/7", "7")
	if back := run(1, "hit a"); back != first {
		t.Errorf("key %s, at first %s", back, first)
	}
	b.write("src/new", "")
	if added := run(1, "done a src/new and files (40 → 41) changed"); added == first {
		t.Error("a new file did not change the key")
	}
	run(0, "hit a")

	// Another program does not rely on what this one remembered.
	b.opts.Program = "another airbuild"
	run(1, "hit a")
	// Nor does one that does not say which it is.
	b.opts.Program = ""
	run(1, "hit a")
}

// TestRememberedInputsOfALostResult: the inputs are looked at after all when
// they are needed to do the work.
func TestRememberedInputsOfALostResult(t *testing.T) {
	b, calls := listed(t)
	b.run()
	made := b.read("dist/a")
	clear(b.store.results)
	b.run()
	b.want("done a its result is no longer in the store")
	if n := calls.Load(); n != 2 {
		t.Errorf("listed %d times", n)
	}
	if got := b.read("dist/a"); got != made {
		t.Errorf("made %q, then %q", made, got)
	}
}

// TestRememberedInputsRepairTheStore: what explains a key comes back into a
// store that has lost it.
func TestRememberedInputsRepairTheStore(t *testing.T) {
	b, _ := listed(t)
	b.run()
	whole := len(b.store.blobs)
	for _, res := range b.store.results {
		delete(b.store.blobs, res.Metadata.Inputs)
	}
	b.run()
	b.want("hit a")
	if n := len(b.store.blobs); n != whole {
		t.Errorf("%d blobs, at first %d", n, whole)
	}
}

// TestALostCommandIsStoredAgain: it is at hand, so that nothing is looked at for
// it.
func TestALostCommandIsStoredAgain(t *testing.T) {
	b, calls := listed(t)
	b.run()
	whole := len(b.store.blobs)
	delete(b.store.blobs, action.Of(b.graph.Steps[0].Command.Marshal()))
	if len(b.store.blobs) == whole {
		t.Fatal("nothing was lost")
	}
	b.run()
	b.want("hit a")
	if n := len(b.store.blobs); n != whole {
		t.Errorf("%d blobs, at first %d", n, whole)
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("listed %d times", n)
	}
}

// TestExplainShowsRememberedInputs: what is remembered explains as well.
func TestExplainShowsRememberedInputs(t *testing.T) {
	b, _ := listed(t)
	b.run()
	o, done := b.options()
	defer done()
	e, err := engine.Explain(t.Context(), &b.graph, 0, o)
	if err != nil {
		t.Fatal(err)
	}
	if e.Status != engine.Hit || len(e.Notes) != 1 || len(e.Lines) < 40 {
		t.Errorf("%v, notes %q, %d lines", e.Status, e.Notes, len(e.Lines))
	}
}

// TestDamagedMemo: whatever happens to the file, the key is right.
func TestDamagedMemo(t *testing.T) {
	b, calls := listed(t)
	b.run()
	name := filepath.Join(b.root, ".state", "answers")
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, damaged := range [][]byte{nil, whole[:len(whole)/2], append(whole[:len(whole):len(whole)], "junk"...), []byte("airbuild-answers-9\n")} {
		if err := os.WriteFile(name, damaged, 0o666); err != nil {
			t.Fatal(err)
		}
		b.run()
		b.want("hit a")
	}
	if n := calls.Load(); n < 4 {
		t.Errorf("listed %d times", n)
	}
}

// checkout is a bench of listed with the store of another one, in another
// directory.
func checkout(t *testing.T, of *bench) (*bench, *atomic.Int64) {
	b, calls := listed(t)
	b.store, b.exec.store = of.store, of.store
	b.write("airbuild", "this program")
	b.opts.ProgramFile = filepath.ToSlash(filepath.Join(b.root, "airbuild"))
	b.opts.Program = b.root // what one remembers is not for the other
	return b, calls
}

// TestInputsAreImported: with the store of another checkout nothing is listed
// while the files are the same.
func TestInputsAreImported(t *testing.T) {
	for _, c := range []struct {
		name  string
		edit  func(*bench)
		lists int64
		want  string
	}{
		{"the same", func(*bench) {}, 0, "hit a"},
		{"with other files beside", func(b *bench) { b.write("other", "") }, 0, "hit a"},
		{"with outputs", func(b *bench) { b.write("dist/a", "") }, 0, "hit a"},
		{"another program", func(b *bench) { b.write("airbuild", "another program") }, 1, "hit a"},
		{"no program", func(b *bench) { b.opts.ProgramFile += "?" }, 1, "hit a"},
		{"which does not exchange inputs", func(b *bench) { b.opts.ProgramFile = "" }, 1, "hit a"},
		{"an edit", func(b *bench) { b.write("src/7", "other") }, 1, "done a first run here"},
		{"a new file", func(b *bench) { b.write("src/new", "") }, 1, "done a first run here"},
		{"another query", func(b *bench) {
			b.graph.Steps[0].Discoverer = srcDiscoverer{"list other", b.graph.Steps[0].Discoverer.(srcDiscoverer).calls}
		}, 1, "hit a"},
		{"a lost blob", func(b *bench) {
			for _, res := range b.store.results {
				if len(res.OutputFiles) == 1 && res.OutputFiles[0].Path == "answers" {
					delete(b.store.blobs, res.OutputFiles[0].Digest)
				}
			}
		}, 1, "hit a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			none := newBench(t)
			first, calls := checkout(t, none)
			first.run()
			if n := calls.Load(); n != 1 {
				t.Fatalf("listed %d times at first", n)
			}
			b, calls := checkout(t, none)
			c.edit(b)
			b.run()
			b.want(c.want)
			if n := calls.Load(); n != c.lists {
				t.Errorf("listed %d times, want %d", n, c.lists)
			}
			// From here on it is this workspace's own.
			b.opts.ProgramFile = ""
			b.run()
			b.want("hit a")
			if n := calls.Load(); n != c.lists {
				t.Errorf("the next run listed %d times, want none", n-c.lists)
			}
		})
	}
}

// rootDiscoverer is a srcDiscoverer of a directory of the host.
type rootDiscoverer struct {
	srcDiscoverer
	dir string
}

func (l rootDiscoverer) Query(roots *engine.NamedRoots) (string, error) {
	return roots.Name("SDK", l.dir), nil
}

func (l rootDiscoverer) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	if _, err := files.Digest(l.dir + "/version"); err != nil {
		return engine.Discovery{}, err
	}
	return l.srcDiscoverer.Discover(ctx, files)
}

// TestInputsOfAnotherRoot: what the inputs depend on may be in another directory
// there.
func TestInputsOfAnotherRoot(t *testing.T) {
	none := newBench(t)
	for i, c := range []struct {
		version string
		lists   int64
	}{{"1", 1}, {"1", 0}, {"2", 1}} {
		b, calls := checkout(t, none)
		sdk := t.TempDir()
		if err := os.WriteFile(filepath.Join(sdk, "version"), []byte(c.version), 0o666); err != nil {
			t.Fatal(err)
		}
		b.graph.Steps[0].Discoverer = rootDiscoverer{srcDiscoverer{"", calls}, filepath.ToSlash(sdk)}
		b.run()
		if n := calls.Load(); n != c.lists {
			t.Errorf("%d: listed %d times, want %d", i, n, c.lists)
		}
	}
}

// TestInputsOfAFailure: only what has a result is exported.
func TestInputsOfAFailure(t *testing.T) {
	none := newBench(t)
	b, _ := checkout(t, none)
	b.exec.do["a"] = func(context.Context, *engine.Prepared) (*action.Result, error) { return nil, errors.New("no") }
	b.run()
	if n := len(b.store.results); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// TestExportInputs: the summary says to who makes a bundle where they are, and that they
// are there, also if an earlier run discovered them.
func TestExportInputs(t *testing.T) {
	b, _ := checkout(t, newBench(t))
	if sum := b.run(); len(sum.ExportedInputs) != 1 {
		t.Fatalf("%d entries at first", len(sum.ExportedInputs))
	}
	if sum := b.run(); sum.ExportedInputs != nil {
		t.Errorf("%v without being asked", sum.ExportedInputs)
	}
	b.opts.ExportInputs = true
	sum := b.run()
	if len(sum.ExportedInputs) != 1 {
		t.Fatalf("%d entries", len(sum.ExportedInputs))
	}
	key := sum.ExportedInputs[0]
	blob := b.store.results[key].OutputFiles[0].Digest
	delete(b.store.results, key)
	delete(b.store.blobs, blob)
	if sum := b.run(); len(sum.ExportedInputs) != 1 || sum.ExportedInputs[0] != key {
		t.Errorf("%v, want %v", sum.ExportedInputs, key)
	}
	if res := b.store.results[key]; res == nil || b.store.blobs[res.OutputFiles[0].Digest] == nil {
		t.Error("it is not stored again")
	}
}
