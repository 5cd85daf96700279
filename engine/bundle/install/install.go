// Package install imports bundles into a cache directory, and knows what was
// imported there.
package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/engine/sign"
)

// Options say where a bundle goes.
type Options struct {
	// Cache is the cache directory; "carried" below it belongs to this package. It is
	// locked, so that of two imports the second waits for the first.
	Cache string
	// Sink returns where a component goes, and nil if it is not wanted. It is
	// called once for each component, with all of them known to be sound.
	Sink func(component string) (Sink, error)
	// AllowOlder takes a bundle after a newer one of the same name.
	AllowOlder bool
	Jobs       int // decompressing and storing at once; zero: one per CPU
	Progress   bundle.ProgressFunc
	// Key signs the event in the custody log; nil: the event is not signed.
	Key   *sign.SecretKey
	Actor string
	Time  time.Time // of the event; zero: now
}

// A Report says what Bundle did.
type Report struct {
	Digest  string
	Already bool  // it was imported before; nothing was done
	Files   int   // that were stored
	Bytes   int64 // of them
	Kept    int   // files that were there already
	Resumed bool  // an interrupted import was taken up again
}

// Bundle imports a bundle. In this order: is it older than one that is here;
// is everything here that a delta needs; is what the sinks hold compatible; is
// there enough space; then contents are read, verified block by block before
// they are decompressed, and stored; flushed to the disk; results of actions
// are recorded; the event goes into the custody log; and the reference
// (carried/bundles/<digest>.json) is renamed into place. Until then the bundle
// is not imported, and Bundle again goes on where it was interrupted. What is
// wrong with the media is all reported: the error joins a *Damage for each
// block. Good contents are kept.
func Bundle(ctx context.Context, b *bundle.Bundle, o Options) (*Report, error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.Time.IsZero() {
		o.Time = time.Now()
	}
	kept := openSpool(b.Media(), o.Cache, b.Digest())
	m := &importer{b: b, src: *b.Contents(), spool: kept, o: o, done: &Report{Digest: b.Digest()}}
	m.src.Media = kept
	if err := m.run(ctx); err != nil {
		return nil, fmt.Errorf("import bundle %s: %w", b.Media().Name(), err)
	}
	return m.done, nil
}

// A target is a file that is not there yet and where it goes.
type target struct {
	sink Sink
	file bundle.File
}

// An importer takes one bundle in.
type importer struct {
	b          *bundle.Bundle
	src        contents.Source // of b, with the packs that were kept
	o          Options
	bundles    []Imported
	journal    *journal
	spool      *spool
	earlier    map[string]string // which sink took which component, if the bundle was imported before
	isImported bool              // it was
	sinks      *sinkSet
	targets    [][]target // by content, not late
	late       []target
	base       base
	done       *Report
	mu         sync.Mutex // guards done while contents are put
}

// run is an import from lock to reference.
func (m *importer) run(ctx context.Context) (err error) {
	for _, dir := range []string{bundlesDir(m.o.Cache), journalDir(m.o.Cache)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	unlock, err := files.Lock(ctx, filepath.Join(importedDir(m.o.Cache), "lock"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if err := m.prepare(ctx); err != nil {
		return err
	}
	if m.isImported && m.missing() == 0 {
		m.done.Already = true
		return errors.Join(m.referAgain(), m.journal.close(true), m.spool.clear())
	}
	if err := m.check(ctx); err != nil {
		return err
	}
	if err := m.journal.begin(m.sinks.ids(), m.sinks.names); err != nil {
		return err
	}
	err = m.store(ctx)
	if err == nil {
		err = m.spool.clear()
	}
	return errors.Join(err, m.journal.close(err == nil))
}

// prepare finds out what is there and what is not.
func (m *importer) prepare(ctx context.Context) error {
	var err error
	if m.bundles, err = List(m.o.Cache); err != nil {
		return err
	}
	for _, c := range m.bundles {
		m.isImported = m.isImported || c.Digest == m.done.Digest
	}
	if m.journal, err = openJournal(m.o.Cache, m.done.Digest); err != nil {
		return err
	}
	if m.isImported {
		m.earlier = readSinks(m.o.Cache, m.done.Digest)
	}
	m.done.Resumed = m.journal.began()
	if err := m.checkAge(); err != nil {
		return err
	}
	if m.sinks, err = openSinks(m.src.Root.Components, m.o.Sink); err != nil {
		return err
	}
	return m.findMissing(ctx)
}

// checkAge refuses to go back behind a bundle of the same name.
func (m *importer) checkAge() error {
	r := m.src.Root
	for _, c := range m.bundles {
		if c.Root.Name == r.Name && c.Root.Sequence > r.Sequence && !m.o.AllowOlder {
			return fmt.Errorf("%w: bundle %s of %s (sequence %d) comes after one of %s (sequence %d). Allow older bundles if that is what you want", bundle.ErrOlder, r.Name, r.Created, r.Sequence, c.Root.Created, c.Root.Sequence)
		}
	}
	return nil
}

// store copies, flushes and publishes.
func (m *importer) store(ctx context.Context) error {
	if err := m.copyContents(ctx); err != nil {
		return err
	}
	progress.NewMeter(m.o.Progress, progress.PhaseFlush, 0, 0).End()
	if err := m.sinks.flush(ctx); err != nil {
		return err
	}
	if err := m.putLate(ctx); err != nil {
		return err
	}
	return m.publish(ctx)
}
