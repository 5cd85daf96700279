package pipelines

import (
	"cmp"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
)

// An item is one item of an object as written.
type item struct {
	order int
	key   hcl.Range
	expr  hcl.Expression
}

// objectSource returns the items of an object expression by key, looking
// through parentheses and one name of a local. It is empty where the object
// is computed.
func objectSource(expr hcl.Expression, module *dsl.Module) map[string]item {
	object, ok := written(expr, module).(*hclsyntax.ObjectConsExpr)
	if !ok {
		return nil
	}
	items := make(map[string]item, len(object.Items))
	for i, it := range object.Items {
		key, diags := it.KeyExpr.Value(nil)
		if diags.HasErrors() || !key.IsKnown() || key.IsNull() || key.Type() != cty.String || key.IsMarked() {
			continue
		}
		items[key.AsString()] = item{i, it.KeyExpr.Range(), it.ValueExpr}
	}
	return items
}

// written strips parentheses and follows a local to what it was set to.
func written(expr hcl.Expression, module *dsl.Module) hcl.Expression {
	for range 8 {
		switch e := expr.(type) {
		case *hclsyntax.ParenthesesExpr:
			expr = e.Expression
		case *hclsyntax.ScopeTraversalExpr:
			name, _, ok := secondName(e.Traversal)
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

// axisOrder returns the names of an object's items as they are written, those
// of a computed object in alphabetical order.
func axisOrder(source map[string]item, items map[string]cty.Value) []string {
	return slices.SortedFunc(maps.Keys(items), func(a, b string) int {
		ia, aok := source[a]
		ib, bok := source[b]
		if aok && bok {
			return ia.order - ib.order
		}
		return cmp.Compare(a, b)
	})
}

// elementExpr returns the expression of a list's element, or of the list if
// it is computed.
func elementExpr(expr hcl.Expression, i int) hcl.Expression {
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(list.Exprs) {
		return list.Exprs[i]
	}
	return expr
}

// describe names a value's type for a message.
func describe(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	if _, ok := handleOf(v); ok {
		return "a stage"
	}
	if _, ok := pipelineOf(v); ok {
		return "a pipeline"
	}
	ty := v.Type()
	switch {
	case ty == cty.String:
		return "a string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "a bool"
	case ty.IsListType(), ty.IsTupleType(), ty.IsSetType():
		return "a list"
	case ty.IsObjectType(), ty.IsMapType():
		return "an object"
	}
	return ty.FriendlyName()
}

// isList reports whether a value is a list, a tuple or a set.
func isList(v cty.Value) bool {
	ty := v.Type()
	return v.IsKnown() && !v.IsNull() && (ty.IsListType() || ty.IsTupleType() || ty.IsSetType())
}

// isMapping reports whether a value is an object or a map.
func isMapping(v cty.Value) bool {
	ty := v.Type()
	return v.IsKnown() && !v.IsNull() && (ty.IsObjectType() || ty.IsMapType())
}

// elementsOf returns a list's elements; what marks the list marks each.
func elementsOf(v cty.Value) []cty.Value {
	v, marks := v.Unmark()
	elements := v.AsValueSlice()
	if len(marks) > 0 {
		for i := range elements {
			elements[i] = elements[i].WithMarks(marks)
		}
	}
	return elements
}

// attributesOf returns an object's values; what marks the object marks each.
func attributesOf(v cty.Value) map[string]cty.Value {
	v, marks := v.Unmark()
	items := v.AsValueMap()
	if len(marks) > 0 {
		for name := range items {
			items[name] = items[name].WithMarks(marks)
		}
	}
	return items
}
