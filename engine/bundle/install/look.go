package install

import (
	"context"
	"fmt"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// findMissing asks the sinks what they have.
func (m *importer) findMissing(ctx context.Context) error {
	m.targets = make([][]target, len(m.src.Index.Contents))
	files := 0
	for _, name := range m.sinks.names {
		files += len(m.src.Index.Component(name).Files)
	}
	if err := m.checkPaths(); err != nil {
		return err
	}
	meter := progress.NewMeter(m.o.Progress, progress.PhaseCheck, 0, files)
	for _, name := range m.sinks.names {
		if err := m.findMissingIn(ctx, name, meter); err != nil {
			return fmt.Errorf("component %s: %w", name, err)
		}
	}
	meter.End()
	return nil
}

// checkPaths refuses components that would write over each other.
func (m *importer) checkPaths() error {
	seen := map[Sink]map[string]action.Digest{}
	for _, name := range m.sinks.names {
		s := m.sinks.byName[name]
		merger, _ := s.(Merger)
		if seen[s] == nil {
			seen[s] = map[string]action.Digest{}
		}
		for _, f := range m.src.Index.Component(name).Files {
			d, ok := seen[s][f.Path]
			if ok && d != f.Digest && (merger == nil || !merger.Merges(f.Path)) {
				return format.Refusef("component %s: another component has a file %q too, with other content, and both go to %s", name, f.Path, s.Dir())
			}
			seen[s][f.Path] = f.Digest
		}
	}
	return nil
}

func (m *importer) findMissingIn(ctx context.Context, name string, meter *progress.Meter) error {
	s, files := m.sinks.byName[name], m.src.Index.Component(name).Files
	there := make([]bool, len(files))
	work := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(m.o.Jobs)
	const batch = 64
	for from := 0; from < len(files); from += batch {
		to := min(from+batch, len(files))
		work.Go(func(ctx context.Context) (err error) {
			for i := from; i < to && err == nil; i++ {
				if err = ctx.Err(); err == nil {
					there[i], err = s.Has(ctx, files[i], m.wasFlushed(name, s, files[i]))
				}
				meter.File()
			}
			return err
		})
	}
	if err := work.Wait(); err != nil {
		return err
	}
	for i, f := range files {
		switch {
		case there[i]:
			m.done.Kept++
		case s.Late(f):
			m.late = append(m.late, target{s, f})
		default:
			m.targets[f.Content] = append(m.targets[f.Content], target{s, f})
		}
	}
	return nil
}

// wasFlushed reports whether an earlier import brought f to the disk.
func (m *importer) wasFlushed(name string, s Sink, f bundle.File) bool {
	if id, ok := m.earlier[name]; ok && id == s.ID() {
		return true
	}
	c := &m.src.Index.Contents[f.Content]
	if m.journal.sinks[name] != s.ID() || c.Kind != format.ContentPacked || c.Digest.Size == 0 {
		return false
	}
	last := m.src.Index.BlockAt(c.Start + c.Digest.Size - 1)
	return m.src.Index.Blocks[last].Pack < m.journal.packs
}

// missing counts the files that are not there.
func (m *importer) missing() int {
	n := len(m.late)
	for _, t := range m.targets {
		n += len(t)
	}
	return n
}

// check refuses what cannot come to a good end, before anything is copied.
func (m *importer) check(ctx context.Context) error {
	var wanted []int
	for i, list := range m.targets {
		if len(list) > 0 {
			wanted = append(wanted, i)
		}
	}
	for _, t := range m.late {
		wanted = append(wanted, t.file.Content)
	}
	m.base = base{src: &m.src, cache: m.o.Cache, imported: m.bundles, sinks: m.sinks}
	if err := m.base.find(ctx, wanted); err != nil {
		return err
	}
	return m.checkSpace()
}

// fileOverhead is what a small file takes on a disk beyond its bytes, roughly.
const fileOverhead = 4 << 10

// checkSpace compares what is missing with what is free, by file system.
func (m *importer) checkSpace() error {
	need, dir := map[string]int64{}, map[string]string{}
	count := func(t target) {
		v := volumeOf(t.sink.Dir())
		dir[v] = t.sink.Dir()
		need[v] += t.file.Digest.Size + fileOverhead
	}
	for _, list := range m.targets {
		for _, t := range list {
			count(t)
		}
	}
	for _, t := range m.late {
		count(t)
	}
	for v, n := range need {
		free, err := freeSpace(dir[v])
		if err != nil {
			return err
		}
		if free < n {
			return fmt.Errorf("%w at %s: %d bytes are needed, %d are free", bundle.ErrSpace, dir[v], n, free)
		}
	}
	return nil
}
