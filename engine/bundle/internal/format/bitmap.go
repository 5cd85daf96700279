package format

import "math/bits"

// A Bitmap is a set of small numbers.
type Bitmap []uint64

// NewBitmap returns a set of numbers below n.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+63)/64) }

func (b Bitmap) Set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b Bitmap) Has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b Bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}
