// Package affected finds the steps that a change of the sources may concern:
// those whose declaration, or anything that they read, is not as it was at an
// earlier revision, and what takes their outputs.
//
// Nothing is built or checked out for that. The sources of the revision are
// known by what differs from the work tree; what a step read then is known only
// by what it declares, and by what it reads now. Where the two leave a doubt the
// step is affected: one too many costs a look at the cache, one too few a bug.
package affected

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/source"
)

// A Space is the project's work tree: a *tree.Workspace.
type Space interface {
	engine.Files
	Glob(base string, patterns []string, hide func(p string) bool) ([]string, error)
	Ignored(path string) bool
}

// A Query is what there is to compare.
type Query struct {
	Graph *engine.Graph
	Space Space // its outputs of steps that are hits are there, or pretended
	// Old is the graph that the revision's file gives; nil if it gives none,
	// and then Why says why and every step is affected.
	Old *engine.Graph
	Why string
	// Changes and Tracked are those of the source.Revision, relative to Top.
	Changes []source.Change
	Tracked map[string]bool
	Top     string // absolute
}

// A Step is an affected step and why it is.
type Step struct {
	ID     engine.StepID
	Reason string
}

// Find returns the affected ones among the targets and all that they need, in
// graph order. A step that only comes after another, without taking anything
// from it, is not affected through it.
func Find(ctx context.Context, q Query, targets []engine.StepID) ([]Step, error) {
	f, err := newFinder(q)
	if err != nil {
		return nil, err
	}
	var found []Step
	for _, id := range q.Graph.Closure(targets) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		reason := f.step(ctx, id)
		f.reasons[id] = reason
		if reason != "" {
			found = append(found, Step{id, reason})
		}
	}
	return found, nil
}

type finder struct {
	Query
	prefix  string                   // of the project in the work tree; "." if it is the whole
	changed map[string]source.Change // by path relative to the project
	makers  map[string]engine.StepID // by output
	reasons map[engine.StepID]string // of the steps that were looked at
}

func newFinder(q Query) (*finder, error) {
	f := &finder{Query: q, changed: map[string]source.Change{}, makers: map[string]engine.StepID{}, reasons: map[engine.StepID]string{}}
	root, err := filepath.EvalSymlinks(q.Space.Root())
	if err != nil {
		return nil, fmt.Errorf("find project: %w", err)
	}
	rel, err := filepath.Rel(q.Top, root)
	if err != nil || rel != "." && !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("find project: %s is not in the work tree %s", root, q.Top)
	}
	f.prefix = filepath.ToSlash(rel)
	for _, c := range q.Changes {
		f.changed[f.inProject(c.Path)] = c
	}
	for id := range q.Graph.Steps {
		c := &q.Graph.Steps[id].Command
		for _, o := range c.OutputPaths {
			f.makers[path.Join(c.WorkingDirectory, o)] = engine.StepID(id)
		}
	}
	return f, nil
}

// inProject turns a path of the work tree into one of the project; what lies
// outside begins with "../".
func (f *finder) inProject(p string) string {
	rel, err := filepath.Rel(filepath.FromSlash(f.prefix), filepath.FromSlash(p))
	if err != nil {
		return p // both are relative
	}
	return filepath.ToSlash(rel)
}

// step says why a step is affected, or "".
func (f *finder) step(ctx context.Context, id engine.StepID) string {
	s := &f.Graph.Steps[id]
	if f.Old == nil {
		return f.Why
	}
	old, ok := f.Old.Lookup(s.Name)
	if !ok {
		return "there was no such step"
	}
	if changes := action.Diff(declaration(f.Old, old), declaration(f.Graph, id)); len(changes) > 0 {
		return engine.Summarize(changes)
	}
	for i := range s.Inputs {
		if in := &s.Inputs[i]; in.Kind == engine.FromStep && f.reasons[in.Step] != "" {
			return f.Graph.Steps[in.Step].Name + " is affected"
		}
	}
	inputs := s.Inputs
	if s.Discoverer != nil {
		l, err := s.Discoverer.Discover(ctx, f.Space)
		if err != nil {
			return "its inputs cannot be determined: " + err.Error()
		}
		inputs = slices.Concat(inputs, l.Inputs)
		if reason := f.listed(s, id, l.Inputs); reason != "" {
			return reason
		}
	}
	for i := range inputs {
		if reason := f.input(id, &inputs[i]); reason != "" {
			return reason
		}
	}
	return ""
}

