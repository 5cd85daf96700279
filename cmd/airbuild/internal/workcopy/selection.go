// Package workcopy makes a copy of an open project, with a store and caches of its
// own, in which steps are made again: to compare, or to observe them.
package workcopy

import (
	"context"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
)

// A Selection says which steps of an open project are made again in a copy of it,
// of which the recorded result is used, and which are left out.
type Selection struct {
	*project.Session
	Steps []engine.StepID                 // all that the targets need, in graph order
	Left  map[engine.StepID]string        // why steps are not made again
	only  map[engine.StepID]bool          // nil: all of steps are made again
	Keys  map[engine.StepID]action.Digest // of the recorded results
	Made  []string                        // steps that had no recorded result, and were made for one
}

// Select chooses among steps and all that they need. If only is not nil, the
// recorded results of the others are used.
func Select(s *project.Session, steps []engine.StepID, only map[engine.StepID]bool) *Selection {
	v := &Selection{Session: s, Steps: s.Plan.Graph.Closure(steps), only: only, Left: map[engine.StepID]string{}, Keys: map[engine.StepID]action.Digest{}}
	v.leaveOut()
	return v
}

// leaveOut finds the steps that are not built again, and says why.
func (v *Selection) leaveOut() {
	g := v.Plan.Graph
	for _, id := range v.Steps {
		s := &g.Steps[id]
		switch {
		case v.only != nil && !v.only[id] && !s.Inner:
			v.Left[id] = notSampled
		case s.Traits.SideEffects:
			v.Left[id] = "it changes something outside the project"
		case s.NoCache:
			v.Left[id] = "it is never cached (cache = false)"
		case s.Network:
			v.Left[id] = "it may use the network; its recorded result is taken"
		default:
			if secret := tasks.LackingSecret(s); secret != "" {
				v.Left[id] = "this host does not have the secret of " + secret + "; its recorded result is taken where what it signs is the same"
			}
		}
		if v.reused(id) {
			continue
		}
		for _, need := range g.Needs(id) {
			if _, ok := v.Left[need]; ok && !v.reused(need) && v.Left[id] == "" {
				v.Left[id] = "it needs " + g.Steps[need].Name + ", which is left out"
			}
		}
	}
}

// reused reports whether the recorded result of a step is used.
func (v *Selection) reused(id engine.StepID) bool {
	s := &v.Plan.Graph.Steps[id]
	if v.only != nil && !v.only[id] {
		return !s.NoCache
	}
	return (s.Network || tasks.LackingSecret(s) != "") && !s.NoCache && !s.Traits.SideEffects
}

// Record makes what has no recorded result, as run would: of the steps whose
// results are used and, unless reusedOnly is set, of those that are made again too.
func (v *Selection) Record(ctx context.Context, reusedOnly bool, onEvent func(engine.Event)) error {
	var want []engine.StepID
	for _, id := range v.Steps {
		_, left := v.Left[id]
		if v.reused(id) || !left && !reusedOnly {
			want = append(want, id)
		}
	}
	if v.Options.Offline {
		if err := v.RefuseOffline(ctx, want); err != nil {
			return err
		}
	}
	if err := v.RefuseOpenHost(ctx); err != nil {
		return err
	}
	o := v.RunOptions()
	var err error
	if o.Executor, err = v.Executor(); err != nil {
		return err
	}
	o.OnEvent = func(e engine.Event) {
		v.remember(e)
		onEvent(e)
	}
	if len(want) > 0 {
		sum, err := engine.Run(ctx, v.Plan.Graph, want, o)
		if err != nil {
			return err
		}
		if err := project.Outcome(sum); err != nil {
			return err
		}
	}
	return nil
}

// LookUp finds the keys that all steps have now.
func (v *Selection) LookUp(ctx context.Context) error {
	o := v.RunOptions()
	o.DryRun, o.OnEvent = true, v.remember
	var err error
	if o.Executor, err = v.Executor(); err != nil {
		return err
	}
	_, err = engine.Run(ctx, v.Plan.Graph, v.Steps, o)
	return err
}

// remember keeps the keys of recorded results.
func (v *Selection) remember(e engine.Event) {
	if e.Kind == engine.StepFinished && (e.Status == engine.Hit || e.Status == engine.Done) && !e.Key.IsZero() {
		v.Keys[e.ID] = e.Key
		if e.Status == engine.Done {
			v.Made = append(v.Made, e.Step.Name)
		}
	}
}

// StepNames are the names of the steps that are made again.
func (v *Selection) StepNames() []string {
	var names []string
	for _, id := range v.Steps {
		s := &v.Plan.Graph.Steps[id]
		if _, left := v.Left[id]; !left && !s.Inner {
			names = append(names, s.Name)
		}
	}
	return names
}

// notSampled is why an audit of hits uses a step's recorded result.
const notSampled = "its recorded result is used: it is not among the hits that are checked"
