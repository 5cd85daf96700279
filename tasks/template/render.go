package template

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/tasks"
)

// render evaluates a template with the values of vars and nothing else.
// Mistakes in the template are reported where they stand in its file.
func render(b *tasks.Block, name string, body []byte) (string, hcl.Diagnostics) {
	vars, diags := variables(b)
	expr, d := hclsyntax.ParseTemplate(body, name, hcl.InitialPos)
	if diags = append(diags, d...); diags.HasErrors() {
		return "", diags
	}
	diags = append(diags, unused(b, name, expr, vars)...)
	v, d := expr.Value(&hcl.EvalContext{Variables: vars, Functions: b.Project.Functions})
	if diags = append(diags, d...); diags.HasErrors() {
		return "", diags
	}
	v, _ = v.UnmarkDeep()
	s, err := convert.Convert(v, cty.String)
	if err != nil || s.IsNull() || !s.IsKnown() {
		r := expr.Range()
		return "", append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Template gives no text", Subject: &r,
			Detail: fmt.Sprintf("The template is one ${…} whose value is %s, not a string.", v.Type().FriendlyName()),
		})
	}
	return s.AsString(), diags
}

// variables is vars as the template sees it.
func variables(b *tasks.Block) (map[string]cty.Value, hcl.Diagnostics) {
	if !b.Has("vars") {
		return map[string]cty.Value{}, nil
	}
	v := b.Cty("vars")
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		return nil, hcl.Diagnostics{b.Error("vars", "Wrong type", "vars is an object: vars = { name = value }.")}
	}
	vars := map[string]cty.Value{}
	var diags hcl.Diagnostics
	for name, value := range v.AsValueMap() {
		if !hclsyntax.ValidIdentifier(name) {
			diags = append(diags, b.Error("vars", "Not a name", fmt.Sprintf("A template cannot refer to %q: names are letters, digits, - and _, and begin with a letter.", name)))
		}
		vars[name] = value
	}
	return vars, diags
}

// unused reports values that the template has no use for: replacement rules
// that replace nothing are left over from something.
func unused(b *tasks.Block, name string, expr hcl.Expression, vars map[string]cty.Value) (diags hcl.Diagnostics) {
	if b.Bool("allow_unused", false) {
		return nil
	}
	used, unknown := map[string]bool{}, []string{}
	for _, t := range expr.Variables() {
		root := t.RootName()
		used[root] = true
		if _, given := vars[root]; !given {
			unknown = append(unknown, root)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		if !used[key] {
			diags = append(diags, b.Error("vars", "Value is not used",
				fmt.Sprintf("%s does not use %q.%s Use it, remove it, or set allow_unused = true.", name, key, tasks.DidYouMean(key, unknown))))
		}
	}
	return diags
}
