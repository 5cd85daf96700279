package bundle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// Import takes a bundle in. In this order: is it older than one that is here;
// is everything here that a delta needs; is what the sinks hold compatible; is
// there enough space; then contents are read, verified block by block before
// they are decompressed, and stored; flushed to the disk; results of actions
// are recorded; the event goes into the custody log; and the reference
// (carried/bundles/<digest>.json) is renamed into place. Until then the bundle
// is not imported, and Import again goes on where it was interrupted. What is
// wrong with the media is all reported: the error joins a *Damage for each
// block. Good contents are kept.
func Import(ctx context.Context, b *Bundle, o ImportOptions) (*Imported, error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	kept := openSpool(b.src.Media, o.Cache, b.Digest())
	m := &importer{b: b, src: b.src, spool: kept, o: o, done: &Imported{Digest: b.Digest()}}
	m.src.Media = kept
	if err := m.run(ctx); err != nil {
		return nil, fmt.Errorf("import bundle %s: %w", b.src.Media.Name(), err)
	}
	return m.done, nil
}

// A target is a file that is not there yet and where it goes.
type target struct {
	sink Sink
	file format.File
}

// An importer takes one bundle in.
type importer struct {
	b        *Bundle
	src      contents.Source // of b, with the packs that were kept
	o        ImportOptions
	carried  []Carried
	journal  *journal
	spool    *spool
	earlier  map[string]string // which sink took which component, if the bundle was imported before
	imported bool              // it was
	names    []string          // of the components that are wanted
	sinks    map[string]Sink   // by component
	all      []Sink            // each once
	targets  [][]target        // by content, not late
	late     []target
	holders  map[int]held // by content: of those that the base has
	patching patchBase    // the base that was used last
	done     *Imported
	mu       sync.Mutex // guards done while contents are put
}

