package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// explainSyntax adds to the parser's diagnostics what it does not say: where
// an attribute that is set twice was set first.
func explainSyntax(diags hcl.Diagnostics, body *hclsyntax.Body) hcl.Diagnostics {
	for _, d := range diags {
		if d.Summary != "Attribute redefined" || d.Subject == nil {
			continue
		}
		if first, name, ok := firstSetting(body, *d.Subject, d.Detail); ok {
			d.Summary = "Duplicate attribute"
			d.Detail = fmt.Sprintf("%q is set already: remove one of the two.", name)
			d.Extra = Related{{Range: first, Note: "set first"}}
		}
	}
	return diags
}

// firstSetting finds the attribute that a second setting at the given place
// repeats. The parser's message has its name between quotes.
func firstSetting(body *hclsyntax.Body, at hcl.Range, message string) (hcl.Range, string, bool) {
	_, rest, _ := strings.Cut(message, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	for _, block := range body.Blocks {
		if block.Body.SrcRange.ContainsPos(at.Start) {
			return firstSetting(block.Body, at, message)
		}
	}
	attr, ok := body.Attributes[name]
	if !ok {
		return hcl.Range{}, "", false
	}
	return attr.NameRange, name, true
}

var typeKeywords = []string{"any", "bool", "list", "map", "number", "object", "set", "string", "tuple"}

// explainType adds a suggestion where a type constraint has an unknown word.
func explainType(diags hcl.Diagnostics, expr hclsyntax.Expression) hcl.Diagnostics {
	for _, d := range diags {
		if d.Subject == nil {
			continue
		}
		// The visitor never returns diagnostics.
		hclsyntax.VisitAll(expr, func(n hclsyntax.Node) hcl.Diagnostics {
			word := ""
			switch n := n.(type) {
			case *hclsyntax.ScopeTraversalExpr:
				word = n.Traversal.RootName()
			case *hclsyntax.FunctionCallExpr:
				word = n.Name
			}
			if word == "" || slices.Contains(typeKeywords, word) || n.Range().Start != d.Subject.Start {
				return nil
			}
			d.Summary = "Unknown type"
			d.Detail = fmt.Sprintf("There is no type %q.", word) + DidYouMean(word, typeKeywords)
			if SuggestName(word, typeKeywords) == "" {
				d.Detail += " Types are string, number, bool, any, list(…), set(…), map(…), object({…}) and tuple([…])."
			}
			return nil
		})
	}
	return diags
}

// Value evaluates expr and improves what HCL says of its mistakes: near names
// for unknown attributes and keys, and no secrets in the text.
// In an incomplete module, an expression that refers to what is not there is
// unknown: it may be in what could not be read.
func (s *Scope) Value(expr hcl.Expression, ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	if s.Module.Incomplete && s.refersToMissing(expr) {
		return cty.DynamicVal, nil
	}
	if v, ok := quickValue(expr, ctx); ok {
		return v, nil
	}
	v, diags := evaluate(expr, ctx)
	return v, s.Explain(diags)
}

// Explain improves the diagnostics of an evaluation, in place. Value has done
// so already.
func (s *Scope) Explain(diags hcl.Diagnostics) hcl.Diagnostics {
	for _, d := range diags {
		switch d.Summary {
		case "Unsupported attribute", "Invalid index":
			explainStep(d)
		case "Call to unknown function":
			if extra, ok := hcl.DiagnosticExtra[hclsyntax.FunctionCallUnknownDiagExtra](d); ok {
				d.Summary = "Unknown function"
				d.Detail = unknownFunction(extra.CalledFunctionName(), keys(s.funcs))
			}
		}
		d.Detail = s.secrets.redact(oneStop(d.Detail))
	}
	return diags
}

// oneStop mends the end of a message that HCL put a full stop behind one of
// ours, which has its own.
func oneStop(detail string) string {
	for _, end := range []string{".", "?"} {
		if cut, ok := strings.CutSuffix(detail, end+"."); ok && !strings.HasSuffix(cut, ".") {
			return cut + end
		}
	}
	return detail
}

// explainStep says which names there are where a traversal asked for one that
// is not there.
func explainStep(d *hcl.Diagnostic) {
	var known []string
	var step hcl.Traverser
	switch expr := d.Expression.(type) {
	case *hclsyntax.ScopeTraversalExpr:
		v, rest := walkTraversal(d.EvalContext, expr.Traversal)
		if len(rest) > 0 {
			known, step = namesOf(v), rest[0]
		}
	case *hclsyntax.RelativeTraversalExpr:
		v, diags := expr.Source.Value(d.EvalContext)
		if !diags.HasErrors() {
			v, rest := walkSteps(v, expr.Traversal)
			if len(rest) > 0 {
				known, step = namesOf(v), rest[0]
			}
		}
	case *hclsyntax.IndexExpr:
		key, _ := expr.Key.Value(d.EvalContext)
		collection, diags := expr.Collection.Value(d.EvalContext)
		if !diags.HasErrors() {
			known, step = namesOf(collection), hcl.TraverseIndex{Key: key}
		}
	}
	if step == nil {
		return
	}
	name, ok := stepName(step)
	if !ok || len(known) == 0 || slices.Contains(known, name) {
		return
	}
	d.Detail = fmt.Sprintf("There is no %q here.", name) + nearOrAll(name, known)
}

// walkTraversal follows a traversal as far as it goes.
func walkTraversal(ctx *hcl.EvalContext, t hcl.Traversal) (cty.Value, hcl.Traversal) {
	v, diags := t[:1].TraverseAbs(ctx)
	if diags.HasErrors() {
		return cty.DynamicVal, nil
	}
	return walkSteps(v, t[1:])
}

func walkSteps(v cty.Value, steps hcl.Traversal) (cty.Value, hcl.Traversal) {
	for i, step := range steps {
		next, diags := step.TraversalStep(v)
		if diags.HasErrors() {
			return v, steps[i:]
		}
		v = next
	}
	return v, nil
}

// namesOf are the attributes of an object or the keys of a map.
func namesOf(v cty.Value) []string {
	v, _ = v.Unmark()
	switch {
	case v.Type().IsObjectType():
		return keys(v.Type().AttributeTypes())
	case v.Type().IsMapType() && v.IsKnown() && !v.IsNull():
		return keys(v.AsValueMap())
	}
	return nil
}
