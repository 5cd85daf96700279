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
)

// held is a content that is here already.
type held struct {
	open func(context.Context) (io.ReadCloser, error)
}

// findBase finds every content that the bundle leaves out and that is needed.
func (m *importer) findBase(ctx context.Context) error {
	m.holders = map[int]held{}
	need := map[action.Digest]int{}
	for i, list := range m.targets {
		if len(list) > 0 {
			m.needBase(need, i)
		}
	}
	for _, t := range m.late {
		m.needBase(need, t.file.Content)
	}
	if err := m.askHolders(ctx, need); err != nil {
		return err
	}
	if err := m.askCarried(ctx, need); err != nil {
		return err
	}
	if len(need) == 0 {
		return nil
	}
	return m.wrongBase(need)
}

// needBase notes what of the base a content needs.
func (m *importer) needBase(need map[action.Digest]int, content int) {
	c := &m.src.Index.Contents[content]
	if c.Kind == format.ContentPatched {
		content = c.Base
		c = &m.src.Index.Contents[content]
	}
	if c.Kind == format.ContentBase {
		need[c.Digest] = content
	}
}

// A patchBase is a content that patches are for, in memory: at most
// format.MaxPatchBase of it.
type patchBase struct {
	digest action.Digest
	bytes  []byte
}

// openPatched gives a content that is made of one of the base. All of the base
// is read and verified before any of it is used.
func (m *importer) openPatched(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	c := &m.src.Index.Contents[f.Content]
	base, patch := &m.src.Index.Contents[c.Base], &m.src.Index.Contents[c.Patch]
	if m.patching.bytes == nil || m.patching.digest != base.Digest {
		m.patching = patchBase{}
		h, ok := m.holders[c.Base]
		if !ok {
			return nil, fmt.Errorf("%w: sha256:%s is not here, which %s is made of", bundle.ErrBase, base.Digest.Hex(), f.Path)
		}
		b, err := contents.ReadVerified(ctx, h.open, base.Digest)
		if err != nil {
			return nil, fmt.Errorf("read what %s is made of: %w", f.Path, err)
		}
		m.patching = patchBase{base.Digest, b}
	}
	r, err := m.src.NewBlockReader(ctx)
	if err != nil {
		return nil, err
	}
	r.Seek(patch)
	out := format.NewPatchReader(contents.VerifyReader(r, patch.Digest), m.patching.bytes, c.Digest.Size)
	return contents.WithClose(contents.VerifyReader(out, c.Digest), r.Close), nil
}

// askHolders looks in the stores.
func (m *importer) askHolders(ctx context.Context, need map[action.Digest]int) error {
	for _, s := range m.all {
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
				m.holders[i] = held{func(ctx context.Context) (io.ReadCloser, error) { return h.OpenContent(ctx, d) }}
				delete(need, d)
			}
		}
	}
	return nil
}

// askCarried looks where earlier bundles were put. Each file that is to be used
// is read and verified.
func (m *importer) askCarried(ctx context.Context, need map[action.Digest]int) error {
	for n := len(m.bundles) - 1; n >= 0 && len(need) > 0; n-- {
		x, err := m.bundles[n].index(m.o.Cache)
		if errors.Is(err, bundle.ErrRefused) || errors.Is(err, os.ErrNotExist) {
			continue // what is not found is missed below
		}
		if err != nil {
			return err
		}
		for i := range x.Components {
			if err := m.askPart(ctx, &x.Components[i], need); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *importer) askPart(ctx context.Context, p *format.Component, need map[action.Digest]int) error {
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
			if s, err = m.sinkOf(p.Name); err != nil || s == nil {
				return err
			}
		}
		if has, err := s.Has(ctx, f, false); err != nil || !has {
			continue // it is no longer what it was
		}
		m.holders[i] = held{func(ctx context.Context) (io.ReadCloser, error) { return s.Open(ctx, f) }}
		delete(need, f.Digest)
	}
	return nil
}

func (m *importer) sinkOf(component string) (Sink, error) {
	if s, ok := m.sinks[component]; ok {
		return s, nil
	}
	return m.o.Sink(component)
}

// wrongBase says what is missing, and which bundles would have brought it.
func (m *importer) wrongBase(need map[action.Digest]int) error {
	var bytes int64
	for d := range need {
		bytes += d.Size
	}
	here := map[string]bool{}
	for _, c := range m.bundles {
		here[c.Digest] = true
	}
	lacking := ""
	for _, d := range m.src.Root.Base.Bundles {
		if !here[d] {
			lacking += " sha256:" + d
		}
	}
	if lacking != "" {
		lacking = ". It was made for a host that has imported these bundles, which this one has not:" + lacking
	}
	return fmt.Errorf("%w: it leaves out %d contents (%d bytes) that are not here%s. Bring a full bundle, or a delta for a new receipt of this host", bundle.ErrBase, len(need), bytes, lacking)
}
