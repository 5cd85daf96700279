package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/inuse"
)

// smallBlob is how much of a blob Put looks at before it writes, in bytes. A
// blob that ends within it is not written if the store has it.
const smallBlob = 32 << 10

// blobs are the files in cas.
type blobs struct {
	marks
	files   layout
	damages *damages
	heads   buffers
}

// buffers are memory that is used again.
type buffers struct{ pool sync.Pool } // of *[smallBlob]byte

func (b *buffers) get() *[smallBlob]byte {
	if buf, ok := b.pool.Get().(*[smallBlob]byte); ok {
		return buf
	}
	return new([smallBlob]byte)
}

func (b *buffers) put(buf *[smallBlob]byte) { b.pool.Put(buf) }

// Put stores what r gives and returns its digest. On disk: a file in tmp that
// is renamed into cas when it is whole; nothing is left behind on failure.
func (s *blobs) Put(ctx context.Context, r io.Reader) (action.Digest, error) {
	r = ctxio.Reader(ctx, r)
	head := s.heads.get()
	defer s.heads.put(head)
	n, err := io.ReadFull(r, head[:])
	switch err {
	case nil:
		return s.put(ctx, io.MultiReader(bytes.NewReader(head[:]), r))
	case io.EOF, io.ErrUnexpectedEOF:
		return s.PutBytes(ctx, head[:n])
	}
	return action.Digest{}, fmt.Errorf("put blob: %w", err)
}

// PutBytes stores b. If the store has it already nothing is written.
func (s *blobs) PutBytes(ctx context.Context, b []byte) (action.Digest, error) {
	d := action.Of(b)
	ok, err := s.has(ctx, d)
	if err != nil {
		return action.Digest{}, fmt.Errorf("put blob: %w", err)
	}
	if ok {
		return d, nil
	}
	return s.put(ctx, bytes.NewReader(b))
}

func (s *blobs) put(ctx context.Context, r io.Reader) (action.Digest, error) {
	f, d, err := s.write(func(f *os.File, h hash.Hash) error {
		_, err := io.Copy(io.MultiWriter(f, h), r)
		return err
	})
	if err == nil {
		err = s.keep(ctx, d, f)
	}
	if err != nil {
		return action.Digest{}, fmt.Errorf("put blob: %w", err)
	}
	return d, nil
}

// PutFile stores the file at path and returns its digest. Where the caller
// knows the digest it passes it as want: nothing is read if the store has that
// blob, and a file that turns out to hold something else is an error. With the
// zero Digest any content will do.
func (s *blobs) PutFile(ctx context.Context, path string, want action.Digest) (action.Digest, error) {
	if !want.IsZero() {
		if ok, err := s.has(ctx, want); err != nil || ok {
			return want, err
		}
	}
	src, err := inuse.Open(path)
	if err != nil {
		return action.Digest{}, fmt.Errorf("put file: %w", err)
	}
	defer src.Close()
	f, d, err := s.write(func(f *os.File, h hash.Hash) error { return copyHashed(ctx, f, src, h) })
	if err == nil && !want.IsZero() && d != want {
		f.Discard()
		err = fmt.Errorf("%s changed while it was read: it has digest %s, not %s", path, d, want)
	}
	if err == nil {
		err = s.keep(ctx, d, f)
	}
	if err != nil {
		return action.Digest{}, fmt.Errorf("put file: %w", err)
	}
	return d, nil
}

// copyHashed copies src to dst and hashes what dst then holds: of a clone the
// clone, because src may change meanwhile.
func copyHashed(ctx context.Context, dst, src *os.File, h hash.Hash) error {
	if clone(dst, src) == nil {
		if _, err := dst.Seek(0, io.SeekStart); err != nil {
			return err
		}
		_, err := io.Copy(h, ctxio.Reader(ctx, dst))
		return err
	}
	_, err := io.Copy(io.MultiWriter(dst, h), ctxio.Reader(ctx, src))
	return err
}

// write lets fill write a temporary file and hash it, and returns it with its digest.
func (s *blobs) write(fill func(*os.File, hash.Hash) error) (_ *atomicfile.File, d action.Digest, err error) {
	f, err := s.files.create(atomicfile.Options{Perm: 0o444})
	if err != nil {
		return nil, d, err
	}
	defer func() {
		if err != nil {
			f.Discard()
		}
	}()
	h := sha256.New()
	if err := fill(f.File, h); err != nil {
		return nil, d, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, d, err
	}
	h.Sum(d.Hash[:0])
	d.Size = info.Size()
	return f, d, nil
}

