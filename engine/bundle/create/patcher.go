package create

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// A patcher finds, for contents that a delta carries, contents of the receiver
// that they are like, and makes patches of them.
type patcher struct {
	table *[256]uint64
	old   []oldContent
	by    map[uint64][]int // old contents, by what is in their sketches
	loaded
	file *os.File // the patches, one behind the other
	size int64
}

type oldContent struct {
	input  Input
	sketch []uint64
}

// loaded is the base that was used last.
type loaded struct {
	number int // -1: none
	base   *baseMap
}

// newPatcher looks at old contents that may be like ones of the given sizes,
// which are those that are in the bundle and could be patched. Contents that the
// bundle has itself are not bases. dir gets a file with the patches, which close
// removes.
func newPatcher(ctx context.Context, spec Spec, sizes []int64, included map[[32]byte]bool, dir string) (*patcher, error) {
	p := &patcher{table: gearTable(), by: map[uint64][]int{}, loaded: loaded{number: -1}}
	for _, in := range nearest(candidates(spec, included), sizes) {
		s, err := p.sketch(ctx, in)
		if err != nil {
			continue // it is not here any more, or damaged: there is no need for it
		}
		for _, h := range s {
			p.by[h] = append(p.by[h], len(p.old))
		}
		p.old = append(p.old, oldContent{in, s})
	}
	if len(p.old) == 0 {
		return p, ctx.Err()
	}
	// Those of a process that was killed. Where another one still uses its own,
	// that one has it open.
	left, err := filepath.Glob(filepath.Join(dir, atomicfile.TempPrefix+"patches-*"))
	for _, name := range left {
		_ = os.Remove(name)
	}
	if err == nil {
		err = os.MkdirAll(dir, 0o777)
	}
	if err == nil {
		p.file, err = os.CreateTemp(dir, atomicfile.TempPrefix+"patches-*")
	}
	return p, err
}

// candidates are the old contents that can be bases, each once.
func candidates(spec Spec, included map[[32]byte]bool) []Input {
	old := slices.Clone(spec.Old)
	slices.SortFunc(old, func(a, b Input) int { return bytes.Compare(a.Digest.Hash[:], b.Digest.Hash[:]) })
	old = slices.CompactFunc(old, func(a, b Input) bool { return a.Digest == b.Digest })
	return slices.DeleteFunc(old, func(in Input) bool {
		return included[in.Digest.Hash] || in.Digest.Size < leastPatched || in.Digest.Size > format.MaxPatchBase || !spec.Base.Has(in.Digest)
	})
}

// nearest are the old contents whose sizes are nearest to one of the given
// sizes, half or double at most, and at most maxSketched bytes of them: a host that had many releases has many
// old versions of each content, and the last ones differ least.
func nearest(old []Input, sizes []int64) []Input {
	slices.Sort(sizes)
	far := make(map[[32]byte]float64, len(old))
	old = slices.DeleteFunc(old, func(in Input) bool {
		i, _ := slices.BinarySearch(sizes, in.Digest.Size)
		best := math.Inf(1)
		for _, size := range sizes[max(0, i-1):min(len(sizes), i+1)] {
			best = min(best, float64(max(size, in.Digest.Size))/float64(min(size, in.Digest.Size)))
		}
		far[in.Digest.Hash] = best
		return best > 2
	})
	slices.SortStableFunc(old, func(a, b Input) int { return cmp.Compare(far[a.Digest.Hash], far[b.Digest.Hash]) })
	var total int64
	return slices.DeleteFunc(old, func(in Input) bool {
		if total+in.Digest.Size > maxSketched {
			return true
		}
		total += in.Digest.Size
		return false
	})
}

