package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/internal/outputs"
	"github.com/airbuild/airbuild/engine/memo"
	"github.com/airbuild/airbuild/engine/tree"
)

// A preparer computes the keys of steps. Any goroutine may call its methods for a step
// whose dependencies are final. The owner of the run writes prepared and produced of a
// step before it starts work on those that depend on it.
type preparer struct {
	g        *Graph
	o        *Options
	index    func() *outputs.Index
	inputs   inputMemo
	prepared []*Prepared
	produced []*produced
	// discovers: inputs are discovered even if they are remembered.
	discovers bool
}

func newPreparer(g *Graph, o *Options) *preparer {
	p := &preparer{
		g: g, o: o, prepared: make([]*Prepared, len(g.Steps)), produced: make([]*produced, len(g.Steps)),
		index: sync.OnceValue(func() *outputs.Index { return indexOutputs(g, o.Workspace.Dist()) }),
	}
	p.inputs = newInputMemo(g, o, p.produced, p.view)
	return p
}

// prepare computes a step's key. Inputs that are remembered need not be looked at:
// then the Prepared has no Inputs until fill gives it some. Every step that it
// needs is final.
func (p *preparer) prepare(ctx context.Context, id StepID) (*Prepared, error) {
	q, ok := p.inputs.query(id)
	if !ok {
		return p.discover(ctx, id, p.o.Workspace)
	}
	if !p.discovers && !p.o.forces(id) && !p.g.Steps[id].NoCache {
		if in := p.inputs.get(ctx, id, q); in != nil {
			return p.keyed(id, in, nil), nil
		}
	}
	recorder := &memo.Recorder{}
	step, err := p.discover(ctx, id, p.o.Workspace.Observed(recorder))
	if err == nil {
		p.inputs.put(q, step, recorder)
	}
	return step, err
}

// fill gives a step its Inputs, if it was prepared without them. The workspace may
// have changed since: then the step has another key, which is reported.
func (p *preparer) fill(ctx context.Context, step *Prepared) (same bool, err error) {
	if step.Inputs != nil {
		return true, nil
	}
	full, err := p.discover(ctx, step.ID, p.o.Workspace)
	if err != nil {
		return false, err
	}
	same = full.Key == step.Key
	*step = *full
	return same, nil
}

// changed names an input that differs from what the step's key says,
// or that the step did not have before: a file that came into a package while
// it was built. "" if there is none.
func (p *preparer) changed(ctx context.Context, step *Prepared) string {
	if step.Altered != "" {
		return step.Altered
	}
	if changed := p.o.Workspace.Changed(step.Inputs); changed != "" || step.Step.Discoverer == nil {
		return changed
	}
	now, err := step.Step.Discoverer.Discover(ctx, stepFiles{workspaceFiles{p.o.Workspace.Fresh()}, p, step.ID})
	if err != nil {
		return "its input list"
	}
	if !reflect.DeepEqual(now.Inputs, step.discovery.Inputs) || !reflect.DeepEqual(now.Facts, step.discovery.Facts) {
		return "its input list"
	}
	return ""
}

// discover computes a step's key from the workspace: its inputs become a Merkle
// tree, its facts the salt, its command canonical bytes. All that is asked of the
// workspace is asked of w.
func (p *preparer) discover(ctx context.Context, id StepID, w *tree.Workspace) (*Prepared, error) {
	s := &p.g.Steps[id]
	inputs := s.Inputs
	var discovery Discovery
	if s.Discoverer != nil {
		var err error
		if discovery, err = s.Discoverer.Discover(ctx, stepFiles{workspaceFiles{w}, p, id}); err != nil {
			return nil, err
		}
		inputs = slices.Concat(inputs, discovery.Inputs)
	}
	view := p.view(id)
	if err := view.check(inputs, &discovery); err != nil {
		return nil, err
	}
	hidden := view.hidden(inputs)
	in := tree.Inputs{Follow: s.Mode == Workspace, Hide: hides(hidden), Files: make([]tree.File, 0, len(inputs))}
	for i := range inputs {
		if err := p.addInput(&in, &inputs[i], w); err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
	}
	t, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		return nil, err
	}
	step := p.keyed(id, &resolved{root: t.Root, facts: discovery.Facts, notes: discovery.Notes}, t)
	step.discovery, step.Unseen, step.Uncached, step.Private = discovery, discovery.Unseen, discovery.Uncached, discovery.Private
	return step, nil
}

