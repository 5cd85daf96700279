package closure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

var errNoQuestion = errors.New("what it lists is not remembered")

// Costly implements engine.Asker.
func (ls Listers) Costly() bool {
	return slices.ContainsFunc(ls, func(l engine.Lister) bool {
		asker, ok := l.(engine.Asker)
		return ok && asker.Costly()
	})
}

// Costly implements engine.Asker.
func (identity) Costly() bool { return false }

// Question implements engine.Asker: there is one if each Lister has one.
func (ls Listers) Question(a *engine.Asking) (string, error) {
	var all strings.Builder
	for _, l := range ls {
		asker, ok := l.(engine.Asker)
		if !ok {
			return "", errNoQuestion
		}
		q, err := asker.Question(a)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%q\n", q)
	}
	return all.String(), nil
}

// Question implements engine.Asker. Of a Go that is no release, only this host
// knows what it is.
func (i identity) Question(a *engine.Asking) (string, error) {
	tc, err := i.cfg.FoundToolchain()
	switch {
	case err != nil:
		return "", err
	case a.Elsewhere() && !tc.Release:
		return "", errNoQuestion
	case a.Elsewhere():
		return fmt.Sprintf("go %q", tc.Version), nil
	}
	return fmt.Sprintf("go %q %q %t", tc.Version, tc.Bin, tc.Release), nil
}

// Listers asks several Listers and joins what they say.
type Listers []engine.Lister

// NewListers is what every step that runs the go command begins with.
func NewListers(cfg *gocmd.Config) Listers { return Listers{identity{cfg}} }

// List implements engine.Lister.
func (ls Listers) List(ctx context.Context, files engine.Files) (engine.Listing, error) {
	var all engine.Listing
	for _, l := range ls {
		one, err := l.List(ctx, files)
		if err != nil {
			return engine.Listing{}, err
		}
		all.Inputs = append(all.Inputs, one.Inputs...)
		all.Facts = append(all.Facts, one.Facts...)
		all.Notes = append(all.Notes, one.Notes...)
		all.Unseen = append(all.Unseen, one.Unseen...)
		if all.Uncached == "" {
			all.Uncached = one.Uncached
		}
		if rest := all.Reads; rest == nil {
			all.Reads = one.Reads
		} else if one.Reads != nil {
			all.Reads = func(p string) bool { return rest(p) || one.Reads(p) }
		}
	}
	return all, nil
}

// Programs lists the programs of the host that the step runs: see
// tasks.ProgramsOf.
func (ls Listers) Programs() tasks.Programs {
	var all tasks.Programs
	for _, l := range ls {
		if progs, ok := l.(tasks.Programs); ok {
			all = append(all, progs...)
		}
	}
	return all
}

// identity is the Lister of what every Go step depends on: which Go it is. It is
// asked when the step is keyed, so that a plan can be shown without any Go.
type identity struct{ cfg *gocmd.Config }

// List implements engine.Lister.
func (i identity) List(_ context.Context, files engine.Files) (engine.Listing, error) {
	i.cfg.SetState(files)
	tc, err := i.cfg.FoundToolchain()
	if err != nil {
		return engine.Listing{}, err
	}
	facts := []engine.Fact{{Name: "go", Value: tc.Version}}
	if !tc.Release {
		d, err := files.Digest(tc.Bin)
		if err != nil {
			return engine.Listing{}, fmt.Errorf("identify Go: %w", err)
		}
		facts = append(facts, engine.Fact{Name: "go command", Value: "sha256:" + d.Hex()})
	}
	return engine.Listing{Facts: facts}, nil
}

// AddLister adds a Lister to a step of newStep.
func AddLister(s *engine.Step, l engine.Lister) {
	ls, _ := s.Lister.(Listers)
	s.Lister = append(slices.Clone(ls), l)
}
