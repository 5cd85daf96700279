// Package pipelines turns an evaluated Airbuildfile and the stage types into a
// graph of steps, and holds the embedded ready-made pipelines.
//
// Planning goes stage by stage in the order of their static references: the
// cells of a stage are found (internal/cells), each cell's body is decoded
// against the schema of its type (internal/decode), the task turns it into
// steps (steps.go), and the steps' outputs become the value that later
// stages refer to (internal/eval). A path in such a value carries a mark that
// names the step and the output, so that a dependency follows the path through
// any function, template or condition.
//
// A stage with a mistake is left out and an unknown value stands in for it, so
// that its dependents are checked as far as possible and not blamed for it.
package pipelines

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
	ctyjson "github.com/zclconf/go-cty/cty/json"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/host/want"
	"github.com/airbuild/airbuild/tasks"
)

// Options are what a plan takes from outside.
type Options struct {
	Inputs  dsl.Inputs
	Project tasks.Project         // Dist and Source are filled in by Load
	Tasks   map[string]tasks.Task // by stage type: Tasks
	// Stale are files that a run of the plan will have removed before it does
	// anything else (engine.Stale): they are taken as not there.
	Stale   []string
	Version string // of airbuild, for required_version; "" or "dev" passes every constraint
	// TagRules is called with what the file says of tags, before Inputs.Git is called. Nil:
	// nobody asks.
	TagRules func(dsl.TagRules)
	// Build finds out what the go command would write of the repository into
	// programs, nil without one; makes says which files stages make. Nil: there is none.
	Build func(makes func(name string) bool) (*tasks.Commit, error)
	// Toolchain resolves a toolchain block. Without a block wanted is "", and
	// dirs are the directories, project-relative, of the stages that need it.
	// nil resolves nothing.
	Toolchain func(name, wanted string, dirs []string) error
	// Default gives the value of a ready-made pipeline's parameter that the
	// user did not set. Nil, or false, leaves "packages" and "name" to be
	// found in the project's sources and the rest to the parameter's own
	// default.
	Default func(parameter string) (cty.Value, bool)
}

// A Plan is a file's whole graph, with the names that users know.
type Plan struct {
	Graph     *engine.Graph
	Stages    []*Stage    // in source order, those of used pipelines last
	Pipelines []*Pipeline // in source order
	Bundles   []*Bundle   // in source order
	Host      *want.Host  // what the file wants of a host; nil without a host block
	Dist      string
	Module    *dsl.Module
	Sources   map[string][]byte // for diagnostics: all files, embedded ones too
}

// A Stage is a planned stage.
type Stage struct {
	Name, Type, Description string
	Cells                   []Cell
	Uses                    []string // names of stages it refers to, sorted
	Range                   hcl.Range

	lacking *hcl.Diagnostic // nil if the toolchain that the stage needs is here
}

// Lacking reports the toolchains that steps and what they need would run, and this
// host does not have.
func (p *Plan) Lacking(ids []engine.StepID) hcl.Diagnostics {
	var diags hcl.Diagnostics
	wanted := map[engine.StepID]bool{}
	for _, s := range p.Stages {
		if s.lacking != nil && len(wanted) == 0 {
			for _, id := range p.Graph.Closure(ids) {
				wanted[id] = true
			}
		}
		if s.lacking == nil || slices.Contains(diags, s.lacking) {
			continue
		}
		if slices.ContainsFunc(s.Cells, func(c Cell) bool { return wanted[c.Step] }) {
			diags = append(diags, s.lacking)
		}
	}
	return diags
}

// A Cell is a planned cell; its last step has the outputs.
type Cell struct {
	Key     string // "linux/amd64,yq"; "" for a stage without cells
	Step    engine.StepID
	Outputs []string // project-relative
}

// A Pipeline is a planned pipeline.
type Pipeline struct {
	Name, Description string
	Steps             []engine.StepID // what it asks for, sorted; their needs are not listed
	Stages            []string        // names, as listed
	Use               string          // the ready-made pipeline it takes; "" if none
	Notices           []string        // what a run of it says at its end, those of its parts first
	Range             hcl.Range
}

// Stage returns the stage with the given name, or nil.
func (p *Plan) Stage(name string) *Stage {
	for _, s := range p.Stages {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Pipeline returns the pipeline with the given name, or nil.
func (p *Plan) Pipeline(name string) *Pipeline {
	for _, l := range p.Pipelines {
		if l.Name == name {
			return l
		}
	}
	return nil
}

// StepName is how a cell of a stage is addressed: "bin[linux/amd64,yq]", or
// the stage's own name for one without cells.
func StepName(stage, cell string) string {
	if cell == "" {
		return stage
	}
	return stage + "[" + cell + "]"
}

// recipe says what the plan came from, if a stage states it: files, the user's
// variables but for sensitive ones, and the commit.
func (p *planner) recipe(git func([]string) (*dsl.Git, error)) *tasks.Recipe {
	if !p.anyStage(func(t tasks.Traits) bool { return t.Recipe }) {
		return nil
	}
	r := &tasks.Recipe{}
	own := p.plan.Module.Name
	for _, name := range slices.SortedFunc(maps.Keys(p.written), func(a, b string) int {
		if (a == own) != (b == own) {
			return map[bool]int{true: -1, false: 1}[a == own]
		}
		return strings.Compare(a, b)
	}) {
		sum := sha256.Sum256(p.written[name])
		r.Files = append(r.Files, tasks.RecipeFile{Name: name, SHA256: hex.EncodeToString(sum[:])})
	}
	if p.user.Vars.IsKnown() && !p.user.Vars.IsNull() {
		for name, v := range p.user.Vars.AsValueMap() {
			if v.ContainsMarked() || !v.IsWhollyKnown() {
				continue // sensitive, or a mistake of the file
			}
			if text, err := ctyjson.Marshal(v, v.Type()); err == nil {
				r.Variables = append(r.Variables, tasks.Variable{Name: name, Value: string(text)})
			}
		}
	}
	slices.SortFunc(r.Variables, func(a, b tasks.Variable) int { return strings.Compare(a.Name, b.Name) })
	if git == nil {
		return r
	}
	if g, err := git([]string{"commit", "dirty"}); err == nil && g != nil {
		r.Commit, r.Dirty = g.Commit, g.Dirty
	}
	return r
}
