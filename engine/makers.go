package engine

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// A Maker is a step that another one needs, by the key of its action.
type Maker struct {
	Name, Type string
	Key        action.Digest
}

// Makers is Files that also know which steps the asking one needs, directly or
// through others. What an engine hands to a Lister is one.
type Makers interface {
	Files
	// Makers are those steps, sorted by name. Steps that were left out are not
	// among them. The error says that a key is not known before something has
	// run.
	Makers() ([]Maker, error)
}

// SourceReaders is Makers that also know which files of the project the steps
// read. What an engine hands to a Lister is one.
type SourceReaders interface {
	Makers
	// ReadByMakers returns those of the files that are an input of one of the
	// Makers, sorted. Paths are project-relative. Where inputs are remembered
	// they are looked up again: ask for few files, and not without need.
	ReadByMakers(ctx context.Context, names map[string]bool) ([]string, error)
}

// stepFiles is the workspace as the Lister of one step sees it.
type stepFiles struct {
	workspaceFiles
	r  *run
	id StepID
}

// Makers implements the interface of that name. All that the step needs is
// final, so that nobody writes what is read here.
func (f stepFiles) Makers() (list []Maker, err error) {
	for _, id := range f.r.g.Closure([]StepID{f.id}) {
		if _, off := f.r.skippedData[id]; off || id == f.id {
			continue
		}
		p := f.r.prepared[id]
		if p == nil {
			return nil, errUnknownYet
		}
		list = append(list, Maker{Name: p.Step.Name, Type: p.Step.Type, Key: p.Key})
	}
	slices.SortFunc(list, func(a, b Maker) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ReadByMakers implements SourceReaders.
func (f stepFiles) ReadByMakers(ctx context.Context, names map[string]bool) ([]string, error) {
	root := f.Root() + string(filepath.Separator)
	read := map[string]bool{}
	for _, id := range f.r.g.Closure([]StepID{f.id}) {
		if _, off := f.r.skippedData[id]; off || id == f.id {
			continue
		}
		if f.r.prepared[id] == nil {
			return nil, errUnknownYet
		}
		p := *f.r.prepared[id]
		if _, err := f.r.fill(ctx, &p); err != nil {
			return nil, err
		}
		for i := range p.Inputs.Files {
			name, inside := strings.CutPrefix(p.Inputs.Files[i].Source.Path, root)
			if name = filepath.ToSlash(name); inside && names[name] {
				read[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(read)), nil
}
