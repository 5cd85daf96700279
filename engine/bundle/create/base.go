package create

import (
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// A Base is what a receiver has, so that a delta can leave it out.
type Base struct {
	bundles []string // for people
	has     func(action.Digest) bool
	patches bool // the receiver reads them
}

// Has reports whether the receiver has a content.
func (b *Base) Has(d action.Digest) bool { return b.has(d) }

// ReadsPatches reports whether the receiver is known to read FeaturePatches.
func (b *Base) ReadsPatches() bool { return b.patches }

// BaseOfReceipt is what a delta for the receipt's host leaves out.
func BaseOfReceipt(r *bundle.Receipt) *Base {
	return &Base{bundles: r.Bundles(), has: r.Has, patches: r.Reads(format.FeaturePatches)}
}

// BaseOfBundle is what a delta leaves out where b is known to be imported. What
// the receiver's airbuild can read is not known.
func BaseOfBundle(b *bundle.Bundle) *Base {
	have := map[[32]byte]bool{}
	for i := range b.Contents().Index.Components {
		p := &b.Contents().Index.Components[i]
		if !format.Kept(p.Name) {
			continue
		}
		for _, f := range p.Files {
			have[f.Digest.Hash] = true
		}
	}
	return &Base{bundles: []string{b.Digest()}, has: func(d action.Digest) bool { return have[d.Hash] }}
}
