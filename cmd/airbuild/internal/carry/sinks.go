package carry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/lists"
)

// Places are where components go at the receiver. Close releases them.
type Places struct {
	cache string
	store *store.Disk
	scope store.Scope // of results
	// GoTree takes modules, proofs and toolchains in; see goTree.
	goTree *goTree

	mu    sync.Mutex
	sinks map[string]install.Sink
	dirs  []*install.DirSink
}

// OpenPlaces returns the places of a cache directory, whose store the caller
// has open.
func OpenPlaces(cache string, s *store.Disk) *Places {
	return &Places{cache: cache, store: s, sinks: map[string]install.Sink{}}
}

// Carried is a place below the cache directory that imports own.
func Carried(cache string, elem ...string) string {
	return filepath.Join(append([]string{cache, "carried"}, elem...)...)
}

// Sink is where a component goes; the same component always goes to the same
// place, so that a receipt can ask for it.
func (p *Places) Sink(component string) (install.Sink, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s, ok := p.sinks[component]; ok {
		return s, nil
	}
	s, err := p.open(component)
	if err != nil {
		return nil, err
	}
	p.sinks[component] = s
	return s, nil
}

func (p *Places) open(component string) (install.Sink, error) {
	kind, rest, _ := strings.Cut(component, "/")
	switch kind {
	case Actions, GoCache:
		return install.NewStoreSink(p.store, p.scope), nil
	case Modules, SumDB, Toolchain:
		if p.goTree == nil {
			p.goTree = &goTree{places: p}
		}
		return p.goTree.sink(component)
	case Airbuild, Extra:
		return p.dir(install.DirOptions{}, kind, rest)
	}
	return &contentSink{p.store}, nil
}

func (p *Places) dir(o install.DirOptions, elem ...string) (*install.DirSink, error) {
	s, err := install.NewDirSink(Carried(p.cache, elem...), o)
	if err == nil {
		p.dirs = append(p.dirs, s)
	}
	return s, err
}

// Close closes what Sink opened.
func (p *Places) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := lists.Map(p.dirs, func(d *install.DirSink) error { return d.Close() })
	if p.goTree != nil {
		errs = append(errs, p.goTree.close())
	}
	return errors.Join(errs...)
}

// A contentSink keeps the contents of files, by digest, in the store. Where
// users want them they are written from there, so that what users do to their
// files takes nothing away from the next delta.
type contentSink struct{ store *store.Disk }

func (s *contentSink) ID() string              { return "content " + s.store.Dir() }
func (s *contentSink) Dir() string             { return s.store.Dir() }
func (s *contentSink) Late(f bundle.File) bool { return false }

func (s *contentSink) Has(ctx context.Context, f bundle.File, _ bool) (bool, error) {
	missing, err := s.store.Missing(ctx, digests(f))
	return len(missing) == 0, err
}

func (s *contentSink) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	d, err := s.store.Put(ctx, r)
	if err == nil && d != f.Digest {
		err = fmt.Errorf("%w: %s holds %s instead of %s", bundle.ErrRefused, f.Path, d, f.Digest)
	}
	return err
}

func (s *contentSink) Open(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	return s.store.Open(ctx, f.Digest)
}

// Flush brings the store to the disk. One call for the file system is cheaper
// than one for each of ten thousand files.
func (s *contentSink) Flush(context.Context) error { return flush(s.store.Dir()) }

// flush brings a directory's file system to the disk, as far as the system has
// a way to.
func flush(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	defer d.Close()
	if err := syncFS(d); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}
