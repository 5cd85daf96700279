package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
)

// An extractor reads the blocks of a bundle in order, several being
// decompressed at once, and hands out the contents that are wanted. A block
// that is damaged costs the contents that it holds a part of; the others go on.
type extractor struct {
	b    *Bundle
	jobs int
	want bitmap // contents, of kind packed
	// put takes one content; it must read r to its end. Several run at once.
	// An error that wraps ErrRefused counts as damage of that content alone.
	put func(ctx context.Context, content int, r io.Reader) error
	// packDone is called when all wanted contents that end in a pack, or in
	// one before it, were put, and nothing was wrong so far.
	packDone func(ctx context.Context, pack int) error
	meter    *meter

	mu     sync.Mutex // guards what follows
	bad    []*Damage
	errs   []error // refusals of put, at most maxErrors
	failed error   // any other error of put
}

// maxErrors bounds how many mistakes are reported one by one.
const maxErrors = 100

// errLost ends the content of which a block is damaged.
var errLost = errors.New("a block of it is damaged")

// A piece is a block on its way.
type piece struct {
	number int
	stored []byte
	raw    []byte
	bad    *Damage
	done   chan struct{}
}

// A flow is a content that does not end in the block in which it begins.
type flow struct {
	content int
	left    int64
	w       *io.PipeWriter
}

// run extracts. The error is for what kept it from going on.
func (e *extractor) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := newDecoder(maxBlock, e.jobs)
	if err != nil {
		return err
	}
	defer d.Close()
	s := &storing{e: e, ctx: ctx, cancel: cancel, slots: make(chan struct{}, 2*e.jobs)}
	err = s.empties()
	for pack := 0; pack < len(e.b.index.packs) && err == nil; pack++ {
		err = e.pack(ctx, pack, d, s)
	}
	s.lose() // a content can only be unfinished after an error
	s.running.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed != nil {
		return e.failed
	}
	return err
}

// needed are the blocks of a pack that hold a part of what is wanted.
func (e *extractor) needed(pack int) []int {
	x := e.b.index
	first, end := x.blocksOf(pack)
	var list []int
	n := x.contentAt(x.blocks[first].start)
	for i := first; i < end; i++ {
		stop := x.blocks[i].start + int64(x.blocks[i].raw)
		wanted := false
		for ; n < len(x.contents) && x.contents[n].kind == contentPacked && x.contents[n].start < stop; n++ {
			wanted = wanted || e.want.has(n) && x.contents[n].digest.Size > 0
			if x.contents[n].start+x.contents[n].digest.Size > stop {
				break // it goes on in the next block
			}
		}
		if wanted {
			list = append(list, i)
		}
	}
	return list
}

// pack extracts what one pack holds.
func (e *extractor) pack(ctx context.Context, pack int, d *zstd.Decoder, s *storing) error {
	list := e.needed(pack)
	if len(list) == 0 {
		return nil
	}
	id, err := e.b.pack(pack)
	if err != nil {
		return err
	}
	blob, err := e.b.media.Blob(ctx, id)
	if bad, err := asDamage(err); err != nil {
		return err
	} else if bad != nil {
		e.damaged(bad)
		s.lose()
		return nil
	}
	defer blob.Close()
	if err := e.blocks(ctx, list, id, blob, d, s); err != nil {
		return err
	}
	if s.cur != nil {
		return ctx.Err() // it goes on in the next pack
	}
	s.running.Wait()
	if e.packDone != nil && e.sound() && ctx.Err() == nil {
		return e.packDone(ctx, pack)
	}
	return ctx.Err()
}

// blocks reads, decompresses and delivers blocks of a pack.
func (e *extractor) blocks(ctx context.Context, list []int, id action.Digest, blob Blob, d *zstd.Decoder, s *storing) error {
	work := make(chan *piece)
	order := make(chan *piece, e.jobs)
	var workers sync.WaitGroup
	var failed error
	workers.Go(func() {
		failed = e.read(ctx, list, id, blob, work, order)
		close(work)
		close(order)
	})
	for range e.jobs {
		workers.Go(func() {
			for p := range work {
				e.decode(p, id, blob, d)
				close(p.done)
			}
		})
	}
	for p := range order {
		select {
		case <-p.done:
			s.deliver(p)
		case <-ctx.Done():
		}
	}
	workers.Wait()
	return failed
}

