package media

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// A section is a piece of a file.
type section struct {
	f     io.ReaderAt
	name  string
	off   int64
	size  int64
	close func() error
}

// NewBlob returns the blob of size bytes at off in f. name is that of the
// file, for people.
func NewBlob(f io.ReaderAt, name string, off, size int64, close func() error) Blob {
	return &section{f, name, off, size, close}
}

func (b *section) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > b.size-off
	if short {
		p = p[:b.size-off]
	}
	n, err := b.f.ReadAt(p, b.off+off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (b *section) Close() error                    { return b.close() }
func (b *section) Place(off int64) (string, int64) { return b.name, b.off + off }

// Read reads a small blob and verifies it.
func Read(ctx context.Context, m Media, d action.Digest) ([]byte, error) {
	b, err := m.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	// Grown as it is read: a size alone must not cost memory.
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.NewSectionReader(b, 0, d.Size)); err != nil {
		return nil, ReadError(b, d, int64(buf.Len()), err)
	}
	if action.Of(buf.Bytes()) != d {
		file, off := b.Place(0)
		return nil, &format.Damage{File: file, Offset: off, Blob: d, Reason: "its bytes are not those that its digest names"}
	}
	return buf.Bytes(), nil
}

// ReadError says where reading a blob failed. A medium that cannot be read is
// damaged.
func ReadError(b Blob, d action.Digest, off int64, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	file, at := b.Place(off)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &format.Damage{File: file, Offset: at, Blob: d, Reason: "it ends too early"}
	}
	return &format.Damage{File: file, Offset: at, Blob: d, Reason: "it cannot be read: " + err.Error()}
}

// Verify reads a blob to its end and verifies it. each, if there is one, gets
// the bytes as they come, before they are known to be right. The error is that
// of each or of ctx; everything else is damage.
func Verify(ctx context.Context, b Blob, d action.Digest, each func([]byte) error) (*format.Damage, error) {
	h := sha256.New()
	buf := make([]byte, min(files.BufferSize, d.Size))
	for off := int64(0); off < d.Size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := buf[:min(int64(len(buf)), d.Size-off)]
		if n, err := b.ReadAt(p, off); n < len(p) {
			return format.AsDamage(ReadError(b, d, off+int64(n), err))
		}
		h.Write(p)
		off += int64(len(p))
		if each != nil {
			if err := each(p); err != nil {
				return nil, err
			}
		}
	}
	if [32]byte(h.Sum(nil)) != d.Hash {
		file, off := b.Place(0)
		return &format.Damage{File: file, Offset: off, Blob: d, Reason: "its bytes are not those that its digest names"}, nil
	}
	return nil, nil
}
