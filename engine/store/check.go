package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/inuse"
)

// Missing returns those of the digests that the store cannot serve, each once,
// in the given order. A blob with the mark is there; any other is hashed, and
// removed if it is damaged, so that what is not missing can be relied on.
func (s *blobs) Missing(ctx context.Context, digests []action.Digest) ([]action.Digest, error) {
	if len(digests) <= fewDigests {
		missing, sure, err := s.missingOfFew(digests)
		if sure || err != nil {
			return missing, err
		}
	}
	seen := make(map[action.Digest]bool, len(digests)) // to whether it is missing
	var unsure []action.Digest
	for _, d := range digests {
		if _, ok := seen[d]; ok {
			continue
		}
		switch state, err := s.glance(d); {
		case err != nil:
			return nil, fmt.Errorf("look up blob: %w", err)
		case state == unverified:
			unsure = append(unsure, d)
			seen[d] = false
		default:
			seen[d] = state == absent
		}
	}
	bad, err := s.checkAll(ctx, unsure)
	if err != nil {
		return nil, err
	}
	for _, d := range bad {
		seen[d] = true
	}
	var missing []action.Digest
	for _, d := range digests {
		if seen[d] {
			missing = append(missing, d)
			seen[d] = false
		}
	}
	return missing, nil
}

// fewDigests are so many that two of them are quickly compared.
const fewDigests = 8

// missingOfFew is Missing where no blob needs to be hashed; otherwise it is not
// sure.
func (s *blobs) missingOfFew(digests []action.Digest) (missing []action.Digest, sure bool, err error) {
	for i, d := range digests {
		if slices.Contains(digests[:i], d) {
			continue
		}
		switch state, err := s.glance(d); {
		case err != nil:
			return nil, false, fmt.Errorf("look up blob: %w", err)
		case state == unverified:
			return nil, false, nil
		case state == absent:
			missing = append(missing, d)
		}
	}
	return missing, true, nil
}

// checkAll hashes the blobs, as many at once as there are processors, and
// returns those that are not there.
func (s *blobs) checkAll(ctx context.Context, digests []action.Digest) ([]action.Digest, error) {
	if len(digests) == 0 {
		return nil, ctx.Err()
	}
	p := pool.NewWithResults[action.Digest]().WithContext(ctx).WithCancelOnError().WithFirstError().
		WithMaxGoroutines(runtime.GOMAXPROCS(0))
	for _, d := range digests {
		p.Go(func(ctx context.Context) (action.Digest, error) {
			switch ok, err := s.check(ctx, d); {
			case err != nil:
				return d, err
			case ok:
				return action.Digest{}, nil
			}
			return d, nil
		})
	}
	bad, err := p.Wait()
	return slices.DeleteFunc(bad, action.Digest.IsZero), err
}

// A blobState is what can be told of a blob without reading it.
type blobState int

const (
	absent     blobState = iota
	unverified           // there, but to be hashed before it is used
	verified
)

func (s *blobs) glance(d action.Digest) (blobState, error) {
	l, err := lookAt(s.files.BlobFile(d))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return absent, nil
	case err != nil:
		return absent, err
	case l.regular && l.size == d.Size && s.trusts(d, l.mtime):
		return verified, nil
	}
	return unverified, nil
}

// has reports whether the store can serve d, reading the blob if need be.
func (s *blobs) has(ctx context.Context, d action.Digest) (bool, error) {
	switch state, err := s.glance(d); {
	case err != nil || state != unverified:
		return state == verified, err
	}
	return s.check(ctx, d)
}

// check hashes d's blob and reports whether the store can serve d.
func (s *blobs) check(ctx context.Context, d action.Digest) (bool, error) {
	got, _, err := s.rehash(ctx, d)
	// A good blob of another size is not damaged, but d does not name it.
	return err == nil && got == d, err
}

// rehash hashes d's blob. One that holds what its name says is marked and its
// digest returned; any other is removed and returned as damaged. Both are zero
// if there is none.
func (s *blobs) rehash(ctx context.Context, d action.Digest) (action.Digest, *action.Damaged, error) {
	name := s.files.BlobFile(d)
	got, info, err := hashFile(ctx, name)
	var odd *oddFileError
	var bad *action.Damaged
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return action.Digest{}, nil, nil
	case errors.As(err, &odd):
		bad = &action.Damaged{What: "blob", Digest: d, Reason: odd.Error()}
	case err != nil:
		return action.Digest{}, nil, fmt.Errorf("check blob: %w", err)
	case got.Hash != d.Hash:
		bad = damagedBlob(d, got)
	default:
		s.verified(got, name, info.ModTime())
		return got, nil, nil
	}
	s.discard(info, bad)
	return action.Digest{}, bad, nil
}

// damagedBlob says how the content of d's file differs from d.
func damagedBlob(d, got action.Digest) *action.Damaged {
	reason := "its content has another hash"
	if got.Size != d.Size {
		reason = fmt.Sprintf("it has %d bytes instead of %d", got.Size, d.Size)
	}
	return &action.Damaged{What: "blob", Digest: d, Reason: reason}
}

// An oddFileError is something that is no file in the place of a blob.
type oddFileError struct{ mode fs.FileMode }

func (e *oddFileError) Error() string { return "it is not a file but " + e.mode.Type().String() }

// openRegular opens a file of the store. What is no regular file is not
// followed or waited on; the error is then an *oddFileError.
func openRegular(name string) (*os.File, fs.FileInfo, error) {
	if careful != 0 {
		f, err := os.OpenFile(name, os.O_RDONLY|careful, 0)
		if err == nil {
			return statRegular(f)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil, err
		}
	}
	info, err := os.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, info, &oddFileError{info.Mode()}
	}
	f, err := inuse.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return statRegular(f)
}

// statRegular returns an open file with what it is, and closes what is no
// regular file.
func statRegular(f *os.File) (*os.File, fs.FileInfo, error) {
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &oddFileError{info.Mode()}
	}
	if err != nil {
		f.Close()
		return nil, info, err
	}
	return f, info, nil
}

// hashFile returns the digest of the file and what it was when it was opened.
func hashFile(ctx context.Context, name string) (action.Digest, fs.FileInfo, error) {
	f, info, err := openRegular(name)
	if err != nil {
		return action.Digest{}, info, err
	}
	defer f.Close()
	d, err := action.OfReader(ctxio.Reader(ctx, f))
	return d, info, err
}
