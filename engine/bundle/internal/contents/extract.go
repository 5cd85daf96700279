package contents

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// An Extractor reads the blocks of a bundle in order, several being
// decompressed at once, and hands out the contents that are wanted. A block
// that is damaged costs the contents that it holds a part of; the others go on.
type Extractor struct {
	Source *Source
	Jobs   int
	Want   format.Bitmap // contents, of kind packed
	// Put takes one content; it must read r to its end. Several run at once.
	// An error that wraps ErrRefused counts as damage of that content alone.
	Put func(ctx context.Context, content int, r io.Reader) error
	// PackDone is called when all wanted contents that end in a pack, or in
	// one before it, were put, and nothing was wrong so far.
	PackDone func(ctx context.Context, pack int) error
	Meter    *progress.Meter

	mu     sync.Mutex // guards what follows
	Damage []*format.Damage
	Errors []error // refusals of put, at most MaxErrors
	failed error   // any other error of put
}

// MaxErrors bounds how many mistakes are reported one by one.
const MaxErrors = 100

// errLost ends the content of which a block is damaged.
var errLost = errors.New("a block of it is damaged")

// A piece is a block on its way.
type piece struct {
	number int
	stored []byte
	raw    []byte
	bad    *format.Damage
	done   chan struct{}
}

// A flow is a content that does not end in the block in which it begins.
type flow struct {
	content int
	left    int64
	w       *io.PipeWriter
}

// Run extracts. The error is for what kept it from going on.
func (e *Extractor) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d, err := format.NewDecoder(format.MaxBlock, e.Jobs)
	if err != nil {
		return err
	}
	defer d.Close()
	s := &storing{e: e, ctx: ctx, cancel: cancel, slots: make(chan struct{}, 2*e.Jobs)}
	err = s.empties()
	for pack := 0; pack < len(e.Source.Index.Packs) && err == nil; pack++ {
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
func (e *Extractor) needed(pack int) []int {
	x := e.Source.Index
	first, end := x.BlocksOf(pack)
	var list []int
	n := x.ContentAt(x.Blocks[first].Start)
	for i := first; i < end; i++ {
		stop := x.Blocks[i].Start + int64(x.Blocks[i].Raw)
		wanted := false
		for ; n < len(x.Contents) && x.Contents[n].Kind == format.ContentPacked && x.Contents[n].Start < stop; n++ {
			wanted = wanted || e.Want.Has(n) && x.Contents[n].Digest.Size > 0
			if x.Contents[n].Start+x.Contents[n].Digest.Size > stop {
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
func (e *Extractor) pack(ctx context.Context, pack int, d *zstd.Decoder, s *storing) error {
	list := e.needed(pack)
	if len(list) == 0 {
		return nil
	}
	id, err := e.Source.Pack(pack)
	if err != nil {
		return err
	}
	blob, err := e.Source.Media.Blob(ctx, id)
	if bad, err := format.AsDamage(err); err != nil {
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
	if e.PackDone != nil && e.sound() && ctx.Err() == nil {
		return e.PackDone(ctx, pack)
	}
	return ctx.Err()
}

// blocks reads, decompresses and delivers blocks of a pack.
func (e *Extractor) blocks(ctx context.Context, list []int, id action.Digest, blob media.Blob, d *zstd.Decoder, s *storing) error {
	work := make(chan *piece)
	order := make(chan *piece, e.Jobs)
	var workers sync.WaitGroup
	var failed error
	workers.Go(func() {
		failed = e.read(ctx, list, id, blob, work, order)
		close(work)
		close(order)
	})
	for range e.Jobs {
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
func (e *Extractor) read(ctx context.Context, list []int, id action.Digest, blob media.Blob, work, order chan<- *piece) error {
	for _, i := range list {
		k := &e.Source.Index.Blocks[i]
		p := &piece{number: i, stored: make([]byte, k.Stored), done: make(chan struct{})}
		if n, err := blob.ReadAt(p.stored, k.Offset); n < len(p.stored) {
			if p.bad, err = format.AsDamage(media.ReadError(blob, id, k.Offset+int64(n), err)); err != nil {
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

func (e *Extractor) decode(p *piece, id action.Digest, blob media.Blob, d *zstd.Decoder) {
	if p.bad != nil {
		return
	}
	k := &e.Source.Index.Blocks[p.number]
	raw, err := k.Decode(d, p.stored)
	if err != nil {
		file, off := blob.Place(k.Offset)
		p.bad = &format.Damage{File: file, Offset: off, Blob: id, Reason: fmt.Sprintf("block %d: %v", p.number, err)}
		return
	}
	p.raw, p.stored = raw, nil
}

func (e *Extractor) damaged(d *format.Damage) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.Damage = append(e.Damage, d)
}

// sound reports whether nothing went wrong so far.
func (e *Extractor) sound() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.Damage) == 0 && len(e.Errors) == 0 && e.failed == nil
}

// A storing hands contents to put. Its methods are called by one goroutine.
type storing struct {
	e       *Extractor
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
		err := s.e.Put(s.ctx, content, r)
		end(err)
		<-s.slots
		s.note(content, err)
	})
	return true
}

func (s *storing) note(content int, err error) {
	s.e.Meter.Add(s.e.Source.Index.Contents[content].Digest.Size)
	if err == nil || errors.Is(err, errLost) {
		return
	}
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	if errors.Is(err, format.ErrRefused) {
		if len(s.e.Errors) < MaxErrors {
			s.e.Errors = append(s.e.Errors, err)
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
	for i, c := range s.e.Source.Index.Contents {
		if c.Kind == format.ContentPacked && c.Digest.Size == 0 && s.e.Want.Has(i) {
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
	x := s.e.Source.Index
	start := x.Blocks[p.number].Start
	rest := s.carryOn(p.raw)
	at := start + int64(len(p.raw)-len(rest))
	stop := start + int64(len(p.raw))
	for n := x.ContentAt(at); n < len(x.Contents) && x.Contents[n].Kind == format.ContentPacked && x.Contents[n].Start < stop; n++ {
		c := &x.Contents[n]
		if c.Start < at || c.Digest.Size == 0 || !s.e.Want.Has(n) {
			continue // of a content that began in a damaged block, or not wanted
		}
		b := p.raw[c.Start-start:]
		if int64(len(b)) >= c.Digest.Size {
			s.start(n, bytes.NewReader(b[:c.Digest.Size]), func(error) {})
			continue
		}
		s.begin(n, b)
	}
}

// begin starts a content that goes on in the next block.
func (s *storing) begin(n int, b []byte) {
	r, w := io.Pipe()
	if s.start(n, r, func(err error) { r.CloseWithError(errors.Join(err, io.ErrClosedPipe)) }) {
		s.cur = &flow{n, s.e.Source.Index.Contents[n].Digest.Size, w}
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
