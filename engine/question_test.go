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

// askingLister lists the files of src and says how many there are.
type askingLister struct {
	question string
	calls    *atomic.Int64
}

func (l askingLister) List(_ context.Context, files engine.Files) (engine.Listing, error) {
	l.calls.Add(1)
	entries, err := files.ReadDir("src")
	if err != nil {
		return engine.Listing{}, err
	}
	out := engine.Listing{Facts: []engine.Fact{{Name: "files", Value: fmt.Sprint(len(entries))}}, Notes: []string{"listed"}}
	for _, e := range entries {
		out.Inputs = append(out.Inputs, engine.FileInput("src/"+e.Name()))
	}
	return out, nil
}

func (askingLister) Costly() bool { return true }

func (l askingLister) Question(*engine.Asking) (string, error) {
	if l.question == "" {
		return "", errors.New("none")
	}
	return l.question, nil
}

// listed is a bench with a step whose Lister counts its calls.
func listed(t *testing.T) (*bench, *atomic.Int64) {
	b := newBench(t)
	b.opts.Program = "airbuild of this test"
	for i := range 40 {
		b.write(fmt.Sprintf("src/%d", i), fmt.Sprint(i))
	}
	calls := &atomic.Int64{}
	b.add(engine.Step{Name: "a", Stage: "a", Lister: askingLister{"list src", calls}, Command: action.Command{
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

// TestRememberedInputsMendTheStore: what explains a key comes back into a
// store that has lost it.
func TestRememberedInputsMendTheStore(t *testing.T) {
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

// TestALostCommandIsMended: it is at hand, so that nothing is looked at for it.
func TestALostCommandIsMended(t *testing.T) {
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

// TestDamagedAnswers: whatever happens to the file, the key is right.
func TestDamagedAnswers(t *testing.T) {
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
