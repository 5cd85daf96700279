package eval

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// An OutputMark is what a path string carries through evaluation: whose
// output it was computed from.
type OutputMark struct {
	Step engine.StepID
	Path string
}

// A Handle is what the value of a stage or of one of its cells hides under
// handleAttr, so that a reference is recognised for what it is wherever the
// value goes.
type Handle struct {
	Stage *Stage
	Cell  *Cell // nil: the stage as a whole
}

// A pipelineHandle is the same of a pipeline.
type pipelineHandle struct{ name string }

// handleAttr cannot be written as an attribute, so no cell and no user name
// can take its place.
const handleAttr = "(reference)"

var (
	handleType         = cty.Capsule("stage", reflect.TypeFor[Handle]())
	pipelineHandleType = cty.Capsule("pipeline", reflect.TypeFor[pipelineHandle]())
)

// HandleOf returns the stage or cell that a value refers to.
func HandleOf(v cty.Value) (Handle, bool) {
	if h := hidden(v, handleType); h != nil {
		return *h.(*Handle), true
	}
	return Handle{}, false
}

// PipelineOf returns the name of the pipeline that a value refers to.
func PipelineOf(v cty.Value) (string, bool) {
	if h := hidden(v, pipelineHandleType); h != nil {
		return h.(*pipelineHandle).name, true
	}
	return "", false
}

// PipelineValue is pipeline.NAME: what it is called in the file, and the name
// that it is planned under.
func PipelineValue(called, name string) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"name":     cty.StringVal(called),
		handleAttr: cty.CapsuleVal(pipelineHandleType, &pipelineHandle{name}),
	})
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

// Cells returns the cells that the handle stands for, those that `when` left
// out excepted.
func (h Handle) Cells() []*Cell {
	if h.Cell != nil {
		if h.Cell.Dropped {
			return nil
		}
		return []*Cell{h.Cell}
	}
	var kept []*Cell
	for _, c := range h.Stage.Cells {
		if !c.Dropped {
			kept = append(kept, c)
		}
	}
	return kept
}

// Refs returns the steps that the handle stands for, each as a whole.
func (h Handle) Refs() []tasks.Ref {
	return lists.Map(h.Cells(), func(c *Cell) tasks.Ref { return tasks.Ref{Step: c.Step} })
}

// String is how a user writes the reference.
func (h Handle) String() string {
	s := "stage." + h.Stage.Decl.Name
	if h.Cell != nil && h.Cell.Key != "" {
		s += `["` + h.Cell.Key + `"]`
	}
	return s
}

// PlainValue is stage.NAME where only the reference matters.
func PlainValue(s *Stage) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{
		"name":     cty.StringVal(s.Decl.Name),
		handleAttr: cty.CapsuleVal(handleType, &Handle{Stage: s}),
	})
}

// StageValue is what stage.NAME is: name, paths, path (if there is just one
// output), cells, and each cell under its key. A cell whose key is one of
// those four words is reached through cells.
func StageValue(s *Stage) cty.Value {
	attrs := make(map[string]cty.Value, len(s.Cells)+5)
	cells := make(map[string]cty.Value, len(s.Cells))
	var paths []cty.Value
	for _, c := range s.Cells {
		v := c.valueIn(s)
		paths = append(paths, c.paths...)
		if c.Key != "" {
			cells[c.Key], attrs[c.Key] = v, v
		}
	}
	attrs["name"] = cty.StringVal(s.Decl.Name)
	attrs["cells"] = cty.ObjectVal(cells)
	setPaths(attrs, paths, len(Handle{Stage: s}.Cells()) == 0)
	attrs[handleAttr] = cty.CapsuleVal(handleType, &Handle{Stage: s})
	return cty.ObjectVal(attrs)
}

// valueIn is the cell's value; it is made when it is first asked for.
func (c *Cell) valueIn(s *Stage) cty.Value {
	if c.value == cty.NilVal {
		c.paths = outputValues(c)
		c.value = cellValue(s, c)
	}
	return c.value
}

// cellValue is what stage.NAME["KEY"] is: key, paths, path, and the values
// that made the cell.
func cellValue(s *Stage, c *Cell) cty.Value {
	attrs := make(map[string]cty.Value, len(c.Values)+4)
	maps.Copy(attrs, c.Values)
	attrs["key"] = cty.StringVal(c.Key)
	setPaths(attrs, c.paths, c.Dropped)
	attrs[handleAttr] = cty.CapsuleVal(handleType, &Handle{Stage: s, Cell: c})
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
func outputValues(c *Cell) []cty.Value {
	return lists.Map(c.Outputs, func(out string) cty.Value { return cty.StringVal(out).Mark(OutputMark{c.Step, out}) })
}

// EachOfCell is what each is in a stage whose for_each names other cells. A
// matrix value called name hides the stage's.
func EachOfCell(s *Stage, c *Cell, key string) cty.Value {
	attrs := make(map[string]cty.Value, len(c.Values)+6)
	attrs["name"] = cty.StringVal(s.Decl.Name)
	maps.Copy(attrs, c.Values)
	attrs["key"] = cty.StringVal(key)
	attrs["value"] = c.valueIn(s)
	setPaths(attrs, c.paths, c.Dropped)
	return cty.ObjectVal(attrs)
}

// A Cell is one cell of a stage; a stage without cells has one with no key.
type Cell struct {
	Key      string
	Values   map[string]cty.Value // of matrix, or taken over from another stage's cell
	Matrix   cty.Value            // the object; NilVal if there is none
	Each     cty.Value            // likewise
	Platform *tasks.Platform
	Dropped  bool   // by when
	Dir      string // project-relative

	Step    engine.StepID
	Outputs []string    // project-relative
	paths   []cty.Value // outputs, marked
	value   cty.Value   // what references see
}

// A Stage is a stage as what refers to it sees it.
type Stage struct {
	Decl  *dsl.Stage
	Cells []*Cell
}

// WhyEmpty says why a stage or cell has no outputs.
func (h Handle) WhyEmpty() string {
	switch {
	case h.Cell != nil || len(h.Stage.Cells) == 1 && h.Stage.Cells[0].Key == "":
		return fmt.Sprintf("%s is not there: its when is false.", h)
	case len(h.Stage.Cells) > 0:
		return fmt.Sprintf("%s has no cells: its when is false for each.", h)
	}
	return fmt.Sprintf("%s has no cells: its matrix or for_each is empty.", h)
}

// Paths are all outputs that the handle stands for.
func (h Handle) Paths(at hcl.Range) []tasks.PathValue {
	var paths []tasks.PathValue
	for _, c := range h.Cells() {
		for _, out := range c.Outputs {
			paths = append(paths, tasks.PathValue{Path: out, Ref: &tasks.Ref{Step: c.Step, Path: out}, Range: at})
		}
	}
	return paths
}

// RefsIn returns every step output that a value was computed from.
func RefsIn(v cty.Value) []tasks.Ref {
	var refs []tasks.Ref
	if !v.ContainsMarked() {
		return nil
	}
	for m := range cty.ValueMarksOfTypeDeep[OutputMark](v) {
		refs = append(refs, tasks.Ref(m))
	}
	return SortRefs(refs)
}

func SortRefs(refs []tasks.Ref) []tasks.Ref {
	slices.SortFunc(refs, func(a, b tasks.Ref) int {
		if a.Step != b.Step {
			return int(a.Step) - int(b.Step)
		}
		return strings.Compare(a.Path, b.Path)
	})
	return slices.Compact(refs)
}
