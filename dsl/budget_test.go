package dsl

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
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