// read reads blocks and gives them out. A block that cannot be read is damage;
// so is every other error of a medium.
func (e *extractor) read(ctx context.Context, list []int, id action.Digest, blob Blob, work, order chan<- *piece) error {
	for _, i := range list {
		k := &e.b.index.blocks[i]
		p := &piece{number: i, stored: make([]byte, k.stored), done: make(chan struct{})}
		if n, err := blob.ReadAt(p.stored, k.off); n < len(p.stored) {
			if p.bad, err = asDamage(readError(blob, id, k.off+int64(n), err)); err != nil {
				return err
			}
		}
		select {
		case order <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case work <- p:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (e *extractor) decode(p *piece, id action.Digest, blob Blob, d *zstd.Decoder) {
	if p.bad != nil {
		return
	}
	k := &e.b.index.blocks[p.number]
	raw, err := k.decode(d, p.stored)
	if err != nil {
		file, off := blob.Place(k.off)
		p.bad = &Damage{File: file, Offset: off, Blob: id, Reason: fmt.Sprintf("block %d: %v", p.number, err)}
		return
	}
	p.raw, p.stored = raw, nil
}

func (e *extractor) damaged(d *Damage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.bad = append(e.bad, d)
}

// sound reports whether nothing went wrong so far.
func (e *extractor) sound() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.bad) == 0 && len(e.errs) == 0 && e.failed == nil
}

// A storing hands contents to put. Its methods are called by one goroutine.
type storing struct {
	e       *extractor
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup
	slots   chan struct{}
	cur     *flow
}

// start runs put for a content as soon as there is a slot.
func (s *storing) start(content int, r io.Reader, end func(error)) bool {
	select {
	case s.slots <- struct{}{}:
	case <-s.ctx.Done():
		return false
	}
	s.running.Go(func() {
		err := s.e.put(s.ctx, content, r)
		end(err)
		<-s.slots
		s.note(content, err)
	})
	return true
}

func (s *storing) note(content int, err error) {
	s.e.meter.add(s.e.b.index.contents[content].digest.Size)
	if err == nil || errors.Is(err, errLost) {
		return
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if errors.Is(err, ErrRefused) {
		if len(s.e.errs) < maxErrors {
			s.e.errs = append(s.e.errs, err)
		}
		return
	}
	if s.e.failed == nil {
		s.e.failed = err
	}
	s.cancel()
}

// empties puts the contents of no bytes, of which there is one at most.
func (s *storing) empties() error {
	for i, c := range s.e.b.index.contents {
		if c.kind == contentPacked && c.digest.Size == 0 && s.e.want.has(i) {
			s.start(i, bytes.NewReader(nil), func(error) {})
		}
	}
	return s.ctx.Err()
}

// deliver hands out what a block holds.
func (s *storing) deliver(p *piece) {
	if p.bad != nil {
		s.e.damaged(p.bad)
		s.lose()
		return
	}
	x := s.e.b.index
	start := x.blocks[p.number].start
	rest := s.carryOn(p.raw)
	at := start + int64(len(p.raw)-len(rest))
	stop := start + int64(len(p.raw))
	for n := x.contentAt(at); n < len(x.contents) && x.contents[n].kind == contentPacked && x.contents[n].start < stop; n++ {
		c := &x.contents[n]
		if c.start < at || c.digest.Size == 0 || !s.e.want.has(n) {
			continue // of a content that began in a damaged block, or not wanted
		}
		b := p.raw[c.start-start:]
		if int64(len(b)) >= c.digest.Size {
			s.start(n, bytes.NewReader(b[:c.digest.Size]), func(error) {})
			continue
		}
		s.begin(n, b)
	}
}

// begin starts a content that goes on in the next block.
func (s *storing) begin(n int, b []byte) {
	r, w := io.Pipe()
	if s.start(n, r, func(err error) { r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) }) {
		s.cur = &flow{n, s.e.b.index.contents[n].digest.Size, w}
		s.carryOn(b)
	}
}

// carryOn gives the content that is under way what b holds of it and returns
// the rest.
func (s *storing) carryOn(b []byte) []byte {
	f := s.cur
	if f == nil {
		return b
	}
	n := min(int64(len(b)), f.left)
	// An error is the put's own, which note sees.
	_, _ = f.w.Write(b[:n])
	if f.left -= n; f.left == 0 {
		f.w.Close()
		s.cur = nil
	}
	return b[n:]
}

// lose gives up the content that is under way.
func (s *storing) lose() {
	if s.cur != nil {
		s.cur.w.CloseWithError(errLost)
		s.cur = nil
	}
}
