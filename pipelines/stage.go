package pipelines

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// A stage is a stage on its way through planning.
type stage struct {
	node
	decl   *dsl.Stage
	scope  *scope
	task   tasks.Task    // nil: the type is unknown, and broken is set
	schema *tasks.Schema // of task; empty if there is none
	// clashes: another stage has the same name.
	clashes bool

	cells []*cell
	// value is what references see: an object of value.go, or an unknown if
	// the stage is broken.
	value   cty.Value
	planned *Stage
}

// A cell is one cell of a stage; a stage without cells has one with no key.
type cell struct {
	key      string
	values   map[string]cty.Value // of matrix, or taken over from another stage's cell
	matrix   cty.Value            // the object; NilVal if there is none
	each     cty.Value            // likewise
	platform *tasks.Platform
	dropped  bool   // by when
	dir      string // project-relative

	step    engine.StepID
	outputs []string    // project-relative
	paths   []cty.Value // outputs, marked
	value   cty.Value   // what references see
}

// A scope is an evaluated module: the user's, or one instance of an embedded
// file.
type scope struct {
	*dsl.Scope
	context *hcl.EvalContext
	dir     string               // the default of dir
	params  map[string]hcl.Range // of an embedded file: where the user set a parameter
	use     string               // the embedded pipeline; "" for the user's file
}

// blame returns the range that a mistake in expr is shown at: the user's own
// attribute, where an embedded file does no more than hand it on.
func (s *scope) blame(expr hcl.Expression) hcl.Range {
	if len(s.params) > 0 {
		if t, diags := hcl.AbsTraversalForExpr(expr); !diags.HasErrors() && t.RootName() == "var" {
			if name, _, ok := secondName(t); ok {
				if r, set := s.params[name]; set {
					return r
				}
			}
		}
	}
	return expr.Range()
}
