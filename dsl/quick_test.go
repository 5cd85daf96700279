package dsl

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

func quickContext() *hcl.EvalContext {
	return &hcl.EvalContext{Variables: map[string]cty.Value{
		"m": cty.ObjectVal(map[string]cty.Value{
			"i": cty.NumberIntVal(42), "neg": cty.NumberIntVal(-7), "zero": cty.Zero, "half": cty.NumberFloatVal(0.5),
			"big": cty.MustParseNumberVal("123456789012345678901234567890"), "edge": cty.MustParseNumberVal("9223372036854775808"),
			"low": cty.MustParseNumberVal("-9223372036854775808"), "s": cty.StringVal("e\u0301"), "b": cty.True,
			"null": cty.NullVal(cty.String), "unknown": cty.UnknownVal(cty.String), "secret": cty.StringVal("x").Mark("m"),
			"list": cty.ListVal([]cty.Value{cty.StringVal("a")}),
		}),
	}}
}

// holdQuick fails if the quick way gives another value than HCL's.
func holdQuick(t *testing.T, src string) (quick bool) {
	t.Helper()
	expr, diags := hclsyntax.ParseExpression([]byte(src), "x", hcl.InitialPos)
	if diags.HasErrors() {
		return false
	}
	got, ok := quickValue(expr, quickContext())
	if !ok {
		return false
	}
	want, diags := expr.Value(quickContext())
	if len(diags) > 0 || !got.RawEquals(want) {
		t.Errorf("%s: %#v, want %#v (%v)", src, got, want, diags)
	}
	return true
}

func TestQuickValue(t *testing.T) {
	for _, c := range []struct {
		src   string
		quick bool
	}{
		{`"plain"`, true}, {`""`, true}, {`"a${m.i}b"`, true}, {`"${m.neg}${m.zero}.o"`, true}, {`"x${m.b}"`, true},
		{`"e${m.s}"`, true}, {`"${m.s}\u0301"`, true}, {`["cp", "in/${m.i}", "out/${m.i}"]`, true}, {`"x${m["i"]}"`, true},
		{`"x${m.low}"`, false}, {`"x${m.half}"`, false}, {`"x${m.big}"`, false}, {`"x${m.edge}"`, false}, {`"x${m.null}"`, false},
		{`"x${m.unknown}"`, false}, {`"x${m.secret}"`, false}, {`"x${m.list}"`, false}, {`"x${m.none}"`, false}, {`"x${none}"`, false},
		{`["a", 1]`, false}, {`"${m.i}"`, false}, {`"x${m.i + 1}"`, false}, {`"%{ if m.b }x%{ endif }"`, false},
	} {
		if got := holdQuick(t, c.src); got != c.quick {
			t.Errorf("%s: quick %t, want %t", c.src, got, c.quick)
		}
	}
}

// FuzzQuickValue: whatever the quick way takes, it gives what HCL gives.
func FuzzQuickValue(f *testing.F) {
	for _, src := range []string{`"a${m.i}"`, `["x", "${m.s}y${m.b}"]`, `"x${~ m.i ~} y"`, `"$${m.i}"`, `"x${m.half}"`} {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) { holdQuick(t, src) })
}
