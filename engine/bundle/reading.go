package bundle

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
)

// copyExactly copies r to w and fails unless r gave what d says. It reads at
// most one byte more.
func copyExactly(w io.Writer, r io.Reader, d action.Digest) error {
	v := newChecked(r, d)
	_, err := io.Copy(w, v)
	return err
}

// A checked reads what d says and ends in an error instead of io.EOF if that
// is not what came.
type checked struct {
	r    io.Reader
	want action.Digest
	left int64
	hash hash.Hash
	end  error
}

func newChecked(r io.Reader, d action.Digest) *checked {
	return &checked{r: r, want: d, left: d.Size, hash: sha256.New()}
}

func (c *checked) Read(b []byte) (int, error) {
	if c.end != nil {
		return 0, c.end
	}
	if int64(len(b)) > c.left+1 {
		b = b[:c.left+1] // one more, to notice what is too long
	}
	n, err := c.r.Read(b)
	if int64(n) > c.left {
		c.end = c.wrong("it has more bytes")
		return 0, c.end
	}
	c.left -= int64(n)
	c.hash.Write(b[:n])
	if err == io.EOF {
		err = c.finish()
	}
	if err != nil {
		c.end = err
	}
	return n, err
}

func (c *checked) finish() error {
	switch {
	case c.left > 0:
		return c.wrong(fmt.Sprintf("%d bytes are missing", c.left))
	case [32]byte(c.hash.Sum(nil)) != c.want.Hash:
		return c.wrong("its bytes are others")
	}
	return io.EOF
}

func (c *checked) wrong(why string) error {
	return refusef("content is not what its digest sha256:%s says: %s", c.want.Hex(), why)
}

func (b *Bundle) openFile(ctx context.Context, f File) (io.ReadCloser, error) {
	c := &b.index.contents[f.content]
	switch c.kind {
	case contentBase:
		return nil, fmt.Errorf("%w: the content of %s is left out", ErrBase, f.Path)
	case contentPatched:
		return nil, fmt.Errorf("%w: of the content of %s only what to do to another one is carried, which is left out", ErrBase, f.Path)
	case contentPlain:
		blob, err := b.media.Blob(ctx, c.digest)
		if err != nil {
			return nil, err
		}
		r := &contextReader{ctx, io.NewSectionReader(blob, 0, c.digest.Size)}
		return &fileReader{newChecked(r, c.digest), blob.Close}, nil
	}
	r, err := b.newBlockReader(ctx)
	if err != nil {
		return nil, err
	}
	r.seek(c)
	return &fileReader{newChecked(r, c.digest), r.Close}, nil
}

type fileReader struct {
	io.Reader
	close func() error
}

func (r *fileReader) Close() error { return r.close() }

// A blockReader reads contents out of their blocks, and keeps the last block:
// contents that are read in their order cost each block once.
type blockReader struct {
	ctx     context.Context
	b       *Bundle
	d       *zstd.Decoder
	off     int64 // in all raw bytes
	left    int64 // of the content
	current int   // block; -1 if none
	raw     []byte
	pack    int // that is open; -1 if none
	id      action.Digest
	blob    Blob
}

func (b *Bundle) newBlockReader(ctx context.Context) (*blockReader, error) {
	d, err := newDecoder(maxBlock, 1)
	if err != nil {
		return nil, err
	}
	return &blockReader{ctx: ctx, b: b, d: d, current: -1, pack: -1}, nil
}

func (r *blockReader) seek(c *content) { r.off, r.left = c.start, c.digest.Size }

func (r *blockReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := r.b.index.blockAt(r.off)
	if n != r.current {
		if err := r.load(n); err != nil {
			return 0, err
		}
	}
	from := r.off - r.b.index.blocks[n].start
	m := copy(p[:min(int64(len(p)), r.left)], r.raw[from:])
	r.off += int64(m)
	r.left -= int64(m)
	return m, nil
}

// load reads block n.
func (r *blockReader) load(n int) error {
	k := &r.b.index.blocks[n]
	if err := r.open(k.pack); err != nil {
		return err
	}
	stored := make([]byte, k.stored)
	if got, err := r.blob.ReadAt(stored, k.off); got < len(stored) {
		return readError(r.blob, r.id, k.off+int64(got), err)
	}
	raw, err := k.decode(r.d, stored)
	if err != nil {
		file, off := r.blob.Place(k.off)
		return &Damage{File: file, Offset: off, Blob: r.id, Reason: fmt.Sprintf("block %d: %v", n, err)}
	}
	r.raw, r.current = raw, n
	return nil
}

func (r *blockReader) open(pack int) error {
	if pack == r.pack {
		return nil
	}
	if r.blob != nil {
		r.blob.Close()
		r.blob, r.pack = nil, -1
	}
	id, err := r.b.pack(pack)
	if err != nil {
		return err
	}
	blob, err := r.b.media.Blob(r.ctx, id)
	if err != nil {
		return err
	}
	r.blob, r.id, r.pack = blob, id, pack
	return nil
}

func (r *blockReader) Close() error {
	r.d.Close()
	if r.blob == nil {
		return nil
	}
	return r.blob.Close()
}