// keep makes the temporary file the blob of d, marked and read-only, unless
// the store has the blob already.
func (s *blobs) keep(ctx context.Context, d action.Digest, f *atomicfile.File) error {
	defer f.Discard()
	if ok, err := s.has(ctx, d); err != nil || ok {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	// Before it gets its name, so that no process sees it without the mark and
	// hashes it in vain.
	if err := os.Chtimes(f.Name(), s.mark, s.mark); err != nil {
		return err
	}
	err := f.Commit(s.files.BlobFile(d))
	if err != nil {
		// Windows does not replace a file that another process reads; it is
		// the same blob then.
		if ok, hasErr := s.has(ctx, d); hasErr == nil && ok {
			return nil
		}
	}
	return err
}

// Open returns the content of d. The reader checks it on the way: a blob that
// is not what d says ends in a *action.Damaged error instead of io.EOF, and is
// removed. The error is fs.ErrNotExist if d is not there.
func (s *blobs) Open(ctx context.Context, d action.Digest) (io.ReadCloser, error) {
	name := s.files.BlobFile(d)
	f, info, err := openRegular(name)
	var odd *oddFileError
	switch {
	case errors.As(err, &odd):
		bad := &action.Damaged{What: "blob", Digest: d, Reason: odd.Error()}
		s.discard(info, bad)
		return nil, bad
	case err != nil:
		return nil, fmt.Errorf("open blob: %w", err)
	case info.Size() != d.Size:
		f.Close()
		return nil, s.wrongSize(ctx, d, info)
	}
	return &blobReader{ctx: ctx, s: s, f: f, info: info, d: d, hash: sha256.New()}, nil
}

// wrongSize tells a damaged blob from a digest that names nothing: the hash of
// a good blob with another size.
func (s *blobs) wrongSize(ctx context.Context, d action.Digest, info fs.FileInfo) error {
	good, err := s.has(ctx, action.Digest{Hash: d.Hash, Size: info.Size()})
	switch {
	case err != nil:
		return err
	case good:
		return fmt.Errorf("open blob %s: %w: it has %d bytes", d, fs.ErrNotExist, info.Size())
	}
	return damagedBlob(d, action.Digest{Size: info.Size()})
}

// A blobReader reads a blob and verifies it at its end.
type blobReader struct {
	ctx  context.Context
	s    *blobs
	f    *os.File
	info fs.FileInfo
	d    action.Digest
	hash hash.Hash
	n    int64
	end  error // what the first read at the end returned
}

func (r *blobReader) Read(b []byte) (int, error) {
	if r.end != nil {
		return 0, r.end
	}
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := r.f.Read(b)
	r.hash.Write(b[:n])
	r.n += int64(n)
	if err == io.EOF {
		r.end = r.verify()
		return n, r.end
	}
	return n, err
}

func (r *blobReader) verify() error {
	got := action.Digest{Size: r.n}
	r.hash.Sum(got.Hash[:0])
	if got == r.d {
		r.s.verified(r.d, r.f.Name(), r.info.ModTime())
		return io.EOF
	}
	bad := damagedBlob(r.d, got)
	r.f.Close() // before it is removed
	r.s.discard(r.info, bad)
	return bad
}

func (r *blobReader) Close() error {
	if err := r.f.Close(); !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}

// read returns the whole content of d, verified.
func (s *blobs) read(ctx context.Context, d action.Digest) ([]byte, error) {
	if d.Size > action.MaxMessage {
		return nil, fmt.Errorf("read blob %s: it is too large for a message", d)
	}
	f, err := s.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// discard removes a damaged blob; see damages.
func (s *blobs) discard(info fs.FileInfo, bad *action.Damaged) {
	s.damages.discard(s.files.BlobFile(bad.Digest), info, bad)
	s.forget(bad.Digest)
}

// Find returns the digest of the blob with this hash, for protocols that name
// blobs by their hash alone. The size is the file's, and the content was not
// looked at: Open and Missing verify it. The error is fs.ErrNotExist if the
// store does not have the blob.
func (s *blobs) Find(ctx context.Context, sum [sha256.Size]byte) (action.Digest, error) {
	d := action.Digest{Hash: sum}
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	info, err := os.Lstat(s.files.BlobFile(d))
	if err != nil {
		return action.Digest{}, fmt.Errorf("find blob: %w", err)
	}
	if !info.Mode().IsRegular() {
		return action.Digest{}, fmt.Errorf("find blob %s: %w: it is not a regular file", d.Hex(), fs.ErrNotExist)
	}
	d.Size = info.Size()
	return d, nil
}
