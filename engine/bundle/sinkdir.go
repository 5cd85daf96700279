package bundle

import (
	"context"
	"io"
	"os"
)

// DirOptions say how a directory takes files in.
type DirOptions struct {
	// Strict refuses an import if a file is there with another content.
	// Without, it is replaced.
	Strict bool
	// Merge returns, for paths whose files grow with every bundle, the content
	// made of what is there and what comes; nil for paths that are replaced. A
	// merge must be idempotent. Such files have at most 16 MiB.
	Merge func(path string) func(old, new []byte) ([]byte, error)
}

// A DirSink puts files below a directory. It writes to temporary files
// (".airbuild-…"), flushes and renames them, and follows no link.
type DirSink struct {
	dir  string
	root *os.Root
	o    DirOptions
}

// NewDirSink makes the directory and returns its sink, which must be closed.
func NewDirSink(dir string, o DirOptions) (*DirSink, error) { return newDirSink(dir, o) }

func newDirSink(string, DirOptions) (*DirSink, error) { return nil, errStub }

// Close closes the directory.
func (s *DirSink) Close() error { return s.root.Close() }

func (s *DirSink) ID() string       { return "dir " + s.dir }
func (s *DirSink) Dir() string      { return s.dir }
func (s *DirSink) Late(f File) bool { return false }

func (s *DirSink) Has(ctx context.Context, f File, flushed bool) (bool, error) { return false, errStub }
func (s *DirSink) Put(ctx context.Context, f File, r io.Reader) error          { return errStub }
func (s *DirSink) Open(ctx context.Context, f File) (io.ReadCloser, error)     { return nil, errStub }
func (s *DirSink) Flush(ctx context.Context) error                             { return errStub }
