package install

import (
	"context"
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
)

// A Sink takes the files of components in. Its methods may be called by many
// goroutines, but never for one path at the same time. Sinks are compared with
// ==: one that several components share is one to an import too.
type Sink interface {
	// ID names the sink and where it stores, so that an import that goes on
	// notices that it is another one.
	ID() string
	// Dir is the directory whose file system must have the space.
	Dir() string
	// Late says that f is to be put after everything that is not late, in all
	// sinks, is on the disk.
	Late(f bundle.File) bool
	// Has reports whether the sink holds f, whole. With flushed, an earlier
	// import put f and flushed it, and it need not be read. An error refuses
	// the import before anything is put.
	Has(ctx context.Context, f bundle.File, flushed bool) (bool, error)
	// Put stores f. It checks that r gives what f says, and stores nothing
	// under that name if not; the error then wraps ErrRefused. It never
	// follows a link and never writes outside the sink.
	Put(ctx context.Context, f bundle.File, r io.Reader) error
	// Open returns the content of a file that Has was true for, or that was
	// put. It may be damaged; whoever reads it checks.
	Open(ctx context.Context, f bundle.File) (io.ReadCloser, error)
	// Flush brings what was put to the disk.
	Flush(ctx context.Context) error
}

// A Merger is a Sink that puts together files of one path that several
// components or bundles have. Two components with one path and different
// contents are refused by every other Sink. Put may be called for such a path
// by several goroutines.
type Merger interface {
	Merges(path string) bool
}

// A Holder is a Sink that finds contents by digest, whatever path they had.
type Holder interface {
	Holds(ctx context.Context, d action.Digest) (bool, error)
	OpenContent(ctx context.Context, d action.Digest) (io.ReadCloser, error)
}
