package create_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/internal/bundletest"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

func TestPatchedDelta(t *testing.T) {
	t.Parallel()
	x := bundletest.PatchTree()
	full := bundletest.OfSpec(t, x.Spec(1))
	h := bundletest.NewHost(t)
	h.Imports(full)
	y, s := bundletest.PatchedSpec(t, h, x)
	delta := bundletest.OfSpec(t, s)
	if !slices.Equal(delta.Root().Features.Critical, []string{format.FeaturePatches}) || delta.Contents().Index.Patched() != 1 {
		t.Fatalf("%v, %d contents are patched", delta.Root().Features.Critical, delta.Contents().Index.Patched())
	}
	s.Old = nil
	whole := bundletest.OfSpec(t, s)
	if len(whole.Root().Features.Critical) > 0 {
		t.Errorf("without patches it wants %v", whole.Root().Features.Critical)
	}
	// Half of the program is noise.
	if n, of := delta.Root().Carried(), whole.Root().Carried(); n > of-140<<10 {
		t.Errorf("the delta has %d bytes, %d without patches", n, of)
	}
	if r := bundletest.Sound(t, delta); r.Patched != 1 || r.PatchedBytes < 300<<10 {
		t.Errorf("%+v", r)
	}
	bundletest.NewHost(t).Lacks(delta, full)
	for f := range delta.Files("actions") {
		if f.Digest.Size < 300<<10 {
			continue
		}
		if _, err := delta.OpenFile(t.Context(), f); !errors.Is(err, bundle.ErrBase) || delta.Carries(f) {
			t.Errorf("%s: %v", f.Path, err)
		}
	}
	h.Imports(delta)
	h.Check(y)
}

// An old content can be a base where the bundle has it too, and leaves it out.
func TestPatchOfWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	x := bundletest.PatchTree()
	x["artifacts"]["old*"] = bundletest.OldProgram(x)
	h := bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, x.Spec(1)))
	y, s := bundletest.PatchedSpec(t, h, x)
	delta := bundletest.OfSpec(t, s)
	if delta.Contents().Index.Patched() != 1 {
		t.Errorf("%d contents are patched", delta.Contents().Index.Patched())
	}
	h.Imports(delta)
	h.Check(y)
}

// A receiver that is not known to read patches gets none.
func TestNoPatchesForOlderReaders(t *testing.T) {
	t.Parallel()
	x, h := bundletest.PatchTree(), bundletest.NewHost(t)
	full := bundletest.OfSpec(t, x.Spec(1))
	h.Imports(full)
	_, s := bundletest.PatchedSpec(t, h, x)
	var text bytes.Buffer
	if _, err := h.Receipt().WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	old := strings.NewReplacer(`"features":["patches"],`, "", `"format":2`, `"format":1`).Replace(text.String())
	if old == text.String() {
		t.Fatal(old)
	}
	again, err := bundle.ReadReceipt(strings.NewReader(old))
	if err != nil {
		t.Fatal(err)
	}
	for name, base := range map[string]*create.Base{"receipt": create.BaseOfReceipt(again), "assumed": create.BaseOfBundle(full)} {
		s.Base = base
		if b := bundletest.OfSpec(t, s); b.Contents().Index.Patched() > 0 || base.ReadsPatches() {
			t.Errorf("%s: %d patches", name, b.Contents().Index.Patched())
		}
	}
}

