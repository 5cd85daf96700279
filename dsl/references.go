package dsl

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// Names are what may follow a root object in an expression, such as the names
// of all stages after "stage".
type Names struct {
	Noun  string   // what one of them is: "stage"
	Known []string // nil: anything may follow, evaluation will tell
}

// The attributes of the objects that every Airbuildfile has.
var (
	gitAttributes    = []string{"branch", "commit", "commit_count", "describe", "dirty", "previous_tag", "short", "tag", "time", "url"}
	sourceAttributes = []string{"epoch", "time"}
	hostAttributes   = []string{"arch", "os"}
)

// CheckTraversals reports every reference of expr that cannot be right,
// whatever the values: unknown root objects, unknown names after var, local,
// git, source and host, unknown names after the given roots, and unknown
// functions. The roots are the objects that the caller will evaluate with, of
// stage, pipeline, matrix and each. An expression without such mistakes is
// then fit to be evaluated with Value.
func (s *Scope) CheckTraversals(expr hcl.Expression, roots map[string]Names) hcl.Diagnostics {
	all := s.Module.rootNames()
	maps.Copy(all, roots)
	return s.checkReferences(expr, all, "")
}

// rootNames are the objects that a stage's body may use anyway.
func (m *Module) rootNames() map[string]Names {
	return map[string]Names{
		"var":    {Noun: "variable", Known: keys(m.Variables)},
		"local":  {Noun: "local value", Known: keys(m.Locals)},
		"git":    {Noun: "attribute of git", Known: gitAttributes},
		"source": {Noun: "attribute of source", Known: sourceAttributes},
		"host":   {Noun: "attribute of host", Known: hostAttributes},
	}
}

// keys are the sorted keys of a map, never nil.
func keys[V any](m map[string]V) []string {
	return append([]string{}, slices.Sorted(maps.Keys(m))...)
}

// checkReferences is CheckTraversals with all roots. place says where the
// expression is, for objects that are not allowed there: "the default of a
// variable".
func (s *Scope) checkReferences(expr hcl.Expression, roots map[string]Names, place string) hcl.Diagnostics {
	c := referenceCheck{module: s.Module, known: s.funcs, roots: roots, place: place}
	for _, t := range expr.Variables() {
		c.traversal(t)
	}
	if node, ok := expr.(hclsyntax.Node); ok {
		c.functions(node)
	}
	return c.diags
}

// refersToMissing reports whether expr refers to a variable or local that the
// module does not have.
func (s *Scope) refersToMissing(expr hcl.Expression) bool {
	for _, t := range expr.Variables() {
		if len(t) < 2 {
			continue
		}
		name, ok := stepName(t[1])
		switch t.RootName() {
		case "var":
			ok = ok && s.Module.Variables[name] == nil
		case "local":
			ok = ok && s.Module.Locals[name] == nil
		default:
			ok = false
		}
		if ok {
			return true
		}
	}
	return false
}

type referenceCheck struct {
	module *Module
	known  map[string]function.Function
	roots  map[string]Names
	place  string
	diags  hcl.Diagnostics
}

func (c *referenceCheck) traversal(t hcl.Traversal) {
	root := t.RootName()
	names, ok := c.roots[root]
	if !ok {
		c.root(t)
		return
	}
	if names.Known == nil || len(t) < 2 {
		return
	}
	fixed := root == "git" || root == "source" || root == "host"
	if c.module.Incomplete && !fixed {
		return
	}
	name, ok := stepName(t[1])
	if !ok || slices.Contains(names.Known, name) {
		return
	}
	detail := fmt.Sprintf("There is no %s %q.", names.Noun, name) + nearOrAll(name, names.Known)
	if len(names.Known) == 0 {
		detail += " None is declared."
	}
	c.add(hcl.RangeBetween(t[0].SourceRange(), t[1].SourceRange()), "Unknown "+names.Noun, detail)
}

// stepName is the name that a traversal's step asks for.
func stepName(step hcl.Traverser) (string, bool) {
	switch s := step.(type) {
	case hcl.TraverseAttr:
		return s.Name, true
	case hcl.TraverseIndex:
		key, _ := s.Key.Unmark()
		if key.Type() == cty.String && key.IsKnown() && !key.IsNull() {
			return key.AsString(), true
		}
	}
	return "", false
}

// root reports an object that is not there.
func (c *referenceCheck) root(t hcl.Traversal) {
	name, at := t.RootName(), t[0].SourceRange()
	where, elsewhere := objectPlaces[name]
	switch {
	case elsewhere && c.place != "":
		c.add(at, "Reference not allowed", fmt.Sprintf("%s cannot use %q: it may use %s.", c.place, name, listNames(keys(c.roots))))
	case elsewhere:
		c.add(at, "Reference not allowed", fmt.Sprintf("%q is there only in %s.", name, where))
	case foreignObjects[name] != "":
		c.add(at, "Unknown object", fmt.Sprintf("There is no object %q. %s", name, foreignObjects[name]))
	default:
		c.add(at, "Unknown object", c.unknownRoot(t))
	}
}

func (c *referenceCheck) unknownRoot(t hcl.Traversal) string {
	name := t.RootName()
	detail := fmt.Sprintf("There is no object %q.", name)
	if len(t) == 1 {
		switch {
		case c.module.Variables[name] != nil:
			return detail + fmt.Sprintf(" Did you mean var.%s?", name)
		case c.module.Locals[name] != nil:
			return detail + fmt.Sprintf(" Did you mean local.%s?", name)
		case SuggestName(name, keys(c.roots)) == "":
			return detail + fmt.Sprintf(" A string is written in quotes: %q.", name)
		}
	}
	return detail + nearOrAll(name, keys(c.roots))
}

// objectPlaces says where the objects are there that are not there everywhere.
var objectPlaces = map[string]string{
	"var":      "expressions that are evaluated after the variables",
	"local":    "stages, pipelines and other locals",
	"git":      "expressions of the Airbuildfile",
	"source":   "expressions of the Airbuildfile",
	"host":     "expressions of the Airbuildfile",
	"stage":    "stages and pipelines",
	"pipeline": "pipelines",
	"matrix":   "stages that have a matrix",
	"each":     "stages that have for_each",
}

// foreignObjects are objects of other tools, and what to write instead.
var foreignObjects = map[string]string{
	"env":         envHint,
	"ENV":         envHint,
	"environ":     envHint,
	"environment": "The values of the chosen environment block are those of the variables: use var.",
	"path":        "Paths are relative to the stage's dir or to the project: write them out.",
	"module":      "Take another file in with an include block; its stages, variables and locals are then yours.",
	"data":        "Declare a variable for what comes from outside, or read a file of the project with file(\"…\").",
	"count":       "Give the stage a matrix or for_each; matrix.… or each.… then distinguishes the cells.",
	"self":        "Refer to the stage by its name: stage.….",
	"terraform":   "Declare values from outside as variables.",
	"target":      "Other stages are stage.….",
}

const envHint = "The environment is read only where a variable asks for it: declare variable \"x\" { env = \"NAME\" } and use var.x."

// functions reports unknown functions.
func (c *referenceCheck) functions(node hclsyntax.Node) {
	// The visitor's own diagnostics are not used: it never returns any.
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if call, ok := n.(*hclsyntax.FunctionCallExpr); ok {
			if _, ok := c.known[call.Name]; !ok {
				c.add(call.NameRange, "Unknown function", unknownFunction(call.Name, keys(c.known)))
			}
		}
		return nil
	})
}

func (c *referenceCheck) add(at hcl.Range, summary, detail string) {
	c.diags = append(c.diags, errorAt(at, summary, detail))
}
