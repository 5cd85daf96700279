package dsl

import (
	"fmt"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// doubleKeys reports keys that an object has twice. HCL takes the last of them
// without a word, so that a line of a file has no effect. Keys that are
// computed are known only when the object is evaluated, and are left out.
func doubleKeys(node hclsyntax.Node) hcl.Diagnostics {
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		object, ok := n.(*hclsyntax.ObjectConsExpr)
		if !ok || len(object.Items) < 2 {
			return nil
		}
		var diags hcl.Diagnostics
		first := make(map[string]hcl.Range, len(object.Items))
		for _, item := range object.Items {
			key, ok := writtenKey(item.KeyExpr)
			if !ok {
				continue
			}
			at := item.KeyExpr.Range()
			before, double := first[key]
			if !double {
				first[key] = at
				continue
			}
			d := errorAt(at, "Duplicate key", fmt.Sprintf("The object has the key %q already, in line %d. Remove one of the two.", key, before.Start.Line))
			d.Extra = Related{{Range: before, Note: "set first"}}
			diags = append(diags, d)
		}
		return diags
	})
}

// writtenKey is the key of an object's item, if it is written out. A number
// and a string of its digits are one key.
func writtenKey(expr hclsyntax.Expression) (string, bool) {
	v, diags := expr.Value(nil)
	if diags.HasErrors() || !v.IsWhollyKnown() || v.IsNull() || v.IsMarked() {
		return "", false
	}
	switch v.Type() {
	case cty.String:
		return v.AsString(), true
	case cty.Number:
		return v.AsBigFloat().Text('f', -1), true
	case cty.Bool:
		return fmt.Sprint(v.True()), true
	}
	return "", false
}
