package dsl

import (
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"runtime/metrics"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
)

// An Airbuildfile may come from anybody, and looking at it must end: loops are
// counted, values and numbers have a size that they may reach, and functions
// whose result grows with the product of their arguments look at those first.
// No file that people write comes near these limits.
const (
	maxLoops    = 2_000_000 // elements that all "for" of a file go through, in all cells
	maxNodes    = 1_000_000 // values in a value, as often as it holds them
	maxText     = 16 << 20  // bytes of the strings in a value
	maxExponent = 4096      // bits of a number before its point
	maxProducts = 1000      // "*" and "/" in one expression
	maxHeap     = 1 << 30   // bytes that evaluating may take
)

// A budget is what evaluating one module may take.
type budget struct {
	loops atomic.Int64

	mu   sync.Mutex
	heap uint64 // objects on the heap from which on it is looked at
}

// exceeded is the panic by which a loop ends; Scope.Value makes a diagnostic of
// it. HCL has no other way out of a loop.
type exceeded struct {
	at     hcl.Range
	detail string
}

// spend counts one turn of a loop, or part of a template.
func (b *budget) spend(at hcl.Range) {
	n := b.loops.Add(1)
	if n > maxLoops {
		panic(exceeded{at, fmt.Sprintf("All loops of the file and its templates together go through more than %d elements here.", maxLoops)})
	}
	if n%64 == 0 {
		if err := b.memory(); err != nil {
			panic(exceeded{at, "There is no memory left for this: " + err.Error() + "."})
		}
	}
}

// memory is an error when evaluating has taken too much.
func (b *budget) memory() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.heap == 0 {
		b.heap = heapObjects() + maxHeap
	}
	if heapObjects() < b.heap {
		return nil
	}
	runtime.GC() // what is left after that is in use
	if used := heapObjects(); used < b.heap-maxHeap/2 {
		return nil
	}
	return fmt.Errorf("evaluating the file takes more than %d MiB of memory", maxHeap>>20)
}

func heapObjects() uint64 {
	s := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s[:])
	return s[0].Value.Uint64()
}

// A tick is an expression that is counted each time it is evaluated. Whoever
// walks the expressions finds the counted one in parentheses.
type tick struct {
	*hclsyntax.ParenthesesExpr
	budget *budget
	at     hcl.Range
}

// Value implements hclsyntax.Expression.
func (t tick) Value(ctx *hcl.EvalContext) (cty.Value, hcl.Diagnostics) {
	t.budget.spend(t.at)
	return t.Expression.Value(ctx)
}

func (b *budget) tick(expr hclsyntax.Expression, at hcl.Range) tick {
	return tick{&hclsyntax.ParenthesesExpr{Expression: expr, SrcRange: expr.Range()}, b, at}
}

// manyParts is from how many parts on those of a template are counted.
const manyParts = 64

// meter makes the loops below a node be counted, and reports numbers that are
// too large to be written out.
func (b *budget) meter(node hclsyntax.Node) hcl.Diagnostics {
	products := 0
	return hclsyntax.VisitAll(node, func(n hclsyntax.Node) hcl.Diagnostics {
		switch n := n.(type) {
		case *hclsyntax.Attribute:
			products = 0
		case *hclsyntax.ForExpr:
			if n.CondExpr == nil {
				n.CondExpr = &hclsyntax.LiteralValueExpr{Val: cty.True, SrcRange: n.ValExpr.Range()}
			}
			if _, done := n.CondExpr.(tick); !done {
				n.CondExpr = b.tick(n.CondExpr, n.SrcRange)
			}
		case *hclsyntax.TemplateExpr:
			for i := 0; len(n.Parts) >= manyParts && i < len(n.Parts); i += manyParts / 4 {
				if _, done := n.Parts[i].(tick); !done {
					n.Parts[i] = b.tick(n.Parts[i], n.SrcRange)
				}
			}
		case *hclsyntax.LiteralValueExpr:
			if tooLarge(n.Val) {
				return hcl.Diagnostics{errorAt(n.SrcRange, "Number too large", "It has more digits than airbuild works with.")}
			}
		case *hclsyntax.BinaryOpExpr:
			if n.Op == hclsyntax.OpMultiply || n.Op == hclsyntax.OpDivide {
				if products++; products == maxProducts {
					return hcl.Diagnostics{errorAt(n.SrcRange, "Too many operations", fmt.Sprintf("There are more than %d multiplications in one expression.", maxProducts))}
				}
			}
		}
		return nil
	})
}

