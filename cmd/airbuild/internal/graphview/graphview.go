// Package graphview draws a graph of steps as text, JSON, DOT, Mermaid or SVG. The
// same graph gives the same bytes.
package graphview

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// A View is what is drawn: stages or, with cells, steps. Nodes come after
// those they need.
type View struct {
	Nodes []*Node
}

// A Node is a stage or a step.
type Node struct {
	Name  string
	Type  string
	Cells int     // of a stage; zero for a step and for a stage without cells
	Needs []*Node // in graph order
	used  bool    // by another node
}

// New collects the targets and all that they need, stage by stage or, with
// cells, step by step. Inner steps are part of the step that they serve.
func New(g *engine.Graph, targets []engine.StepID, cells bool) *View {
	v := &View{}
	byName := map[string]*Node{}
	name := func(id engine.StepID) string { return g.Steps[id].Stage }
	if cells {
		name = func(id engine.StepID) string { return stepName(&g.Steps[id]) }
	}
	for _, id := range g.Closure(targets) {
		s := &g.Steps[id]
		n := byName[name(id)]
		if n == nil {
			n = &Node{Name: name(id), Type: s.Type}
			byName[n.Name] = n
			v.Nodes = append(v.Nodes, n)
		}
		if !cells && s.Cell != "" && !s.Inner {
			n.Cells++
		}
		for _, need := range g.Needs(id) {
			n.need(byName[name(need)])
		}
	}
	return v
}

// stepName is the step that a user knows: for an inner step the one it serves.
func stepName(s *engine.Step) string {
	switch {
	case !s.Inner:
		return s.Name
	case s.Cell == "":
		return s.Stage
	}
	return s.Stage + "[" + s.Cell + "]"
}

func (n *Node) need(o *Node) {
	if o != n && !slices.Contains(n.Needs, o) {
		n.Needs = append(n.Needs, o)
		o.used = true
	}
}

// label is the node's type and, for a stage with cells, how many.
func (n *Node) label() string {
	if n.Cells == 0 {
		return n.Type
	}
	return fmt.Sprintf("%s ×%d", n.Type, n.Cells)
}

// WriteText draws a tree from what nobody needs down to what needs nothing. A
// node that was drawn with its needs before is named without them.
func (v *View) WriteText(w io.Writer) error {
	var b strings.Builder
	drawn := map[*Node]bool{}
	for _, n := range v.Nodes {
		if !n.used {
			n.text(&b, "", "", drawn)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (n *Node) text(b *strings.Builder, first, rest string, drawn map[*Node]bool) {
	again := drawn[n] && len(n.Needs) > 0
	drawn[n] = true
	fmt.Fprintf(b, "%s%s  %s", first, n.Name, n.label())
	if again {
		b.WriteString("  (needs as above)\n")
		return
	}
	b.WriteString("\n")
	for i, need := range n.Needs {
		if i == len(n.Needs)-1 {
			need.text(b, rest+"└─ ", rest+"   ", drawn)
		} else {
			need.text(b, rest+"├─ ", rest+"│  ", drawn)
		}
	}
}

// WriteDOT draws for Graphviz. Arrows go the way that the work goes.
func (v *View) WriteDOT(w io.Writer) error {
	var b strings.Builder
	b.WriteString("digraph airbuild {\n\trankdir=LR\n\tnode [shape=box, fontname=\"sans-serif\"]\n")
	for _, n := range v.Nodes {
		fmt.Fprintf(&b, "\t%s [label=%s]\n", dotString(n.Name), dotString(n.Name+"\n"+n.label()))
	}
	for _, n := range v.Nodes {
		for _, need := range n.Needs {
			fmt.Fprintf(&b, "\t%s -> %s\n", dotString(need.Name), dotString(n.Name))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func dotString(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) + `"`
}

// WriteMermaid draws for Mermaid, which GitHub and GitLab show in Markdown.
func (v *View) WriteMermaid(w io.Writer) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id := map[*Node]string{}
	escape := strings.NewReplacer("#", "#35;", `"`, "#quot;", "<", "#lt;", ">", "#gt;")
	for i, n := range v.Nodes {
		id[n] = "n" + strconv.Itoa(i)
		fmt.Fprintf(&b, "    %s[\"%s<br/>%s\"]\n", id[n], escape.Replace(n.Name), escape.Replace(n.label()))
	}
	for _, n := range v.Nodes {
		for _, need := range n.Needs {
			fmt.Fprintf(&b, "    %s --> %s\n", id[need], id[n])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJSON writes the nodes as one object.
func (v *View) WriteJSON(w io.Writer) error {
	type node struct {
		Name  string   `json:"name"`
		Type  string   `json:"type"`
		Cells int      `json:"cells,omitempty"`
		Needs []string `json:"needs"`
	}
	nodes := []node{}
	for _, n := range v.Nodes {
		needs := []string{}
		for _, o := range n.Needs {
			needs = append(needs, o.Name)
		}
		nodes = append(nodes, node{n.Name, n.Type, n.Cells, needs})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(map[string]any{"nodes": nodes})
}
