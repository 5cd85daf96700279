package eval

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
)

// MentionsCell reports whether an expression depends on the cell: whether it
// refers to matrix or each.
func MentionsCell(expr hcl.Expression) bool {
	return slices.ContainsFunc(expr.Variables(), func(t hcl.Traversal) bool {
		root := t.RootName()
		return root == "matrix" || root == "each"
	})
}

// SecondName returns the name behind a traversal's root and where it stands.
func SecondName(t hcl.Traversal) (string, hcl.Range, bool) {
	if len(t) < 2 {
		return "", hcl.Range{}, false
	}
	return stepName(t[1])
}

// An Item is one item of an object as written.
type Item struct {
	Key   hcl.Range
	Expr  hcl.Expression
	order int
}

// ItemsOf returns the items of an object expression by key, looking
// through parentheses and one name of a local. It is empty where the object
// is computed.
func ItemsOf(expr hcl.Expression, module *dsl.Module) map[string]Item {
	object, ok := Written(expr, module).(*hclsyntax.ObjectConsExpr)
	if !ok {
		return nil
	}
	items := make(map[string]Item, len(object.Items))
	for i, it := range object.Items {
		key, diags := it.KeyExpr.Value(nil)
		if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String || key.IsMarked() {
			continue
		}
		items[key.AsString()] = Item{it.KeyExpr.Range(), it.ValueExpr, i}
	}
	return items
}

// Written strips parentheses and follows a local to what it was set to.
func Written(expr hcl.Expression, module *dsl.Module) hcl.Expression {
	for range 8 {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		case *hclsyntax.ScopeTraversalExpr:
			name, _, ok := SecondName(e.Traversal)
			if !ok || e.Traversal.RootName() != "local" || len(e.Traversal) != 2 || module == nil || module.Locals[name] == nil {
				return expr
			}
			expr = module.Locals[name].Expr
		default:
			return expr
		}
	}
	return expr
}

// Order returns the names of an object's items as they are written, those
// of a computed object in alphabetical order.
func Order(source map[string]Item, items map[string]cty.Value) []string {
	return slices.SortedFunc(maps.Keys(items), func(a, b string) int {
		ia, aok := source[a]
		ib, bok := source[b]
		if aok && bok {
			return ia.order - ib.order
		}
		return cmp.Compare(a, b)
	})
}

// ElementExpr returns the expression of a list's element, or of the list if
// it is computed.
func ElementExpr(expr hcl.Expression, i int) hcl.Expression {
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(list.Exprs) {
		return list.Exprs[i]
	}
	return expr
}

// SortedAttributes returns the attributes of a body in source order.
func SortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	var out []*hclsyntax.Attribute
	for _, a := range body.Attributes {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return out
}