func tooLarge(v cty.Value) bool {
	if v.Type() != cty.Number || !v.IsKnown() || v.IsNull() {
		return false
	}
	v, _ = v.Unmark()
	n := v.AsBigFloat()
	e := n.MantExp(nil)
	return !n.IsInf() && (e > maxExponent || e < -maxExponent)
}

// errTooLarge says that a value has reached a limit.
var errTooLarge = errors.New("the value is too large: it has more than 1000000 parts, 16 MiB of text, or a number of more than 1200 digits")

// measure is an error for a value that is too large. It counts what the value
// holds as often as it does, so that it ends early for one that holds itself
// many times.
func measure(values ...cty.Value) error {
	m := measured{}
	for _, v := range values {
		if !m.add(v) {
			return errTooLarge
		}
	}
	return nil
}

type measured struct{ nodes, text int }

func (m *measured) add(v cty.Value) bool {
	if m.nodes++; m.nodes > maxNodes {
		return false
	}
	v, _ = v.Unmark()
	if v == cty.NilVal || !v.IsKnown() || v.IsNull() {
		return true
	}
	switch t := v.Type(); {
	case t == cty.String:
		m.text += len(v.AsString())
		return m.text <= maxText
	case t == cty.Number:
		return !tooLarge(v)
	case t.IsCollectionType() || t.IsTupleType() || t.IsObjectType():
		for it := v.ElementIterator(); it.Next(); {
			k, e := it.Element()
			if t.IsObjectType() || t.IsMapType() {
				k, _ = k.Unmark()
				m.text += len(k.AsString())
			}
			if !m.add(e) {
				return false
			}
		}
	}
	return m.text <= maxText
}

// growing are functions whose result may be much larger than each argument, or
// that go through all that an argument holds.
var growing = []string{
	"concat", "distinct", "flatten", "format", "formatlist", "indent", "join", "jsonencode", "merge",
	"replace", "setproduct", "setunion", "split", "yamlencode",
}

// bounded is f within the limits; it fails where f would panic.
func (b *budget) bounded(name string, f function.Function) function.Function {
	check := func(args []cty.Value) error {
		if b != nil {
			if err := b.memory(); err != nil {
				return err
			}
		}
		if !slices.Contains(growing, name) {
			return nil
		}
		if err := measure(args...); err != nil {
			return err
		}
		if product(name, args) {
			return errTooLarge
		}
		return nil
	}
	params, last := slices.Clone(f.Params()), f.VarParam()
	for i := range params {
		params[i].Type = takenAs(params[i].Type)
	}
	if last != nil {
		p := *last
		p.Type = takenAs(p.Type)
		last = &p
	}
	return function.New(&function.Spec{
		Description: f.Description(),
		Params:      params,
		VarParam:    last,
		Type: func(args []cty.Value) (cty.Type, error) {
			if err := check(args); err != nil {
				return cty.NilType, err
			}
			args, err := collected(name, f, args)
			if err != nil {
				return cty.NilType, err
			}
			t, err := f.ReturnTypeForValues(args)
			return t, plainPanic(err)
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			args, err := collected(name, f, args)
			if err != nil {
				return cty.NilVal, err
			}
			v, err := f.Call(args)
			if err == nil && v.Type() == cty.String && v.IsKnown() && !v.IsNull() {
				if text, _ := v.Unmark(); len(text.AsString()) > maxText {
					return cty.NilVal, errTooLarge
				}
			}
			if err == nil && tooLarge(v) {
				return cty.NilVal, errTooLarge
			}
			return v, plainPanic(err)
		},
	})
}

// takenAs is the type by which a parameter of the type is declared: to convert a
// tuple to a list takes the square of its length in the cty library, so collected
// does it.
func takenAs(t cty.Type) cty.Type {
	if t.IsListType() || t.IsSetType() {
		return cty.DynamicPseudoType
	}
	return t
}

// collected converts the arguments for those parameters of f.
func collected(name string, f function.Function, args []cty.Value) ([]cty.Value, error) {
	params := f.Params()
	out := slices.Clone(args)
	for i, v := range args {
		var t cty.Type
		switch last := f.VarParam(); {
		case i < len(params):
			t = params[i].Type
		case last != nil:
			t = last.Type
		}
		if name == "tolist" || name == "toset" {
			t = cty.List(cty.DynamicPseudoType) // which they convert themselves
		}
		if t == cty.NilType || !t.IsListType() && !t.IsSetType() {
			continue
		}
		if list, ok := listOf(v, t.ElementType()); ok {
			v = list
		}
		c, err := convert.Convert(v, t)
		if err != nil {
			return nil, function.NewArgError(i, err)
		}
		out[i] = c
	}
	return out, nil
}

