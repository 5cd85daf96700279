package bundle

import (
	"context"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine/action"
)

// A Receipt says what a host has, for a delta.
type Receipt struct {
	bundles  []string
	have     *digestSet
	features []string // critical ones that the host's airbuild reads, sorted
}

// A Base is what a receiver has, so that a delta can leave it out.
type Base struct {
	bundles []string // for people
	has     func(hash [32]byte, size int64) bool
	patches bool // the receiver reads them
}

// Has reports whether the receiver has a content.
func (b *Base) Has(d action.Digest) bool { return b.has(d.Hash, d.Size) }

// ReadsPatches reports whether the receiver is known to read FeaturePatches.
func (b *Base) ReadsPatches() bool { return b.patches }

// MakeReceipt lists what was imported into a cache directory and is still
// there: it asks the sinks, which are those of an import. stays says of which
// bundles the contents stay until the delta comes; nil: of all.
func MakeReceipt(ctx context.Context, cache string, sink func(component string) (Sink, error), stays func(*Carried) bool) (*Receipt, error) {
	return makeReceipt(ctx, cache, sink, stays)
}

// ReadReceipt reads what WriteTo wrote. Errors wrap ErrRefused.
func ReadReceipt(r io.Reader) (*Receipt, error) { return readReceipt(r) }

// Base is what a delta for the receipt's host leaves out.
func (r *Receipt) Base() *Base {
	return &Base{bundles: r.bundles, has: r.have.has, patches: slices.Contains(r.features, FeaturePatches)}
}

// AssumeBundle is what a delta leaves out where b is known to be imported. What
// the receiver's airbuild can read is not known.
func AssumeBundle(b *Bundle) *Base { return assume(b) }
