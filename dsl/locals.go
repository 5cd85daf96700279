package dsl

import (
	"fmt"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// locals evaluates the local values, each after those that it refers to.
func (e *evaluator) locals() {
	w := &localWalk{evaluator: e, values: map[string]cty.Value{}, state: map[string]visit{}}
	for _, attr := range sortedAttributes(e.scope.Module.Locals) {
		w.visit(attr)
	}
	e.scope.Locals = cty.ObjectVal(w.values)
}

type visit uint8

const (
	unvisited visit = iota
	visiting        // its references are being visited: meeting it again is a cycle
	visited
)

type localWalk struct {
	*evaluator
	values map[string]cty.Value
	state  map[string]visit
	path   []localRef // the references followed to get here
}

// A localRef is a local value and the reference that led to it.
type localRef struct {
	name string
	at   hcl.Range
}

func (w *localWalk) visit(attr *hclsyntax.Attribute) {
	if w.state[attr.Name] != unvisited {
		return
	}
	w.state[attr.Name] = visiting
	ok := true
	for _, t := range attr.Expr.Variables() {
		ok = w.follow(attr, t) && ok
	}
	w.state[attr.Name] = visited
	w.values[attr.Name] = cty.DynamicVal
	if ok {
		w.values[attr.Name] = w.evaluate(attr.Expr)
	}
}

// follow visits what a reference of attr refers to, and reports whether attr
// can be evaluated as far as the reference goes.
func (w *localWalk) follow(attr *hclsyntax.Attribute, t hcl.Traversal) bool {
	if t.RootName() != "local" {
		return true
	}
	name, ok := "", false
	if len(t) > 1 {
		name, ok = stepName(t[1])
	}
	if !ok {
		w.add(t.SourceRange(), "Reference not allowed", "A local value refers to others by their names, as in local.name; all of them together would include itself.")
		return false
	}
	next, ok := w.scope.Module.Locals[name]
	if !ok {
		return true // reported when it is evaluated
	}
	w.path = append(w.path, localRef{name: attr.Name, at: hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange())})
	defer func() { w.path = w.path[:len(w.path)-1] }()
	if w.state[name] == visiting {
		w.cycle(name)
		return false
	}
	w.visit(next)
	return true
}

// cycle reports the end of w.path, which leads from name back to it.
func (w *localWalk) cycle(name string) {
	start := 0
	for i, ref := range w.path {
		if ref.name == name {
			start = i
		}
	}
	var names []string
	var related Related
	for i, ref := range w.path[start:] {
		names = append(names, "local."+ref.name)
		if i > 0 {
			related = append(related, Place{Range: ref.at, Note: fmt.Sprintf("then, in local.%s,", ref.name)})
		}
	}
	names = append(names, "local."+name)
	diag := errorAt(w.path[start].at, "Cycle of local values",
		fmt.Sprintf("%s: the value would need itself.", strings.Join(names, " → ")))
	if len(related) > 0 {
		diag.Extra = related
	}
	w.diags = append(w.diags, diag)
}

func (w *localWalk) evaluate(expr hcl.Expression) cty.Value {
	objects := w.scope.sourceObjects()
	objects["var"] = w.scope.Vars
	objects["local"] = cty.ObjectVal(w.values)
	return w.value(expr, objects, "A local value")
}
