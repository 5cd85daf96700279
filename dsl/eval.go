package dsl

import (
	"maps"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// Eval finds the values of variables and locals. The scope is never nil; what
// could not be evaluated is unknown in it, so that evaluating on with it
// brings up no follow-up mistakes.
func (m *Module) Eval(in *Inputs) (*Scope, hcl.Diagnostics) {
	e := &evaluator{
		in:    in,
		scope: &Scope{Module: m, Vars: cty.EmptyObjectVal, Locals: cty.EmptyObjectVal, secrets: &secrets{}},
		given: map[string]givenValue{},
	}
	e.scope.funcs = m.functions(e.scope.secrets)
	e.scope.Host = cty.ObjectVal(map[string]cty.Value{"os": cty.StringVal(in.HostOS), "arch": cty.StringVal(in.HostArch)})
	e.choose()
	e.git()
	e.variables()
	e.locals()
	e.validate()
	e.checkToolchains()
	return e.scope, e.diags
}

// An evaluator fills in a scope.
type evaluator struct {
	in    *Inputs
	scope *Scope
	given map[string]givenValue // for each variable, the value that counts
	diags hcl.Diagnostics
}

// EvalContext is what the expressions of a stage or pipeline are evaluated
// with: var, local, git, source, host, the functions, and the given objects.
func (s *Scope) EvalContext(objects map[string]cty.Value) *hcl.EvalContext {
	vars := map[string]cty.Value{
		"var": s.Vars, "local": s.Locals, "git": s.Git, "source": s.Source, "host": s.Host,
	}
	maps.Copy(vars, objects)
	return &hcl.EvalContext{Variables: vars, Functions: s.funcs}
}

// context is an EvalContext of some of the scope's own objects.
func (s *Scope) context(objects map[string]cty.Value) *hcl.EvalContext {
	return &hcl.EvalContext{Variables: objects, Functions: s.funcs}
}

// value checks and evaluates an expression that may use the given objects.
// It is unknown if there is a mistake in it. place is as for checkReferences.
func (e *evaluator) value(expr hcl.Expression, objects map[string]cty.Value, place string) cty.Value {
	all, roots := e.scope.Module.rootNames(), map[string]Names{}
	for name := range objects {
		roots[name] = all[name]
	}
	if diags := e.scope.checkReferences(expr, roots, place); diags.HasErrors() {
		e.diags = append(e.diags, diags...)
		return cty.DynamicVal
	}
	v, diags := e.scope.Value(expr, e.scope.context(objects))
	e.diags = append(e.diags, diags...)
	if diags.HasErrors() {
		return cty.DynamicVal
	}
	if err := measure(v); err != nil {
		e.add(expr.Range(), "Value too large", "In all, a value has at most 1000000 parts, 16 MiB of text, and numbers of 1200 digits.")
		return cty.DynamicVal
	}
	return v
}

// sourceObjects are the objects that are there before the variables.
func (s *Scope) sourceObjects() map[string]cty.Value {
	return map[string]cty.Value{"git": s.Git, "source": s.Source, "host": s.Host}
}

func (e *evaluator) add(at hcl.Range, summary, detail string) {
	e.diags = append(e.diags, errorAt(at, summary, e.scope.secrets.redact(detail)))
}

// addPlain adds a diagnostic that has no place in a file.
func (e *evaluator) addPlain(summary, detail string) {
	e.diags = append(e.diags, &hcl.Diagnostic{Severity: hcl.DiagError, Summary: summary, Detail: e.scope.secrets.redact(detail)})
}

// checkToolchains reports wrong references early; pipelines evaluates.
func (e *evaluator) checkToolchains() {
	for _, t := range e.scope.Module.Toolchains {
		e.diags = append(e.diags, e.scope.CheckTraversals(t.Version, nil)...)
	}
}
