package create_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/internal/ctxio"
)

func TestSameBytes(t *testing.T) {
	t.Parallel()
	x, k := bundletest.Sample(), bundletest.Key(t, 1)
	a, b, c := t.TempDir(), t.TempDir(), t.TempDir()
	for i, dir := range []string{a, b, c} {
		s := x.Spec(1)
		for j := range s.Components {
			rand.Shuffle(len(s.Components[j].Files), func(p, q int) {
				f := s.Components[j].Files
				f[p], f[q] = f[q], f[p]
			})
		}
		bundletest.Make(t, dir, s, create.Options{PackSize: 400000, Jobs: 1 + 3*i}, k)
	}
	bundletest.SameTree(t, a, b)
	bundletest.SameTree(t, a, c)
	before := bundletest.ReadTree(t, a)
	if _, err := create.Bundle(t.Context(), a, x.Spec(1), create.Options{PackSize: 400000}); err != nil {
		t.Fatal(err)
	}
	if after := bundletest.ReadTree(t, a); !slices.Equal(bundletest.SortedKeys(before), bundletest.SortedKeys(after)) {
		t.Error("creating the same bundle again changed it")
	}
	if _, err := create.Bundle(t.Context(), a, x.Spec(2), create.Options{}); err == nil || !strings.Contains(err.Error(), "already holds another bundle") {
		t.Errorf("another bundle in its place: %v", err)
	}
	bundletest.Make(t, a, x.Spec(2), create.Options{PackSize: 400000, Replace: true}, k)
	fresh := t.TempDir()
	bundletest.Make(t, fresh, x.Spec(2), create.Options{PackSize: 400000}, k)
	bundletest.SameTree(t, a, fresh)
}

func TestKilledCreate(t *testing.T) {
	if testing.Short() {
		t.Skip("creates many bundles")
	}
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole")
	within := bundletest.Takes(t, "create", whole)
	dir := filepath.Join(t.TempDir(), "killed")
	for range bundletest.Kills() {
		if bundletest.Killed(t, within, "create", dir) {
			b := bundletest.Open(t, bundletest.Anyone, dir)
			if r, err := b.Verify(t.Context(), bundle.VerifyOptions{}); err != nil || !r.OK() {
				t.Fatalf("%+v, %v", r, err)
			}
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
			continue
		}
		// Not finished: no bundle, or a whole one.
		b, err := bundle.Open(t.Context(), bundletest.Anyone, dir)
		if err != nil {
			continue
		}
		if r, err := b.Verify(t.Context(), bundle.VerifyOptions{}); err != nil || !r.OK() {
			t.Fatalf("%+v, %v", r, err)
		}
		b.Close()
	}
	if _, err := create.Bundle(t.Context(), dir, bundletest.Many().Spec(1), bundletest.ManyOptions); err != nil {
		t.Fatal(err)
	}
	bundletest.NoTemps(t, dir)
	bundletest.SameTree(t, whole, dir)
}

// TestResumedCreate holds that finished packs are not made again.
func TestResumedCreate(t *testing.T) {
	if testing.Short() {
		t.Skip("creates many bundles")
	}
	t.Parallel()
	whole, dir := t.TempDir(), t.TempDir()
	if _, err := create.Bundle(t.Context(), whole, bundletest.Many().Spec(1), bundletest.ManyOptions); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	o := bundletest.ManyOptions
	o.Progress = func(p bundle.Progress) {
		if p.Phase == progress.PhasePack && p.Bytes > p.Total/2 {
			cancel()
		}
	}
	if _, err := create.Bundle(ctx, dir, bundletest.Many().Spec(1), o); !errors.Is(err, context.Canceled) {
		t.Fatalf("not interrupted: %v", err)
	}
	if _, err := bundle.Open(t.Context(), bundletest.Anyone, dir); !errors.Is(err, bundle.ErrRefused) {
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
	if _, err := create.Bundle(t.Context(), dir, bundletest.Many().Spec(1), bundletest.ManyOptions); err != nil {
		t.Fatal(err)
	}
	bundletest.SameTree(t, whole, dir)
	for i, p := range packs {
		if info, err := os.Stat(p); err != nil || info.ModTime().Equal(old) != (i > 0) {
			t.Errorf("pack %d: %v, %v", i, info, err)
		}
	}
}

// Readers of a store end with the context that they were opened with. One whose
// content goes over several packs must be read to its end.
func TestPackContentsOfContexts(t *testing.T) {
	text := bundletest.Noise(3, 300<<10)
	in := create.Input{Path: "big", Open: func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(ctxio.Reader(ctx, strings.NewReader(text))), nil
	}}
	spec := create.Spec{Name: "yq", Components: []create.Component{{Name: "extra/data", Files: []create.Input{in, bundletest.Input("small", "x")}}}}
	r, err := create.Bundle(t.Context(), t.TempDir(), spec, create.Options{PackSize: 64 << 10})
	if err != nil || len(r.Packs) < 3 {
		t.Fatalf("%v, %v", r, err)
	}
}