// keyed computes a step's key from its resolved inputs. t is nil if they are
// remembered.
func (p *preparer) keyed(id StepID, in *resolved, t *tree.Tree) *Prepared {
	s := &p.g.Steps[id]
	facts := slices.Concat(s.Facts, in.facts)
	for _, v := range s.Secrets {
		facts = append(facts, Fact{Name: "secret " + v.Name, Value: p.o.secretHash(v)})
	}
	step := &Prepared{ID: id, Step: s, Command: s.Command, Inputs: t, Notes: in.notes, Facts: facts}
	step.Action = action.Action{
		Command:   action.Of(s.Command.Marshal()),
		InputRoot: in.root,
		Salt:      salt(facts),
		Platform:  s.Command.Platform,
	}
	step.Key = action.Of(step.Action.Marshal())
	return step
}

// salt writes facts in the form that keys hold: sorted "name<TAB>value" lines.
func salt(facts []Fact) []byte {
	slices.SortFunc(facts, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	var b []byte
	for _, f := range slices.Compact(facts) {
		b = append(append(b, oneLine(f.Name)...), '\t')
		b = append(append(b, oneLine(f.Value)...), '\n')
	}
	return b
}

// oneLine is a text with blanks for the characters that part lines of a salt.
func oneLine(s string) string {
	if !strings.ContainsAny(s, "\t\n") {
		return s
	}
	return strings.NewReplacer("\t", " ", "\n", " ").Replace(s)
}

// addInput puts one declared input into the tree.
func (p *preparer) addInput(in *tree.Inputs, i *Input, w *tree.Workspace) error {
	switch i.Kind {
	case FromFile:
		err := in.Add(w, cmp.Or(i.File, i.Path), i.Path)
		if i.Optional && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	case FromGlob:
		files, err := w.Glob(i.Path, i.Patterns, in.Hide)
		if _, ok := errors.AsType[*tree.NoMatchError](err); err != nil && (!i.Optional || !ok) {
			return err
		}
		for _, f := range files {
			if err := in.Add(w, f, f); err != nil {
				return err
			}
		}
		return nil
	case FromText:
		in.Files = append(in.Files, tree.File{Path: i.Path, Digest: action.Of(i.Text), Executable: i.Executable, Source: tree.Source{Inline: i.Text}})
		return nil
	case FromBlob:
		in.Files = append(in.Files, tree.File{Path: i.Path, Digest: i.Blob, Executable: i.Executable, Source: tree.Source{Blob: true}})
		return nil
	case FromStep:
		return p.graft(in, i)
	}
	return fmt.Errorf("input %s: unknown kind %d", i.Path, i.Kind)
}

// graft puts another step's outputs into the tree without reading them.
func (p *preparer) graft(in *tree.Inputs, i *Input) error {
	m := p.produced[i.Step]
	if m == nil {
		return errUnknownYet
	}
	to := func(p string) (string, bool) {
		switch {
		case i.From == "":
			return path.Join(i.Path, p), true
		case p == i.From:
			return i.Path, true
		case strings.HasPrefix(p, i.From+"/"):
			return path.Join(i.Path, p[len(i.From)+1:]), true
		}
		return "", false
	}
	n := len(in.Files) + len(in.Links) + len(in.Empty)
	for _, f := range m.Files {
		if p, ok := to(f.Path); ok {
			f.Path = p
			in.Files = append(in.Files, f)
		}
	}
	for _, l := range m.Links {
		if p, ok := to(l.Path); ok {
			in.Links = append(in.Links, tree.Link{Path: p, Target: l.Target})
		}
	}
	for _, e := range m.Empty {
		if p, ok := to(e); ok {
			in.Empty = append(in.Empty, p)
		}
	}
	if len(in.Files)+len(in.Links)+len(in.Empty) == n && i.From != "" {
		return fmt.Errorf("%s made no output %s", p.g.Steps[i.Step].Name, i.From)
	}
	return nil
}

// errUnknownYet: a dry run cannot know the key, because a step that this one
// needs would run first.
var errUnknownYet = errors.New("an input is not known before another step has run")

// workspaceFiles is the workspace as an InputDiscoverer may see it.
type workspaceFiles struct{ *tree.Workspace }
