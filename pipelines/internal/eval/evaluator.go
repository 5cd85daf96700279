// Package eval evaluates the expressions of a stage, whose values may be other
// stages, their cells and their outputs.
package eval

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
)

// An Evaluator evaluates the expressions of one stage, cell by cell.
type Evaluator struct {
	Report *diag.Report
	Scope  *Scope
	Decl   *dsl.Stage
	// Failed means that a mistake was reported; Poisoned that a value is
	// unknown because of a mistake that was reported elsewhere. Either way the
	// stage is left out of the plan.
	Failed, Poisoned bool

	context *hcl.EvalContext        // of the stage
	present *hcl.EvalContext        // of the cell being read
	wrong   map[hcl.Expression]bool // not fit to be evaluated; reported
}

// New returns an Evaluator of what a stage's expressions see in context, before
// any cell is known.
func New(report *diag.Report, scope *Scope, decl *dsl.Stage, context *hcl.EvalContext) *Evaluator {
	return &Evaluator{
		Report: report, Scope: scope, Decl: decl,
		context: context, present: context, wrong: map[hcl.Expression]bool{},
	}
}

// Twin returns an Evaluator for other cells at the same time, which reports
// to report. Expressions that were found to be wrong are so for both.
func (e *Evaluator) Twin(report *diag.Report) *Evaluator {
	t := *e
	t.Report = report
	return &t
}

// Fail reports a mistake.
func (e *Evaluator) Fail(d *hcl.Diagnostic) {
	e.Failed = true
	e.Report.Add(d)
}

// Unusable reports whether the stage must be left out.
func (e *Evaluator) Unusable() bool { return e.Failed || e.Poisoned }

// Check reports every reference of the body that cannot be right, so that
// what is left can be evaluated.
func (e *Evaluator) Check() {
	roots := map[string]dsl.Names{"stage": {Noun: "stage"}}
	if e.hasCellObject("matrix") {
		roots["matrix"] = dsl.Names{Noun: "matrix value"}
	}
	if e.hasCellObject("each") {
		roots["each"] = dsl.Names{Noun: "each value"}
	}
	e.checkBody(e.Decl.Body, roots)
}

func (e *Evaluator) checkBody(body *hclsyntax.Body, roots map[string]dsl.Names) {
	for _, attr := range body.Attributes {
		diags := e.Scope.CheckTraversals(attr.Expr, roots)
		e.Report.Add(diags...)
		if diags.HasErrors() || slices.ContainsFunc(attr.Expr.Variables(), isIncomplete) {
			e.Failed = true
			e.wrong[attr.Expr] = true
		}
	}
	for _, block := range body.Blocks {
		e.checkBody(block.Body, roots)
	}
}

// isIncomplete reports whether a traversal names no single stage.
func isIncomplete(t hcl.Traversal) bool {
	_, _, ok := SecondName(t)
	return t.RootName() == "stage" && !ok
}

// Value evaluates an expression. It is not ok after an error, which is
// reported, and for an unknown.
func (e *Evaluator) Value(expr hcl.Expression) (cty.Value, bool) {
	if e.wrong[expr] {
		// The rest of it may be wrong in ways that only values show.
		for _, t := range expr.Variables() {
			if d := explain(t, e.present); d != nil {
				e.Fail(d)
			}
		}
		return cty.DynamicVal, false
	}
	v, diags := e.Scope.Value(expr, e.present)
	if len(diags) > 0 {
		e.Report.Add(ExplainAll(diags, expr, e.present)...)
		if diags.HasErrors() {
			e.Failed = true
			return v, false
		}
	}
	if !v.IsKnown() {
		e.Poisoned = true
		return v, false
	}
	return v, true
}

// Enter makes c the present cell. Nil stands for a cell that is not known:
// whatever it gives is unknown.
func (e *Evaluator) Enter(c *Cell) {
	e.Report.Cell = nil
	vars := map[string]cty.Value{}
	switch {
	case c == nil:
		for _, name := range [...]string{"matrix", "each"} {
			if e.hasCellObject(name) {
				vars[name] = cty.DynamicVal
			}
		}
	default:
		e.Report.Cell = c
		if c.Matrix != cty.NilVal {
			vars["matrix"] = c.Matrix
		}
		if c.Each != cty.NilVal {
			vars["each"] = c.Each
		}
	}
	e.present = e.context
	if len(vars) > 0 {
		e.present = e.context.NewChild()
		e.present.Variables = vars
	}
}

func (e *Evaluator) hasCellObject(name string) bool {
	if name == "each" {
		name = "for_each"
	}
	return e.Decl.Body.Attributes[name] != nil
}

// ElementRange is where the i-th element of a list stands, or the whole if
// the list is computed.
func (e *Evaluator) ElementRange(expr hcl.Expression, i int) hcl.Range {
	return e.Scope.Blame(ElementExpr(Written(expr, e.Decl.Module), i))
}
