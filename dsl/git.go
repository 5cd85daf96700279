package dsl

import (
	"cmp"
	"slices"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A gitMention is the first reference that needs an attribute of git.
type gitMention struct {
	attrs map[string]bool
	first *hcl.Range // in the order of collecting; nil if there is none
}

// collect adds the attributes of git that a node's expressions need.
func (g *gitMention) collect(node hclsyntax.Node) {
	// The visitor never returns diagnostics.
	hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		if expr, ok := n.(*hclsyntax.ScopeTraversalExpr); ok {
			g.traversal(expr.Traversal)
		}
		return nil
	})
}

func (g *gitMention) traversal(t hcl.Traversal) {
	root := t.RootName()
	if root != "git" && root != "source" {
		return
	}
	name, ok := "", false
	if len(t) > 1 {
		name, ok = stepName(t[1])
	}
	switch {
	case root == "source":
		g.add(t, "time")
	case ok && slices.Contains(gitAttributes, name):
		g.add(t, name)
	case !ok:
		g.add(t, gitAttributes...) // the object as a whole
	}
}

func (g *gitMention) add(t hcl.Traversal, attrs ...string) {
	for _, a := range attrs {
		g.attrs[a] = true
	}
	if g.first == nil {
		at := t.SourceRange()
		g.first = &at
	}
}

// gitMentions collects what the module's expressions need, apart from the
// variables whose values come from elsewhere.
func (e *evaluator) gitMentions() *gitMention {
	g := &gitMention{attrs: map[string]bool{}}
	m := e.scope.Module
	for _, name := range variablesInOrder(m) {
		if expr, ok := e.given[name].expr.(hclsyntax.Node); ok {
			g.collect(expr)
		}
		for _, v := range m.Variables[name].Validations {
			g.expression(v.Condition)
			g.expression(v.ErrorMessage)
		}
	}
	for _, attr := range sortedAttributes(m.Locals) {
		g.collect(attr.Expr)
	}
	for _, t := range m.Toolchains {
		g.expression(t.Version)
	}
	for _, s := range m.Stages {
		g.collect(s.Body)
	}
	for _, p := range m.Pipelines {
		g.collect(p.Body)
	}
	for _, b := range m.Bundles {
		g.collect(b.Body)
	}
	if m.Host != nil {
		g.collect(m.Host.Body)
	}
	return g
}

func (g *gitMention) expression(expr hcl.Expression) {
	if node, ok := expr.(hclsyntax.Node); ok {
		g.collect(node)
	}
}

// git asks for the source's identity and fills in the objects git and source.
// Without it they are unknown, so that no further mistakes follow from that.
func (e *evaluator) git() {
	s := e.scope
	s.Git, s.Source = unknownGit(), unknownSource()
	mentions := e.gitMentions()
	attrs := keys(mentions.attrs)
	if e.in.WantTime && !slices.Contains(attrs, "time") {
		attrs = append(attrs, "time")
	}
	if len(attrs) == 0 {
		return
	}
	if e.in.Git == nil {
		e.noGit(mentions, nothingToIdentify)
		return
	}
	id, err := e.in.Git(attrs)
	if err != nil {
		// The error says what to do.
		e.noGit(mentions, "The source's identity cannot be had: "+err.Error()+".")
		return
	}
	if id == nil {
		e.noGit(mentions, nothingToIdentify)
		return
	}
	s.Time = id.Time.UTC().Truncate(time.Second)
	if id.Time.IsZero() {
		s.Time = time.Time{}
	} else {
		s.Epoch = s.Time.Unix()
	}
	s.Git, s.Source = gitObject(id, s.Time), sourceObject(s)
}

func (e *evaluator) noGit(mentions *gitMention, reason string) {
	if mentions.first == nil {
		return
	}
	e.add(*mentions.first, "No source identity", reason)
}

const nothingToIdentify = "There is no git repository and no source.json here." +
	" Build in a git repository that has a commit, or put a source.json next to the Airbuildfile."

func gitObject(id *Git, at time.Time) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"commit":   cty.StringVal(id.Commit),
		"short":    cty.StringVal(id.Short),
		"branch":   cty.StringVal(id.Branch),
		"tag":      cty.StringVal(id.Tag),
		"describe": cty.StringVal(id.Describe),
		"dirty":    cty.BoolVal(id.Dirty),
		"time":     timeValue(at),

		"previous_tag": cty.StringVal(id.PreviousTag),
		"commit_count": cty.NumberIntVal(int64(id.CommitCount)),
		"url":          cty.StringVal(id.URL),
	})
}

func sourceObject(s *Scope) cty.Value {
	epoch := cty.UnknownVal(cty.Number)
	if !s.Time.IsZero() {
		epoch = cty.NumberIntVal(s.Epoch)
	}
	return cty.ObjectVal(map[string]cty.Value{"time": timeValue(s.Time), "epoch": epoch})
}

// timeValue is a time as RFC 3339, or unknown: a time that was not asked for.
func timeValue(t time.Time) cty.Value {
	if t.IsZero() {
		return cty.UnknownVal(cty.String)
	}
	return cty.StringVal(t.Format(time.RFC3339))
}

func unknownGit() cty.Value {
	attrs := map[string]cty.Value{}
	for _, name := range gitAttributes {
		attrs[name] = cty.UnknownVal(cty.String)
	}
	attrs["dirty"] = cty.UnknownVal(cty.Bool)
	attrs["commit_count"] = cty.UnknownVal(cty.Number)
	return cty.ObjectVal(attrs)
}

func unknownSource() cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"time": cty.UnknownVal(cty.String), "epoch": cty.UnknownVal(cty.Number)})
}

// variablesInOrder are the names of the variables in the order of their
// declaration; files are in alphabetical order.
func variablesInOrder(m *Module) []string {
	return slices.SortedFunc(slices.Values(keys(m.Variables)), func(a, b string) int {
		return compareRanges(m.Variables[a].Range, m.Variables[b].Range)
	})
}

func compareRanges(a, b hcl.Range) int {
	return cmp.Or(cmp.Compare(a.Filename, b.Filename), cmp.Compare(a.Start.Byte, b.Start.Byte), cmp.Compare(a.End.Byte, b.End.Byte))
}
