package eval

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
)

// evaluator evaluates the only stage of a file.
func evaluator(t *testing.T, file string, stages map[string]cty.Value) *Evaluator {
	t.Helper()
	fsys := fstest.MapFS{"Airbuildfile": {Data: []byte(file)}}
	module, diags := dsl.Load(fsys, "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	scope, diags := module.Eval(&dsl.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	context := scope.EvalContext(map[string]cty.Value{"stage": cty.ObjectVal(stages)})
	return New(&diag.Report{}, &Scope{Scope: scope, Context: context}, module.Stages[0], context)
}

func TestValue(t *testing.T) {
	made := &Stage{
		Decl:  &dsl.Stage{Name: "made"},
		Cells: []*Cell{{Key: "a", Outputs: []string{"dist/a"}}, {Key: "b", Step: 1, Outputs: []string{"dist/b"}}},
	}
	stages := map[string]cty.Value{"made": StageValue(made), "broken": cty.DynamicVal}
	for _, test := range []struct {
		text, want string // of the value, or in the diagnostic
		poisoned   bool
	}{
		{text: `"x${each.key}"`, want: "xk"},
		{text: `stage.made["b"].path`, want: "dist/b"},
		{text: `stage.made.path`, want: "stage.made has 2 outputs: use stage.made.paths"},
		{text: `stage.made["c"].path`, want: `stage.made has no cell "c". It has "a", "b".`},
		{text: `each.kay`, want: "kay"},
		{text: `stage.broken.path`, poisoned: true},
	} {
		e := evaluator(t, "stage \"make\" \"x\" {\n  for_each = [\"k\"]\n  text     = "+test.text+"\n}\n", stages)
		e.Check()
		e.Enter(&Cell{Key: "k", Each: cty.ObjectVal(map[string]cty.Value{"key": cty.StringVal("k")})})
		v, ok := e.Value(e.Decl.Body.Attributes["text"].Expr)
		diags := e.Report.Sorted()
		if e.Poisoned != test.poisoned || e.Failed != diags.HasErrors() || ok == e.Unusable() {
			t.Errorf("%s: ok %v, failed %v, poisoned %v, %v", test.text, ok, e.Failed, e.Poisoned, diags)
		}
		got := diags.Error()
		if ok {
			v, _ = v.Unmark()
			if got = v.AsString(); got != test.want {
				t.Errorf("%s is %s, want %s", test.text, got, test.want)
			}
		}
		if !strings.Contains(got, test.want) {
			t.Errorf("%s: %s, want %s", test.text, got, test.want)
		}
	}
}

// The path of an output tells, through a template, which step it comes from.
func TestRefsIn(t *testing.T) {
	made := &Stage{Decl: &dsl.Stage{Name: "made"}, Cells: []*Cell{{Step: 7, Outputs: []string{"dist/a"}}}}
	e := evaluator(t, "stage \"make\" \"x\" {\n  text = \"-o=${stage.made.path}\"\n}\n", map[string]cty.Value{"made": StageValue(made)})
	v, ok := e.Value(e.Decl.Body.Attributes["text"].Expr)
	refs := RefsIn(v)
	if !ok || len(refs) != 1 || refs[0].Step != 7 || refs[0].Path != "dist/a" {
		t.Errorf("%v: %v", e.Report.Sorted(), refs)
	}
}
