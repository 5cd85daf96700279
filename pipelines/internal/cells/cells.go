// Package cells finds the cells of a stage: what matrix, include, exclude and
// for_each make of it.
package cells

import (
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// Expand returns the cells of the stage that on evaluates, and whether that went
// well, whatever else is wrong with the stage. A stage that has none of the
// arguments has one cell, without a key.
func Expand(on *eval.Evaluator) (cells []*eval.Cell, ok bool) {
	failed, poisoned := on.Failed, on.Poisoned
	on.Failed, on.Poisoned = false, false
	cells = expand(on)
	ok = !on.Unusable()
	on.Failed, on.Poisoned = on.Failed || failed, on.Poisoned || poisoned
	return cells, ok
}

func expand(on *eval.Evaluator) []*eval.Cell {
	axes, each := on.Decl.Body.Attributes["matrix"], on.Decl.Body.Attributes["for_each"]
	if axes == nil {
		for _, name := range [...]string{"include", "exclude"} {
			if attr := on.Decl.Body.Attributes[name]; attr != nil {
				on.Fail(diag.ErrorAt(attr.NameRange, "No matrix", "%s changes a matrix, and this stage has none.", name))
			}
		}
	}
	switch {
	case axes != nil && each != nil:
		on.Fail(diag.ErrorAt(each.NameRange, "Two kinds of cells", "A stage has matrix or for_each, not both: use the stages' own matrix values through each."))
	case axes != nil:
		return (&matrix{eval: on}).cells(axes)
	case each != nil:
		return forEach{on}.cells(each)
	}
	return []*eval.Cell{{}}
}
