package relay

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/http"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

// maxResult bounds an ActionResult that is put, in bytes.
const maxResult = 16 << 20

// hashIn reads the name of a blob or a result.
func (h *Handler) hashIn(r *http.Request, name string) ([sha256.Size]byte, error) {
	if h.store == nil {
		return [sha256.Size]byte{}, refuse(http.StatusNotFound, "no cache is served here")
	}
	if _, err := plainQuery(r, ""); err != nil {
		return [sha256.Size]byte{}, err
	}
	sum, err := action.ParseHash(name)
	if err != nil {
		return sum, refuse(http.StatusBadRequest, "want a SHA-256 in 64 lower-case hexadecimal digits")
	}
	return sum, nil
}

func (h *Handler) serveBlob(w *pacedWriter, r *http.Request, name string) error {
	sum, err := h.hashIn(r, name)
	if err != nil {
		return err
	}
	return h.store.use(func(s *store.Disk) error {
		if r.Method == http.MethodPut {
			return h.putBlob(w, r, s, sum)
		}
		return getBlob(w, r, s, sum)
	})
}

// getBlob answers with a blob, verified: its last bytes are sent only when all
// of it was hashed, and before any byte of a range all of it is.
func getBlob(w *pacedWriter, r *http.Request, s *store.Disk, sum [sha256.Size]byte) error {
	d := action.Of(nil)
	if sum != d.Hash {
		var err error
		if d, err = s.Find(r.Context(), sum); err != nil {
			return err
		}
		missing, err := s.Missing(r.Context(), []action.Digest{d})
		if err != nil {
			return err
		}
		if len(missing) > 0 {
			return fs.ErrNotExist
		}
	}
	oneRange(r)
	if r.Header.Get("Range") != "" {
		if err := readAll(r.Context(), s, d); err != nil {
			return err
		}
	}
	head := w.Header()
	head.Set("Content-Type", "application/octet-stream")
	head.Set("ETag", `"sha256:`+d.Hex()+`"`)
	blob := &blobSeeker{ctx: r.Context(), s: s, d: d}
	defer blob.close()
	http.ServeContent(w, r, "", time.Time{}, blob)
	if _, ok := errors.AsType[*action.Damaged](blob.err); ok {
		return fmt.Errorf("serve blob: %w", blob.err)
	}
	return nil
}

func readAll(ctx context.Context, s *store.Disk, d action.Digest) error {
	if d.Size == 0 {
		return nil
	}
	f, err := s.Open(ctx, d)
	if err != nil {
		return gone(err)
	}
	defer f.Close()
	_, err = io.Copy(io.Discard, f)
	return gone(err)
}

// gone makes of a damaged blob, which the store has removed, one that is not
// there.
func gone(err error) error {
	if _, ok := errors.AsType[*action.Damaged](err); ok {
		return fs.ErrNotExist
	}
	return err
}

// A blobSeeker is the content of a blob for http.ServeContent, which asks for the
// size and then reads from one place on. Reading goes through the store, which
// hashes from the beginning.
type blobSeeker struct {
	ctx  context.Context
	s    *store.Disk
	d    action.Digest
	pos  int64 // where the next byte is read
	open io.ReadCloser
	err  error // the first of reading
}

func (b *blobSeeker) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.d.Size
	}
	if offset < 0 {
		return 0, errors.New("seek before the beginning")
	}
	if offset != b.pos {
		b.close()
	}
	b.pos = offset
	return offset, nil
}

func (b *blobSeeker) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *blobSeeker) read(p []byte) (int, error) {
	if b.pos >= b.d.Size {
		return 0, io.EOF
	}
	if b.open == nil {
		f, err := b.s.Open(b.ctx, b.d)
		if err != nil {
			return 0, err
		}
		b.open = f
		if _, err := io.CopyN(io.Discard, f, b.pos); err != nil {
			return 0, err
		}
	}
	n, err := b.open.Read(p)
	b.pos += int64(n)
	if err != nil && err != io.EOF {
		return 0, err
	}
	if b.pos < b.d.Size {
		return n, err
	}
	// These are the last bytes. The store says at the end whether all are right,
	// and who reads as many as there are never comes there.
	if err == nil {
		_, err = io.ReadFull(b.open, make([]byte, 1))
	}
	if err != io.EOF {
		return 0, errors.Join(errors.New("the blob does not end where it should"), err)
	}
	return n, nil
}

