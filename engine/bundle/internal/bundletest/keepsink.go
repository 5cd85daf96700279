package bundletest

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
)

// A keepSink puts files below a directory that users work in, and keeps the
// contents in a store as well, so that later deltas find them.
type keepSink struct {
	*install.DirSink
	store *install.StoreSink
}

func (s *keepSink) ID() string { return "keep " + s.store.Dir() + "\n" + s.DirSink.ID() }

func (s *keepSink) Has(ctx context.Context, f bundle.File, flushed bool) (bool, error) {
	inDir, err := s.DirSink.Has(ctx, f, flushed)
	if err != nil || !inDir {
		return false, err
	}
	return s.Holds(ctx, f.Digest)
}

// Put stores f in the store, and from there in the directory.
func (s *keepSink) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	if err := s.store.Put(ctx, bundle.File{Path: "cas/" + f.Digest.Hex(), Digest: f.Digest}, r); err != nil {
		return err
	}
	kept, err := s.OpenContent(ctx, f.Digest)
	if err != nil {
		return fmt.Errorf("put %s: %w", f.Path, err)
	}
	defer kept.Close()
	return s.DirSink.Put(ctx, f, kept)
}

func (s *keepSink) Flush(ctx context.Context) error {
	return errors.Join(s.DirSink.Flush(ctx), s.store.Flush(ctx))
}

func (s *keepSink) Holds(ctx context.Context, d action.Digest) (bool, error) {
	return s.store.Holds(ctx, d)
}

func (s *keepSink) OpenContent(ctx context.Context, d action.Digest) (io.ReadCloser, error) {
	return s.store.OpenContent(ctx, d)
}
