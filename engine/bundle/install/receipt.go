package install

import (
	"context"
	"fmt"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// MakeReceipt lists what was imported into a cache directory and is still
// there: it asks the sinks, which are those of an import. stays says of which
// bundles the contents stay until the delta comes; nil: of all.
func MakeReceipt(ctx context.Context, cache string, sink func(component string) (Sink, error), stays func(*Imported) bool) (*bundle.Receipt, error) {
	imported, err := List(cache)
	if err != nil {
		return nil, fmt.Errorf("make receipt: %w", err)
	}
	bundles := []string{}
	have := map[[32]byte]bool{}
	for i := range imported {
		c := &imported[i]
		bundles = append(bundles, c.Digest)
		if stays != nil && !stays(c) {
			continue
		}
		x, err := c.index(cache)
		if err != nil {
			return nil, fmt.Errorf("make receipt: %w", err)
		}
		for p := range x.Components {
			if err := addHeld(ctx, &x.Components[p], sink, have); err != nil {
				return nil, fmt.Errorf("make receipt: component %s: %w", x.Components[p].Name, err)
			}
		}
	}
	return format.NewReceipt(bundles, have, format.FeaturePatches), nil
}

// addHeld adds the contents of a component that are still there and stay.
func addHeld(ctx context.Context, p *format.Component, sink func(string) (Sink, error), have map[[32]byte]bool) error {
	if !format.Kept(p.Name) {
		return nil
	}
	s, err := sink(p.Name)
	if err != nil || s == nil {
		return err
	}
	holder, _ := s.(Holder)
	for _, f := range p.Files {
		// What is late are entries, and the next run may replace any of them.
		if have[f.Digest.Hash] || s.Late(f) {
			continue
		}
		var there bool
		if holder != nil {
			there, err = holder.Holds(ctx, f.Digest)
		} else {
			there, err = s.Has(ctx, f, true)
		}
		if err != nil {
			return err
		}
		if there {
			have[f.Digest.Hash] = true
		}
	}
	return nil
}
