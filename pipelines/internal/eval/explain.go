package eval

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
)

// ExplainAll replaces what is said of a failed look-up in a stage or cell by
// a message that knows what those are.
func ExplainAll(diags hcl.Diagnostics, expr hcl.Expression, context *hcl.EvalContext) hcl.Diagnostics {
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
			if e := explain(t, context); e != nil && diag.Overlap(*e.Subject, *d.Subject) {
				out[i] = e
				break
			}
		}
	}
	return out
}

// explain follows a traversal to the step that fails in a stage, a cell or
// each, and says what is wrong with it. It returns nil if every step can be
// followed.
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
		if h, isStage := HandleOf(v); isStage {
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
	h, isStage := HandleOf(v)
	if diags.HasErrors() || more.HasErrors() || !plain || len(marks) > 0 || !isStage {
		return nil
	}
	v, _ = v.Unmark()
	return explainCell(v, h.String(), text, expr.Key.Range())
}

// explainCell says which cells a stage has instead of the one named: brackets
// are for cells. It returns nil if v is not a stage.
func explainCell(v cty.Value, so, name string, at hcl.Range) *hcl.Diagnostic {
	h, isStage := HandleOf(v)
	if !isStage || h.Cell != nil {
		return nil
	}
	var cells []string
	for _, c := range h.Cells() {
		if c.Key != "" {
			cells = append(cells, c.Key)
		}
	}
	slices.Sort(cells)
	detail := dsl.DidYouMean(name, cells)
	switch {
	case detail != "":
	case len(cells) > 0:
		detail = " It has " + diag.ListNames(cells) + "."
	default:
		detail = " It has none: its output is " + so + ".path."
		if len(h.Paths(at)) != 1 {
			detail = " It has none: its outputs are " + so + ".paths."
		}
	}
	return diag.ErrorAt(at, "Unknown cell", "%s has no cell %q.%s", so, name, detail)
}

// explainAttribute says what a stage, a cell or each has instead of name.
func explainAttribute(v cty.Value, so, name string, at hcl.Range) *hcl.Diagnostic {
	_, isStage := HandleOf(v)
	if !isStage && so != "each" || !v.Type().HasAttribute("paths") {
		return nil
	}
	if name == "path" {
		paths := ElementsOf(v.GetAttr("paths"))
		if len(paths) == 0 {
			return diag.ErrorAt(at, "No path", "%s has no outputs.", so)
		}
		return diag.ErrorAt(at, "Several paths", "%s has %d outputs: use %s.paths, or name one of its cells.", so, len(paths), so)
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
		detail = " It has " + diag.ListNames(known) + "."
	}
	if h, ok := HandleOf(v); ok && h.Cell == nil && len(h.Stage.Cells) > 1 {
		return diag.ErrorAt(at, "Unknown cell", "%s has no cell or attribute %q.%s", so, name, detail)
	}
	return diag.ErrorAt(at, "Unknown attribute", "%s has no attribute %q.%s", so, name, detail)
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
