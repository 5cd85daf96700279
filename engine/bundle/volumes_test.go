package bundle_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/sign"
)

// inVolumes makes a bundle of x and writes it as volumes, at least three.
func inVolumes(t testing.TB, x bundletest.Tree, k *sign.SecretKey) (dir string, names []string) {
	t.Helper()
	layout := t.TempDir()
	bundletest.Make(t, layout, x.Spec(1), create.Options{PackSize: 500000}, k)
	b := bundletest.Open(t, bundletest.Anyone, layout)
	dir = t.TempDir()
	names, err := create.Volumes(t.Context(), b, dir, create.VolumeOptions{Size: 600000})
	if err != nil || len(names) < 3 {
		t.Fatalf("%d volumes, %v", len(names), err)
	}
	for _, n := range names {
		if info, err := os.Stat(n); err != nil || info.Size() > 600000 {
			t.Errorf("%s: %v, %v", n, info.Size(), err)
		}
	}
	return dir, names
}

func TestVolumes(t *testing.T) {
	t.Parallel()
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	dir, names := inVolumes(t, x, k)
	trust := bundle.Trust{Keys: []sign.PublicKey{k.Public()}}
	reversed := slices.Clone(names)
	slices.Reverse(reversed)
	for _, paths := range [][]string{{dir}, names, reversed} {
		b := bundletest.Open(t, trust, paths...)
		bundletest.Sound(t, b)
		h := bundletest.NewHost(t)
		h.Imports(b)
		h.Check(x)
	}
	b := bundletest.Open(t, trust, dir)
	before := bundletest.ReadTree(t, dir)
	again, err := create.Volumes(t.Context(), b, dir, create.VolumeOptions{Size: 600000})
	if err != nil || !slices.Equal(again, names) || !slices.Equal(bundletest.SortedKeys(before), bundletest.SortedKeys(bundletest.ReadTree(t, dir))) {
		t.Errorf("written again: %v, %v", again, err)
	}
	other := t.TempDir()
	if _, err := create.Volumes(t.Context(), b, other, create.VolumeOptions{Size: 600000}); err != nil {
		t.Fatal(err)
	}
	bundletest.SameTree(t, dir, other)
	if _, err := create.Volumes(t.Context(), b, dir, create.VolumeOptions{Size: 1 << 30}); err == nil || !strings.Contains(err.Error(), "another set") {
		t.Errorf("other volumes in the same directory: %v", err)
	}
	if _, err := create.Volumes(t.Context(), b, t.TempDir(), create.VolumeOptions{Size: 100000}); err == nil || !strings.Contains(err.Error(), "too small") {
		t.Errorf("small volumes: %v", err)
	}
}

// TestVolumesUnpacked holds that tar makes the layout of volumes.
func TestVolumesUnpacked(t *testing.T) {
	t.Parallel()
	tar, err := exec.LookPath("tar")
	if err != nil {
		t.Skip("there is no tar here")
	}
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	_, names := inVolumes(t, x, k)
	dir := t.TempDir()
	for _, n := range names {
		if out, err := exec.Command(tar, "-xf", n, "-C", dir).CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s: %v\n%s", n, err, out)
		}
	}
	b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, dir)
	if r, err := b.Verify(t.Context(), bundle.VerifyOptions{}); err != nil || !r.OK() {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestVolumeMissing(t *testing.T) {
	t.Parallel()
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	_, names := inVolumes(t, x, k)
	rest := slices.Delete(slices.Clone(names), 1, 2)
	b := bundletest.Open(t, bundletest.Anyone, rest...)
	r, err := b.Verify(t.Context(), bundle.VerifyOptions{})
	if err != nil || r.OK() {
		t.Fatalf("%+v, %v", r, err)
	}
	if d := r.Damage[0]; d.File != names[1] || !d.Lost || !strings.Contains(d.Error(), "volume 2 of ") {
		t.Errorf("%v", d)
	}
	h := bundletest.NewHost(t)
	_, err = h.TryImport(b)
	if !errors.Is(err, bundle.ErrMissing) || !errors.Is(err, bundle.ErrRefused) || !strings.Contains(err.Error(), names[1]) {
		t.Errorf("import: %v", err)
	}
	if list, _ := install.List(h.Cache); len(list) != 0 {
		t.Error("something was published")
	}
	// The rest was kept; with the volume only what it lacks is read.
	done := h.Imports(bundletest.Open(t, bundletest.Anyone, names...))
	if !done.Resumed || done.Kept == 0 {
		t.Errorf("%+v", done)
	}
	h.Check(x)
}

func TestVolumeAlone(t *testing.T) {
	t.Parallel()
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	_, names := inVolumes(t, x, k)
	for i, n := range names {
		b := bundletest.Open(t, bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, n)
		r, err := b.Verify(t.Context(), bundle.VerifyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range r.Damage {
			if !d.Lost {
				t.Errorf("volume %d: %v", i+1, d)
			}
		}
	}
}

// TestVolumeDamage flips bits all over a volume.
func TestVolumeDamage(t *testing.T) {
	if testing.Short() {
		t.Skip("damages many volumes")
	}
	t.Parallel()
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	_, names := inVolumes(t, x, k)
	name := names[1]
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for off := 0; off < len(good); off += 1 + len(good)/211 {
		bad := slices.Clone(good)
		bad[off] ^= 4
		if err := os.WriteFile(name, bad, 0o666); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(t.Context(), bundle.Trust{Keys: []sign.PublicKey{k.Public()}}, names...)
		if err != nil {
			t.Errorf("offset %d: %v", off, err)
			continue
		}
		r, err := b.Verify(t.Context(), bundle.VerifyOptions{})
		if err != nil || r.OK() {
			t.Errorf("offset %d was not noticed: %v", off, err)
		}
		named := false
		for _, d := range r.Damage {
			named = named || d.File == name && (d.Offset < 0 || d.Offset <= int64(off))
		}
		if !named {
			t.Errorf("offset %d: %v", off, r.Damage)
		}
		b.Close()
	}
	for _, n := range []int{0, 1, 511, 512, 5000, len(good) / 2, len(good) - 1} {
		if err := os.WriteFile(name, good[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		b, err := bundle.Open(t.Context(), bundletest.Anyone, names...)
		if err != nil {
			t.Errorf("cut at %d: %v", n, err)
			continue
		}
		if r, err := b.Verify(t.Context(), bundle.VerifyOptions{}); err != nil || r.OK() {
			t.Errorf("cut at %d was not noticed: %v", n, err)
		}
		b.Close()
	}
}

func TestVolumesOfTwoSets(t *testing.T) {
	t.Parallel()
	k, x := bundletest.Key(t, 1), bundletest.Sample()
	_, first := inVolumes(t, x, k)
	x["source"]["main.go"] = "another"
	_, second := inVolumes(t, x, k)
	b := bundletest.Open(t, bundletest.Anyone, first[0], second[1], first[2])
	r, err := b.Verify(t.Context(), bundle.VerifyOptions{})
	if err != nil || r.OK() || !strings.Contains(r.Damage[0].Error(), "belongs to another bundle") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := bundletest.NewHost(t).TryImport(b); !errors.Is(err, bundle.ErrRefused) {
		t.Errorf("import: %v", err)
	}
	if _, err := bundle.Open(t.Context(), bundletest.Anyone, filepath.Dir(filepath.Dir(first[0]))); !errors.Is(err, bundle.ErrRefused) {
		t.Errorf("a directory without a bundle: %v", err)
	}
}
