package pipelines

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
)

// A bodyReader evaluates the body of one stage, cell by cell.
//
// failed means that a mistake was reported; poisoned that a value is unknown
// because of a mistake that was reported elsewhere. Either way the stage is
// left out of the plan.
//
// Several may read cells of one stage at once (ahead.go): what a cell's
// expressions come to is written to nothing but the fields below.
type bodyReader struct {
	*planner
	report   *report // the planner's, or of a twin alone
	suspects *suspects

	stage *stage
	scope *scope
	body  *hclsyntax.Body

	context *hcl.EvalContext // of the stage
	present *hcl.EvalContext // of the cell being read
	cell    *cell            // nil while there is none
	// shared holds what is the same for all cells.
	shared map[*hclsyntax.Attribute]decoded
	byCell map[*hclsyntax.Attribute]bool // whether an attribute depends on the cell
	meta   *metaReader                   // likewise, if no meta-argument depends on the cell
	wrong  map[hcl.Expression]bool       // not fit to be evaluated; reported

	failed, poisoned bool
}

func (b *bodyReader) fail(d *hcl.Diagnostic) {
	b.failed = true
	b.report.add(d)
}

// unusable reports whether the stage must be left out.
func (b *bodyReader) unusable() bool { return b.failed || b.poisoned }

// check reports every reference of the body that cannot be right, so that
// what is left can be evaluated.
func (b *bodyReader) check() {
	roots := map[string]dsl.Names{"stage": {Noun: "stage"}}
	if b.hasCellObject("matrix") {
		roots["matrix"] = dsl.Names{Noun: "matrix value"}
	}
	if b.hasCellObject("each") {
		roots["each"] = dsl.Names{Noun: "each value"}
	}
	b.checkBody(b.body, roots)
	for _, ref := range b.stage.refs {
		if other := b.byName[ref.name]; other == nil || other.broken {
			b.poisoned = true
		}
	}
}

func (b *bodyReader) checkBody(body *hclsyntax.Body, roots map[string]dsl.Names) {
	for _, attr := range body.Attributes {
		diags := b.scope.CheckTraversals(attr.Expr, roots)
		b.report.add(diags...)
		if diags.HasErrors() || slices.ContainsFunc(attr.Expr.Variables(), isIncomplete) {
			b.failed = true
			b.wrong[attr.Expr] = true
		}
	}
	for _, block := range body.Blocks {
		b.checkBody(block.Body, roots)
	}
}

// isIncomplete reports whether a traversal names no single stage.
func isIncomplete(t hcl.Traversal) bool {
	_, _, ok := secondName(t)
	return t.RootName() == "stage" && !ok
}

// value evaluates an expression. It is not ok after an error, which is
// reported, and for an unknown.
func (b *bodyReader) value(expr hcl.Expression) (cty.Value, bool) {
	if b.wrong[expr] {
		// The rest of it may be wrong in ways that only values show.
		for _, t := range expr.Variables() {
			if d := explain(t, b.present); d != nil {
				b.fail(d)
			}
		}
		return cty.DynamicVal, false
	}
	v, diags := b.scope.Value(expr, b.present)
	if len(diags) > 0 {
		b.report.add(explainAll(diags, expr, b.present)...)
		if diags.HasErrors() {
			b.failed = true
			return v, false
		}
	}
	if !v.IsKnown() {
		b.poisoned = true
		return v, false
	}
	return v, true
}

// enter makes c the present cell. Nil stands for a cell that is not known:
// whatever it gives is unknown.
func (b *bodyReader) enter(c *cell) {
	b.cell, b.report.cell = c, c
	vars := map[string]cty.Value{}
	switch {
	case c == nil:
		for _, name := range [...]string{"matrix", "each"} {
			if b.hasCellObject(name) {
				vars[name] = cty.DynamicVal
			}
		}
	default:
		if c.matrix != cty.NilVal {
			vars["matrix"] = c.matrix
		}
		if c.each != cty.NilVal {
			vars["each"] = c.each
		}
	}
	b.present = b.context
	if len(vars) > 0 {
		b.present = b.context.NewChild()
		b.present.Variables = vars
	}
}

func (b *bodyReader) hasCellObject(name string) bool {
	if name == "each" {
		name = "for_each"
	}
	return b.body.Attributes[name] != nil
}

// explainAll replaces what is said of a failed look-up in a stage or cell by
// a message that knows what those are.
func explainAll(diags hcl.Diagnostics, expr hcl.Expression, context *hcl.EvalContext) hcl.Diagnostics {
	out := make(hcl.Diagnostics, len(diags))
	for i, d := range diags {
		out[i] = d
		if d.Severity != hcl.DiagError || d.Subject == nil {
			continue
		}
		if e := explainIndex(d); e != nil {
			out[i] = e
			continue
		}
		for _, t := range expr.Variables() {
			if e := explain(t, context); e != nil && overlaps(*e.Subject, *d.Subject) {
				out[i] = e
				break
			}
		}
	}
	return out
}

