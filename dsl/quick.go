package dsl

import (
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// quickValue evaluates templates of plain text and plain values, and lists of
// them: what most attributes of a matrix are. It gives what expr.Value gives,
// or is not ok and leaves all else, and every mistake, to it. The point is the
// numbers: the cty library writes one with a general algorithm for 512 bits,
// which was a quarter of the time of planning ten thousand cells.
func quickValue(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, bool) {
	switch e := expr.(type) {
	case *hclsyntax.TemplateExpr:
		return quickTemplate(e, ctx)
	case *hclsyntax.TupleConsExpr:
		list := make([]cty.Value, len(e.Exprs))
		for i, x := range e.Exprs {
			t, ok := x.(*hclsyntax.TemplateExpr)
			if !ok {
				return cty.NilVal, false
			}
			if list[i], ok = quickTemplate(t, ctx); !ok {
				return cty.NilVal, false
			}
		}
		return cty.TupleVal(list), true
	}
	return cty.NilVal, false
}

func quickTemplate(e *hclsyntax.TemplateExpr, ctx *hcl.EvalContext) (cty.Value, bool) {
	var b strings.Builder
	for _, part := range e.Parts {
		var v cty.Value
		switch p := part.(type) {
		case *hclsyntax.LiteralValueExpr:
			v = p.Val
		case *hclsyntax.ScopeTraversalExpr:
			var diags hcl.Diagnostics
			if v, diags = p.Traversal.TraverseAbs(ctx); len(diags) > 0 {
				return cty.NilVal, false
			}
		default:
			return cty.NilVal, false
		}
		text, ok := QuickText(v)
		if !ok {
			return cty.NilVal, false
		}
		b.WriteString(text)
	}
	return cty.StringVal(b.String()), true
}

// QuickText is a string, a bool or a whole number as text, as the cty library
// converts it. It is not ok for all else, and for values that are marked, null
// or unknown.
func QuickText(v cty.Value) (string, bool) {
	if v == cty.NilVal || v.IsMarked() || !v.IsKnown() || v.IsNull() {
		return "", false
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), true
	case cty.Bool:
		return strconv.FormatBool(v.True()), true
	case cty.Number:
		if n := v.AsBigFloat(); n.IsInt() && n.MantExp(nil) < 63 && (n.Sign() != 0 || !n.Signbit()) {
			whole, _ := n.Int64()
			return strconv.FormatInt(whole, 10), true
		}
	}
	return "", false
}
