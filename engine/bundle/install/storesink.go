package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/store"
)

// A StoreSink puts the files of actions and gocache components into a store:
// "cas/<hash>" are blobs and "ac/<hash>" results of actions, which are late. It
// takes no other paths. Results go into its scope.
type StoreSink struct {
	store *store.Disk
	scope store.Scope
}

// NewStoreSink returns the sink of a store, which the caller closes and has opened
// for no scope. Results count in the given one.
func NewStoreSink(s *store.Disk, scope store.Scope) *StoreSink { return &StoreSink{s, scope} }

// ID is "store" and its directory, in a scope also "scope" and its name.
func (s *StoreSink) ID() string {
	id := "store " + s.store.Dir()
	if !s.scope.IsZero() {
		id += scopeWord + s.scope.String()
	}
	return id
}

// scopeWord stands before a scope in a sink's ID.
const scopeWord = "\nscope "

// scopeOf is the scope of the sink with that ID, zero if it has none.
func scopeOf(id string) (store.Scope, error) {
	if i := strings.LastIndex(id, scopeWord); i >= 0 {
		return store.ParseScope(id[i+len(scopeWord):])
	}
	return store.Scope{}, nil
}

// Dir is the store's directory.
func (s *StoreSink) Dir() string { return s.store.Dir() }

// Late is true for results: a reader that sees one may open its blobs at once.
func (s *StoreSink) Late(f bundle.File) bool { return strings.HasPrefix(f.Path, "ac/") }

// key returns the digest of the action that f is the result of. Its size is not
// known, and not needed.
func key(f bundle.File) (d action.Digest, ok bool, err error) {
	if h, found := strings.CutPrefix(f.Path, "ac/"); found {
		d.Hash, err = action.ParseHash(h)
		if err == nil && f.Digest.Size > action.MaxMessage {
			err = errors.New("it is too large for a result")
		}
		if err != nil {
			return d, false, format.Refusef("result %q: %w", f.Path, err)
		}
		return d, true, nil
	}
	if f.Path != "cas/"+f.Digest.Hex() || f.Executable {
		return d, false, format.Refusef("%q is neither a blob of a store with this content nor a result", f.Path)
	}
	return d, false, nil
}

// Has asks the store. Blobs that are marked as verified are not read.
func (s *StoreSink) Has(ctx context.Context, f bundle.File, flushed bool) (bool, error) {
	k, result, err := key(f)
	if err != nil {
		return false, err
	}
	if !result {
		return s.Holds(ctx, f.Digest)
	}
	text, err := s.result(ctx, k)
	return err == nil && text != nil && action.Of(text) == f.Digest, err
}

// result returns the bytes of a result, or nil. A damaged one is none.
func (s *StoreSink) result(ctx context.Context, key action.Digest) ([]byte, error) {
	r, err := s.store.Result(ctx, s.scope.Key(key))
	if _, ok := errors.AsType[*action.Damaged](err); r == nil || ok {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return r.Marshal(), nil
}

// Put stores a blob or a result; see Sink.
func (s *StoreSink) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	k, result, err := key(f)
	if err != nil {
		return err
	}
	if result {
		return s.putResult(ctx, k, f, r)
	}
	return s.putBlob(ctx, f.Digest, r)
}

// putBlob stores what r gives under its own digest, whatever that is, and fails
// if it is not d.
func (s *StoreSink) putBlob(ctx context.Context, d action.Digest, r io.Reader) error {
	// One byte more than there should be is enough to have another digest.
	got, err := s.store.Put(ctx, io.LimitReader(r, d.Size+1))
	if err != nil {
		return fmt.Errorf("put content sha256:%s: %w", d.Hex(), err)
	}
	if got != d {
		return format.Refusef("content is not what its digest sha256:%s says: it is sha256:%s", d.Hex(), got.Hex())
	}
	return nil
}

func (s *StoreSink) putResult(ctx context.Context, key action.Digest, f bundle.File, r io.Reader) error {
	var b bytes.Buffer
	if err := contents.CopyVerified(&b, r, f.Digest); err != nil {
		return err
	}
	result, err := action.UnmarshalResult(b.Bytes())
	if err != nil {
		return format.Refusef("result %s: %w", f.Path, err)
	}
	if !bytes.Equal(result.Marshal(), b.Bytes()) {
		return format.Refusef("result %s is not in its canonical form", f.Path)
	}
	if result.ExitCode != 0 {
		return format.Refusef("result %s is of an action that failed", f.Path)
	}
	if err := s.whole(ctx, result); err != nil {
		return fmt.Errorf("put %s: %w", f.Path, err)
	}
	if err := s.store.PutResult(ctx, s.scope.Key(key), result); err != nil {
		return fmt.Errorf("put %s: %w", f.Path, err)
	}
	return nil
}

// whole refuses a result that names what is not in the store.
func (s *StoreSink) whole(ctx context.Context, r *action.Result) error {
	refs, err := s.store.References(ctx, r)
	if _, ok := errors.AsType[*action.Damaged](err); errors.Is(err, fs.ErrNotExist) || ok {
		return format.Refusef("it is a result of which a part is not carried: %w", err)
	}
	if err != nil {
		return err
	}
	missing, err := s.store.Missing(ctx, refs)
	if err == nil && len(missing) > 0 {
		return format.Refusef("it is a result of which %d blobs are not carried, sha256:%s first", len(missing), missing[0].Hex())
	}
	return err
}

// Open returns a blob or a result.
func (s *StoreSink) Open(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	k, result, err := key(f)
	if err != nil {
		return nil, err
	}
	if !result {
		return s.store.Open(ctx, f.Digest)
	}
	text, err := s.result(ctx, k)
	if err == nil && text == nil {
		err = fmt.Errorf("open %s: it is not in the store", f.Path)
	}
	return io.NopCloser(bytes.NewReader(text)), err
}

// Flush flushes the file system where that can be done. Elsewhere a machine
// that dies may leave damaged blobs, which the store notices.
func (s *StoreSink) Flush(ctx context.Context) error { return flushAll(s.store.Dir()) }

// Holds reports whether the store has a blob, and verifies one that is not marked as verified.
func (s *StoreSink) Holds(ctx context.Context, d action.Digest) (bool, error) {
	missing, err := s.store.Missing(ctx, []action.Digest{d})
	return err == nil && len(missing) == 0, err
}

// OpenContent opens a blob.
func (s *StoreSink) OpenContent(ctx context.Context, d action.Digest) (io.ReadCloser, error) {
	return s.store.Open(ctx, d)
}
