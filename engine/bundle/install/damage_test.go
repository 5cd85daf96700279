package install_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// TestDamagedMedium flips bits all over the packs: an import names the file, the
// offset and the blob, keeps what is good, publishes nothing, and goes on when
// the medium was repaired.
func TestDamagedMedium(t *testing.T) {
	if testing.Short() {
		t.Skip("imports many times")
	}
	t.Parallel()
	x, layout := bundletest.Sample(), t.TempDir()
	r := bundletest.Make(t, layout, x.Spec(1), create.Options{PackSize: 1500000})
	for n, p := range r.Packs {
		d, err := p.Parse()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(layout, filepath.FromSlash(format.BlobPath(d)))
		good, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, off := range []int{len(format.PackHeader), len(good) / 2, len(good) - 1} {
			bad := slices.Clone(good)
			bad[off] ^= 0x10
			if err := os.WriteFile(file, bad, 0o666); err != nil {
				t.Fatal(err)
			}
			h := bundletest.NewHost(t)
			_, err := h.TryImport(bundletest.Open(t, bundletest.Anyone, layout))
			var damage *bundle.Damage
			if !errors.As(err, &damage) || damage.File != file || damage.Blob != d || damage.Offset < 0 || damage.Offset > int64(off) {
				t.Errorf("pack %d, offset %d: %v", n, off, err)
			}
			if list, _ := install.List(h.Cache); len(list) > 0 {
				t.Error("published")
			}
			if err := os.WriteFile(file, good, 0o666); err != nil {
				t.Fatal(err)
			}
			if done := h.Imports(bundletest.Open(t, bundletest.Anyone, layout)); !done.Resumed || done.Kept == 0 {
				t.Errorf("pack %d, offset %d: %+v", n, off, done)
			}
			h.Check(x)
		}
	}
}

// TestDamagedFile flips a bit in a content that is a blob of its own.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	r := bundletest.Make(t, layout, bundletest.Sample().Spec(1), create.Options{})
	d, err := r.Files[0].Parse()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(layout, filepath.FromSlash(format.BlobPath(d)))
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(file, b, 0o666); err != nil {
		t.Fatal(err)
	}
	h := bundletest.NewHost(t)
	_, err = h.TryImport(bundletest.Open(t, bundletest.Anyone, layout))
	if !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
	if got := bundletest.ReadTree(t, filepath.Join(h.Cache, "carried", "airbuild")); len(got) > 0 {
		t.Error("a damaged program was installed")
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	x, layout := bundletest.Sample(), t.TempDir()
	bundletest.Make(t, layout, x.Spec(1), create.Options{PackSize: 700000, Jobs: 1})
	b := bundletest.Open(t, bundletest.Anyone, layout)
	for _, jobs := range []int{1, 7} {
		if r, err := b.Verify(t.Context(), bundle.VerifyOptions{Deep: true, Jobs: jobs}); err != nil || !r.OK() {
			t.Errorf("%d jobs: %+v, %v", jobs, r, err)
		}
		h := bundletest.NewHost(t)
		if _, err := install.Bundle(t.Context(), b, install.Options{Cache: h.Cache, Sink: h.Sink, Jobs: jobs}); err != nil {
			t.Errorf("%d jobs: %v", jobs, err)
		}
		h.Check(x)
	}
}
