package template

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/tasks"
)

// render evaluates a template with the values of vars and nothing else.
// Mistakes in the template are reported where they stand in its file.
func render(b *tasks.Block, name string, body []byte) (string, hcl.Diagnostics) {
	vars, diags := b.TemplateVars("vars")
	t, d := b.Project.ParseTemplate(name, body)
	if diags = append(diags, d...); diags.HasErrors() {
		return "", diags
	}
	diags = append(diags, unused(b, t, vars)...)
	s, d := t.Render(vars)
	if diags = append(diags, d...); diags.HasErrors() {
		return "", diags
	}
	return s, diags
}

// unused reports values that the template has no use for: replacement rules
// that replace nothing are left over from something.
func unused(b *tasks.Block, t *tasks.Template, vars map[string]cty.Value) (diags hcl.Diagnostics) {
	if b.Bool("allow_unused", false) {
		return nil
	}
	used, unknown := map[string]bool{}, []string{}
	for _, name := range t.Names() {
		used[name] = true
		if _, given := vars[name]; !given {
			unknown = append(unknown, name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(vars)) {
		if !used[key] {
			diags = append(diags, b.Error("vars", "Value is not used",
				fmt.Sprintf("%s does not use %q.%s Use it, remove it, or set allow_unused = true.", t.Name, key, tasks.DidYouMean(key, unknown))))
		}
	}
	return diags
}
