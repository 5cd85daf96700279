// Package rebuild makes steps again in a copy of their project, under other
// conditions, and compares what comes out with what is recorded or was carried here.
package rebuild

import (
	"context"
	"errors"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/workcopy"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/store"
)

// A Rebuild makes steps again in a copy of the project, and compares.
type Rebuild struct {
	*workcopy.Selection
	o          Options
	copy       *workcopy.Copy
	again      *store.Disk // of the second build
	results    map[string]stepResult
	conditions *Conditions

	expected map[string]expectedFile // of --against; nil without
	bundle   *bundle.Bundle          // of --against, if it is one
	against  string                  // the bundle, in words
	report   Report
}

// Options say what is made again, and what it is compared with.
type Options struct {
	Session *project.Session
	Targets []engine.StepID
	// Against is a directory or a bundle with files to compare with; "": the
	// recorded results. OpenBundle opens a bundle that is trusted.
	Against    string
	OpenBundle func(ctx context.Context, path string) (*bundle.Bundle, error)
	Keyring    string             // its directory; "": there is none
	OnEvent    func(engine.Event) // gets the events of making what is not recorded
	Started    func(steps int)    // is called before steps are made again
}

// New is a rebuild of targets.
func New(o Options) *Rebuild {
	return &Rebuild{o: o, Selection: workcopy.Select(o.Session, o.Targets, nil)}
}

// Run makes the steps again, and returns what came out differently.
func (v *Rebuild) Run(ctx context.Context) (*Report, error) {
	if err := v.openAgainst(ctx); err != nil {
		return nil, err
	}
	if err := v.Record(ctx, v.expected != nil, v.o.OnEvent); err != nil {
		return nil, err
	}
	if v.expected != nil {
		if err := v.LookUp(ctx); err != nil {
			return nil, err
		}
	}
	return v.RunChosen(ctx)
}

// RunChosen is Run where results are recorded already.
func (v *Rebuild) RunChosen(ctx context.Context) (*Report, error) {
	if err := v.rebuild(ctx); err != nil {
		return nil, err
	}
	return &v.report, v.compare(ctx)
}

// A stepResult is how a step of the second build ended.
type stepResult struct {
	status string
	key    action.Digest
	err    string
	log    string
}

// rebuild makes the steps again.
func (v *Rebuild) rebuild(ctx context.Context) (err error) {
	if v.copy, err = v.Prepare(ctx); err != nil {
		return err
	}
	if v.conditions, err = v.newConditions(ctx); err != nil {
		return err
	}
	v.o.Started(len(v.StepNames()))
	if v.results, err = v.runInCopy(ctx); err != nil {
		return err
	}
	v.again, err = v.copy.OpenStore(v.Store.Scope)
	return err
}

// Close removes the copy, or returns where it is if it is to be kept.
func (v *Rebuild) Close(keep bool) (kept string, _ error) {
	var errs []error
	if v.again != nil {
		errs = append(errs, v.again.Close())
		v.again = nil
	}
	if v.bundle != nil {
		errs = append(errs, v.bundle.Close())
		v.bundle = nil
	}
	if v.copy == nil {
		return "", errors.Join(errs...)
	}
	if keep {
		kept = v.copy.Dir
	} else {
		errs = append(errs, v.copy.Remove())
	}
	v.copy = nil
	return kept, errors.Join(errs...)
}
