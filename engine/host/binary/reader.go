package binary

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// The bounds on what a file may make us do.
const (
	maxRead     = 1 << 30 // bytes that are read of one file, counting what is read twice
	maxTable    = 256 << 20
	maxStrings  = 64 << 20 // bytes of a table of strings
	maxSections = 1 << 16
	maxDynamic  = 1 << 16
	maxNeeded   = 4096
	maxSymbols  = 8 << 20
	maxVersions = 1 << 14
	maxName     = 4096 // bytes of one name
	maxArches   = 32
	maxCommands = 4096
)

// A budget is a reader that gives a limited number of bytes in all.
type budget struct {
	r    io.ReaderAt
	left int64
}

var errBudget = errors.New("the file asks for more reading than a binary needs")

func (b *budget) ReadAt(p []byte, off int64) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errBudget
	}
	return b.r.ReadAt(p, off)
}

// A file is a binary that is being read.
type file struct {
	r     io.ReaderAt
	size  int64
	light bool // what is only told for information is not wanted
}

// bytes reads n bytes at off, at most maxTable. What is not in the file is an
// error before anything is allocated.
func (b *file) bytes(off, n uint64) ([]byte, error) {
	if n > maxTable {
		return nil, fmt.Errorf("a table of %d bytes is too large", n)
	}
	if off > uint64(b.size) || n > uint64(b.size)-off {
		return nil, fmt.Errorf("%d bytes at offset %d: the file ends before", n, off)
	}
	p := make([]byte, n)
	if _, err := b.r.ReadAt(p, int64(off)); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return p, nil
}

// upTo reads at most n bytes at off, less at the end of the file.
func (b *file) upTo(off, n uint64) ([]byte, error) {
	if off > uint64(b.size) {
		return nil, fmt.Errorf("offset %d: the file ends before", off)
	}
	return b.bytes(off, min(n, uint64(b.size)-off))
}

// stringAt is the zero-terminated string at i of a table; empty if there is
// none, or it has no end within maxName.
func stringAt(table []byte, i uint64) string {
	if i >= uint64(len(table)) {
		return ""
	}
	table = table[i:min(uint64(len(table)), i+maxName)]
	n := bytes.IndexByte(table, 0)
	if n < 0 {
		return ""
	}
	return string(table[:n])
}

// A patch replaces bytes at an offset.
type patch struct {
	off  int64
	data []byte
}

// A patched reader shows a file with some bytes replaced: what would make the
// standard library's readers copy without bound.
type patched struct {
	r       io.ReaderAt
	patches []patch
}

func (p *patched) ReadAt(b []byte, off int64) (int, error) {
	n, err := p.r.ReadAt(b, off)
	for _, q := range p.patches {
		from, to := max(q.off, off), min(q.off+int64(len(q.data)), off+int64(n))
		if from < to {
			copy(b[from-off:to-off], q.data[from-q.off:to-q.off])
		}
	}
	return n, err
}