func (p *patcher) close() error {
	if p.file == nil {
		return nil
	}
	err := p.file.Close()
	if rerr := os.Remove(p.file.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

func (p *patcher) sketch(ctx context.Context, in Input) ([]uint64, error) {
	r, err := in.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return sketchOf(p.table, contents.VerifyReader(ctxio.Reader(ctx, r), in.Digest))
}

// A patched is a content as a patch.
type patched struct {
	base  Input
	patch Input
}

// patch makes a patch for a content, or returns nil where none is worth while.
func (p *patcher) patch(ctx context.Context, in Input, d action.Digest) (*patched, error) {
	if len(p.old) == 0 {
		return nil, nil
	}
	in.Digest = d
	s, err := p.sketch(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.Path, err)
	}
	number := p.mostSimilar(s)
	if number < 0 {
		return nil, nil
	}
	if err := p.load(ctx, number); err != nil {
		return nil, nil // it is not here any more
	}
	return p.try(ctx, in)
}

// mostSimilar returns the old content that has most in common with a sketch, or -1.
func (p *patcher) mostSimilar(s []uint64) int {
	votes := map[int]int{}
	for _, h := range s {
		for _, n := range p.by[h] {
			votes[n]++
		}
	}
	best := -1
	for n, v := range votes {
		if v*100 < leastSimilar*len(s) {
			continue
		}
		if best < 0 || v > votes[best] || v == votes[best] && n < best {
			best = n
		}
	}
	return best
}

func (p *patcher) load(ctx context.Context, number int) error {
	if number == p.number {
		return nil
	}
	p.number, p.loaded.base = -1, nil
	b, err := contents.ReadVerified(ctx, p.old[number].input.Open, p.old[number].input.Digest)
	if err != nil {
		return err
	}
	p.loaded = loaded{number, newBaseMap(p.table, b)}
	return nil
}

// try writes the patch of a content behind the others, and takes it away again
// if the content itself would take little more.
func (p *patcher) try(ctx context.Context, in Input) (*patched, error) {
	r, err := in.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", in.Path, err)
	}
	defer r.Close()
	e, err := format.NewEncoder(format.BlockLevel)
	if err != nil {
		return nil, err
	}
	whole := &counting{e: e}
	w := &hashing{w: io.NewOffsetWriter(p.file, p.size), hash: sha256.New()}
	src := io.TeeReader(contents.VerifyReader(ctxio.Reader(ctx, r), in.Digest), whole)
	if err := p.loaded.base.write(w, src, in.Digest.Size); err != nil {
		return nil, fmt.Errorf("make a patch of %s: %w", in.Path, err)
	}
	if w.n*100 > whole.end()*patchWorth {
		return nil, nil
	}
	d := action.Digest{Size: w.n, Hash: [32]byte(w.hash.Sum(nil))}
	from := p.size
	p.size += w.n
	return &patched{p.old[p.number].input, Input{Path: in.Path, Digest: d, Open: func(context.Context) (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(p.file, from, d.Size)), nil
	}}}, nil
}

// A hashing writer hashes and counts.
type hashing struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (h *hashing) Write(b []byte) (int, error) {
	n, err := h.w.Write(b)
	h.hash.Write(b[:n])
	h.n += int64(n)
	return n, err
}

// A counting writer counts what blocks of what it is given would take.
type counting struct {
	e    *zstd.Encoder
	raw  []byte
	into []byte
	n    int64
}

func (c *counting) Write(b []byte) (int, error) {
	c.raw = append(c.raw, b...)
	for len(c.raw) >= format.BlockSize {
		c.count(c.raw[:format.BlockSize])
		c.raw = append(c.raw[:0], c.raw[format.BlockSize:]...)
	}
	return len(b), nil
}

func (c *counting) count(b []byte) {
	stored, _ := format.EncodeBlock(c.e, b, c.into)
	c.n += int64(len(stored))
	if cap(stored) > cap(c.into) && len(stored) < len(b) {
		c.into = stored
	}
}

func (c *counting) end() int64 {
	if len(c.raw) > 0 {
		c.count(c.raw)
		c.raw = nil
	}
	return c.n
}