// run is an import from lock to reference.
func (m *importer) run(ctx context.Context) (err error) {
	for _, dir := range []string{bundlesDir(m.o.Cache), journalDir(m.o.Cache)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	unlock, err := files.Lock(ctx, filepath.Join(carriedDir(m.o.Cache), "lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if m.imported && m.missing() == 0 {
		m.done.Already = true
		return errors.Join(m.referAgain(), m.journal.close(true), m.spool.clear())
	}
	if err := m.check(ctx); err != nil {
		return err
	}
	if err := m.journal.begin(m.ids(), m.names); err != nil {
		return err
	}
	err = m.take(ctx)
	if err == nil {
		err = m.spool.clear()
	}
	return errors.Join(err, m.journal.close(err == nil))
}

// prepare finds out what is there and what is not.
func (m *importer) prepare(ctx context.Context) error {
	var err error
	if m.carried, err = ListCarried(m.o.Cache); err != nil {
		return err
	}
	for _, c := range m.carried {
		m.imported = m.imported || c.Digest == m.done.Digest
	}
	if m.journal, err = openJournal(m.o.Cache, m.done.Digest); err != nil {
		return err
	}
	if m.imported {
		m.earlier = readSinks(m.o.Cache, m.done.Digest)
	}
	m.done.Resumed = m.journal.began()
	if err := m.checkAge(); err != nil {
		return err
	}
	if err := m.openSinks(); err != nil {
		return err
	}
	return m.look(ctx)
}

// checkAge refuses to go back behind a bundle of the same name.
func (m *importer) checkAge() error {
	r := m.src.Root
	for _, c := range m.carried {
		if c.Root.Name == r.Name && c.Root.Sequence > r.Sequence && !m.o.AllowOlder {
			return fmt.Errorf("%w: bundle %s of %s (sequence %d) comes after one of %s (sequence %d). Allow older bundles if that is what you want", format.ErrOlder, r.Name, r.Created, r.Sequence, c.Root.Created, c.Root.Sequence)
		}
	}
	return nil
}

func (m *importer) openSinks() error {
	m.sinks = map[string]Sink{}
	seen := map[Sink]bool{}
	for _, c := range m.src.Root.Components {
		s, err := m.o.Sink(c.Name)
		if err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		if s == nil {
			continue
		}
		m.names = append(m.names, c.Name)
		m.sinks[c.Name] = s
		if !seen[s] {
			seen[s] = true
			m.all = append(m.all, s)
		}
	}
	return nil
}

func (m *importer) ids() map[string]string {
	ids := map[string]string{}
	for name, s := range m.sinks {
		ids[name] = s.ID()
	}
	return ids
}

// look asks the sinks what they have.
func (m *importer) look(ctx context.Context) error {
	m.targets = make([][]target, len(m.src.Index.Contents))
	files := 0
	for _, name := range m.names {
		files += len(m.src.Index.Component(name).Files)
	}
	if err := m.checkPaths(); err != nil {
		return err
	}
	progress := progress.NewMeter(m.o.Progress, progress.PhaseCheck, 0, files)
	for _, name := range m.names {
		if err := m.lookAt(ctx, name, progress); err != nil {
			return fmt.Errorf("component %s: %w", name, err)
		}
	}
	progress.End()
	return nil
}

// checkPaths refuses components that would write over each other.
func (m *importer) checkPaths() error {
	seen := map[Sink]map[string]action.Digest{}
	for _, name := range m.names {
		s := m.sinks[name]
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

func (m *importer) lookAt(ctx context.Context, name string, progress *progress.Meter) error {
	s, files := m.sinks[name], m.src.Index.Component(name).Files
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
				progress.File()
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
func (m *importer) wasFlushed(name string, s Sink, f format.File) bool {
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
	if err := m.findBase(ctx); err != nil {
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
		if k, ok := t.sink.(*KeepSink); ok {
			need[volumeOf(k.store.Dir())] += t.file.Digest.Size + fileOverhead
			dir[volumeOf(k.store.Dir())] = k.store.Dir()
		}
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
			return fmt.Errorf("%w at %s: %d bytes are needed, %d are free", format.ErrSpace, dir[v], n, free)
		}
	}
	return nil
}

// take copies, flushes and publishes.
func (m *importer) take(ctx context.Context) error {
	if err := m.copyContents(ctx); err != nil {
		return err
	}
	progress.NewMeter(m.o.Progress, progress.PhaseFlush, 0, 0).End()
	if err := m.flush(ctx); err != nil {
		return err
	}
	if err := m.putLate(ctx); err != nil {
		return err
	}
	return m.publish(ctx)
}

func (m *importer) flush(ctx context.Context) error {
	var errs []error
	for _, s := range m.all {
		errs = append(errs, s.Flush(ctx))
	}
	return errors.Join(errs...)
}

// copyContents puts all that is not late. Damage is collected: the good
// contents are stored all the same.
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
func oneOfEach(bad []*format.Damage) []*format.Damage {
	var out []*format.Damage
	told := map[string]bool{}
	for _, d := range bad {
		key := d.File + "\x00" + d.Reason
		if d.Lost && told[key] {
			continue
		}
		told[key] = d.Lost
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
	m.patching = patchBase{}
	return nil
}

func (m *importer) copyOther(ctx context.Context, content int, f format.File) error {
	r, err := m.open(ctx, f)
	if err != nil {
		return err
	}
	defer r.Close()
	err = m.put(ctx, content, r)
	if errors.Is(err, format.ErrRefused) && m.src.Index.Contents[content].Kind == format.ContentPlain {
		if blob, openErr := m.src.Media.Blob(ctx, f.Digest); openErr == nil {
			defer blob.Close()
			file, off := blob.Place(0)
			return &format.Damage{File: file, Offset: off, Blob: f.Digest, Reason: err.Error()}
		}
	}
	return err
}

// open opens a content, of the bundle or of the base.
func (m *importer) open(ctx context.Context, f format.File) (io.ReadCloser, error) {
	if m.src.Index.Contents[f.Content].Kind == format.ContentPatched {
		return m.openPatched(ctx, f)
	}
	if h, ok := m.holders[f.Content]; ok {
		return h.open(ctx)
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
	if err := m.flush(ctx); err != nil {
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
	progress := progress.NewMeter(m.o.Progress, progress.PhasePublish, 0, len(m.late))
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
		progress.File()
	}
	progress.End()
	return m.flush(ctx)
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

// publish writes the event and then the reference. The event comes first: a
// crash between the two makes it appear twice, but no import is without one.
func (m *importer) publish(ctx context.Context) error {
	e := custody.Event{
		Kind: custody.Imported, Subject: "sha256:" + m.done.Digest, Name: m.src.Root.Name,
		Time: m.o.Time.UTC().Format(time.RFC3339), Actor: m.o.Actor,
		Details: map[string]string{"index": m.src.Root.Index.Digest},
	}
	if m.src.Root.Custody != nil {
		e.Details["custody"] = m.src.Root.Custody.Digest
	}
	if err := custody.Append(ctx, custody.File(m.o.Cache), e, m.o.Key); err != nil {
		return err
	}
	return m.refer()
}

// referAgain is refer for a bundle that was imported before, if its components
// now belong to other sinks that happen to have all of it.
func (m *importer) referAgain() error {
	for name, id := range m.ids() {
		if m.earlier[name] != id {
			return m.refer()
		}
	}
	return nil
}

// refer writes what stays of the bundle itself, the reference last.
func (m *importer) refer() error {
	dir := bundlesDir(m.o.Cache)
	ids := m.earlier
	if ids == nil {
		ids = map[string]string{}
	}
	for name, id := range m.ids() {
		ids[name] = id
	}
	sinks, err := format.EncodeCanonical(ids)
	if err != nil {
		return err
	}
	type part struct {
		suffix string
		text   []byte
	}
	parts := []part{{indexSuffix, m.b.indexBlob}, {sinksSuffix, sinks}}
	if m.b.envelope != nil {
		text, err := m.b.envelope.Encode()
		if err != nil {
			return err
		}
		parts = append(parts, part{envelopeSuffix, text})
	}
	if m.b.custody != nil {
		parts = append(parts, part{custodySuffix, m.b.custody})
	}
	for _, f := range parts {
		if err := files.WriteBytes(dir, m.done.Digest+f.suffix, f.text); err != nil {
			return err
		}
	}
	if err := files.SyncDir(dir); err != nil {
		return err
	}
	if err := files.WriteBytes(dir, m.done.Digest+refSuffix, m.b.bytes); err != nil {
		return err
	}
	return files.SyncDir(dir)
}

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
// maxPatchBase of it.
type patchBase struct {
	digest action.Digest
	bytes  []byte
}

// openPatched gives a content that is made of one of the base. All of the base
// is read and verified before any of it is used.
func (m *importer) openPatched(ctx context.Context, f format.File) (io.ReadCloser, error) {
	c := &m.src.Index.Contents[f.Content]
	base, patch := &m.src.Index.Contents[c.Base], &m.src.Index.Contents[c.Patch]
	if m.patching.bytes == nil || m.patching.digest != base.Digest {
		m.patching = patchBase{}
		h, ok := m.holders[c.Base]
		if !ok {
			return nil, fmt.Errorf("%w: sha256:%s is not here, which %s is made of", format.ErrBase, base.Digest.Hex(), f.Path)
		}
		b, err := readContent(ctx, h.open, base.Digest)
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
	for n := len(m.carried) - 1; n >= 0 && len(need) > 0; n-- {
		x, err := m.carried[n].index(m.o.Cache)
		if errors.Is(err, format.ErrRefused) || errors.Is(err, os.ErrNotExist) {
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
	for _, c := range m.carried {
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
	return fmt.Errorf("%w: it leaves out %d contents (%d bytes) that are not here%s. Bring a full bundle, or a delta for a new receipt of this host", format.ErrBase, len(need), bytes, lacking)
}

// sortTargets orders targets by content.
func sortTargets(list []target) {
	slices.SortStableFunc(list, func(a, b target) int { return cmp.Compare(a.file.Content, b.file.Content) })
}

// keepCut keeps the packs of contents that go over several packs, of which some
// were lost or damaged and others not.
func (m *importer) keepCut(ctx context.Context, bad []*format.Damage) error {
	lost := map[action.Digest]bool{}
	for _, d := range bad {
		lost[d.Blob] = true
	}
	x, keep := m.src.Index, map[int]bool{}
	for i, list := range m.targets {
		c := &x.Contents[x.Carrier(i)]
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
			return fmt.Errorf("keep a pack for when the others are there: %w", err)
		}
	}
	return nil
}
