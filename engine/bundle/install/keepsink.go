package install

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/airbuild/airbuild/engine/bundle"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

// A KeepSink puts files below a directory that users work in, and keeps the
// contents in a store as well, so that later deltas find them.
type KeepSink struct {
	*DirSink
	store *store.Disk
}

// NewKeepSink returns such a sink. The caller closes both.
func NewKeepSink(d *DirSink, s *store.Disk) *KeepSink { return &KeepSink{d, s} }

// ID names both.
func (s *KeepSink) ID() string { return "keep " + s.store.Dir() + "\n" + s.DirSink.ID() }

// Has reports whether both hold f.
func (s *KeepSink) Has(ctx context.Context, f bundle.File, flushed bool) (bool, error) {
	inDir, err := s.DirSink.Has(ctx, f, flushed)
	if err != nil || !inDir {
		return false, err
	}
	return s.Holds(ctx, f.Digest)
}

// Put stores f in the store, and from there in the directory.
func (s *KeepSink) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	if err := putContent(ctx, s.store, f.Digest, r); err != nil {
		return err
	}
	kept, err := s.store.Open(ctx, f.Digest)
	if err != nil {
		return fmt.Errorf("put %s: %w", f.Path, err)
	}
	defer kept.Close()
	return s.DirSink.Put(ctx, f, kept)
}

// Flush flushes both.
func (s *KeepSink) Flush(ctx context.Context) error {
	return errors.Join(s.DirSink.Flush(ctx), flushAll(s.store.Dir()))
}

// Holds reports whether the store has a content.
func (s *KeepSink) Holds(ctx context.Context, d action.Digest) (bool, error) {
	return storeHolds(ctx, s.store, d)
}

// OpenContent opens a content of the store.
func (s *KeepSink) OpenContent(ctx context.Context, d action.Digest) (io.ReadCloser, error) {
	return s.store.Open(ctx, d)
}
