package bundle

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"iter"
	"slices"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// Files are the files of a component, by path. None if the bundle does not
// have the component.
func (b *Bundle) Files(component string) iter.Seq[File] {
	return func(yield func(File) bool) {
		p := b.src.Index.Component(component)
		if p == nil {
			return
		}
		for _, f := range p.Files {
			if !yield(f) {
				return
			}
		}
	}
}

// Find returns a file of a component.
func (b *Bundle) Find(component, path string) (File, bool) {
	p := b.src.Index.Component(component)
	if p == nil {
		return File{}, false
	}
	i, ok := slices.BinarySearchFunc(p.Files, path, func(f File, path string) int { return cmp.Compare(f.Path, path) })
	if !ok {
		return File{}, false
	}
	return p.Files[i], true
}

// Carries reports whether the content of f is in the bundle, and nothing else is
// needed to have it; in a delta it may be left out.
func (b *Bundle) Carries(f File) bool {
	k := b.src.Index.Contents[f.Content].Kind
	return k == format.ContentPacked || k == format.ContentPlain
}

// OpenFile reads a file of the bundle, and of the packs only the blocks that it
// needs. Each block is verified before it is decompressed; the content is
// hashed, and a wrong one ends in an error instead of io.EOF. For what is left
// out the error is ErrBase.
func (b *Bundle) OpenFile(ctx context.Context, f File) (io.ReadCloser, error) {
	return b.src.OpenFile(ctx, f)
}

// Custody reads the log that the bundle carries, with the events signed by the
// keys that the bundle was opened with. It is nil if there is none.
func (b *Bundle) Custody() ([]custody.Event, error) {
	return custody.Read(bytes.NewReader(b.custody), b.signers...)
}
