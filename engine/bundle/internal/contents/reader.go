// Package contents reads the contents of files out of the packs and blobs of a
// bundle. Nothing that it hands out is unverified.
package contents

import (
	"context"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// A Source is where contents are read from: the blobs, and what a root and its
// index say of them.
type Source struct {
	Media media.Media
	Root  *format.Root
	Index *format.Index
}

// Pack returns the blob of a pack.
func (s *Source) Pack(i int) (action.Digest, error) { return s.Root.Packs[i].Parse() }

// OpenFile reads a file, and of the packs only the blocks that it needs. Each
// block is verified before it is decompressed; the content is hashed, and a
// wrong one ends in an error instead of io.EOF. For what is left out the error
// is ErrBase.
func (s *Source) OpenFile(ctx context.Context, f format.File) (io.ReadCloser, error) {
	c := &s.Index.Contents[f.Content]
	switch c.Kind {
	case format.ContentBase:
		return nil, fmt.Errorf("%w: the content of %s is left out", format.ErrBase, f.Path)
	case format.ContentPatched:
		return nil, fmt.Errorf("%w: of the content of %s only what to do to another one is carried, which is left out", format.ErrBase, f.Path)
	case format.ContentPlain:
		blob, err := s.Media.Blob(ctx, c.Digest)
		if err != nil {
			return nil, err
		}
		r := ctxio.Reader(ctx, io.NewSectionReader(blob, 0, c.Digest.Size))
		return WithClose(VerifyReader(r, c.Digest), blob.Close), nil
	}
	r, err := s.NewBlockReader(ctx)
	if err != nil {
		return nil, err
	}
	r.Seek(c)
	return WithClose(VerifyReader(r, c.Digest), r.Close), nil
}

// WithClose returns r with a Close.
func WithClose(r io.Reader, close func() error) io.ReadCloser { return &fileReader{r, close} }

type fileReader struct {
	io.Reader
	close func() error
}

func (r *fileReader) Close() error { return r.close() }

// A BlockReader reads contents out of their blocks, and keeps the last block:
// contents that are read in their order cost each block once.
type BlockReader struct {
	ctx     context.Context
	s       *Source
	d       *zstd.Decoder
	off     int64 // in all raw bytes
	left    int64 // of the content
	current int   // block; -1 if none
	raw     []byte
	pack    int // that is open; -1 if none
	id      action.Digest
	blob    media.Blob
}

// NewBlockReader returns a reader, which must be closed. Seek says what it reads.
func (s *Source) NewBlockReader(ctx context.Context) (*BlockReader, error) {
	d, err := format.NewDecoder(format.MaxBlock, 1)
	if err != nil {
		return nil, err
	}
	return &BlockReader{ctx: ctx, s: s, d: d, current: -1, pack: -1}, nil
}

// Seek goes to the beginning of a packed content; Read then gives that content.
func (r *BlockReader) Seek(c *format.Content) { r.off, r.left = c.Start, c.Digest.Size }

func (r *BlockReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n := r.s.Index.BlockAt(r.off)
	if n != r.current {
		if err := r.load(n); err != nil {
			return 0, err
		}
	}
	from := r.off - r.s.Index.Blocks[n].Start
	m := copy(p[:min(int64(len(p)), r.left)], r.raw[from:])
	r.off += int64(m)
	r.left -= int64(m)
	return m, nil
}

// load reads block n.
func (r *BlockReader) load(n int) error {
	k := &r.s.Index.Blocks[n]
	if err := r.open(k.Pack); err != nil {
		return err
	}
	stored := make([]byte, k.Stored)
	if got, err := r.blob.ReadAt(stored, k.Offset); got < len(stored) {
		return media.ReadError(r.blob, r.id, k.Offset+int64(got), err)
	}
	raw, err := k.Decode(r.d, stored)
	if err != nil {
		file, off := r.blob.Place(k.Offset)
		return &format.Damage{File: file, Offset: off, Blob: r.id, Reason: fmt.Sprintf("block %d: %v", n, err)}
	}
	r.raw, r.current = raw, n
	return nil
}

func (r *BlockReader) open(pack int) error {
	if pack == r.pack {
		return nil
	}
	if r.blob != nil {
		r.blob.Close()
		r.blob, r.pack = nil, -1
	}
	id, err := r.s.Pack(pack)
	if err != nil {
		return err
	}
	blob, err := r.s.Media.Blob(r.ctx, id)
	if err != nil {
		return err
	}
	r.blob, r.id, r.pack = blob, id, pack
	return nil
}

func (r *BlockReader) Close() error {
	r.d.Close()
	if r.blob == nil {
		return nil
	}
	return r.blob.Close()
}
