package cells

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// A forEach makes a cell for each of some values or of other stages' cells.
type forEach struct{ eval *eval.Evaluator }

// cells expands for_each: values, or cells of other stages. It returns
// nil without an error if there is nothing to do, as in Terraform.
func (f forEach) cells(attr *hclsyntax.Attribute) []*eval.Cell {
	v, ok := f.eval.Value(attr.Expr)
	if !ok {
		return nil
	}
	if _, ok := eval.PipelineOf(v); ok || v.IsNull() {
		f.eval.Fail(diag.ErrorAt(f.eval.Scope.Blame(attr.Expr), "Wrong type", "for_each is a stage, a list, a set or a map, not %s.", eval.Describe(v)))
		return nil
	}
	if h, ok := eval.HandleOf(v); ok {
		return f.ofStages([]eval.Handle{h}, []hcl.Range{attr.Expr.Range()})
	}
	switch {
	case eval.IsList(v):
		return f.ofList(attr.Expr, eval.ElementsOf(v))
	case eval.IsMapping(v):
		return f.ofMap(attr.Expr, eval.AttributesOf(v))
	}
	f.eval.Fail(diag.ErrorAt(f.eval.Scope.Blame(attr.Expr), "Wrong type", "for_each is a stage, a list, a set or a map, not %s.", eval.Describe(v)))
	return nil
}

// ofList takes a list of values or of stages and cells.
func (f forEach) ofList(expr hcl.Expression, elements []cty.Value) []*eval.Cell {
	var handles []eval.Handle
	var ranges []hcl.Range
	var cells []*eval.Cell
	keys := make(map[string]bool, len(elements))
	for i, e := range elements {
		at := f.eval.ElementRange(expr, i)
		if h, ok := eval.HandleOf(e); ok {
			handles, ranges = append(handles, h), append(ranges, at)
			continue
		}
		key, ok := scalar(f.eval, e, at, "A value of for_each")
		if !ok {
			continue
		}
		if keys[key] {
			f.eval.Fail(diag.ErrorAt(at, "Duplicate cell", "for_each has the value %q twice: each makes a cell of that name.", key))
			continue
		}
		keys[key] = true
		cells = append(cells, valueCell(key, e))
	}
	if len(handles) > 0 && len(cells) > 0 {
		f.eval.Fail(diag.ErrorAt(expr.Range(), "Wrong type", "for_each is a list of values or a list of stages, not of both."))
		return nil
	}
	if len(handles) > 0 {
		return f.ofStages(handles, ranges)
	}
	return cells
}

// ofMap takes a map: of any values, by their keys.
func (f forEach) ofMap(expr hcl.Expression, items map[string]cty.Value) []*eval.Cell {
	var cells []*eval.Cell
	source := eval.ItemsOf(expr, f.eval.Decl.Module)
	for _, key := range eval.Order(source, items) {
		at := expr.Range()
		if s, ok := source[key]; ok {
			at = s.Key
		}
		text, ok := scalar(f.eval, cty.StringVal(key), at, "A key of for_each")
		if !ok {
			continue
		}
		if h, isCell := eval.HandleOf(items[key]); isCell && h.Cell != nil {
			if !h.Cell.Dropped {
				cells = append(cells, sourceCell(h.Stage, h.Cell, text))
			}
			continue
		}
		cells = append(cells, valueCell(text, items[key]))
	}
	return cells
}

func valueCell(key string, v cty.Value) *eval.Cell {
	return &eval.Cell{
		Key:  key,
		Each: cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal(key), "value": v}),
	}
}

func sourceCell(s *eval.Stage, c *eval.Cell, key string) *eval.Cell {
	return &eval.Cell{Key: key, Values: c.Values, Platform: c.Platform, Each: eval.EachOfCell(s, c, key)}
}

// ofStages makes a cell for each cell of the stages, under the same keys. In a
// list of several, a stage without cells counts under its name.
func (f forEach) ofStages(handles []eval.Handle, ranges []hcl.Range) []*eval.Cell {
	var cells []*eval.Cell
	from := map[string]eval.Handle{}
	for i, h := range handles {
		for _, c := range h.Cells() {
			key := c.Key
			if key == "" && len(handles) > 1 {
				key = h.Stage.Decl.Name
			}
			if first, dup := from[key]; dup {
				f.eval.Fail(diag.ErrorAt(ranges[i], "Duplicate cell", "%s and %s both have a cell %q: use a stage for each of them.",
					first, eval.Handle{Stage: h.Stage}, key))
				continue
			}
			from[key] = eval.Handle{Stage: h.Stage}
			cells = append(cells, sourceCell(h.Stage, c, key))
		}
	}
	return cells
}
