package eval

import (
	"testing"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
)

func TestStageValueIsKnownToFunctions(t *testing.T) {
	v := StageValue(&Stage{Decl: &dsl.Stage{Name: "x"}, Cells: []*Cell{{Key: "k", Values: map[string]cty.Value{"n": cty.StringVal("1")}}}})
	if h, ok := HandleOf(v); !ok || h.Stage.Decl.Name != "x" || h.Cell != nil {
		t.Error("the stage is not recognised")
	}
	if h, ok := HandleOf(v.GetAttr("k")); !ok || h.Cell == nil {
		t.Error("the cell is not recognised")
	}
	if _, ok := HandleOf(cty.StringVal("x")); ok {
		t.Error("a string is taken for a stage")
	}
}
