package pipelines

import (
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// A use is a pipeline that takes a ready-made one.
type use struct {
	decl   *dsl.Pipeline // the user's
	name   string
	at     hcl.Range // of the name
	module *dsl.Module
	taken  *dsl.Pipeline // the ready-made one
	scope  *eval.Scope   // nil before it is evaluated
}

// reserved are the attributes of a pipeline that are no parameters.
var reserved = [...]string{"description", "notice", "stages", "use"}

// findUse loads what a pipeline's use names; nil if it has none or it cannot
// be had.
func (p *planner) findUse(decl *dsl.Pipeline) *use {
	attr := decl.Body.Attributes["use"]
	if attr == nil {
		return nil
	}
	name, at := literalText(attr.Expr), attr.Expr.Range()
	known := embeddedNames()
	if name == "" {
		p.report.Add(diag.ErrorAt(at, "Wrong type", "use is the name of a ready-made pipeline in quotes, as in \"go_release\"."))
		return nil
	}
	if !slices.Contains(known, name) {
		detail := dsl.DidYouMean(name, known)
		if detail == "" {
			detail = " There are " + diag.ListNames(known) + "; `airbuild pipelines list` describes them."
		}
		p.report.Add(diag.ErrorAt(at, "Unknown pipeline", "There is no ready-made pipeline %q.%s", name, detail))
		return nil
	}
	module, diags := loadEmbedded(name)
	p.report.Add(diags...)
	maps.Copy(p.plan.Sources, module.Sources)
	module.Files = p.project.Files
	return &use{decl: decl, name: name, at: at, module: module, taken: embeddedPipeline(module, name)}
}

// instantiate evaluates an embedded module with the pipeline's parameters and
// takes its stages. A file that an earlier use brought in already is shared,
// if its parameters are the same.
func (p *planner) instantiate(u *use, user *dsl.Inputs) {
	values, ranges := p.parameters(u)
	in := &dsl.Inputs{
		Values: values, ValueRanges: ranges,
		LookupEnv: func(string) (string, bool) { return "", false },
		Git:       user.Git, HostOS: user.HostOS, HostArch: user.HostArch,
	}
	u.scope = p.evalModule(u.module, in, &eval.Scope{Dir: p.user.Dir, Params: ranges, Use: u.name})
	var fresh []*dsl.Stage
	for _, decl := range u.module.Stages {
		if first := p.earlierUse(u, decl.Range.Filename); first != nil {
			p.mustAgree(first, u, decl.Range.Filename)
			continue
		}
		fresh = append(fresh, decl)
	}
	p.addStages(fresh, u.scope)
}

// parameters evaluates what the pipeline block sets, and adds what the caller
// or the project's sources say of the rest.
func (p *planner) parameters(u *use) (map[string]cty.Value, map[string]hcl.Range) {
	values, ranges := map[string]cty.Value{}, map[string]hcl.Range{}
	known := slices.Sorted(maps.Keys(u.module.Variables))
	for _, attr := range eval.SortedAttributes(u.decl.Body) {
		if slices.Contains(reserved[:], attr.Name) {
			continue
		}
		if !slices.Contains(known, attr.Name) {
			hint := dsl.DidYouMean(attr.Name, append(known, reserved[:]...))
			if hint == "" {
				hint = " It has " + diag.ListNames(known) + "."
			}
			p.report.Add(diag.ErrorAt(attr.NameRange, "Unknown parameter", "The ready-made pipeline %s has no parameter %q.%s", u.name, attr.Name, hint))
			continue
		}
		ranges[attr.Name] = attr.Expr.Range()
		values[attr.Name] = cty.DynamicVal
		if diags := p.user.CheckTraversals(attr.Expr, nil); diags.HasErrors() {
			p.report.Add(diags...)
			continue
		}
		v, diags := p.user.Value(attr.Expr, p.user.Context)
		p.report.Add(diags...)
		if !diags.HasErrors() {
			values[attr.Name] = v
		}
	}
	for _, name := range known {
		if _, set := values[name]; set {
			continue
		}
		if v, ok := p.defaultOf(name); ok {
			values[name] = v
			ranges[name] = u.at
		}
	}
	return values, ranges
}

// earlierUse returns an earlier use that brought in the same file.
func (p *planner) earlierUse(u *use, file string) *use {
	for _, e := range p.uses {
		if e == u {
			return nil
		}
		if _, ok := e.module.Sources[file]; ok && e.scope != nil {
			return e
		}
	}
	return nil
}

// mustAgree reports parameters of a shared file that two uses set apart.
func (p *planner) mustAgree(first, second *use, file string) {
	a, b := first.scope.Vars.AsValueMap(), second.scope.Vars.AsValueMap()
	for _, name := range slices.Sorted(maps.Keys(second.module.Variables)) {
		if second.module.Variables[name].Range.Filename != file || sameValue(a[name], b[name]) {
			continue
		}
		at, set := second.scope.Params[name]
		if !set {
			at = second.at
		}
		d := diag.ErrorAt(at, "Conflicting parameters", "The pipelines %s and %s share the stages of %s, which cannot have two values of %q: set the same in both.",
			first.decl.Name, second.decl.Name, file, name)
		d.Extra = dsl.Related{{Range: first.at, Note: "used first"}}
		p.report.Add(d)
	}
}

func sameValue(a, b cty.Value) bool {
	a, _ = a.UnmarkDeep()
	b, _ = b.UnmarkDeep()
	// What is unknown has a mistake that was reported.
	return !a.IsWhollyKnown() || !b.IsWhollyKnown() || a.RawEquals(b)
}

// clash reports a stage whose name is taken. Which of the two is meant is not
// known: neither is planned.
func (p *planner) clash(first *stage, decl *dsl.Stage, s *eval.Scope) {
	at, name := decl.NameRange, s.Use
	if name != "" {
		at = first.Decl.NameRange
	}
	d := diag.ErrorAt(at, "Duplicate stage",
		"The ready-made pipeline %s has a stage %q too: rename yours, or copy the pipeline with `airbuild pipelines show %s`, change the copy and take it in with include.",
		name, decl.Name, name)
	d.Extra = dsl.Related{{Range: decl.NameRange, Note: "the ready-made one"}}
	first.clashes = true
	if name == "" {
		d = diag.ErrorAt(at, "Duplicate stage", "There is a stage %q already: rename or remove one of the two.", decl.Name)
		d.Extra = dsl.Related{{Range: first.Decl.NameRange, Note: "declared first"}}
	}
	p.report.Add(d)
}

// useOf is the use of a pipeline, or nil.
func (p *planner) useOf(decl *dsl.Pipeline) *use {
	i := slices.IndexFunc(p.uses, func(u *use) bool { return u.decl == decl })
	if i < 0 {
		return nil
	}
	return p.uses[i]
}
