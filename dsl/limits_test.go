package dsl

import (
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"
)

// TestLimits holds that a hostile file is refused instead of exhausting the
// stack, and that a large one of the usual kind is not.
func TestLimits(t *testing.T) {
	const n = 200_000
	for name, src := range map[string]string{
		"brackets":     "a = " + strings.Repeat("[", n),
		"blocks":       strings.Repeat("a {\n", n/2),
		"templates":    "a = " + strings.Repeat(`"${`, n),
		"not":          "a = " + strings.Repeat("!", n) + "true",
		"minus":        "a = " + strings.Repeat("- ", n) + "1",
		"conditionals": "a = " + strings.Repeat("1?1:", n/2) + "1",
		"controls":     "a = \"" + strings.Repeat("%{if true}", n/4) + "\"",
		"size":         strings.Repeat("#", maxSize+1),
	} {
		_, diags := Load(project(src, nil), "Airbuildfile")
		if len(diags) != 1 || diags[0].Summary != "Nesting too deep" && diags[0].Summary != "File too large" {
			t.Errorf("%s: %v", name, diags)
		}
		if _, diags := Format([]byte(src), "Airbuildfile"); !diags.HasErrors() {
			t.Errorf("%s is formatted", name)
		}
	}
	sum := "locals {\n  a = " + strings.Repeat("1 + ", 50_000) + "1\n}\n"
	s := evalOK(t, sum, testInputs())
	if got := s.Locals.GetAttr("a"); got.RawEquals(cty.NumberIntVal(50_001)) == false {
		t.Errorf("a = %#v", got)
	}
}

// TestLimitsElsewhere holds that templates and values from outside have the
// same limits.
func TestLimitsElsewhere(t *testing.T) {
	deep := strings.Repeat("[", 200_000)
	m, diags := Load(project("variable \"v\" {\n  type = list(string)\n}\nlocals {\n  a = templatefile(\"t\", {})\n}\n",
		map[string]string{"t": strings.Repeat("${[", 200_000)}), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	in := testInputs()
	in.Vars = map[string]string{"v": deep}
	if _, diags := m.Eval(in); len(diags) != 2 {
		t.Errorf("%d diagnostics", len(diags))
	}
	for _, name := range []string{"v.hcl", "v.json"} {
		in := testInputs()
		in.VarFiles = []string{name}
		in.ReadFile = func(string) ([]byte, error) { return []byte("{\"v\": " + deep), nil }
		if _, diags := m.Eval(in); !diags.HasErrors() {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestValues holds that a value from another file is reported where it stands.
func TestValues(t *testing.T) {
	m, diags := Load(project(`
variable "platforms" {
  type = list(string)
  validation {
    condition     = length(var.platforms) > 0
    error_message = "Give a platform."
  }
}
`, nil), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	at := damageOf(checkLimits([]byte(strings.Repeat("[", maxDepth+1)), "outer"))[0]
	for _, row := range []struct {
		name, want string
		value      cty.Value
	}{
		{"platforms", "Invalid value for variable", cty.EmptyObjectVal},
		{"platforms", `Invalid value for variable "platforms"`, cty.EmptyTupleVal},
		{"platform", "Unknown parameter", cty.EmptyTupleVal},
	} {
		in := testInputs()
		in.Values = map[string]cty.Value{row.name: row.value}
		in.ValueRanges = map[string]hcl.Range{row.name: at}
		_, diags := m.Eval(in)
		found := false
		for _, d := range diags {
			found = found || d.Summary == row.want && d.Subject != nil && d.Subject.Filename == "outer"
		}
		if !found {
			t.Errorf("%s = %#v: %v", row.name, row.value, diags)
		}
	}
}

func TestFormatLineEnds(t *testing.T) {
	for src, want := range map[string]string{
		"a=1\r\nbb =  2\r\n": "a  = 1\r\nbb = 2\r\n",
		"a=1":                "a = 1\n",
		"\n\n# c \n":         "\n\n# c\n",
		"":                   "",
	} {
		got, diags := Format([]byte(src), "f")
		if diags.HasErrors() || string(got) != want {
			t.Errorf("Format(%q) = %q, %v; want %q", src, got, diags, want)
		}
	}
}
