package install

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/internal/lists"
)

// copyContents puts all that is not late. Damage is collected: the good
// contents are stored nevertheless.
func (m *importer) copyContents(ctx context.Context) error {
	var total int64
	e := &contents.Extractor{Source: &m.src, Jobs: m.o.Jobs, Want: format.NewBitmap(len(m.targets)), Put: m.put, PackDone: m.packDone}
	for i, list := range m.targets {
		if len(list) == 0 {
			continue
		}
		total += m.src.Index.Contents[i].Digest.Size
		if m.src.Index.Contents[i].Kind == format.ContentPacked {
			e.Want.Set(i)
		}
	}
	e.Meter = progress.NewMeter(m.o.Progress, progress.PhaseImport, total, 0)
	if err := m.copyOthers(ctx, e); err != nil {
		return err
	}
	if err := e.Run(ctx); err != nil {
		return err
	}
	e.Meter.End()
	bad := oneOfEach(e.Damage)
	var errs []error
	for i, d := range bad {
		if i == contents.MaxErrors {
			errs = append(errs, format.Refusef("and %d more", len(bad)-i))
			break
		}
		errs = append(errs, d)
	}
	return errors.Join(append(append(errs, e.Errors...), m.keepCut(ctx, e.Damage))...)
}

// oneOfEach leaves one mention of each volume that is not there.
func oneOfEach(bad []*bundle.Damage) []*bundle.Damage {
	var out []*bundle.Damage
	reported := map[string]bool{}
	for _, d := range bad {
		key := d.File + "\x00" + d.Reason
		if d.Lost && reported[key] {
			continue
		}
		reported[key] = d.Lost
		out = append(out, d)
	}
	return out
}

// copyOthers puts contents that are blobs of their own, or here already.
func (m *importer) copyOthers(ctx context.Context, e *contents.Extractor) error {
	for i, list := range m.targets {
		if len(list) == 0 || e.Want.Has(i) {
			continue
		}
		err := m.copyOther(ctx, i, list[0].file)
		if bad, other := format.AsDamage(err); bad != nil {
			e.Damage = append(e.Damage, bad)
		} else if other != nil {
			return other
		}
		e.Meter.Add(list[0].file.Digest.Size)
	}
	m.base.patched = patchBase{}
	return nil
}

func (m *importer) copyOther(ctx context.Context, content int, f bundle.File) error {
	r, err := m.open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	err = m.put(ctx, content, r)
	if errors.Is(err, bundle.ErrRefused) && m.src.Index.Contents[content].Kind == format.ContentPlain {
		if blob, openErr := m.src.Media.Blob(ctx, f.Digest); openErr == nil {
			defer blob.Close()
			file, off := blob.Place(0)
			return &bundle.Damage{File: file, Offset: off, Blob: f.Digest, Reason: err.Error()}
		}
	}
	return err
}

// open opens a content, of the bundle or of the base.
func (m *importer) open(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	if m.src.Index.Contents[f.Content].Kind == format.ContentPatched {
		return m.base.openPatched(ctx, f)
	}
	if open, ok := m.base.found[f.Content]; ok {
		return open(ctx)
	}
	return m.src.OpenFile(ctx, f)
}

// put stores a content at all its places: at the first from r, at the others
// from the first.
func (m *importer) put(ctx context.Context, content int, r io.Reader) error {
	list := m.targets[content]
	for i, t := range list {
		if i == 0 {
			if err := t.sink.Put(ctx, t.file, r); err != nil {
				return err
			}
		} else if err := copyFrom(ctx, list[0], t); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done.Files += len(list)
	m.done.Bytes += int64(len(list)) * list[0].file.Digest.Size
	return nil
}

func copyFrom(ctx context.Context, from, to target) error {
	if from.sink == to.sink && from.file.Path == to.file.Path {
		return nil // two components name the same file of one sink
	}
	r, err := from.sink.Open(ctx, from.file)
	if err != nil {
		return err
	}
	defer r.Close()
	return to.sink.Put(ctx, to.file, r)
}

func (m *importer) packDone(ctx context.Context, pack int) error {
	if err := m.sinks.flush(ctx); err != nil {
		return err
	}
	return m.journal.pack(pack)
}

// putLate puts what must come after all else. Contents are read in their order,
// so that each block is read once.
func (m *importer) putLate(ctx context.Context) error {
	if len(m.late) == 0 {
		return nil
	}
	meter := progress.NewMeter(m.o.Progress, progress.PhasePublish, 0, len(m.late))
	r, err := m.src.NewBlockReader(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	sortTargets(m.late)
	for _, t := range m.late {
		if err := m.putOne(ctx, r, t); err != nil {
			return err
		}
		meter.File()
	}
	meter.End()
	return m.sinks.flush(ctx)
}

func (m *importer) putOne(ctx context.Context, r *contents.BlockReader, t target) error {
	c := &m.src.Index.Contents[t.file.Content]
	if c.Kind == format.ContentPacked {
		r.Seek(c)
		return m.count(t, t.sink.Put(ctx, t.file, r))
	}
	f, err := m.open(ctx, t.file)
	if err != nil {
		return err
	}
	defer f.Close()
	return m.count(t, t.sink.Put(ctx, t.file, f))
}

func (m *importer) count(t target, err error) error {
	if err == nil {
		m.done.Files++
		m.done.Bytes += t.file.Digest.Size
	}
	return err
}

// sortTargets orders targets by content.
func sortTargets(list []target) {
	slices.SortStableFunc(list, func(a, b target) int { return cmp.Compare(a.file.Content, b.file.Content) })
}

// keepCut keeps the packs of contents that go over several packs, of which some
// were lost or damaged and others not.
func (m *importer) keepCut(ctx context.Context, bad []*bundle.Damage) error {
	lost := lists.SetBy(bad, func(d *bundle.Damage) action.Digest { return d.Blob })
	x, keep := m.src.Index, map[int]bool{}
	for i, list := range m.targets {
		c := &x.Contents[x.Stored(i)]
		if len(list) == 0 || c.Kind != format.ContentPacked || c.Digest.Size == 0 {
			continue
		}
		first := x.Blocks[x.BlockAt(c.Start)].Pack
		last := x.Blocks[x.BlockAt(c.Start+c.Digest.Size-1)].Pack
		cut := false
		for pack := first; pack <= last && first < last; pack++ {
			d, err := m.src.Pack(pack)
			if err != nil {
				return err
			}
			cut = cut || lost[d]
		}
		for pack := first; pack <= last && cut; pack++ {
			keep[pack] = true
		}
	}
	for pack := range x.Packs {
		d, err := m.src.Pack(pack)
		if err != nil {
			return err
		}
		if !keep[pack] || lost[d] {
			continue
		}
		if err := m.spool.keep(ctx, d); err != nil {
			return fmt.Errorf("keep a pack until the others have arrived: %w", err)
		}
	}
	return nil
}
