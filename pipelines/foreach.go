package pipelines

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// forEachCells expands for_each: values, or cells of other stages. It returns
// nil without an error if there is nothing to do, as in Terraform.
func (b *bodyReader) forEachCells(attr *hclsyntax.Attribute) []*cell {
	v, ok := b.value(attr.Expr)
	if !ok {
		return nil
	}
	if _, ok := pipelineOf(v); ok || v.IsNull() {
		b.fail(errorAt(b.scope.blame(attr.Expr), "Wrong type", "for_each is a stage, a list, a set or a map, not %s.", describe(v)))
		return nil
	}
	if h, ok := handleOf(v); ok {
		return b.cellsOf([]handle{h}, []hcl.Range{attr.Expr.Range()})
	}
	switch {
	case isList(v):
		return b.forEachElement(attr.Expr, elementsOf(v))
	case isMapping(v):
		return b.forEachItem(attr.Expr, attributesOf(v))
	}
	b.fail(errorAt(b.scope.blame(attr.Expr), "Wrong type", "for_each is a stage, a list, a set or a map, not %s.", describe(v)))
	return nil
}

// forEachElement takes a list of values or of stages and cells.
func (b *bodyReader) forEachElement(expr hcl.Expression, elements []cty.Value) []*cell {
	var handles []handle
	var ranges []hcl.Range
	var cells []*cell
	keys := make(map[string]bool, len(elements))
	for i, e := range elements {
		at := b.elementRange(expr, i)
		if h, ok := handleOf(e); ok {
			handles, ranges = append(handles, h), append(ranges, at)
			continue
		}
		key, ok := b.scalar(e, at, "A value of for_each")
		if !ok {
			continue
		}
		if keys[key] {
			b.fail(errorAt(at, "Duplicate cell", "for_each has the value %q twice: each makes a cell of that name.", key))
			continue
		}
		keys[key] = true
		cells = append(cells, valueCell(key, e))
	}
	if len(handles) > 0 && len(cells) > 0 {
		b.fail(errorAt(expr.Range(), "Wrong type", "for_each is a list of values or a list of stages, not of both."))
		return nil
	}
	if len(handles) > 0 {
		return b.cellsOf(handles, ranges)
	}
	return cells
}

// forEachItem takes a map: of any values, by their keys.
func (b *bodyReader) forEachItem(expr hcl.Expression, items map[string]cty.Value) []*cell {
	var cells []*cell
	source := objectSource(expr, b.stage.decl.Module)
	for _, key := range axisOrder(source, items) {
		at := expr.Range()
		if s, ok := source[key]; ok {
			at = s.key
		}
		text, ok := b.scalar(cty.StringVal(key), at, "A key of for_each")
		if !ok {
			continue
		}
		if h, isCell := handleOf(items[key]); isCell && h.cell != nil {
			if !h.cell.dropped {
				cells = append(cells, sourceCell(h.stage, h.cell, text))
			}
			continue
		}
		cells = append(cells, valueCell(text, items[key]))
	}
	return cells
}

func valueCell(key string, v cty.Value) *cell {
	return &cell{
		key:  key,
		each: cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": v}),
	}
}

func sourceCell(s *stage, c *cell, key string) *cell {
	return &cell{key: key, values: c.values, platform: c.platform, each: eachOfCell(s, c, key)}
}

// cellsOf makes a cell for each cell of the stages, under the same keys. In a
// list of several, a stage without cells counts under its name.
func (b *bodyReader) cellsOf(handles []handle, ranges []hcl.Range) []*cell {
	var cells []*cell
	from := map[string]handle{}
	for i, h := range handles {
		for _, c := range h.cells() {
			key := c.key
			if key == "" && len(handles) > 1 {
				key = h.stage.decl.Name
			}
			if first, dup := from[key]; dup {
				b.fail(errorAt(ranges[i], "Duplicate cell", "%s and %s both have a cell %q: use a stage for each of them.",
					first, handle{stage: h.stage}, key))
				continue
			}
			from[key] = handle{stage: h.stage}
			cells = append(cells, sourceCell(h.stage, c, key))
		}
	}
	return cells
}

// elementRange is where the i-th element of a list stands, or the whole if
// the list is computed.
func (b *bodyReader) elementRange(expr hcl.Expression, i int) hcl.Range {
	return b.scope.blame(elementExpr(written(expr, b.stage.decl.Module), i))
}
