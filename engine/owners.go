package engine

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/tree"
)

// All outputs of a graph are known before anything runs, and a step sees those
// of the steps that it needs, directly or through others, and no others: what
// it reads must not depend on what happened to run before. From patterns and
// directories others are left out, as if they were not there. Where a step
// would read them all the same it fails, and the message names the edge.

// owners knows which step makes what.
type owners struct {
	g        *Graph
	paths    map[string]StepID
	kinds    map[string]bool // by output: whether it is a directory
	outside  []string        // the outputs outside dist, sorted
	workDirs map[string]bool // directories that steps run in
}

func (r *run) owners() *owners { return r.owning() }

// ownersOf looks through a graph. What a step reads and writes back is a
// source.
func ownersOf(g *Graph, dist string) *owners {
	o := &owners{g: g, paths: make(map[string]StepID, len(g.Steps)), kinds: make(map[string]bool, len(g.Steps)), workDirs: map[string]bool{}}
	for id := range g.Steps {
		s := &g.Steps[id]
		if s.Inner {
			continue
		}
		o.workDirs[s.Command.WorkingDirectory] = true
		for _, out := range s.Command.OutputPaths {
			p := path.Join(s.Command.WorkingDirectory, out)
			if inPlace(s, p) {
				continue
			}
			o.paths[p] = StepID(id)
			o.kinds[p] = slices.Contains(s.Command.OutputDirectories, out)
			if p != dist && !strings.HasPrefix(p, dist+"/") {
				o.outside = append(o.outside, p)
			}
		}
	}
	slices.Sort(o.outside)
	return o
}

// An owned is an output, and the step that makes it.
type owned struct {
	path string
	step StepID
	dir  bool
}

// of returns the output that p is, or is in.
func (o *owners) of(p string) (owned, bool) {
	for ; p != "." && p != "/"; p = path.Dir(p) {
		if id, ok := o.paths[p]; ok {
			return owned{p, id, o.kinds[p]}, true
		}
	}
	return owned{}, false
}

// below lists the outputs outside dist that are p, are in it, or that it is in.
func (o *owners) below(p string) []string {
	if p == "." {
		return o.outside
	}
	var out []string
	if made, ok := o.of(p); ok && made.path != p {
		out = append(out, made.path)
	}
	from, _ := slices.BinarySearch(o.outside, p)
	for _, q := range o.outside[from:] {
		switch {
		case q == p || strings.HasPrefix(q, p+"/"):
			out = append(out, q)
		case !strings.HasPrefix(q, p):
			return out
		}
	}
	return out
}

// A blindness is what one step does not see.
type blindness struct {
	o     *owners
	id    StepID
	needs map[StepID]bool // and itself; nil until asked for
}

func (r *run) blindness(id StepID) *blindness { return &blindness{o: r.owners(), id: id} }

// ask writes what the step does not see, as far as the answer to what its
// inputs are depends on it. Outputs in dist, whose names change with versions,
// are asked for by stage.
func (b *blindness) ask(w *textWriter, s *Step) {
	if hidden := b.hidden(s.Inputs); len(hidden) > 0 {
		w.text("hidden")
		w.texts(hidden)
	}
	if !costly(s) {
		return
	}
	unseen := b.unseen()
	for id := range b.o.g.Steps {
		other := &b.o.g.Steps[id]
		if n := len(unseen); !other.Inner && len(other.Command.OutputPaths) > 0 && StepID(id) != b.id && !b.sees(StepID(id)) && (n == 0 || unseen[n-1] != other.Stage) {
			unseen = append(unseen, other.Stage)
		}
	}
	if len(unseen) > 0 {
		w.text("unseen")
		w.texts(unseen)
	}
}

// unseen lists the outputs outside dist that the step does not see, sorted.
func (b *blindness) unseen() []string {
	var out []string
	for _, p := range b.o.outside {
		if !b.sees(b.o.paths[p]) {
			out = append(out, p)
		}
	}
	return out
}

// Unseen is what a Lister that looks through directories must leave out. Files
// of a Lister may have the method.
func (f stepFiles) Unseen() []string { return f.r.blindness(f.id).unseen() }

// sees reports whether the step needs another one.
func (b *blindness) sees(other StepID) bool {
	if other > b.id {
		return false // a step comes after those that it needs
	}
	if b.needs == nil {
		b.needs = map[StepID]bool{}
		for _, id := range b.o.g.Closure([]StepID{b.id}) {
			b.needs[id] = true
		}
	}
	return other != b.id && b.needs[other]
}

// hidden lists the outputs that the step's patterns and directories would name
// and that it does not see, sorted. Its own are among them.
func (b *blindness) hidden(inputs []Input) []string {
	if len(b.o.outside) == 0 {
		return nil
	}
	var out []string
	look := func(base string) {
		for _, p := range b.o.below(base) {
			if !b.sees(b.o.paths[p]) {
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
	slices.Sort(out)
	return slices.Compact(out)
}

// hides makes a test of hidden paths.
func hides(hidden []string) func(p string) bool {
	if len(hidden) == 0 {
		return nil
	}
	set := make(map[string]bool, len(hidden))
	for _, p := range hidden {
		set[p] = true
	}
	return func(p string) bool { return set[p] }
}

// check refuses inputs that a Lister found, or that are named one by one, and
// that the step does not see: what reads them will not leave them out.
func (b *blindness) check(inputs []Input, l *Listing) error {
	for i := range inputs {
		in := &inputs[i]
		p := cmp.Or(in.File, in.Path)
		if in.Kind == FromFile {
			if made, ok := b.o.of(p); ok && !b.sees(made.step) {
				return b.refuse(p, made)
			}
		}
		if b.o.g.Steps[b.id].Mode != Workspace {
			continue
		}
		// The command sees the project itself: there nothing can be left out.
		// What it makes itself is removed before it runs.
		for _, q := range b.o.below(p) {
			if made, _ := b.o.of(q); made.step != b.id && !b.sees(made.step) && in.names(q, made.dir) {
				return b.refuse(q, made)
			}
		}
	}
	if l.Reads == nil {
		return nil
	}
	first := ""
	for p, id := range b.o.paths {
		if (first == "" || p < first) && !b.sees(id) && l.Reads(p) {
			first = p
		}
	}
	if first != "" {
		return b.refuse(first, owned{path: first, step: b.o.paths[first]})
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
func (b *blindness) refuse(p string, made owned) error {
	s, maker := &b.o.g.Steps[b.id], &b.o.g.Steps[made.step]
	if made.step == b.id {
		return fmt.Errorf("%s reads %s, which it makes itself: its result would depend on the run before; write the output to another place", s.Name, p)
	}
	return fmt.Errorf("%s reads %s, which %s makes, and does not wait for it: add after = [stage.%s] to stage %q", s.Name, p, maker.Name, cmp.Or(maker.Stage, maker.Name), cmp.Or(s.Stage, s.Name))
}
