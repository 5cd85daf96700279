package dsl

import (
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function"
)

// maxRange is how many numbers range makes: as many as a matrix may have
// cells. The function of the cty library stops at 1024.
const maxRange = 100_000

// rangeFunc is range(limit), range(start, limit) or range(start, limit, step).
// Without a step it counts towards the limit, up or down.
func rangeFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{Name: "numbers", Type: cty.Number},
		Type:     function.StaticReturnType(cty.List(cty.Number)),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			start, limit, step := cty.Zero, cty.Zero, cty.NumberIntVal(1)
			switch len(args) {
			case 1:
				limit = args[0]
			case 2, 3:
				start, limit = args[0], args[1]
			default:
				return cty.NilVal, function.NewArgErrorf(max(0, min(3, len(args)-1)), "give one to three numbers: limit; start and limit; or start, limit and step")
			}
			down := limit.LessThan(start).True()
			if len(args) == 3 {
				step = args[2]
				if down = step.LessThan(cty.Zero).True(); step.Equals(cty.Zero).True() {
					return cty.NilVal, function.NewArgErrorf(2, "the step must not be zero")
				}
			} else if down {
				step = cty.NumberIntVal(-1)
			}
			return countTo(start, limit, step, down)
		},
	})
}

// countTo lists the numbers from start before limit.
func countTo(start, limit, step cty.Value, down bool) (cty.Value, error) {
	var out []cty.Value
	for n := start; ; n = n.Add(step) {
		if down && !n.GreaterThan(limit).True() || !down && !n.LessThan(limit).True() {
			break
		}
		if len(out) == maxRange {
			return cty.NilVal, function.NewArgErrorf(0, "more than %d numbers", maxRange)
		}
		out = append(out, n)
	}
	if len(out) == 0 {
		return cty.ListValEmpty(cty.Number), nil
	}
	return cty.ListVal(out), nil
}
