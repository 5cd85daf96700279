package dsl

import (
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// FuzzQuote: what is quoted reads as the text it was.
func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "plain", `say "x" \n`, "a\nb\r\tc", "${x} $${x} %{if} %%{ $ % {", "\x00\x01\x7f\u0085\u2028", "日本 \U0001f600 \U000e0001", "\xff\xc3", "$", "$$$${"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted := Quote(text)
		expr, diags := hclsyntax.ParseExpression([]byte(quoted), "x", hcl.InitialPos)
		if diags.HasErrors() {
			t.Fatalf("%q becomes %s: %v", text, quoted, diags)
		}
		v, diags := expr.Value(nil)
		if want := cty.StringVal(string([]rune(text))); diags.HasErrors() || !v.RawEquals(want) {
			t.Fatalf("%q becomes %s, which is %#v: %v", text, quoted, v, diags)
		}
	})
}
