package tree

import (
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
)

// smallFile is what is read into memory as a whole to be hashed, in bytes: all
// but a few source files.
const smallFile = 64 << 10

// A hasher hashes files. Files that fit into memory are read into one of its
// buffers, so that what a run reads does not become as much garbage.
type hasher struct{ buffers sync.Pool }

// hash returns the digest of a file's content, following links.
func (h *hasher) hash(name string) (action.Digest, error) {
	buf, ok := h.buffers.Get().(*[smallFile + 1]byte) // one byte more than fits: it tells that there is no more
	if !ok {
		buf = new([smallFile + 1]byte)
	}
	defer h.buffers.Put(buf)
	if b, ok := readSmall(name, buf[:]); ok {
		return action.Of(b), nil
	}
	return action.OfFile(os.Open(name))
}

// readInto is hash that returns the content too, in buf if there is room. size
// is what the file is expected to have, in bytes.
func readInto(buf []byte, name string, size int64) (action.Digest, []byte, error) {
	if size <= smallFile {
		if int64(cap(buf)) <= size {
			buf = make([]byte, size+1)
		}
		if b, ok := readSmall(name, buf[:cap(buf)]); ok {
			return action.Of(b), b, nil
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return action.Digest{}, nil, err
	}
	return action.Of(b), b, nil
}
