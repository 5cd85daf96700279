package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/lists"
)

// An opener opens a content.
type opener func(context.Context) (io.ReadCloser, error)

// A base finds and opens the contents that a delta leaves out.
type base struct {
	src      *contents.Source
	cache    string
	imported []Imported
	sinks    *sinkSet
	found    map[int]opener // by content
	patched  patchBase      // the base of the last patch
}

// A patchBase is a content that patches are for, in memory: at most
// format.MaxPatchBase of it.
type patchBase struct {
	digest action.Digest
	bytes  []byte
}

// find finds all that is left out of what some contents need.
func (b *base) find(ctx context.Context, wanted []int) error {
	b.found = map[int]opener{}
	need := map[action.Digest]int{}
	for _, content := range wanted {
		c := &b.src.Index.Contents[content]
		if c.Kind == format.ContentPatched {
			content = c.Base
			c = &b.src.Index.Contents[content]
		}
		if c.Kind == format.ContentBase {
			need[c.Digest] = content
		}
	}
	if err := b.findInStores(ctx, need); err != nil {
		return err
	}
	if err := b.findInBundles(ctx, need); err != nil {
		return err
	}
	if len(need) == 0 {
		return nil
	}
	return b.missing(need)
}

// openPatched gives a content that is made of one of the base. All of the base
// is read and verified before any of it is used.
func (b *base) openPatched(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	c := &b.src.Index.Contents[f.Content]
	base, patch := &b.src.Index.Contents[c.Base], &b.src.Index.Contents[c.Patch]
	if b.patched.bytes == nil || b.patched.digest != base.Digest {
		b.patched = patchBase{}
		open, ok := b.found[c.Base]
		if !ok {
			return nil, fmt.Errorf("%w: sha256:%s is not here, which %s is made of", bundle.ErrBase, base.Digest.Hex(), f.Path)
		}
		text, err := contents.ReadVerified(ctx, open, base.Digest)
		if err != nil {
			return nil, fmt.Errorf("read what %s is made of: %w", f.Path, err)
		}
		b.patched = patchBase{base.Digest, text}
	}
	r, err := b.src.NewBlockReader(ctx)
	if err != nil {
		return nil, err
	}
	r.Seek(patch)
	out := format.NewPatchReader(contents.VerifyReader(r, patch.Digest), b.patched.bytes, c.Digest.Size)
	return contents.WithClose(contents.VerifyReader(out, c.Digest), r.Close), nil
}

// findInStores looks in the stores.
func (b *base) findInStores(ctx context.Context, need map[action.Digest]int) error {
	for _, s := range b.sinks.all {
		h, ok := s.(Holder)
		if !ok {
			continue
		}
		for d, i := range need {
			has, err := h.Holds(ctx, d)
			if err != nil {
				return err
			}
			if has {
				b.found[i] = func(ctx context.Context) (io.ReadCloser, error) { return h.OpenContent(ctx, d) }
				delete(need, d)
			}
		}
	}
	return nil
}

// findInBundles looks where earlier bundles were put. Each file that is to be used
// is read and verified.
func (b *base) findInBundles(ctx context.Context, need map[action.Digest]int) error {
	for n := len(b.imported) - 1; n >= 0 && len(need) > 0; n-- {
		x, err := b.imported[n].index(b.cache)
		if errors.Is(err, bundle.ErrRefused) || errors.Is(err, os.ErrNotExist) {
			continue // what is not found is missed below
		}
		if err != nil {
			return err
		}
		for i := range x.Components {
			if err := b.findInComponent(ctx, &x.Components[i], need); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *base) findInComponent(ctx context.Context, p *format.Component, need map[action.Digest]int) error {
	if !format.Kept(p.Name) {
		return nil
	}
	var s Sink
	for _, f := range p.Files {
		i, ok := need[f.Digest]
		if !ok {
			continue
		}
		if s == nil {
			var err error
			if s, err = b.sinks.of(p.Name); err != nil || s == nil {
				return err
			}
		}
		if has, err := s.Has(ctx, f, false); err != nil || !has {
			continue // it is no longer what it was
		}
		b.found[i] = func(ctx context.Context) (io.ReadCloser, error) { return s.Open(ctx, f) }
		delete(need, f.Digest)
	}
	return nil
}

// missing says what is missing, and which bundles would have brought it.
func (b *base) missing(need map[action.Digest]int) error {
	var bytes int64
	for d := range need {
		bytes += d.Size
	}
	here := lists.SetBy(b.imported, func(c Imported) string { return c.Digest })
	lacking := ""
	for _, d := range b.src.Root.Base.Bundles {
		if !here[d] {
			lacking += " sha256:" + d
		}
	}
	if lacking != "" {
		lacking = ". It was made for a host that has imported these bundles, which this one has not:" + lacking
	}
	return fmt.Errorf("%w: it leaves out %d contents (%d bytes) that are not here%s. Bring a full bundle, or a delta for a new receipt of this host", bundle.ErrBase, len(need), bytes, lacking)
}
