package decode

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// A Body is the stage's own body or one of its nested blocks, with what
// the schema says of it.
type Body struct {
	body   *hclsyntax.Body
	attrs  []tasks.Attr
	prefix string    // of names in Block.Values
	header hcl.Range // where a missing attribute is reported
	owner  string    // "stage type go_build", "block size"
}

// Bodies returns the bodies of the stage that hold attributes of its
// type, and the labels of the nested blocks. Unknown blocks are reported.
func (d *Decoder) Bodies() ([]Body, map[string][]string) {
	owner := fmt.Sprintf("The stage type %s", d.Stage.Decl.Type)
	bodies := []Body{{body: d.Stage.Decl.Body, attrs: d.Schema.Attrs, header: d.Stage.Decl.Range, owner: owner}}
	labels := map[string][]string{}
	first := map[string]hcl.Range{}
	for _, block := range d.Stage.Decl.Body.Blocks {
		if isMetaBlock(block.Type) {
			continue
		}
		nested := findNested(d.Schema, block.Type)
		if nested == nil {
			d.Eval.Fail(diag.ErrorAt(block.TypeRange, "Unknown block", "%s has no block %q.%s", owner, block.Type, d.insteadOfBlock(block.Type)))
			continue
		}
		if !d.checkLabels(block, nested.Labels) {
			continue
		}
		name := strings.Join(append([]string{block.Type}, block.Labels...), ".")
		if r, dup := first[name]; dup {
			again := diag.ErrorAt(block.DefRange(), "Duplicate block", "There is such a block already, in line %d: merge the two.", r.Start.Line)
			again.Extra = dsl.Related{{Range: r, Note: "stands first"}}
			d.Eval.Fail(again)
			continue
		}
		first[name] = block.DefRange()
		labels[block.Type] = append(labels[block.Type], strings.Join(block.Labels, "."))
		bodies = append(bodies, Body{
			body: block.Body, attrs: nested.Attrs, prefix: name + ".",
			header: block.DefRange(), owner: "The block " + block.Type,
		})
		for _, inner := range block.Body.Blocks {
			d.Eval.Fail(diag.ErrorAt(inner.TypeRange, "Unknown block", "The block %s has no blocks inside.", block.Type))
		}
	}
	for i := range bodies {
		d.checkAttributes(&bodies[i])
	}
	return bodies, labels
}

func findNested(s *tasks.Schema, name string) *tasks.Nested {
	for i := range s.Blocks {
		if s.Blocks[i].Type == name {
			return &s.Blocks[i]
		}
	}
	return nil
}

func (d *Decoder) insteadOfBlock(name string) string {
	known := slices.Clone(metaBlocks[:])
	for _, n := range d.Schema.Blocks {
		known = append(known, n.Type)
	}
	for _, a := range d.Schema.Attrs {
		if a.Name == name {
			return fmt.Sprintf(" It is an attribute: write %s = …", name)
		}
	}
	if slices.Contains(metaAttrs[:], name) {
		return fmt.Sprintf(" It is an attribute: write %s = …", name)
	}
	return dsl.DidYouMean(name, known)
}

func (d *Decoder) checkLabels(block *hclsyntax.Block, want []string) bool {
	switch got := len(block.Labels); {
	case got > len(want):
		d.Eval.Fail(diag.ErrorAt(block.LabelRanges[len(want)], "Too many labels", "This label is one too many: a %s block has %s.", block.Type, countLabels(len(want))))
		return false
	case got < len(want):
		d.Eval.Fail(diag.ErrorAt(block.DefRange(), "Missing label", "A %s block needs its %s: write %s \"…\" { … }.", block.Type, want[got], block.Type))
		return false
	}
	return true
}

func countLabels(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one"
	}
	return fmt.Sprint(n)
}

// checkAttributes reports attributes that the type does not know and those it
// needs and lacks.
func (d *Decoder) checkAttributes(l *Body) {
	var known []string
	for _, a := range l.attrs {
		known = append(known, a.Name)
		if a.Required && l.body.Attributes[a.Name] == nil {
			d.Eval.Fail(diag.ErrorAt(l.header, "Missing attribute", "%s needs %q: %s", l.owner, a.Name, a.Doc))
		}
	}
	if l.prefix == "" {
		known = append(known, metaAttrs[:]...)
	}
	for _, attr := range eval.SortedAttributes(l.body) {
		if slices.Contains(known, attr.Name) {
			continue
		}
		d.Eval.Fail(diag.ErrorAt(attr.NameRange, "Unknown attribute", "%s has no attribute %q.%s", l.owner, attr.Name, d.insteadOfAttribute(attr.Name, l, known)))
	}
}

func (d *Decoder) insteadOfAttribute(name string, l *Body, known []string) string {
	if l.prefix == "" && (isMetaBlock(name) || findNested(d.Schema, name) != nil) {
		return fmt.Sprintf(" It is a block: write %s { … }.", name)
	}
	for _, n := range d.Schema.Blocks {
		for _, a := range n.Attrs {
			if a.Name == name && l.prefix == "" {
				return fmt.Sprintf(" It belongs in the block %s { … }.", n.Type)
			}
		}
	}
	return dsl.DidYouMean(name, known)
}

// Values decodes the attributes of the bodies for the present cell.
func (d *Decoder) Values(bodies []Body, dir string) map[string]tasks.Value {
	out := make(map[string]tasks.Value, 8)
	for i := range bodies {
		l := &bodies[i]
		for k := range l.attrs {
			a := &l.attrs[k]
			attr := l.body.Attributes[a.Name]
			if attr == nil || l.prefix == "" && slices.Contains(metaAttrs[:], a.Name) {
				continue
			}
			got := d.Attribute(attr, a, dir)
			if got.Set {
				out[l.prefix+a.Name] = got.Value
			} else if a.Required && !d.Eval.Unusable() {
				d.Eval.Fail(diag.ErrorAt(attr.Expr.Range(), "Missing attribute", "%s needs %q, which is null here: %s", l.owner, a.Name, a.Doc))
			}
		}
	}
	return out
}
