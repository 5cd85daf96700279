package closure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// The InputDiscoverers of this package are Memoizable: they read the project through
// Files, or stamp what other programs read through it before they return.
var (
	_ engine.Memoizable = Discoverers(nil)
	_ engine.Memoizable = identity{}
	_ engine.Memoizable = (*Closure)(nil)
	_ engine.Memoizable = (*Imports)(nil)
)

var errNotMemoizable = errors.New("what it lists is not remembered")

// Discoverers are several InputDiscoverers as one.
type Discoverers []engine.InputDiscoverer

// NewDiscoverers is what every step that runs the go command begins with.
func NewDiscoverers(cfg *gocmd.Config) Discoverers { return Discoverers{identity{cfg}} }

// Discover implements engine.InputDiscoverer.
func (ls Discoverers) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	var all engine.Discovery
	for _, l := range ls {
		one, err := l.Discover(ctx, files)
		if err != nil {
			return engine.Discovery{}, err
		}
		all.Inputs = append(all.Inputs, one.Inputs...)
		all.Facts = append(all.Facts, one.Facts...)
		all.Notes = append(all.Notes, one.Notes...)
		all.Unseen = append(all.Unseen, one.Unseen...)
		all.Uncached = cmp.Or(all.Uncached, one.Uncached)
		if rest := all.Reads; rest == nil {
			all.Reads = one.Reads
		} else if one.Reads != nil {
			all.Reads = func(p string) bool { return rest(p) || one.Reads(p) }
		}
	}
	return all, nil
}

// Costly implements engine.Memoizable.
func (ls Discoverers) Costly() bool {
	return slices.ContainsFunc(ls, func(l engine.InputDiscoverer) bool {
		m, ok := l.(engine.Memoizable)
		return ok && m.Costly()
	})
}

// Query implements engine.Memoizable: there is one if each InputDiscoverer has one.
func (ls Discoverers) Query(roots *engine.NamedRoots) (string, error) {
	var all strings.Builder
	for _, l := range ls {
		m, ok := l.(engine.Memoizable)
		if !ok {
			return "", errNotMemoizable
		}
		q, err := m.Query(roots)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%q\n", q)
	}
	return all.String(), nil
}

// Programs lists the programs of the host that the step runs: see
// tasks.ProgramsOf.
func (ls Discoverers) Programs() tasks.Programs {
	var all tasks.Programs
	for _, l := range ls {
		if progs, ok := l.(tasks.Programs); ok {
			all = append(all, progs...)
		}
	}
	return all
}

// identity is the InputDiscoverer of what every Go step depends on: which Go it is. It is
// asked when the step is keyed, so that a plan can be shown without any Go.
type identity struct{ cfg *gocmd.Config }

// Discover implements engine.InputDiscoverer.
func (i identity) Discover(_ context.Context, files engine.Files) (engine.Discovery, error) {
	i.cfg.SetState(files)
	tc, err := i.cfg.FoundToolchain()
	if err != nil {
		return engine.Discovery{}, err
	}
	facts := []engine.Fact{{Name: "go", Value: tc.Version}}
	if !tc.Release {
		d, err := files.Digest(tc.Bin)
		if err != nil {
			return engine.Discovery{}, fmt.Errorf("identify Go: %w", err)
		}
		facts = append(facts, engine.Fact{Name: "go command", Value: "sha256:" + d.Hex()})
	}
	return engine.Discovery{Facts: facts}, nil
}

// Costly implements engine.Memoizable.
func (identity) Costly() bool { return false }

// Query implements engine.Memoizable. A Go that is not a release is identified on
// this host only.
func (i identity) Query(roots *engine.NamedRoots) (string, error) {
	tc, err := i.cfg.FoundToolchain()
	switch {
	case err != nil:
		return "", err
	case roots == nil:
		return fmt.Sprintf("go %q %q %t", tc.Version, tc.Bin, tc.Release), nil
	case !tc.Release:
		return "", errNotMemoizable
	}
	return fmt.Sprintf("go %q", tc.Version), nil
}

// AddDiscoverer adds an InputDiscoverer to a step of newStep.
func AddDiscoverer(s *engine.Step, l engine.InputDiscoverer) {
	ls, _ := s.Discoverer.(Discoverers)
	s.Discoverer = append(slices.Clone(ls), l)
}
