package create

import (
	"cmp"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// How patches are made. None of it is part of the format, but all of it is of
// the bytes of a delta.
const (
	leastPatched = 32 << 10 // smaller contents are carried whole
	patchPiece   = 1 << 20
	patchWindow  = 2 << 20
	patchEdge    = 128 << 10 // of a window, on both sides, beyond what was found
	sketchSize   = 128
	maxSketched  = 1 << 30 // bytes of old contents that are looked at
	// leastSimilar is how much of the sketches two contents must have in common, in
	// percent, to be tried.
	leastSimilar = 10
	// patchWorth is the most that a patch may have of what the content itself
	// would take, in percent.
	patchWorth = 75
)

// The bytes around a position hash to a number that does not depend on where the
// position is; those with enough zero bits in front are anchors. One in 256
// bytes is one, wherever bytes were put in or taken out before it.
const (
	anchorShift = 56
	anchorReach = 64 // bytes that a hash is made of
)

// gearTable are numbers without a pattern, one a byte (xorshift64).
func gearTable() *[256]uint64 {
	var t [256]uint64
	x := uint64(88172645463325252)
	for i := range t {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		t[i] = x
	}
	return &t
}

// anchors calls found for each anchor of b.
func (g *gear) anchors(b []byte, found func(at int, hash uint64)) {
	h := g.hash
	for i, c := range b {
		h = h<<1 + g.table[c]
		if h>>anchorShift == 0 && g.seen+i >= anchorReach {
			found(g.seen+i, h)
		}
	}
	g.hash, g.seen = h, g.seen+len(b)
}

// A gear hashes what it is given, in pieces.
type gear struct {
	table *[256]uint64
	hash  uint64
	seen  int
}

// sketchOf are the smallest of the anchors' hashes, each once, sorted: contents
// that have much in common have many of them in common.
func sketchOf(table *[256]uint64, r io.Reader) ([]uint64, error) {
	g := &gear{table: table}
	seen := map[uint64]bool{}
	buf := make([]byte, 256<<10)
	var list []uint64
	for {
		n, err := r.Read(buf)
		g.anchors(buf[:n], func(_ int, h uint64) {
			// The upper bits of an anchor are zero.
			if h *= 0x9e3779b97f4a7c15; !seen[h] {
				seen[h] = true
				list = append(list, h)
			}
		})
		if len(list) > 64*sketchSize {
			list = smallest(list)
		}
		if err == io.EOF {
			return smallest(list), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func smallest(list []uint64) []uint64 {
	slices.Sort(list)
	return slices.Clone(list[:min(len(list), sketchSize)])
}

// A baseMap is a base with the places of its anchors.
type baseMap struct {
	table *[256]uint64
	bytes []byte
	at    map[uint64]int // -1: at several
}

func newBaseMap(table *[256]uint64, base []byte) *baseMap {
	m := &baseMap{table, base, make(map[uint64]int, len(base)>>8)}
	(&gear{table: table}).anchors(base, func(at int, h uint64) {
		if _, ok := m.at[h]; ok {
			at = -1
		}
		m.at[h] = at
	})
	return m
}

// window is where the part of the base begins and ends that has most in common
// with b; both are 0 if there is none.
func (m *baseMap) window(b []byte) (from, to int) {
	var found []int
	(&gear{table: m.table}).anchors(b, func(_ int, h uint64) {
		if at, ok := m.at[h]; ok && at >= 0 {
			found = append(found, at)
		}
	})
	slices.Sort(found)
	best, middle, first := 0, 0, 0
	for i := range found {
		for found[i]-found[first] > patchWindow-patchEdge {
			first++
		}
		if i-first+1 > best {
			best, middle = i-first+1, (found[i]+found[first])/2
		}
	}
	if best == 0 {
		return 0, 0
	}
	from = max(0, min(middle-patchWindow/2, len(m.bytes)-patchWindow))
	return from, min(from+patchWindow, len(m.bytes))
}

// write writes the patch that makes of the base what r gives.
func (m *baseMap) write(w io.Writer, r io.Reader, size int64) error {
	if _, err := io.WriteString(w, format.PatchMagic); err != nil {
		return err
	}
	buf := make([]byte, patchPiece)
	for left := size; left > 0; {
		raw := buf[:min(left, patchPiece)]
		if _, err := io.ReadFull(r, raw); err != nil {
			return err
		}
		from, to := m.window(raw)
		piece, err := format.AppendPatchPiece(nil, m.bytes, from, to, raw)
		if err != nil {
			return err
		}
		if _, err := w.Write(piece); err != nil {
			return err
		}
		left -= int64(len(raw))
	}
	// The end is where r says whether it was what it should be.
	if _, err := io.ReadFull(r, buf[:1]); err != io.EOF {
		return cmp.Or(err, format.ErrSize)
	}
	return nil
}
