package bundle

import (
	"context"
	"io"

	"github.com/airbuild/airbuild/engine/store"
)

// A StoreSink puts the files of actions and gocache components into a store:
// "cas/<hash>" are blobs and "ac/<hash>" results of actions, which are late. It
// takes no other paths.
type StoreSink struct{ store *store.Disk }

// NewStoreSink returns the sink of a store, which the caller closes.
func NewStoreSink(s *store.Disk) *StoreSink { return &StoreSink{s} }

func (s *StoreSink) ID() string       { return "store " + s.store.Dir() }
func (s *StoreSink) Dir() string      { return s.store.Dir() }
func (s *StoreSink) Late(f File) bool { return false }

func (s *StoreSink) Has(ctx context.Context, f File, flushed bool) (bool, error) {
	return false, errStub
}
func (s *StoreSink) Put(ctx context.Context, f File, r io.Reader) error      { return errStub }
func (s *StoreSink) Open(ctx context.Context, f File) (io.ReadCloser, error) { return nil, errStub }
func (s *StoreSink) Flush(ctx context.Context) error                         { return errStub }

// A KeepSink puts files below a directory that users work in, and keeps the
// contents in a store as well, so that later deltas find them.
type KeepSink struct {
	*DirSink
	store *store.Disk
}

// NewKeepSink returns such a sink.
func NewKeepSink(d *DirSink, s *store.Disk) *KeepSink { return &KeepSink{d, s} }
