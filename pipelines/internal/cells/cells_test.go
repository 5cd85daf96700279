package cells

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// made is a stage that others may refer to.
var made = &eval.Stage{
	Decl:  &dsl.Stage{Name: "made"},
	Cells: []*eval.Cell{{Key: "a", Outputs: []string{"dist/a"}}, {Key: "b", Dropped: true}, {Key: "c", Outputs: []string{"dist/c"}}},
}

func expandText(t *testing.T, body string) ([]*eval.Cell, bool, *diag.Report) {
	t.Helper()
	fsys := fstest.MapFS{"Airbuildfile": {Data: []byte("stage \"make\" \"x\" {\n" + body + "\n}\n")}}
	module, diags := dsl.Load(fsys, "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	scope, diags := module.Eval(&dsl.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	context := scope.EvalContext(map[string]cty.Value{"stage": cty.ObjectVal(map[string]cty.Value{"made": eval.StageValue(made)})})
	report := &diag.Report{}
	cells, ok := Expand(eval.New(report, &eval.Scope{Scope: scope, Context: context}, module.Stages[0], context))
	return cells, ok, report
}

func TestExpand(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{``, ""},
		{`matrix = { a = [1, 2], b = ["x", "y"] }`, "1,x 1,y 2,x 2,y"},
		{"matrix = { a = [1, 2], b = [\"x\", \"y\"] }\nexclude = [{ a = 1, b = \"y\" }]", "1,x 2,x 2,y"},
		{"matrix = { a = [1] }\ninclude = [{ a = 3 }, { a = 1, more = true }]", "1 3"},
		{`for_each = ["u", "v"]`, "u v"},
		{`for_each = { v = 1, u = 2 }`, "v u"},
		{`for_each = stage.made`, "a c"},
		{`for_each = [stage.made["c"]]`, "c"},
		{`for_each = []`, ""},
	} {
		cells, ok, report := expandText(t, test.body)
		if !ok || !report.Empty() {
			t.Errorf("%s: %v", test.body, report.Sorted())
			continue
		}
		var keys []string
		for _, c := range cells {
			keys = append(keys, c.Key)
		}
		if got := strings.Join(keys, " "); got != test.want {
			t.Errorf("%s: cells %s, want %s", test.body, got, test.want)
		}
	}
}

// A platform gives its parts as values.
func TestExpandPlatform(t *testing.T) {
	cells, ok, report := expandText(t, `matrix = { platform = ["windows/amd64"] }`)
	if !ok || len(cells) != 1 {
		t.Fatal(report.Sorted())
	}
	c := cells[0]
	for name, want := range map[string]string{"os": "windows", "arch": "amd64", "variant": "", "exe": ".exe"} {
		if got := c.Matrix.GetAttr(name).AsString(); got != want {
			t.Errorf("matrix.%s is %q, want %q", name, got, want)
		}
	}
	if c.Platform == nil || c.Platform.OS != "windows" {
		t.Errorf("platform %v", c.Platform)
	}
}

func TestExpandMistakes(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`matrix = { a = [] }`, "Empty matrix"},
		{`matrix = { key = [1] }`, "Reserved axis"},
		{`matrix = { a = [1, 1] }`, "Duplicate cell"},
		{`matrix = { platform = ["plan9000/amd64"] }`, "Unknown platform"},
		{`matrix = { a = range(1000), b = range(1000) }`, "Too many cells"},
		{"matrix = { a = [1] }\nexclude = [{ b = 1 }]", "Unknown axis"},
		{"matrix = { a = [1], b = [1] }\ninclude = [{ a = 2 }]", "Incomplete cell"},
		{"matrix = { a = [1] }\nfor_each = [1]", "Two kinds of cells"},
		{`exclude = [{ a = 1 }]`, "No matrix"},
		{`for_each = 1`, "Wrong type"},
		{`for_each = ["a", stage.made]`, "Wrong type"},
		{`for_each = ["a", "a"]`, "Duplicate cell"},
	} {
		_, ok, report := expandText(t, test.body)
		var said []string
		for _, d := range report.Sorted() {
			said = append(said, d.Summary)
		}
		if ok || !slices.Contains(said, test.want) {
			t.Errorf("%s: ok %v, %q, want %q", test.body, ok, said, test.want)
		}
	}
}
