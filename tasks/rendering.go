package tasks

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/internal/lists"
)

// A Language parses and evaluates what files of the project say in the language
// of the Airbuildfile, within its limits: they may come from anybody.
type Language interface {
	// ParseTemplate parses a file in the template syntax; name is for messages.
	ParseTemplate(name string, src []byte) (hclsyntax.Expression, hcl.Diagnostics)
	// EvaluateTemplate evaluates a template with the given values and nothing
	// else but the functions.
	EvaluateTemplate(expr hcl.Expression, values map[string]cty.Value) (cty.Value, hcl.Diagnostics)
}

// A Template is a file in the language's template syntax.
type Template struct {
	Name     string // of the file, for messages
	expr     hclsyntax.Expression
	language Language
}

// ParseTemplate reads a template. Mistakes are reported where they stand in its
// file.
func (p *Project) ParseTemplate(name string, body []byte) (*Template, hcl.Diagnostics) {
	expr, diags := p.Language.ParseTemplate(name, body)
	return &Template{name, expr, p.Language}, diags
}

// Names are the values that the template refers to, each once, sorted.
func (t *Template) Names() []string {
	return slices.Sorted(maps.Keys(lists.SetBy(t.expr.Variables(), func(v hcl.Traversal) string { return v.RootName() })))
}

// Render evaluates the template with the given values and nothing else.
func (t *Template) Render(vars map[string]cty.Value) (string, hcl.Diagnostics) {
	v, diags := t.language.EvaluateTemplate(t.expr, vars)
	if diags.HasErrors() {
		return "", diags
	}
	v, _ = v.UnmarkDeep()
	s, err := convert.Convert(v, cty.String)
	if err != nil || s.IsNull() || !s.IsKnown() {
		r := t.expr.Range()
		return "", append(diags, &hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Template gives no text", Subject: &r,
			Detail: fmt.Sprintf("The template is one ${…} whose value is %s, not a string.", v.Type().FriendlyName()),
		})
	}
	return s.AsString(), diags
}

// TemplateVars is an attribute with values for templates, or no values.
func (b *Block) TemplateVars(attr string) (map[string]cty.Value, hcl.Diagnostics) {
	if !b.Has(attr) {
		return map[string]cty.Value{}, nil
	}
	v := b.Cty(attr)
	if t := v.Type(); !t.IsObjectType() && !t.IsMapType() {
		return nil, hcl.Diagnostics{b.Error(attr, "Wrong type", "vars is an object: vars = { name = value }.")}
	}
	vars := map[string]cty.Value{}
	var diags hcl.Diagnostics
	for name, value := range v.AsValueMap() {
		if !hclsyntax.ValidIdentifier(name) {
			diags = append(diags, b.Error(attr, "Not a name", fmt.Sprintf("A template cannot refer to %q: names are letters, digits, - and _, and begin with a letter.", name)))
		}
		vars[name] = value
	}
	return vars, diags
}
