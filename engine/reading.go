package engine

import (
	"context"

	"github.com/airbuild/airbuild/internal/lists"
)

// A Reading is what a step reads of the workspace itself.
type Reading struct {
	ID StepID
	// Files are absolute and sorted. What the step takes from other steps is not
	// among them, unless its InputDiscoverer found it in the workspace.
	Files []string
}

// Readings finds out, as a plan would, which files of the workspace steps and
// all that they need read. Nothing is run. complete is false if the inputs of a
// step depend on steps that have not run, or cannot be determined; a run tells
// what is wrong then.
func Readings(ctx context.Context, g *Graph, ids []StepID, o Options) (rs []Reading, complete bool, err error) {
	o.DryRun, o.KeepGoing, o.OnEvent = true, true, nil
	r := newRun(g, ids, o)
	r.keys.discovers = true // hits have inputs too
	r.loop(ctx)
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	complete = true
	for _, id := range g.Closure(ids) {
		p := r.keys.prepared[id]
		if p == nil || p.Inputs == nil {
			complete = false
			continue
		}
		one := Reading{ID: id}
		for _, f := range p.Inputs.Files {
			if f.Source.Path != "" {
				one.Files = append(one.Files, f.Source.Path)
			}
		}
		one.Files = lists.Unique(one.Files)
		rs = append(rs, one)
	}
	return rs, complete, nil
}
