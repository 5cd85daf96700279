package pipelines

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// A reference is a static mention of a stage or pipeline by name.
type reference struct {
	name  string
	Range hcl.Range // of "stage.name"
	// plain: an attribute or an element of its list is this and nothing else,
	// so that no more is needed than which stage it is.
	plain bool
}

// A mention is a traversal in a body.
type mention struct {
	hcl.Traversal
	plain bool
}

// mentions returns every traversal in a body that does not begin at a local
// name of a for expression, in source order.
func mentions(body *hclsyntax.Body) []mention {
	var out []mention
	for _, attr := range body.Attributes {
		for _, expr := range elementExprs(attr.Expr) {
			_, plain := expr.(*hclsyntax.ScopeTraversalExpr)
			for _, t := range hclsyntax.Variables(expr) {
				out = append(out, mention{t, plain && len(t) == 2})
			}
		}
	}
	for _, block := range body.Blocks {
		out = append(out, mentions(block.Body)...)
	}
	slices.SortStableFunc(out, func(a, b mention) int {
		return a.SourceRange().Start.Byte - b.SourceRange().Start.Byte
	})
	return out
}

// elementExprs are the elements of a list as written, or the expression.
func elementExprs(expr hclsyntax.Expression) []hclsyntax.Expression {
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok {
		return list.Exprs
	}
	return []hclsyntax.Expression{expr}
}

// references returns what the body mentions below root ("stage" or
// "pipeline"), each place once. A mention without a literal name is an error:
// the order of stages is settled before anything is evaluated.
func references(body *hclsyntax.Body, root string) ([]reference, hcl.Diagnostics) {
	var refs []reference
	var diags hcl.Diagnostics
	for _, m := range mentions(body) {
		t := m.Traversal
		if t.RootName() != root {
			continue
		}
		name, end, ok := eval.SecondName(t)
		if !ok {
			diags = append(diags, diag.ErrorAt(t.SourceRange(), "Incomplete reference",
				"Write the name of one %s, as in %s.NAME: what a file refers to must be known before it is evaluated.", root, root))
			continue
		}
		refs = append(refs, reference{name, hcl.RangeBetween(t[0].SourceRange(), end), m.plain})
	}
	return refs, diags
}

// uses returns the names of refs, sorted, each once.
func uses(refs []reference) []string {
	names := lists.Map(refs, func(r reference) string { return r.name })
	return lists.Unique(names)
}

// A node is what can be put in order: a stage or a pipeline.
type node struct {
	name   string
	refs   []reference
	broken bool
}

// inOrder calls visit for each node after those it refers to. A cycle is
// reported once, as a path, and its members are set broken before they are
// visited. References to unknown names are skipped.
func inOrder(nodes []*node, visit func(index int)) hcl.Diagnostics {
	o := ordering{nodes: nodes, byName: map[string]int{}, state: make([]visitState, len(nodes))}
	for i, n := range nodes {
		if _, dup := o.byName[n.name]; !dup {
			o.byName[n.name] = i
		}
	}
	for i := range nodes {
		o.descend(i)
	}
	for _, i := range o.order {
		visit(i)
	}
	return o.diags
}

type visitState uint8

const (
	unseen   visitState = iota
	entered             // on the path to the present node
	finished            // in order
)

type ordering struct {
	nodes  []*node
	byName map[string]int
	state  []visitState
	path   []hop
	order  []int
	diags  hcl.Diagnostics
}

// A hop is a node on the present path and the reference by which it is left.
type hop struct {
	index int
	ref   reference
}

func (o *ordering) descend(i int) {
	if o.state[i] != unseen {
		return
	}
	o.state[i] = entered
	for _, ref := range o.nodes[i].refs {
		next, known := o.byName[ref.name]
		if !known {
			continue
		}
		o.path = append(o.path, hop{i, ref})
		if o.state[next] == entered {
			o.cycle(next)
		} else {
			o.descend(next)
		}
		o.path = o.path[:len(o.path)-1]
	}
	o.state[i] = finished
	o.order = append(o.order, i)
}

// cycle reports the path from node start back to itself.
func (o *ordering) cycle(start int) {
	from := slices.IndexFunc(o.path, func(h hop) bool { return h.index == start })
	way, places := "", ""
	for _, h := range o.path[from:] {
		n := o.nodes[h.index]
		n.broken = true
		way += n.name + " → "
		places += fmt.Sprintf("\n  %s: %s refers to %s", diag.LineOf(h.ref.Range), n.name, h.ref.name)
	}
	way += o.nodes[start].name
	last := o.path[len(o.path)-1].ref.Range
	d := diag.ErrorAt(last, "Cycle", "%s, which is a cycle: none of them can run first. Remove one of these references:%s", way, places)
	if !slices.ContainsFunc(o.diags, func(e *hcl.Diagnostic) bool { return *e.Subject == last }) {
		o.diags = append(o.diags, d)
	}
}
