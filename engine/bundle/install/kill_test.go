package install_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

func TestKilledImport(t *testing.T) {
	if testing.Short() {
		t.Skip("imports many times")
	}
	t.Parallel()
	layout, x := t.TempDir(), bundletest.Many()
	bundletest.Make(t, layout, x.Spec(1), bundletest.ManyOptions)
	b := bundletest.Open(t, bundletest.Anyone, layout)
	within := bundletest.Takes(t, "import", layout, t.TempDir())
	dir := t.TempDir()
	for range bundletest.Kills() {
		done := bundletest.Killed(t, within, "import", layout, dir)
		list, err := install.List(filepath.Join(dir, "cache"))
		if err != nil || done && len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		if len(list) == 1 {
			h, err := bundletest.OpenHost(t, dir)
			if err != nil {
				t.Fatal(err)
			}
			h.Check(x)
			dir = t.TempDir()
		}
	}
	h, err := bundletest.OpenHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	h.Imports(b)
	h.Check(x)
	bundletest.NoTemps(t, h.Work)
	bundletest.NoTemps(t, filepath.Join(h.Cache, "carried"))
}

// TestResumedImport holds that what is there is not read again.
func TestResumedImport(t *testing.T) {
	if testing.Short() {
		t.Skip("imports many times")
	}
	t.Parallel()
	x := bundletest.Many()
	layout := t.TempDir()
	bundletest.Make(t, layout, x.Spec(1), bundletest.ManyOptions)
	b := bundletest.Open(t, bundletest.Anyone, layout)
	h := bundletest.NewHost(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := install.Bundle(ctx, b, install.Options{Cache: h.Cache, Sink: h.Sink, Progress: func(p bundle.Progress) {
		if p.Phase == progress.PhaseImport && p.Bytes > p.Total/2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("not interrupted: %v", err)
	}
	if list, _ := install.List(h.Cache); len(list) > 0 {
		t.Error("published before the end")
	}
	if entries, _ := filepath.Glob(filepath.Join(h.Cache, "ac", "*", "*")); len(entries) > 0 {
		t.Error("results were recorded before all was there")
	}
	done := h.Imports(b)
	if !done.Resumed || done.Kept < 50 {
		t.Errorf("%+v", done)
	}
	h.Check(x)
}

// TestTwoImports runs two imports of one bundle into one cache at once.
func TestTwoImports(t *testing.T) {
	if testing.Short() {
		t.Skip("imports many times")
	}
	t.Parallel()
	layout, x, dir := t.TempDir(), bundletest.Many(), t.TempDir()
	bundletest.Make(t, layout, x.Spec(1), bundletest.ManyOptions)
	one, two := bundletest.Child(t, "import", layout, dir), bundletest.Child(t, "import", layout, dir)
	if err := errors.Join(one.Start(), two.Start()); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Wait(), two.Wait()); err != nil {
		t.Fatal(err)
	}
	h, err := bundletest.OpenHost(t, dir)
	if err != nil {
		t.Fatal(err)
	}
	h.Check(x)
	log, err := os.Open(custody.File(h.Cache))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if events, err := custody.Read(log); err != nil || len(events) != 1 {
		t.Errorf("%d events, %v", len(events), err)
	}
}