// declaration writes out what the Airbuildfile says of a step, like a key.
// Steps that it takes from are told by name.
func declaration(g *engine.Graph, id engine.StepID) []action.Line {
	s := &g.Steps[id]
	lines := action.Manifest(&action.Action{DoNotCache: s.NoCache, Platform: s.Command.Platform}, &s.Command, &action.Tree{})
	add := func(kind, name, value string) {
		lines = append(lines, action.Line{Kind: kind, Name: name, Value: value})
	}
	add(action.KindOption, "mode", fmt.Sprint(s.Mode))
	for _, v := range s.Facts {
		add(action.KindFact, v.Name, v.Value)
	}
	for _, v := range s.Secrets {
		add(action.KindEnv, v.Name, action.Of([]byte(v.Value)).Hex())
	}
	for i := range s.Inputs {
		in := &s.Inputs[i]
		from := ""
		if in.Kind == engine.FromStep {
			from = g.Steps[in.Step].Name
		}
		add(action.KindInput, in.Path, fmt.Sprintf("%d %q %q %s %v %s %q %q %v", in.Kind, in.File, in.Patterns,
			action.Of(in.Text).Hex(), in.Executable, in.Blob.Hex(), from, in.From, in.Optional))
	}
	return lines
}

// input says what of an input changed, or "".
func (f *finder) input(id engine.StepID, in *engine.Input) string {
	switch in.Kind {
	case engine.FromFile:
		p := in.Path
		if in.File != "" {
			p = in.File
		}
		return f.at(id, f.relative(p))
	case engine.FromGlob:
		return f.glob(id, in)
	}
	return "" // its bytes are in the declaration, or come from a step
}

// relative turns an absolute path into one relative to the project.
func (f *finder) relative(p string) string {
	if !path.IsAbs(p) && !filepath.IsAbs(p) {
		return path.Clean(p)
	}
	if rel, err := filepath.Rel(f.Space.Root(), filepath.FromSlash(p)); err == nil {
		return filepath.ToSlash(rel)
	}
	return p
}

func (f *finder) glob(id engine.StepID, in *engine.Input) string {
	files, err := f.Space.Glob(in.Path, in.Patterns, nil)
	if err != nil && !in.Optional {
		return err.Error()
	}
	for _, p := range files {
		if reason := f.file(id, p); reason != "" {
			return reason
		}
	}
	for p, c := range f.changed {
		if c.Removed && matches(in.Path, in.Patterns, p) {
			return p + " was removed"
		}
	}
	return ""
}

// at says what changed at a path: a file, or a directory with all below it.
func (f *finder) at(id engine.StepID, p string) string {
	for at, c := range f.changed {
		if strings.HasPrefix(at, p+"/") || p == "." {
			return changedText(c, at)
		}
	}
	return f.walk(id, p)
}

func (f *finder) walk(id engine.StepID, p string) string {
	if reason := f.file(id, p); reason != "" || f.Tracked[f.inTree(p)] {
		return reason
	}
	entries, err := f.Space.ReadDir(p)
	if err != nil {
		return "" // no directory
	}
	for _, e := range entries {
		if child := path.Join(p, e.Name()); !f.Space.Ignored(child) {
			if reason := f.walk(id, child); reason != "" {
				return reason
			}
		}
	}
	return ""
}

// inTree is the path of the work tree for one of the project.
func (f *finder) inTree(p string) string { return path.Join(f.prefix, p) }

// file says why a file may differ from what it was, or "". What git does not
// know cannot be compared, unless it is what a step makes. It is "" for
// directories, and for what is not there.
func (f *finder) file(id engine.StepID, p string) string {
	for at := p; ; at = path.Dir(at) { // a submodule is known by its folder
		if c, ok := f.changed[at]; ok {
			return changedText(c, at)
		}
		if at == path.Dir(at) {
			break
		}
	}
	if f.Tracked[f.inTree(p)] {
		return ""
	}
	if reason, ok := f.made(id, p); ok {
		return reason
	}
	abs := p
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(f.realRoot(), filepath.FromSlash(p))
	}
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return ""
	}
	if led, err := filepath.Rel(f.realRoot(), real); err == nil && filepath.ToSlash(led) != p {
		return f.file(id, filepath.ToSlash(led)) // which is no link
	}
	if f.isDir(p) {
		return ""
	}
	return p + " is not known to git"
}

// realRoot is the project's folder with no link in it.
func (f *finder) realRoot() string { return filepath.Join(f.Top, filepath.FromSlash(f.prefix)) }

// made says whether p is what another step makes, and why that is affected.
func (f *finder) made(id engine.StepID, p string) (reason string, ok bool) {
	for at := p; at != path.Dir(at); at = path.Dir(at) {
		maker, ok := f.makers[at]
		if !ok || maker == id {
			continue
		}
		reason, looked := f.reasons[maker]
		switch {
		case !looked:
			return p + " is made by " + f.Graph.Steps[maker].Name + ", which is not looked at", true
		case reason != "":
			return f.Graph.Steps[maker].Name + " is affected", true
		}
		return "", true
	}
	return "", false
}

func (f *finder) isDir(p string) bool {
	_, err := f.Space.ReadDir(p)
	return err == nil
}

func changedText(c source.Change, p string) string {
	switch {
	case c.Added:
		return p + " is new"
	case c.Removed:
		return p + " was removed"
	}
	return p + " changed"
}
