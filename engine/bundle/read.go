package bundle

import (
	"context"
	"io"
	"iter"
)

// Files are the files of a component, by path. None if there is no such
// component.
func (b *Bundle) Files(component string) iter.Seq[File] { return b.index.files(component) }

// Find returns a file of a component.
func (b *Bundle) Find(component, path string) (File, bool) { return b.index.find(component, path) }

// Carries reports whether the content of f is in the bundle; in a delta it may
// be left out.
func (b *Bundle) Carries(f File) bool { return b.index.carries(f) }

// OpenFile reads a file of the bundle, and of the packs only the blocks that it
// needs. Each block is verified before it is decompressed; the content is
// hashed, and a wrong one ends in an error instead of io.EOF. For what is left
// out the error is ErrBase.
func (b *Bundle) OpenFile(ctx context.Context, f File) (io.ReadCloser, error) {
	return b.openFile(ctx, f)
}
