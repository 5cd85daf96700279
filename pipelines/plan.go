// Package pipelines turns an evaluated Airbuildfile and the stage types into a
// graph of steps, and holds the embedded ready-made pipelines.
package pipelines

import (
	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// Options are what a plan takes from outside.
type Options struct {
	Inputs  dsl.Inputs
	Project tasks.Project // Dist and Source are filled in by Plan
	Tasks   map[string]tasks.Task
	Version string // of airbuild, for required_version; "" or "dev" passes every constraint
	// Toolchain resolves a toolchain block, or with wanted "" whatever is
	// there; it is called once for each program that the file's stages need.
	Toolchain func(name, wanted string) error
}

// A Plan is a file's whole graph, with the names that users know.
type Plan struct {
	Graph     *engine.Graph
	Stages    []*Stage
	Pipelines []*Pipeline
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
	Steps             []engine.StepID
	Stages            []string // names, as listed
	Range             hcl.Range
}