// listOf makes a list of a tuple; it is not ok if v is none, or its elements
// cannot all have the type, which is any that all have if it is dynamic.
func listOf(v cty.Value, element cty.Type) (cty.Value, bool) {
	v, marks := v.Unmark()
	if !v.Type().IsTupleType() || v.Type().Length() == 0 || !v.IsKnown() || v.IsNull() {
		return cty.NilVal, false
	}
	elements := v.AsValueSlice()
	if element == cty.DynamicPseudoType {
		element = elements[0].Type()
		if slices.ContainsFunc(elements, func(e cty.Value) bool { return !e.Type().Equals(element) }) {
			return cty.NilVal, false
		}
	}
	for i, e := range elements {
		c, err := convert.Convert(e, element)
		if err != nil || !c.Type().Equals(element) || element.HasDynamicTypes() {
			return cty.NilVal, false
		}
		elements[i] = c
	}
	return cty.ListVal(elements).WithMarks(marks), true
}

// plainPanic says of a panic what it was about, without its stack. The cty
// library panics where a number is infinite and the result would be none.
func plainPanic(err error) error {
	if p, ok := errors.AsType[function.PanicError](err); ok {
		return fmt.Errorf("there is no result for these values: %v", p.Value)
	}
	return err
}

// widths are the widths and precisions of a format, which the cty library takes
// as they are.
var widths = regexp.MustCompile(`%[-+ #0\[\]\d]*?(\d{4,})|\.(\d{4,})`)

// product reports whether a function would make more than the limits allow out
// of arguments that are within them.
func product(name string, args []cty.Value) bool {
	text := func(i int) string {
		if i >= len(args) {
			return ""
		}
		v, _ := args[i].Unmark()
		if v.Type() != cty.String || !v.IsKnown() || v.IsNull() {
			return ""
		}
		return v.AsString()
	}
	length := func(v cty.Value) int {
		v, _ = v.Unmark()
		if !v.IsKnown() || v.IsNull() || !v.CanIterateElements() {
			return 1
		}
		return v.LengthInt()
	}
	switch name {
	case "format", "formatlist":
		for _, m := range widths.FindAllStringSubmatch(text(0), -1) {
			if n, err := strconv.Atoi(m[1] + m[2]); err != nil || n >= 1000 {
				return true
			}
		}
		return (strings.Count(text(0), "%")+1)*(len(args)+1) > maxNodes
	case "replace":
		// A pattern may match the empty string at every place.
		n := len(text(0)) + 1
		if from := text(1); len(from) < 2 || from[0] != '/' {
			n = strings.Count(text(0), from)
		}
		return len(text(0))+n*len(text(2)) > maxText
	case "join":
		n := 0
		for _, list := range args[min(1, len(args)):] {
			n += length(list)
		}
		return n*len(text(0)) > maxText
	case "indent":
		if v, _ := args[0].Unmark(); v.Type() == cty.Number && v.IsKnown() && !v.IsNull() {
			n, _ := v.AsBigFloat().Float64()
			return n*float64(strings.Count(text(1), "\n")) > maxText
		}
	case "setproduct":
		n := 1
		for _, set := range args {
			if n *= max(1, length(set)); n*len(args) > maxNodes {
				return true
			}
		}
	}
	return false
}

// evaluate is expr.Value with an end: what a limit or a panic ends is a
// diagnostic.
func evaluate(expr hcl.Expression, ctx *hcl.EvalContext) (v cty.Value, diags hcl.Diagnostics) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case exceeded:
			v, diags = cty.DynamicVal, hcl.Diagnostics{errorAt(p.at, "Too much to evaluate", p.detail)}
		default:
			v, diags = cty.DynamicVal, hcl.Diagnostics{errorAt(expr.Range(), "Expression without a value", fmt.Sprintf("There is no result for these values: %v.", p))}
		}
	}()
	v, diags = expr.Value(ctx)
	for _, d := range diags {
		// Operators are functions of the cty library, too.
		if at := strings.Index(d.Detail, panicText); at >= 0 {
			what, _, _ := strings.Cut(d.Detail[at+len(panicText):], "\n")
			d.Detail = d.Detail[:at] + "there is no result for these values: " + what + "."
		}
	}
	return v, diags
}

const panicText = "panic in function implementation: "
