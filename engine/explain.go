package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// An Explanation is a step's key, part by part, and what sets it apart from
// the nearest earlier one.
type Explanation struct {
	Step  *Step
	Key   action.Digest // zero if it is not known before other steps have run
	Lines []action.Line
	Notes []string // of the step's InputDiscoverer
	// Status is Hit or WouldRun, Reason why it would run.
	Status Status
	Reason string
	// Waits names the steps that would run first, where Key is not known.
	Waits []string
	// Previous is the earlier outcome that Changes compares with; nil if
	// there is none with its parts still in the store.
	Previous *Previous
	Changes  []action.Change
}

// Previous is an earlier outcome of a step.
type Previous struct {
	Key  action.Digest
	Time time.Time
}

// Explain computes a step's key as a run would, without running anything.
// The earlier outcome with the fewest differences is the nearest.
func Explain(ctx context.Context, g *Graph, id StepID, o Options) (*Explanation, error) {
	e := &Explanation{Step: &g.Steps[id], Status: WouldRun}
	o.DryRun, o.KeepGoing = true, true
	report := o.OnEvent
	var failure error
	o.OnEvent = func(ev Event) {
		if ev.Kind == StepFinished {
			switch {
			case ev.Status == Failed && failure == nil:
				failure = fmt.Errorf("%s: %w", ev.Step.Name, ev.Err)
			case ev.ID == id:
				e.Status, e.Reason = ev.Status, ev.Reason
			case ev.Status == WouldRun:
				e.Waits = append(e.Waits, ev.Step.Name)
			}
		}
		if report != nil {
			report(ev)
		}
	}
	r := newRun(g, []StepID{id}, o)
	r.keys.discovers = true
	r.loop(ctx)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if failure != nil {
		return nil, failure
	}
	p := r.keys.prepared[id]
	if p == nil {
		return e, nil
	}
	e.Key, e.Notes, e.Waits = p.Key, p.Notes, nil
	var err error
	if e.Lines, err = manifest(p); err != nil {
		return nil, err
	}
	e.nearest(ctx, o.Store, p, r.past[id])
	return e, nil
}

// nearest finds the earlier outcome with another key and the fewest changes,
// the newest of equals.
func (e *Explanation) nearest(ctx context.Context, st Store, p *Prepared, past []outcome) {
	for _, o := range past {
		if o.Key == p.Key.String() {
			continue
		}
		changes, err := changesSince(ctx, st, p, o)
		if err != nil {
			continue
		}
		if e.Previous == nil || len(changes) <= len(e.Changes) {
			key, _ := action.ParseDigest(o.Key) // changesSince parsed it
			e.Previous = &Previous{Key: key, Time: o.Time}
			e.Changes = changes
		}
	}
}
