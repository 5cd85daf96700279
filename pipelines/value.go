package pipelines

import (
	"reflect"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// An outputMark is what a path string carries through evaluation: whose
// output it was computed from.
type outputMark struct {
	Step engine.StepID
	Path string
}

// A handle is what the value of a stage or of one of its cells hides under
// handleAttr, so that a reference is recognised for what it is wherever the
// value goes.
type handle struct {
	stage *stage
	cell  *cell // nil: the stage as a whole
}

// A pipelineHandle is the same of a pipeline.
type pipelineHandle struct{ pipeline *pipeline }

// handleAttr cannot be written as an attribute, so no cell and no user name
// can take its place.
const handleAttr = "(reference)"

var (
	handleType         = cty.Capsule("stage", reflect.TypeFor[handle]())
	pipelineHandleType = cty.Capsule("pipeline", reflect.TypeFor[pipelineHandle]())
)

// handleOf returns the stage or cell that a value refers to.
func handleOf(v cty.Value) (handle, bool) {
	if h := hidden(v, handleType); h != nil {
		return *h.(*handle), true
	}
	return handle{}, false
}

// pipelineOf returns the pipeline that a value refers to.
func pipelineOf(v cty.Value) (*pipeline, bool) {
	if h := hidden(v, pipelineHandleType); h != nil {
		return h.(*pipelineHandle).pipeline, true
	}
	return nil, false
}

// hidden returns what an object hides under handleAttr, or nil.
func hidden(v cty.Value, want cty.Type) any {
	v, _ = v.Unmark()
	ty := v.Type()
	if !ty.IsObjectType() || !v.IsKnown() || v.IsNull() || !ty.HasAttribute(handleAttr) || !ty.AttributeType(handleAttr).Equals(want) {
		return nil
	}
	h, _ := v.GetAttr(handleAttr).Unmark()
	return h.EncapsulatedValue()
}

// cells returns the cells that the handle stands for, those that `when` left
// out excepted.
func (h handle) cells() []*cell {
	if h.cell != nil {
		if h.cell.dropped {
			return nil
		}
		return []*cell{h.cell}
	}
	var kept []*cell
	for _, c := range h.stage.cells {
		if !c.dropped {
			kept = append(kept, c)
		}
	}
	return kept
}

// refs returns the steps that the handle stands for, each as a whole.
func (h handle) refs() []tasks.Ref {
	var refs []tasks.Ref
	for _, c := range h.cells() {
		refs = append(refs, tasks.Ref{Step: c.step})
	}
	return refs
}

// String is how a user writes the reference.
func (h handle) String() string {
	s := "stage." + h.stage.decl.Name
	if h.cell != nil && h.cell.key != "" {
		s += `["` + h.cell.key + `"]`
	}
	return s
}

// plainValue is stage.NAME where only the reference matters.
func plainValue(s *stage) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"name":     cty.StringVal(s.decl.Name),
		handleAttr: cty.CapsuleVal(handleType, &handle{stage: s}),
	})
}

// stageValue is what stage.NAME is: name, paths, path (if there is just one
// output), cells, and each cell under its key. A cell whose key is one of
// those four words is reached through cells.
func stageValue(s *stage) cty.Value {
	attrs := make(map[string]cty.Value, len(s.cells)+5)
	cells := make(map[string]cty.Value, len(s.cells))
	var paths []cty.Value
	for _, c := range s.cells {
		v := c.valueIn(s)
		paths = append(paths, c.paths...)
		if c.key != "" {
			cells[c.key], attrs[c.key] = v, v
		}
	}
	attrs["name"] = cty.StringVal(s.decl.Name)
	attrs["cells"] = cty.ObjectVal(cells)
	setPaths(attrs, paths, len(handle{stage: s}.cells()) == 0)
	attrs[handleAttr] = cty.CapsuleVal(handleType, &handle{stage: s})
	return cty.ObjectVal(attrs)
}

// valueIn is the cell's value; it is made when it is first asked for.
func (c *cell) valueIn(s *stage) cty.Value {
	if c.value == cty.NilVal {
		c.paths = outputValues(c)
		c.value = cellValue(s, c)
	}
	return c.value
}

// cellValue is what stage.NAME["KEY"] is: key, paths, path, and the values
// that made the cell.
func cellValue(s *stage, c *cell) cty.Value {
	attrs := make(map[string]cty.Value, len(c.values)+4)
	for name, v := range c.values {
		attrs[name] = v
	}
	attrs["key"] = cty.StringVal(c.key)
	setPaths(attrs, c.paths, c.dropped)
	attrs[handleAttr] = cty.CapsuleVal(handleType, &handle{stage: s, cell: c})
	return cty.ObjectVal(attrs)
}

// setPaths sets paths and, for a single output, path. Where `when` left
// everything out, path is there and null.
func setPaths(attrs map[string]cty.Value, paths []cty.Value, dropped bool) {
	delete(attrs, "path")
	if len(paths) == 0 {
		attrs["paths"] = cty.ListValEmpty(cty.String)
		if dropped {
			attrs["path"] = cty.NullVal(cty.String)
		}
		return
	}
	attrs["paths"] = cty.ListVal(paths)
	if len(paths) == 1 {
		attrs["path"] = paths[0]
	}
}

// outputValues returns the cell's outputs as marked strings.
func outputValues(c *cell) []cty.Value {
	var paths []cty.Value
	for _, out := range c.outputs {
		paths = append(paths, cty.StringVal(out).Mark(outputMark{c.step, out}))
	}
	return paths
}

// eachOfCell is what each is in a stage whose for_each names other cells. A
// matrix value called name hides the stage's.
func eachOfCell(s *stage, c *cell, key string) cty.Value {
	attrs := make(map[string]cty.Value, len(c.values)+6)
	attrs["name"] = cty.StringVal(s.decl.Name)
	for name, v := range c.values {
		attrs[name] = v
	}
	attrs["key"] = cty.StringVal(key)
	attrs["value"] = c.valueIn(s)
	setPaths(attrs, c.paths, c.dropped)
	return cty.ObjectVal(attrs)
}
