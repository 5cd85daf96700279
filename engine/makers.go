package engine

import (
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
