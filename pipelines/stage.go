package pipelines

import (
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// A stage is a stage on its way through planning.
type stage struct {
	node
	eval.Stage
	scope  *eval.Scope
	task   tasks.Task    // nil: the type is unknown, and broken is set
	schema *tasks.Schema // of task; empty if there is none
	// clashes: another stage has the same name.
	clashes bool

	// value is what references see: an object of value.go, or an unknown if
	// the stage is broken.
	value   cty.Value
	planned *Stage
}
