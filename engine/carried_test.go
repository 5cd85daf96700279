package engine_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

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

// TestAnswersAreCarried: with the store of another checkout nothing is listed
// while the files are the same.
func TestAnswersAreCarried(t *testing.T) {
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
		{"which does not carry", func(b *bench) { b.opts.ProgramFile = "" }, 1, "hit a"},
		{"an edit", func(b *bench) { b.write("src/7", "other") }, 1, "done a first run here"},
		{"a new file", func(b *bench) { b.write("src/new", "") }, 1, "done a first run here"},
		{"another question", func(b *bench) {
			b.graph.Steps[0].Lister = askingLister{"list other", b.graph.Steps[0].Lister.(askingLister).calls}
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

// placedLister is an askingLister of a directory of the host.
type placedLister struct {
	askingLister
	dir string
}

func (l placedLister) Question(a *engine.Asking) (string, error) { return a.Dir("SDK", l.dir), nil }

func (l placedLister) List(ctx context.Context, files engine.Files) (engine.Listing, error) {
	if _, err := files.Digest(l.dir + "/version"); err != nil {
		return engine.Listing{}, err
	}
	return l.askingLister.List(ctx, files)
}

// TestCarriedAnswersOfAnotherPlace: what the answer rests on may be in another
// directory there.
func TestCarriedAnswersOfAnotherPlace(t *testing.T) {
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
		b.graph.Steps[0].Lister = placedLister{askingLister{"", calls}, filepath.ToSlash(sdk)}
		b.run()
		if n := calls.Load(); n != c.lists {
			t.Errorf("%d: listed %d times, want %d", i, n, c.lists)
		}
	}
}

// TestAnswersOfAFailure: only what has a result is carried.
func TestAnswersOfAFailure(t *testing.T) {
	none := newBench(t)
	b, _ := checkout(t, none)
	b.exec.do["a"] = func(context.Context, *engine.Prepared) (*action.Result, error) { return nil, errors.New("no") }
	b.run()
	if n := len(b.store.results); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// TestCarryAnswers: who makes a bundle is told where they are, and that they
// are there, also if they were found out before.
func TestCarryAnswers(t *testing.T) {
	b, _ := checkout(t, newBench(t))
	if sum := b.run(); len(sum.Answers) != 1 {
		t.Fatalf("%d answers at first", len(sum.Answers))
	}
	if sum := b.run(); sum.Answers != nil {
		t.Errorf("%v without being asked", sum.Answers)
	}
	b.opts.CarryAnswers = true
	sum := b.run()
	if len(sum.Answers) != 1 {
		t.Fatalf("%d answers", len(sum.Answers))
	}
	key := sum.Answers[0]
	blob := b.store.results[key].OutputFiles[0].Digest
	delete(b.store.results, key)
	delete(b.store.blobs, blob)
	if sum := b.run(); len(sum.Answers) != 1 || sum.Answers[0] != key {
		t.Errorf("%v, want %v", sum.Answers, key)
	}
	if res := b.store.results[key]; res == nil || b.store.blobs[res.OutputFiles[0].Digest] == nil {
		t.Error("it is not stored again")
	}
}
