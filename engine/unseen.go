package engine

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// An outsideOutput is an output outside dist, and the step that makes it.
type outsideOutput struct {
	path string
	step StepID
}

// outside lists the outputs outside dist. What a step reads and writes back is
// a source.
func (r *run) outside() []outsideOutput {
	r.outsideOnce.Do(func() {
		dist := r.o.Workspace.Dist()
		for id := range r.g.Steps {
			s := &r.g.Steps[id]
			for _, out := range s.Command.OutputPaths {
				p := path.Join(s.Command.WorkingDirectory, out)
				back := slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromFile && cmp.Or(i.File, i.Path) == p })
				if !s.Inner && !back && p != dist && !strings.HasPrefix(p, dist+"/") {
					r.outsideAll = append(r.outsideAll, outsideOutput{p, StepID(id)})
				}
			}
		}
	})
	return r.outsideAll
}

// unseen lists the outputs outside dist that a step does not see, sorted: its
// own, and those of steps that it does not need. Whether they are there depends
// on what ran before.
func (r *run) unseen(id StepID) []string {
	all := r.outside()
	if len(all) == 0 {
		return nil
	}
	needs := map[StepID]bool{}
	for _, need := range r.g.Closure([]StepID{id}) {
		needs[need] = need != id
	}
	var out []string
	for _, o := range all {
		if !needs[o.step] {
			out = append(out, o.path)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Unseen is what a Lister that looks through directories must leave out. Files
// of a Lister may have the method.
func (f stepFiles) Unseen() []string { return f.r.unseen(f.id) }

// idOf is a step's number.
func (r *run) idOf(s *Step) StepID {
	for id := range r.g.Steps {
		if &r.g.Steps[id] == s {
			return StepID(id)
		}
	}
	return -1
}