func (b *blobSeeker) close() {
	if b.open != nil {
		b.open.Close()
		b.open = nil
	}
}

// putBlob stores what the client sends if it is what its name says; if not,
// nothing of it stays.
func (h *Handler) putBlob(w *pacedWriter, r *http.Request, s *store.Disk, sum [sha256.Size]byte) error {
	if r.ContentLength > h.o.MaxUpload {
		return refuse(http.StatusRequestEntityTooLarge, "more than %d bytes are not taken", h.o.MaxUpload)
	}
	body := &verifying{r: w.body(r, h.o.MaxUpload), want: sum, hash: sha256.New()}
	if _, err := s.Put(r.Context(), body); err != nil {
		return broken(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// broken makes a refusal of a body that did not come whole: that is no failure
// of the relay's.
func broken(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return refuse(http.StatusBadRequest, "the body did not come whole")
	}
	if timedOut(err) {
		return refuse(http.StatusRequestTimeout, "the body came too slowly")
	}
	return err
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// A verifying reader ends in an error instead of io.EOF if what was read is not
// what it should be.
type verifying struct {
	r    io.Reader
	want [sha256.Size]byte
	hash hash.Hash
}

func (v *verifying) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.hash.Write(b[:n])
	if err == io.EOF && [sha256.Size]byte(v.hash.Sum(nil)) != v.want {
		return 0, refuse(http.StatusUnprocessableEntity, "the body has SHA-256 %x: nothing was stored", v.hash.Sum(nil))
	}
	return n, err
}

func (h *Handler) serveResult(w *pacedWriter, r *http.Request, name string) error {
	sum, err := h.hashIn(r, name)
	if err != nil {
		return err
	}
	// The name does not tell the size of the Action, and the store does not
	// need it.
	key := action.Digest{Hash: sum}
	return h.store.use(func(s *store.Disk) error {
		if r.Method == http.MethodPut {
			return putResult(w, r, s, key)
		}
		return getResult(w, r, s, key)
	})
}

// getResult answers with a result all of whose blobs are there.
func getResult(w *pacedWriter, r *http.Request, s *store.Disk, key action.Digest) error {
	result, err := s.Result(r.Context(), key)
	if err != nil {
		return gone(err)
	}
	if result == nil {
		return fs.ErrNotExist
	}
	if missing, err := lacks(r.Context(), s, result); err != nil {
		return err
	} else if missing != "" {
		return fs.ErrNotExist
	}
	return sendBytes(w, r, "application/octet-stream", result.Marshal())
}

// lacks says which of the blobs that a result names is not there, if one is not.
func lacks(ctx context.Context, s *store.Disk, result *action.Result) (string, error) {
	refs, err := s.References(ctx, result)
	if errors.Is(gone(err), fs.ErrNotExist) {
		return err.Error(), nil
	} else if err != nil {
		return "", err
	}
	missing, err := s.Missing(ctx, refs)
	if err != nil || len(missing) == 0 {
		return "", err
	}
	return "blob " + missing[0].String(), nil
}

// putResult records a result if it is one of success and all of its blobs are
// there.
func putResult(w *pacedWriter, r *http.Request, s *store.Disk, key action.Digest) error {
	b, err := io.ReadAll(w.body(r, maxResult))
	if err != nil {
		return broken(err)
	}
	result, err := action.UnmarshalResult(b)
	if err != nil {
		return refuse(http.StatusUnprocessableEntity, "this is not an ActionResult: %v", err)
	}
	if result.ExitCode != 0 {
		return refuse(http.StatusUnprocessableEntity, "exit code %d: failures are not kept", result.ExitCode)
	}
	// Clients do not send the blob without content.
	if _, err := s.PutBytes(r.Context(), nil); err != nil {
		return err
	}
	missing, err := lacks(r.Context(), s, result)
	if err != nil {
		return err
	}
	if missing != "" {
		return refuse(http.StatusUnprocessableEntity, "the result names what is not here: %s; put the blobs first", missing)
	}
	if err := s.PutResult(r.Context(), key, result); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}
