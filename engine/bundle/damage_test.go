package bundle

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// TestDamagedMedium flips bits all over the packs: an import names the file, the
// offset and the blob, keeps what is good, publishes nothing, and goes on when
// the medium was mended.
func TestDamagedMedium(t *testing.T) {
	t.Parallel()
	x, layout := sample(), t.TempDir()
	r := makeBundle(t, layout, x.spec(1), CreateOptions{PackSize: 1500000})
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
			h := newHost(t)
			_, err := h.tryImport(openBundle(t, anyone, layout))
			var damage *format.Damage
			if !errors.As(err, &damage) || damage.File != file || damage.Blob != d || damage.Offset < 0 || damage.Offset > int64(off) {
				t.Errorf("pack %d, offset %d: %v", n, off, err)
			}
			if list, _ := ListCarried(h.cache); len(list) > 0 {
				t.Error("published")
			}
			if err := os.WriteFile(file, good, 0o666); err != nil {
				t.Fatal(err)
			}
			if done := h.imports(openBundle(t, anyone, layout)); !done.Resumed || done.Kept == 0 {
				t.Errorf("pack %d, offset %d: %+v", n, off, done)
			}
			h.check(x)
		}
	}
}

// TestDamagedFile flips a bit in a content that is a blob of its own.
func TestDamagedFile(t *testing.T) {
	t.Parallel()
	layout := t.TempDir()
	r := makeBundle(t, layout, sample().spec(1), CreateOptions{})
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
	h := newHost(t)
	_, err = h.tryImport(openBundle(t, anyone, layout))
	if !errors.Is(err, format.ErrRefused) || !strings.Contains(err.Error(), file) {
		t.Errorf("%v", err)
	}
	if got := readTree(t, filepath.Join(h.cache, "carried", "airbuild")); len(got) > 0 {
		t.Error("a damaged program was installed")
	}
}

func TestJobs(t *testing.T) {
	t.Parallel()
	x, layout := sample(), t.TempDir()
	makeBundle(t, layout, x.spec(1), CreateOptions{PackSize: 700000, Jobs: 1})
	b := openBundle(t, anyone, layout)
	for _, jobs := range []int{1, 7} {
		if r, err := b.Verify(t.Context(), VerifyOptions{Deep: true, Jobs: jobs}); err != nil || !r.OK() {
			t.Errorf("%d jobs: %+v, %v", jobs, r, err)
		}
		h := newHost(t)
		if _, err := Import(t.Context(), b, ImportOptions{Cache: h.cache, Sink: h.sink, Jobs: jobs}); err != nil {
			t.Errorf("%d jobs: %v", jobs, err)
		}
		h.check(x)
	}
}
