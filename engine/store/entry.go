package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
)

// An entry is a file in ac:
//
//	entryMagic                    14 bytes
//	SHA-256(key hash ‖ payload)   32 bytes
//	payload                       canonical ActionResult message
const entryMagic = "airbuild-ac-1\n"

const entryHeader = len(entryMagic) + sha256.Size

// maxEntry bounds what is read of an entry, in bytes. Logs are blobs, so that
// only a result with a great many outputs comes near.
const maxEntry = 64 << 20

// touchEvery is how often a used entry is marked as used: often enough for
// Prune to know, seldom enough to cost nothing.
const touchEvery = time.Hour

// entries are the files in ac.
type entries struct {
	// Scope is that of the project which the store is open for. Its results are
	// found before those that count everywhere, and all that is recorded stays in
	// it: what is made from its results deserves no more trust than they do. It is set
	// before the first use.
	Scope Scope
	// Scopes lists the scopes whose results Withheld looks for; nil: none. It is
	// called at most once, and set before the first use.
	Scopes func() []Scope

	files   layout
	blobs   *blobs
	damages *damages
	heads   buffers
	now     func() time.Time // the clock; tests set it

	scopes sync.Once // guards found
	found  []Scope   // what Scopes gave
}

// Result returns the recorded result of the action with digest key, or nil if
// there is none. A damaged entry is removed; the error is then a
// *action.Damaged. The blobs that it names may be gone: see Missing and
// References. A result of the store's Scope comes first.
func (s *entries) Result(ctx context.Context, key action.Digest) (*action.Result, error) {
	if !s.Scope.IsZero() {
		if r, err := s.result(ctx, s.Scope.Key(key)); r != nil || err != nil {
			return r, err
		}
	}
	return s.result(ctx, key)
}

// result returns the entry of this very key.
func (s *entries) result(ctx context.Context, key action.Digest) (*action.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, used, ok := s.readSmallEntry(key)
	if !ok {
		var info fs.FileInfo
		var err error
		if r, info, err = s.readEntry(key); r == nil || err != nil {
			return nil, err
		}
		used = info.ModTime()
	}
	if age := s.now().Sub(used); age > touchEvery || age < -touchEvery {
		// Not being able to costs the entry its place in the order of use.
		_ = os.Chtimes(s.files.entryFile(key), time.Time{}, s.now())
	}
	return r, nil
}

// readEntry returns nil if there is no entry.
func (s *entries) readEntry(key action.Digest) (*action.Result, fs.FileInfo, error) {
	name := s.files.entryFile(key)
	f, info, err := openRegular(name)
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, nil
	case errors.As(err, &odd):
		return nil, nil, s.damagedEntry(key, info, odd.Error())
	case err != nil:
		return nil, nil, fmt.Errorf("read entry: %w", err)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxEntry+1))
	f.Close() // before a damaged one is removed
	if err != nil {
		return nil, nil, fmt.Errorf("read entry: %w", err)
	}
	r, err := decodeEntry(key, b)
	if err != nil {
		return nil, nil, s.damagedEntry(key, info, err.Error())
	}
	return r, info, nil
}

// readSmallEntry reads an entry that is small and as it should be, as nearly all
// are, and when it was last used. What any other is is for readEntry to say.
func (s *entries) readSmallEntry(key action.Digest) (r *action.Result, used time.Time, ok bool) {
	buf := s.heads.get()
	defer s.heads.put(buf)
	b, l, ok := readSmall(s.files.entryFile(key), buf[:])
	if !ok {
		return nil, used, false
	}
	r, err := decodeEntry(key, b) // which copies
	return r, l.mtime, err == nil
}

func (s *entries) damagedEntry(key action.Digest, info fs.FileInfo, reason string) error {
	bad := &action.Damaged{What: "entry", Digest: key, Reason: reason}
	s.damages.discard(s.files.entryFile(key), info, bad)
	return bad
}

// hashOf is the checksum that guards an entry: of the key and the payload, so
// that an entry in the place of another is noticed too.
func hashOf(key action.Digest, payload []byte) (sum [sha256.Size]byte) {
	h := sha256.New()
	h.Write(key.Hash[:])
	h.Write(payload)
	h.Sum(sum[:0])
	return sum
}

func encodeEntry(key action.Digest, r *action.Result) []byte {
	payload := r.Marshal()
	sum := hashOf(key, payload)
	b := make([]byte, 0, entryHeader+len(payload))
	b = append(b, entryMagic...)
	b = append(b, sum[:]...)
	return append(b, payload...)
}

func decodeEntry(key action.Digest, b []byte) (*action.Result, error) {
	switch {
	case len(b) > maxEntry:
		return nil, fmt.Errorf("it has more than %d bytes", maxEntry)
	case len(b) < entryHeader:
		return nil, fmt.Errorf("it has only %d bytes", len(b))
	case !bytes.HasPrefix(b, []byte(entryMagic)):
		return nil, fmt.Errorf("it begins with %q instead of %q", b[:len(entryMagic)], entryMagic)
	}
	payload := b[entryHeader:]
	if sum := hashOf(key, payload); !bytes.Equal(sum[:], b[len(entryMagic):entryHeader]) {
		return nil, errors.New("its checksum does not fit")
	}
	return action.UnmarshalResult(payload)
}

// PutResult records r as the outcome of the action with digest key. It is
// refused unless every blob that r names is there: a reader that sees the entry
// may open them at once. On disk: the blobs were renamed into place before, the
// entry is now, and replaces an older one. The entry is one of the store's Scope.
func (s *entries) PutResult(ctx context.Context, key action.Digest, r *action.Result) error {
	key = s.Scope.Key(key)
	refs, err := s.blobs.References(ctx, r)
	if err != nil {
		return fmt.Errorf("record result: %w", err)
	}
	missing, err := s.blobs.Missing(ctx, refs)
	if err != nil {
		return fmt.Errorf("record result: %w", err)
	}
	if len(missing) > 0 {
		return fmt.Errorf("record result: %d of its blobs are not stored, %s first", len(missing), missing[0])
	}
	entry := encodeEntry(key, r)
	if len(entry) > maxEntry {
		return fmt.Errorf("record result: %d bytes are more than the %d of an entry", len(entry), maxEntry)
	}
	if err := s.write(key, entry); err != nil {
		return fmt.Errorf("record result: %w", err)
	}
	return nil
}

func (s *entries) write(key action.Digest, entry []byte) error {
	f, err := s.files.create(atomicfile.Options{Perm: 0o644})
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(entry); err != nil {
		return err
	}
	err = f.Commit(s.files.entryFile(key))
	if err != nil {
		// Another process reads the entry and Windows does not replace it. The
		// same result is as good as ours.
		if there, readErr := inuse.ReadFile(s.files.entryFile(key)); readErr == nil && bytes.Equal(there, entry) {
			return nil
		}
	}
	return err
}
