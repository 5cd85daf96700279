package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// maxSums bounds how many files' sums are remembered.
const maxSums = 1 << 18

// errHashing says that a file is still being hashed; ask again.
var errHashing = errors.New("its checksum is still being computed")

// sums remembers the SHA-256 of files by path, size, time and inode. A file is
// hashed once, in the background, whoever asks: the sum of a volume of 4 GiB
// takes longer than a client waits.
type sums struct {
	ctx   context.Context // of the handler: ends all hashing
	slots chan struct{}   // how many files are read at once

	mu    sync.Mutex // guards known and busy
	known map[string]sum
	busy  map[string]*hashing
	wg    sync.WaitGroup
}

type sum struct {
	info fs.FileInfo
	hex  string
}

// A hashing is under way until done is closed; hex and err are set before.
type hashing struct {
	done chan struct{}
	hex  string
	err  error
}

func newSums(ctx context.Context) *sums {
	return &sums{ctx: ctx, slots: make(chan struct{}, 2), known: map[string]sum{}, busy: map[string]*hashing{}}
}

// start begins to hash a file if its sum is not known, and returns what waits
// for it. The path is absolute in meaning: tree and name.
func (s *sums) start(t tree, name string, info fs.FileInfo) *hashing {
	path := t.dir + "\x00" + name
	s.mu.Lock()
	defer s.mu.Unlock()
	if k, ok := s.known[path]; ok && same(k.info, info) {
		h := &hashing{done: make(chan struct{}), hex: k.hex}
		close(h.done)
		return h
	}
	if h, ok := s.busy[path]; ok {
		return h
	}
	h := &hashing{done: make(chan struct{})}
	s.busy[path] = h
	s.wg.Go(func() { s.run(h, t, name, path) })
	return h
}

func (s *sums) run(h *hashing, t tree, name, path string) {
	defer close(h.done)
	var info fs.FileInfo
	select {
	case s.slots <- struct{}{}:
		h.hex, info, h.err = hashFile(s.ctx, t, name)
		<-s.slots
	case <-s.ctx.Done():
		h.err = s.ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.busy, path)
	if h.err != nil {
		return
	}
	if len(s.known) >= maxSums {
		clear(s.known)
	}
	s.known[path] = sum{info, h.hex}
}

// wait returns the sum in hexadecimal, or errHashing when ctx ends before.
func (h *hashing) wait(ctx context.Context) (string, error) {
	select {
	case <-h.done:
		return h.hex, h.err
	default:
	}
	select {
	case <-h.done:
		return h.hex, h.err
	case <-ctx.Done():
		return "", errHashing
	}
}

func same(a, b fs.FileInfo) bool {
	return a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && os.SameFile(a, b)
}

// hashFile hashes a file that does not change meanwhile.
func hashFile(ctx context.Context, t tree, name string) (string, fs.FileInfo, error) {
	f, before, err := t.open(name)
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	d, err := action.OfReader(ctxio.Reader(ctx, f))
	if err != nil {
		return "", nil, fmt.Errorf("hash %s: %w", name, err)
	}
	after, err := f.Stat()
	if err == nil && !same(before, after) {
		err = fmt.Errorf("hash %s: it changed while it was read", name)
	}
	return d.Hex(), after, err
}
