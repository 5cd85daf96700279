package bundle

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// killed runs a child and kills it at a random moment, and reports whether it
// was done before.
func killed(t *testing.T, within time.Duration, role string, args ...string) bool {
	t.Helper()
	cmd := child(t, role, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Duration(rand.Int64N(int64(within))))
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return cmd.Wait() == nil
}

// takes is about how long a child runs.
func takes(t *testing.T, role string, args ...string) time.Duration {
	t.Helper()
	start := time.Now()
	if out, err := child(t, role, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return time.Since(start)
}

func kills() int {
	if testing.Short() {
		return 6
	}
	return 20
}

func TestKilledCreate(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole")
	within := takes(t, "create", whole)
	dir := filepath.Join(t.TempDir(), "killed")
	for range kills() {
		if killed(t, within, "create", dir) {
			b := openBundle(t, anyone, dir)
			if r, err := b.Verify(t.Context(), VerifyOptions{}); err != nil || !r.OK() {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// Not finished: no bundle, or a whole one.
		b, err := Open(t.Context(), anyone, dir)
		if err != nil {
			continue
		}
		if r, err := b.Verify(t.Context(), VerifyOptions{}); err != nil || !r.OK() {
			t.Fatalf("%+v, %v", r, err)
		}
		b.Close()
	}
	if _, err := Create(t.Context(), dir, many().spec(1), manyOptions); err != nil {
		t.Fatal(err)
	}
	noTemps(t, dir)
	sameTree(t, whole, dir)
}

func TestKilledImport(t *testing.T) {
	t.Parallel()
	layout, x := t.TempDir(), many()
	makeBundle(t, layout, x.spec(1), manyOptions)
	b := openBundle(t, anyone, layout)
	within := takes(t, "import", layout, t.TempDir())
	dir := t.TempDir()
	for range kills() {
		done := killed(t, within, "import", layout, dir)
		list, err := ListCarried(filepath.Join(dir, "cache"))
		if err != nil || done && len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if len(list) == 1 {
			h, err := openHost(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			h.check(x)
			dir = t.TempDir()
		}
	}
	h, err := openHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	h.imports(b)
	h.check(x)
	noTemps(t, h.work)
	noTemps(t, filepath.Join(h.cache, "carried"))
}

// TestResumedCreate holds that finished packs are not made again.
func TestResumedCreate(t *testing.T) {
	t.Parallel()
	whole, dir := t.TempDir(), t.TempDir()
	if _, err := Create(t.Context(), whole, many().spec(1), manyOptions); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := manyOptions
	o.Progress = func(p progress.Progress) {
		if p.Phase == progress.PhasePack && p.Bytes > p.Total/2 {
			cancel()
		}
	}
	if _, err := Create(ctx, dir, many().spec(1), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("not interrupted: %v", err)
	}
	if _, err := Open(t.Context(), anyone, dir); !errors.Is(err, format.ErrRefused) {
		t.Errorf("half a bundle can be opened: %v", err)
	}
	packs, err := filepath.Glob(filepath.Join(dir, "blobs", "sha256", "*"))
	if err != nil || len(packs) < 3 {
		t.Fatalf("%d packs, %v", len(packs), err)
	}
	// One of the packs is damaged meanwhile; the others keep their times.
	if err := os.WriteFile(packs[0], []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1000000000, 0)
	for _, p := range packs {
		if err := os.Chtimes(p, old, old); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Create(t.Context(), dir, many().spec(1), manyOptions); err != nil {
		t.Fatal(err)
	}
	sameTree(t, whole, dir)
	for i, p := range packs {
		if info, err := os.Stat(p); err != nil || info.ModTime().Equal(old) != (i > 0) {
			t.Errorf("pack %d: %v, %v", i, info, err)
		}
	}
}

// TestResumedImport holds that what is there is not read again.
func TestResumedImport(t *testing.T) {
	t.Parallel()
	x := many()
	layout := t.TempDir()
	makeBundle(t, layout, x.spec(1), manyOptions)
	b := openBundle(t, anyone, layout)
	h := newHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := Import(ctx, b, ImportOptions{Cache: h.cache, Sink: h.sink, Progress: func(p progress.Progress) {
		if p.Phase == progress.PhaseImport && p.Bytes > p.Total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("not interrupted: %v", err)
	}
	if list, _ := ListCarried(h.cache); len(list) > 0 {
		t.Error("published before the end")
	}
	if entries, _ := filepath.Glob(filepath.Join(h.cache, "ac", "*", "*")); len(entries) > 0 {
		t.Error("results were recorded before all was there")
	}
	done := h.imports(b)
	if !done.Resumed || done.Kept < 50 {
		t.Errorf("%+v", done)
	}
	h.check(x)
}

// TestTwoImports runs two imports of one bundle into one cache at once.
func TestTwoImports(t *testing.T) {
	t.Parallel()
	layout, x, dir := t.TempDir(), many(), t.TempDir()
	makeBundle(t, layout, x.spec(1), manyOptions)
	one, two := child(t, "import", layout, dir), child(t, "import", layout, dir)
	if err := errors.Join(one.Start(), two.Start()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Wait(), two.Wait()); err != nil {
		t.Fatal(err)
	}
	h, err := openHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	h.check(x)
	log, err := os.Open(custody.File(h.cache))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if events, err := custody.Read(log); err != nil || len(events) != 1 {
		t.Errorf("%d events, %v", len(events), err)
	}
}