// The same contents give the same patches, in volumes too; volumes that come
// one after the other are as good as all at once.
func TestPatchedVolumes(t *testing.T) {
	if testing.Short() {
		t.Skip("creates many bundles")
	}
	t.Parallel()
	x, h := bundletest.PatchTree(), bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, x.Spec(1)))
	y, s := bundletest.PatchedSpec(t, h, x)
	s.Components = append(s.Components, create.Component{Name: "extra/big", Files: []create.Input{bundletest.Input("noise", bundletest.Noise(5, 90<<10))}})
	y["extra/big"] = map[string]string{"noise": bundletest.Noise(5, 90<<10)}
	dirs := []string{t.TempDir(), t.TempDir()}
	for i, dir := range dirs {
		slices.Reverse(s.Old)
		if _, err := create.Bundle(t.Context(), dir, s, create.Options{PackSize: 8 << 10, Jobs: i + 1}); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, atomicfile.TempPrefix+"patches*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
	bundletest.SameTree(t, dirs[0], dirs[1])
	out := t.TempDir()
	files, err := create.Volumes(t.Context(), bundletest.Open(t, bundletest.Anyone, dirs[0]), out, create.VolumeOptions{Size: 128 << 10})
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v", files, err)
	}
	for i, file := range files {
		b := bundletest.Open(t, bundletest.Anyone, file)
		_, err := h.TryImport(b)
		if last := i == len(files)-1; (err == nil) != last && !errors.Is(err, bundle.ErrMissing) {
			t.Errorf("volume %d: %v", i+1, err)
		}
	}
	h.Imports(bundletest.Open(t, bundletest.Anyone, files...))
	h.Check(y)
}

// A base that was damaged since it was looked at is not used.
func TestPatchOfDamagedBase(t *testing.T) {
	t.Parallel()
	x, h := bundletest.PatchTree(), bundletest.NewHost(t)
	h.Imports(bundletest.OfSpec(t, x.Spec(1)))
	_, s := bundletest.PatchedSpec(t, h, x)
	delta := bundletest.OfSpec(t, s)
	name := filepath.Join(h.Cache, "cas")
	d := action.Of([]byte(bundletest.OldProgram(x)))
	file := filepath.Join(name, d.Hex()[:2], d.Hex())
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := errors.Join(os.Chmod(file, 0o644), os.WriteFile(file, b, 0o644)); err != nil {
		t.Fatal(err)
	}
	if _, err := h.TryImport(delta); !errors.Is(err, bundle.ErrBase) {
		t.Errorf("%v", err)
	}
}

// pieces are the parts of a patch that say what it does.
func pieceOf(offset, length, raw int, frame []byte) []byte {
	var b []byte
	for _, n := range []int{offset, length, raw, len(frame)} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	return append(b, frame...)
}