func overlaps(a, b hcl.Range) bool {
	return a.Filename == b.Filename && a.Start.Byte < b.End.Byte && b.Start.Byte < a.End.Byte
}

// explain follows a traversal to the step that fails in a stage, a cell or
// each, and says what is wrong with it. It returns nil if there is no such
// step.
func explain(t hcl.Traversal, context *hcl.EvalContext) *hcl.Diagnostic {
	v, ok := lookup(t.RootName(), context)
	if !ok {
		return nil
	}
	so := t.RootName()
	for _, step := range t[1:] {
		name, at, ok := stepName(step)
		plain, _ := v.Unmark()
		if !ok || !plain.IsKnown() || plain.IsNull() || !plain.Type().IsObjectType() {
			return nil
		}
		if !plain.Type().HasAttribute(name) {
			if _, index := step.(hcl.TraverseIndex); index {
				if e := explainCell(plain, so, name, at); e != nil {
					return e
				}
			}
			return explainAttribute(plain, so, name, at)
		}
		v = plain.GetAttr(name)
		so += "." + name
		if h, isStage := handleOf(v); isStage {
			so = h.String()
		}
	}
	return nil
}

func lookup(root string, context *hcl.EvalContext) (cty.Value, bool) {
	for c := context; c != nil; c = c.Parent() {
		if v, ok := c.Variables[root]; ok {
			return v, true
		}
	}
	return cty.NilVal, false
}

// explainIndex is explain for an index that is computed, or of several parts.
func explainIndex(d *hcl.Diagnostic) *hcl.Diagnostic {
	expr, ok := d.Expression.(*hclsyntax.IndexExpr)
	if !ok || d.EvalContext == nil {
		return nil
	}
	v, diags := expr.Collection.Value(d.EvalContext)
	key, more := expr.Key.Value(d.EvalContext)
	key, marks := key.Unmark()
	text, plain := dsl.QuickText(key)
	h, isStage := handleOf(v)
	if diags.HasErrors() || more.HasErrors() || !plain || len(marks) > 0 || !isStage {
		return nil
	}
	v, _ = v.Unmark()
	return explainCell(v, h.String(), text, expr.Key.Range())
}

// explainCell says which cells a stage has instead of the one named: brackets
// are for cells. It returns nil if v is no stage.
func explainCell(v cty.Value, so, name string, at hcl.Range) *hcl.Diagnostic {
	h, isStage := handleOf(v)
	if !isStage || h.cell != nil {
		return nil
	}
	var cells []string
	for _, c := range h.cells() {
		if c.key != "" {
			cells = append(cells, c.key)
		}
	}
	slices.Sort(cells)
	detail := dsl.DidYouMean(name, cells)
	switch {
	case detail != "":
	case len(cells) > 0:
		detail = " It has " + listNames(cells) + "."
	default:
		detail = " It has none: its output is " + so + ".path."
		if len(h.paths(at)) != 1 {
			detail = " It has none: its outputs are " + so + ".paths."
		}
	}
	return errorAt(at, "Unknown cell", "%s has no cell %q.%s", so, name, detail)
}

// explainAttribute says what a stage, a cell or each has instead of name.
func explainAttribute(v cty.Value, so, name string, at hcl.Range) *hcl.Diagnostic {
	_, isStage := handleOf(v)
	if !isStage && so != "each" || !v.Type().HasAttribute("paths") {
		return nil
	}
	if name == "path" {
		paths := elementsOf(v.GetAttr("paths"))
		if len(paths) == 0 {
			return errorAt(at, "No path", "%s has no outputs.", so)
		}
		return errorAt(at, "Several paths", "%s has %d outputs: use %s.paths, or name one of its cells.", so, len(paths), so)
	}
	var known []string
	for n := range v.Type().AttributeTypes() {
		if n != handleAttr {
			known = append(known, n)
		}
	}
	slices.Sort(known)
	detail := dsl.DidYouMean(name, known)
	if detail == "" {
		detail = " It has " + listNames(known) + "."
	}
	if h, ok := handleOf(v); ok && h.cell == nil && len(h.stage.cells) > 1 {
		return errorAt(at, "Unknown cell", "%s has no cell or attribute %q.%s", so, name, detail)
	}
	return errorAt(at, "Unknown attribute", "%s has no attribute %q.%s", so, name, detail)
}

func stepName(step hcl.Traverser) (string, hcl.Range, bool) {
	switch step := step.(type) {
	case hcl.TraverseAttr:
		return step.Name, step.SrcRange, true
	case hcl.TraverseIndex:
		if step.Key.Type() == cty.String && step.Key.IsKnown() && !step.Key.IsNull() {
			return step.Key.AsString(), step.SrcRange, true
		}
	}
	return "", hcl.Range{}, false
}
