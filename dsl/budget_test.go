package dsl

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zclconf/go-cty/cty"
)

func chain(first, next string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  a0 = %s\n", first)
	for i := range 60 {
		fmt.Fprintf(&b, "  a%d = %s\n", i+1, strings.ReplaceAll(next, "_", fmt.Sprintf("local.a%d", i)))
	}
	return b.String()
}

// TestEvaluationIsBounded evaluates files that would not end, or not with the
// memory that there is.
func TestEvaluationIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates up to the limits")
	}
	for name, locals := range map[string]string{
		"loops":       `a = [for i in range(1000): [for j in range(1000): [for k in range(1000): "x"]]]`,
		"strings":     chain(`"xxxxxxxx"`, `"${_}${_}"`),
		"lists":       chain(`["x"]`, `[_, _]`),
		"objects":     chain(`{ x = 1 }`, `{ l = _, r = _ }`),
		"concat":      chain(`["x"]`, `concat(_, _)`),
		"jsonencode":  chain(`"\""`, `jsonencode(_)`),
		"number":      `a = "${1e1000000}"`,
		"multiplying": chain(`1e300`, `_ * _`),
		"width":       `a = format("%999999999d", 1)`,
		"precision":   `a = format("%.999999999f", 1)`,
		"product":     `a = setproduct(range(1000), range(1000), range(1000))`,
		"indent":      `a = indent(999999999, "a\nb\nc")`,
		"sum":         `a = sum([1/0, -1/0])`,
		"remainder":   `a = (1/0) % 3`,
		"difference":  `a = 1/0 - 1/0`,
		"infinite":    `a = range(-1/0, 1/0)`,
	} {
		t.Run(name, func(t *testing.T) {
			m, diags := Load(fstest.MapFS{"Airbuildfile": {Data: []byte("locals {\n" + locals + "\n}\n")}}, "Airbuildfile")
			_, more := m.Eval(&Inputs{})
			diags = append(diags, more...)
			if !diags.HasErrors() {
				t.Fatal("no mistake")
			}
			for _, d := range diags {
				if d.Subject == nil || d.Subject.Start.Line < 2 || strings.Contains(d.Detail, "goroutine") {
					t.Errorf("%v", d)
				}
			}
		})
	}
}

// TestTemplatesAreBounded holds the same of files in the template syntax.
func TestTemplatesAreBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates up to the limits")
	}
	loop := "%{ for i in range(1000) }%{ for j in range(1000) }%{ for k in range(1000) }x%{ endfor }%{ endfor }%{ endfor }"
	for name, src := range map[string]string{
		"loops": loop,
		"deep":  strings.Repeat("${[", 200_000),
		"width": `${format("%999999999d", 1)}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := evalOK(t, "", testInputs())
			expr, diags := s.ParseTemplate("conf.tmpl", []byte(src))
			if !diags.HasErrors() {
				_, diags = s.EvaluateTemplate(expr, nil)
			}
			if !diags.HasErrors() {
				t.Fatal("no mistake")
			}
			if d := diags[0]; d.Subject == nil || d.Subject.Filename != "conf.tmpl" {
				t.Errorf("%v", d)
			}
		})
	}
}

// TestLongTuples takes very long with conversions that compare all elements
// with each other.
func TestLongTuples(t *testing.T) {
	if testing.Short() {
		t.Skip("evaluates up to the limits")
	}
	s := evalOK(t, `
locals {
  long  = [for i in range(100000): "x"]
  mixed = concat(local.long, [1])
  a     = length(join(",", local.long))
  b     = length(tolist(local.long))
  c     = length(toset(local.long))
  d     = length(join(",", local.mixed))
}
`, testInputs())
	for name, want := range map[string]int64{"a": 199_999, "b": 100_000, "c": 1, "d": 200_001} {
		if got := s.Locals.GetAttr(name); !got.RawEquals(cty.NumberIntVal(want)) {
			t.Errorf("%s = %#v, want %d", name, got, want)
		}
	}
}
