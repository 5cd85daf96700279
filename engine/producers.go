package engine

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// A Producer is a step that another one needs, by the key of its action.
type Producer struct {
	Name, Type string
	Key        action.Digest
}

// Producers is Files that also know which steps the asking one needs, directly or
// through others. What an engine hands to an InputDiscoverer is one.
type Producers interface {
	Files
	// Producers are those steps, sorted by name. The error says that a key is not known before something has
	// run.
	Producers() ([]Producer, error)
}

// SourceReaders is Producers that also know which files of the project the steps
// read. What an engine hands to an InputDiscoverer is one.
type SourceReaders interface {
	Producers
	// ReadByProducers returns those of the files that are an input of one of the
	// Producers, sorted. Paths are project-relative. Where inputs are remembered
	// they are looked up again: ask for few files, and not without need.
	ReadByProducers(ctx context.Context, names map[string]bool) ([]string, error)
}

// stepFiles is the workspace as the InputDiscoverer of one step sees it.
type stepFiles struct {
	workspaceFiles
	p  *preparer
	id StepID
}

// Producers implements the interface of that name. All that the step needs is
// final, so that nobody writes what is read here.
func (f stepFiles) Producers() (list []Producer, err error) {
	for _, id := range f.p.g.Closure([]StepID{f.id}) {
		if id == f.id {
			continue
		}
		p := f.p.prepared[id]
		if p == nil {
			return nil, errUnknownYet
		}
		list = append(list, Producer{Name: p.Step.Name, Type: p.Step.Type, Key: p.Key})
	}
	slices.SortFunc(list, func(a, b Producer) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ReadByProducers implements SourceReaders.
func (f stepFiles) ReadByProducers(ctx context.Context, names map[string]bool) ([]string, error) {
	root := f.Root() + string(filepath.Separator)
	read := map[string]bool{}
	for _, id := range f.p.g.Closure([]StepID{f.id}) {
		if id == f.id {
			continue
		}
		if f.p.prepared[id] == nil {
			return nil, errUnknownYet
		}
		p := *f.p.prepared[id]
		if _, err := f.p.fill(ctx, &p); err != nil {
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
