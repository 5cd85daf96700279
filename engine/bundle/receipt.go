package bundle

import (
	"context"
	"io"
)

// A Receipt says what a host has, for a delta.
type Receipt struct {
	bundles []string
	have    *digestSet
}

// A Base is what a receiver has, so that a delta can leave it out.
type Base struct {
	bundles []string // for people
	has     func(hash [32]byte, size int64) bool
}

// MakeReceipt lists what was imported into a cache directory and is still
// there: it asks the sinks, which are those of an import.
func MakeReceipt(ctx context.Context, cache string, sink func(component string) (Sink, error)) (*Receipt, error) {
	return makeReceipt(ctx, cache, sink)
}

// ReadReceipt reads what WriteTo wrote. Errors wrap ErrRefused.
func ReadReceipt(r io.Reader) (*Receipt, error) { return readReceipt(r) }

// Base is what a delta for the receipt's host leaves out.
func (r *Receipt) Base() *Base { return &Base{bundles: r.bundles, has: r.have.has} }

// AssumeBundle is what a delta leaves out where b is known to be imported.
func AssumeBundle(b *Bundle) *Base { return assume(b) }