// goodPatch makes a patch of a base.
func goodPatch(t testing.TB, base, text []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := create.MakePatch(&b, base, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPatches(t *testing.T) {
	t.Parallel()
	base := []byte(bundletest.Program(1, 5<<20))
	moved := append(append(bytes.Clone(base[3<<20:]), "between"...), base[:1<<20]...)
	for name, text := range map[string][]byte{
		"same": base, "moved": moved, "other": []byte(bundletest.Noise(9, 200<<10)), "short": []byte("x"), "nothing": nil,
	} {
		p := goodPatch(t, base, text)
		got, err := io.ReadAll(format.NewPatchReader(bytes.NewReader(p), base, int64(len(text))))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if name == "moved" && len(p) > len(text)/20 {
			t.Errorf("%s: a patch of %d bytes for %d", name, len(p), len(text))
		}
	}
}

func TestHostilePatches(t *testing.T) {
	t.Parallel()
	base, text := []byte(bundletest.Program(1, 100<<10)), []byte(bundletest.Program(1, 100<<10)+"more")
	good := goodPatch(t, base, text)
	body := good[len(format.PatchMagic):]
	e, err := format.NewEncoder(format.BlockLevel)
	if err != nil {
		t.Fatal(err)
	}
	plain := e.EncodeAll(text[:1000], nil)
	bomb := e.EncodeAll(make([]byte, 4<<20), nil)
	with := func(b ...[]byte) []byte { return append([]byte(format.PatchMagic), bytes.Join(b, nil)...) }
	for name, p := range map[string][]byte{
		"empty":               nil,
		"other magic":         append([]byte("airbuild-patch-2\n"), body...),
		"no pieces":           with(),
		"cut off":             good[:len(good)-1],
		"bytes behind":        append(bytes.Clone(good), 0),
		"twice":               append(bytes.Clone(good), body...),
		"long number":         with([]byte{0x80, 0x00, 0, 1, 1, 0}),
		"endless number":      with(bytes.Repeat([]byte{0xff}, 12)),
		"window behind base":  with(pieceOf(len(base)-5, 6, 1000, plain)),
		"offset behind base":  with(pieceOf(len(base)+1, 0, 1000, plain)),
		"offset and no bytes": with(pieceOf(5, 0, 1000, plain)),
		"huge window":         with(pieceOf(0, format.MaxPatchWindow+1, 1000, plain)),
		"empty piece":         with(pieceOf(0, 0, 0, plain)),
		"no frame":            with(pieceOf(0, 0, 1000, nil)),
		"other size":          with(pieceOf(0, 0, 1001, plain)),
		"too much":            with(pieceOf(0, 0, len(text)+1, plain)),
		"bomb":                with(pieceOf(0, 0, 1000, bomb)),
		"no dictionary":       with(pieceOf(0, 100, 1000, plain)),
		"no zstd":             with(pieceOf(0, 0, 1000, []byte("no zstd at all"))),
		"skippable":           with(pieceOf(0, 0, 1, []byte("\x50\x2a\x4d\x18\x01\x00\x00\x00x"))),
	} {
		got, err := io.ReadAll(format.NewPatchReader(bytes.NewReader(p), base, int64(len(text))))
		if !errors.Is(err, bundle.ErrRefused) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	// What a sound patch makes of another base is not what the digest says.
	other := bytes.Clone(base)
	other[500] ^= 1
	r := contents.VerifyReader(format.NewPatchReader(bytes.NewReader(good), other, int64(len(text))), action.Of(text))
	if _, err := io.ReadAll(r); !errors.Is(err, bundle.ErrRefused) {
		t.Errorf("another base: %v", err)
	}
}

func FuzzPatch(f *testing.F) {
	base := []byte(bundletest.Program(1, 40<<10))
	for _, text := range []string{bundletest.Program(1, 40<<10) + "more", "x", bundletest.Noise(3, 1000)} {
		f.Add(goodPatch(f, base, []byte(text)), int64(len(text)))
	}
	f.Fuzz(func(t *testing.T, p []byte, size int64) {
		size &= 1<<24 - 1
		got, err := io.ReadAll(format.NewPatchReader(bytes.NewReader(p), base, size))
		if err != nil && !errors.Is(err, bundle.ErrRefused) {
			t.Fatal(err)
		}
		if err == nil && int64(len(got)) != size || int64(len(got)) > size {
			t.Fatalf("%d bytes instead of %d", len(got), size)
		}
	})
}

// Of many old contents those of the nearest sizes are looked at, of which there
// may be no more than what can be read quickly.
func TestNearest(t *testing.T) {
	t.Parallel()
	old := []create.Input{}
	for i, size := range []int64{90 << 20, 100 << 20, 101 << 20, 250 << 10, 100 << 10, 33 << 10} {
		for n := range 12 {
			old = append(old, create.Input{Digest: action.Digest{Size: size, Hash: [32]byte{byte(i), byte(n)}}})
		}
	}
	var small, total int64
	for _, in := range create.Nearest(old, []int64{100 << 20, 110 << 10}) {
		total += in.Digest.Size
		switch in.Digest.Size {
		case 100 << 10:
			small++
		case 250 << 10, 90 << 20:
			t.Errorf("%d bytes are looked at", in.Digest.Size)
		}
	}
	if small != 12 || total > create.MaxSketched || total < 1000<<20 {
		t.Errorf("%d small ones, %d bytes", small, total)
	}
	if got := create.Nearest(old, nil); len(got) > 0 {
		t.Errorf("nothing is to be patched, and %d are looked at", len(got))
	}
}
