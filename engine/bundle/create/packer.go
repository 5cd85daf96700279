package create

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// A rawReader reads the raw bytes of a plan in order and verifies each content
// at its end.
type rawReader struct {
	ctx  context.Context
	p    *plan
	next int // content
	cur  io.ReadCloser
	left int64 // of cur
	hash hash.Hash
}

// seek goes to a raw offset. The content that it is in is read from its
// beginning, to be verified at its end.
func (r *rawReader) seek(off int64) error {
	r.close()
	r.next, r.left = r.p.x.ContentAt(off), 0
	skip := off - r.p.x.Contents[r.next].Start
	buf := make([]byte, min(files.BufferSize, skip))
	for skip > 0 {
		n := min(int64(len(buf)), skip)
		if err := r.read(buf[:n]); err != nil {
			return err
		}
		skip -= n
	}
	return nil
}

func (r *rawReader) close() {
	if r.cur != nil {
		r.cur.Close()
		r.cur = nil
	}
}

// read fills b.
func (r *rawReader) read(b []byte) error {
	for len(b) > 0 {
		if r.left == 0 {
			if err := r.open(); err != nil {
				return err
			}
			continue
		}
		n, err := r.cur.Read(b[:min(int64(len(b)), r.left)])
		r.hash.Write(b[:n])
		b = b[n:]
		if r.left -= int64(n); r.left == 0 {
			if err := r.finish(); err != nil {
				return err
			}
			continue
		}
		if err == io.EOF {
			return r.changed()
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", r.p.inputs[r.next].Path, err)
		}
	}
	return nil
}

// open opens the next content that is not empty.
func (r *rawReader) open() error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	for r.p.x.Contents[r.next].Digest.Size == 0 {
		r.next++
	}
	f, err := r.p.inputs[r.next].Open(r.ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.p.inputs[r.next].Path, err)
	}
	r.cur, r.left = f, r.p.x.Contents[r.next].Digest.Size
	if r.hash == nil {
		r.hash = sha256.New()
	}
	r.hash.Reset()
	return nil
}

// finish verifies the content that was read to its end.
func (r *rawReader) finish() error {
	n, err := r.cur.Read(make([]byte, 1))
	if n > 0 {
		return r.changed()
	}
	if err != nil && err != io.EOF {
		return fmt.Errorf("read %s: %w", r.p.inputs[r.next].Path, err)
	}
	if [32]byte(r.hash.Sum(nil)) != r.p.x.Contents[r.next].Digest.Hash {
		return r.changed()
	}
	r.close()
	r.next++
	return nil
}

func (r *rawReader) changed() error {
	return fmt.Errorf("read %s: it is not what its digest sha256:%s says, or it changed meanwhile", r.p.inputs[r.next].Path, r.p.x.Contents[r.next].Digest.Hex())
}

// A packed is a block on its way from the reader to the writer.
type packed struct {
	number int
	raw    []byte
	stored []byte
	block  format.Block
	done   chan struct{}
}

// A packer compresses the blocks of packs, several at once, and hands them on
// in order.
type packer struct {
	p     *plan
	jobs  int
	meter *progress.Meter
	src   *rawReader
	at    int64     // where src is
	bufs  sync.Pool // of *[]byte
}

// pack writes one pack and sets what its blocks are. It returns its digest.
func (k *packer) pack(ctx context.Context, n int, w io.Writer) (action.Digest, error) {
	first, end := k.p.x.BlocksOf(n)
	if k.src == nil || k.at != k.p.x.Blocks[first].Start {
		k.close()
		// Not this pack's context: a content that goes on in the next pack stays
		// open, and its reader may heed the context that it was opened with.
		k.src = &rawReader{ctx: ctx, p: k.p}
		if err := k.src.seek(k.p.x.Blocks[first].Start); err != nil {
			return action.Digest{}, err
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work := make(chan *packed)
	order := make(chan *packed, 2*k.jobs)
	var workers sync.WaitGroup
	var failed error // of the reader; read after order is closed
	for range k.jobs {
		e, err := format.NewEncoder(format.BlockLevel)
		if err != nil {
			return action.Digest{}, err
		}
		workers.Go(func() { k.compress(e, work) })
	}
	workers.Go(func() {
		failed = k.feed(ctx, first, end, work, order)
		close(work)
		close(order)
	})
	d, err := k.write(order, w)
	if err != nil {
		cancel()
	}
	for b := range order { // what was not written any more
		<-b.done
	}
	workers.Wait()
	return d, errors.Join(failed, err)
}

func (k *packer) close() {
	if k.src != nil {
		k.src.close()
	}
}

// feed reads blocks and gives them out.
func (k *packer) feed(ctx context.Context, first, end int, work, order chan<- *packed) error {
	for i := first; i < end; i++ {
		b := &packed{number: i, raw: k.buffer()[:k.p.x.Blocks[i].Raw], done: make(chan struct{})}
		if err := k.src.read(b.raw); err != nil {
			return err
		}
		k.at = k.p.x.Blocks[i].Start + int64(len(b.raw))
		select {
		case order <- b:
		case <-ctx.Done():
			return ctx.Err()
		}
		select {
		case work <- b:
		case <-ctx.Done():
			close(b.done)
			return ctx.Err()
		}
	}
	return nil
}

func (k *packer) buffer() []byte {
	if b, ok := k.bufs.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, format.BlockSize)
}

func (k *packer) free(b []byte) {
	b = b[:cap(b)]
	if len(b) == format.BlockSize {
		k.bufs.Put(&b)
	}
}

func (k *packer) compress(e *zstd.Encoder, work <-chan *packed) {
	for b := range work {
		b.stored, b.block = format.EncodeBlock(e, b.raw, k.buffer())
		close(b.done)
	}
}

// write writes blocks in order and notes what they are.
func (k *packer) write(order <-chan *packed, w io.Writer) (action.Digest, error) {
	h := sha256.New()
	h.Write([]byte(format.PackHeader))
	if _, err := io.WriteString(w, format.PackHeader); err != nil {
		return action.Digest{}, err
	}
	size := int64(len(format.PackHeader))
	for b := range order {
		<-b.done
		if b.stored == nil {
			return action.Digest{}, context.Canceled
		}
		h.Write(b.stored)
		if _, err := w.Write(b.stored); err != nil {
			return action.Digest{}, err
		}
		at := &k.p.x.Blocks[b.number]
		at.Stored, at.Method, at.Sum, at.Offset = b.block.Stored, b.block.Method, b.block.Sum, size
		size += int64(len(b.stored))
		k.meter.Add(int64(len(b.raw)))
		if b.block.Method == format.BlockZstd {
			k.free(b.stored)
		}
		k.free(b.raw)
	}
	d := action.Digest{Size: size}
	h.Sum(d.Hash[:0])
	return d, nil
}
