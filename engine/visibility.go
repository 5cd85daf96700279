package engine

import (
	"cmp"
	"fmt"
	"path"
	"strings"

	"github.com/airbuild/airbuild/engine/internal/outputs"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/lists"
)

// All outputs of a graph are known before anything runs, and a step sees those
// of the steps that it needs, directly or through others, and no others: what
// it reads must not depend on what happened to run before. From patterns and
// directories others are left out, as if they were not there. Where a step
// would still read them it fails, and the message names the edge.

// A view is which outputs of others one step sees.
type view struct {
	g     *Graph
	index *outputs.Index
	id    StepID
	needs map[StepID]bool // and itself; nil until asked for
}

func (p *preparer) view(id StepID) *view {
	return &view{g: p.g, index: p.index(), id: id}
}

// writeQuery writes what the step does not see, as far as its inputs depend on it.
// Outputs in dist, whose names change with versions, are written by stage.
func (v *view) writeQuery(w *textWriter, s *Step) {
	if hidden := v.hidden(s.Inputs); len(hidden) > 0 {
		w.text("hidden")
		w.texts(hidden)
	}
	if !costly(s) {
		return
	}
	unseen := v.unseen()
	for id := range v.g.Steps {
		other := &v.g.Steps[id]
		if n := len(unseen); !other.Inner && len(other.Command.OutputPaths) > 0 && StepID(id) != v.id && !v.sees(StepID(id)) && (n == 0 || unseen[n-1] != other.Stage) {
			unseen = append(unseen, other.Stage)
		}
	}
	if len(unseen) > 0 {
		w.text("unseen")
		w.texts(unseen)
	}
}

// unseen lists the outputs outside dist that the step does not see, sorted.
func (v *view) unseen() []string {
	var out []string
	for _, p := range v.index.Outside() {
		if !v.seesOutput(p) {
			out = append(out, p)
		}
	}
	return out
}

// Unseen is what an InputDiscoverer that looks through directories must leave out. Files
// of an InputDiscoverer may have the method.
func (f stepFiles) Unseen() []string { return f.p.view(f.id).unseen() }

// sees reports whether the step needs another one.
func (v *view) sees(other StepID) bool {
	if other > v.id {
		return false // a step comes after those that it needs
	}
	if v.needs == nil {
		v.needs = map[StepID]bool{}
		for _, id := range v.g.Closure([]StepID{v.id}) {
			v.needs[id] = true
		}
	}
	return other != v.id && v.needs[other]
}

// seesOutput reports whether the step sees an output.
func (v *view) seesOutput(p string) bool {
	out, ok := v.index.Of(p)
	return ok && v.sees(StepID(out.Step))
}

// hidden lists the outputs that the step's patterns and directories would name
// and that it does not see, sorted. Its own are among them.
func (v *view) hidden(inputs []Input) []string {
	if len(v.index.Outside()) == 0 {
		return nil
	}
	var out []string
	look := func(base string) {
		for _, p := range v.index.Near(base) {
			if !v.seesOutput(p) {
				out = append(out, p)
			}
		}
	}
	for i := range inputs {
		switch in := &inputs[i]; in.Kind {
		case FromFile:
			look(cmp.Or(in.File, in.Path))
		case FromGlob:
			for _, start := range tree.Starts(in.Patterns) {
				look(path.Join(in.Path, start))
			}
		}
	}
	return lists.Unique(out)
}

// hides makes a test of hidden paths.
func hides(hidden []string) func(p string) bool {
	if len(hidden) == 0 {
		return nil
	}
	set := lists.Set(hidden)
	return func(p string) bool { return set[p] }
}

// check refuses inputs that an InputDiscoverer found, or that are named one by one, and
// that the step does not see: what reads them will not leave them out.
func (v *view) check(inputs []Input, l *Discovery) error {
	for i := range inputs {
		in := &inputs[i]
		p := cmp.Or(in.File, in.Path)
		if in.Kind == FromFile {
			if made, ok := v.index.Of(p); ok && !v.sees(StepID(made.Step)) {
				return v.refuse(p, made)
			}
		}
		if v.g.Steps[v.id].Mode != Workspace {
			continue
		}
		// The command sees the project itself: there nothing can be left out.
		// What it makes itself is removed before it runs.
		for _, q := range v.index.Near(p) {
			if made, _ := v.index.Of(q); StepID(made.Step) != v.id && !v.sees(StepID(made.Step)) && in.names(q, made.Dir) {
				return v.refuse(q, made)
			}
		}
	}
	if l.Reads == nil {
		return nil
	}
	first := outputs.Output{}
	for p, out := range v.index.All() {
		if (first.Path == "" || p < first.Path) && !v.sees(StepID(out.Step)) && l.Reads(p) {
			first = out
		}
	}
	if first.Path != "" {
		return v.refuse(first.Path, first)
	}
	return nil
}

// names reports whether an input names an output that is in its directory, or
// may name a file in it.
func (i *Input) names(output string, dir bool) bool {
	if i.Kind != FromGlob {
		return i.Kind == FromFile
	}
	rel := output
	if i.Path != "." {
		rel = strings.TrimPrefix(output, i.Path+"/")
	}
	return tree.Names(i.Patterns, rel) || dir && tree.Names(i.Patterns, path.Join(rel, "file"))
}

// refuse says what to do about an output that the step would read.
func (v *view) refuse(p string, made outputs.Output) error {
	s, producer := &v.g.Steps[v.id], &v.g.Steps[made.Step]
	if StepID(made.Step) == v.id {
		return fmt.Errorf("%s reads %s, which it makes itself: its result would depend on the run before; write the output to another place", s.Name, p)
	}
	return fmt.Errorf("%s reads %s, which %s makes, and does not wait for it: add after = [stage.%s] to stage %q", s.Name, p, producer.Name, cmp.Or(producer.Stage, producer.Name), cmp.Or(s.Stage, s.Name))
}
