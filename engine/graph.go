package engine

import (
	"fmt"
	"slices"

	"github.com/airbuild/airbuild/internal/lists"
)

// A Graph is the steps of a plan, in an order in which every step comes after
// those it needs. The zero Graph is empty and ready to use.
type Graph struct {
	Steps []Step
	needs [][]StepID
	names map[string]StepID
}

// Add appends a step and returns its id. Everything that it needs must have
// been added before, which is what makes the graph free of cycles.
func (g *Graph) Add(s Step) (StepID, error) {
	id := StepID(len(g.Steps))
	if g.names == nil {
		g.names = map[string]StepID{}
	}
	if _, dup := g.names[s.Name]; dup {
		return 0, fmt.Errorf("add step %s: the name is taken", s.Name)
	}
	needs := slices.Clone(s.After)
	for _, in := range s.Inputs {
		if in.Kind == FromStep {
			needs = append(needs, in.Step)
		}
	}
	needs = lists.Unique(needs)
	if n := len(needs); n > 0 && (needs[n-1] >= id || needs[0] < 0) {
		return 0, fmt.Errorf("add step %s: it needs a step that is not there yet", s.Name)
	}
	g.Steps = append(g.Steps, s)
	g.needs = append(g.needs, needs)
	g.names[s.Name] = id
	return id, nil
}

// Needs returns the steps that id waits for, sorted. The caller must not
// change it.
func (g *Graph) Needs(id StepID) []StepID { return g.needs[id] }

// Lookup returns the step with the given name.
func (g *Graph) Lookup(name string) (StepID, bool) {
	id, ok := g.names[name]
	return id, ok
}

// Closure returns the targets and all that they need, in graph order.
func (g *Graph) Closure(targets []StepID) []StepID {
	in := make([]bool, len(g.Steps))
	for _, t := range targets {
		in[t] = true
	}
	n := 0
	for id := len(g.Steps) - 1; id >= 0; id-- {
		if !in[id] {
			continue
		}
		n++
		for _, need := range g.needs[id] {
			in[need] = true
		}
	}
	out := make([]StepID, 0, n)
	for id, want := range in {
		if want {
			out = append(out, StepID(id))
		}
	}
	return out
}
