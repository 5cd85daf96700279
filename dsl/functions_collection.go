package dsl

import (
	"errors"
	"slices"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/airbuild/airbuild/internal/lists"
)

func collectionFunctions() []builtin {
	return []builtin{
		describe("alltrue(list)", "Whether every element is true; true for an empty list.", boolsFunc(true)),
		describe("anytrue(list)", "Whether an element is true; false for an empty list.", boolsFunc(false)),
		describe("chunklist(list, size)", "The list split into lists of the given size.", stdlib.ChunklistFunc),
		describe("coalesce(values...)", "The first value that is neither null nor an empty string.", coalesceFunc()),
		describe("coalescelist(lists...)", "The first list that is not empty.", stdlib.CoalesceListFunc),
		describe("compact(list)", "The list of strings without null and empty ones.", stdlib.CompactFunc),
		describe("concat(lists...)", "One list of the elements of all the lists.", stdlib.ConcatFunc),
		describe("contains(list, value)", "Whether the value is an element of the list.", stdlib.ContainsFunc),
		describe("distinct(list)", "The list with each value once, at its first place.", stdlib.DistinctFunc),
		describe("element(list, index)", "The element at the index, which wraps around at the end of the list.", stdlib.ElementFunc),
		describe("flatten(list)", "The list with the elements of lists in it in their place.", stdlib.FlattenFunc),
		describe("index(list, value)", "Where the value is first in the list, from zero; an error if it is not in it.", indexFunc()),
		describe("keys(map)", "The keys of the map, sorted.", stdlib.KeysFunc),
		describe("length(value)", "The number of elements of a collection, or of characters of a string.", lengthFunc()),
		describe("lookup(map, key, default)", "The map's value for the key, or the default; without a default, a missing key is an error.", lookupFunc()),
		describe("matchkeys(values, keys, wanted)", "The values whose key, at the same place in keys, is one of those wanted.", matchKeysFunc()),
		describe("merge(maps...)", "One map of all the maps' entries; a later one wins.", stdlib.MergeFunc),
		describe("one(list)", "The only element of a list, or null if it is empty; an error if there are more.", oneFunc()),
		describe("range(start, limit, step)", "The list of numbers from start up to but not including limit; start is 0 and step 1 (down: -1) if not given. At most 100,000.", rangeFunc()),
		describe("reverse(list)", "The list in reverse order.", stdlib.ReverseListFunc),
		describe("setintersection(sets...)", "The set of values that are in all of the sets.", stdlib.SetIntersectionFunc),
		describe("setproduct(sets...)", "The list of all combinations of one element of each.", stdlib.SetProductFunc),
		describe("setsubtract(a, b)", "The set of values that are in a but not in b.", stdlib.SetSubtractFunc),
		describe("setunion(sets...)", "The set of values that are in any of the sets.", stdlib.SetUnionFunc),
		describe("slice(list, start, end)", "The elements from start up to but not including end.", stdlib.SliceFunc),
		describe("sort(list)", "The strings of the list in order.", stdlib.SortFunc),
		describe("sum(list)", "The sum of the numbers of the list, which has at least one.", sumFunc()),
		describe("transpose(map)", "A map from each string in the lists of the map to the sorted list of the keys that had it.", transposeFunc()),
		describe("values(map)", "The values of the map, in the order of its keys.", stdlib.ValuesFunc),
		describe("zipmap(keys, values)", "A map of the keys to the values at the same place.", stdlib.ZipmapFunc),
	}
}

// boolsFunc is alltrue (all = true) or anytrue.
func boolsFunc(all bool) function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.List(cty.Bool)}},
		Type:   function.StaticReturnType(cty.Bool),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			unknown := false
			for _, v := range args[0].AsValueSlice() {
				switch {
				case !v.IsKnown():
					unknown = true
				case v.IsNull():
					if all {
						return cty.False, nil
					}
				case v.True() != all:
					return cty.BoolVal(!all), nil
				}
			}
			if unknown {
				return cty.UnknownVal(cty.Bool), nil
			}
			return cty.BoolVal(all), nil
		},
	})
}

func coalesceFunc() function.Function {
	return function.New(&function.Spec{
		VarParam: &function.Parameter{
			Name: "values", Type: cty.DynamicPseudoType,
			AllowNull: true, AllowUnknown: true, AllowDynamicType: true,
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			types := lists.Map(args, func(a cty.Value) cty.Type { return a.Type() })
			common, _ := convert.UnifyUnsafe(types)
			if common == cty.NilType {
				return cty.NilType, errors.New("all values must be of one type")
			}
			return common, nil
		},
		Impl: func(args []cty.Value, common cty.Type) (cty.Value, error) {
			for _, a := range args {
				v, err := convert.Convert(a, common)
				if err != nil {
					return cty.NilVal, err
				}
				if !v.IsKnown() {
					return cty.UnknownVal(common), nil
				}
				if v.IsNull() || common == cty.String && v.AsString() == "" {
					continue
				}
				return v, nil
			}
			return cty.NilVal, errors.New("every value is null or an empty string")
		},
	})
}

func indexFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "list", Type: cty.DynamicPseudoType},
			{Name: "value", Type: cty.DynamicPseudoType},
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			return cty.Number, needList(0, args[0])
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			for i, v := range args[0].AsValueSlice() {
				equal, err := stdlib.Equal(v, args[1])
				if err != nil {
					return cty.NilVal, err
				}
				if !equal.IsKnown() {
					return cty.UnknownVal(cty.Number), nil
				}
				if equal.True() {
					return cty.NumberIntVal(int64(i)), nil
				}
			}
			return cty.NilVal, errors.New("the value is not in the list")
		},
	})
}

func needList(i int, v cty.Value) error {
	if t := v.Type(); !t.IsListType() && !t.IsTupleType() && t != cty.DynamicPseudoType {
		return argErrorf(i, "a list is needed, not a %s", t.FriendlyName())
	}
	return nil
}

func lengthFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "value", Type: cty.DynamicPseudoType, AllowDynamicType: true, AllowUnknown: true}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if t == cty.String || t == cty.DynamicPseudoType || t.IsCollectionType() || t.IsTupleType() || t.IsObjectType() {
				return cty.Number, nil
			}
			return cty.Number, argErrorf(0, "a collection or string is needed, not a %s", t.FriendlyName())
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			v := args[0]
			switch t := v.Type(); {
			case t == cty.DynamicPseudoType:
				return cty.UnknownVal(cty.Number), nil
			case t.IsTupleType():
				return cty.NumberIntVal(int64(t.Length())), nil
			case t.IsObjectType():
				return cty.NumberIntVal(int64(len(t.AttributeTypes()))), nil
			case t == cty.String:
				return stdlib.Strlen(v)
			default:
				return v.Length(), nil
			}
		},
	})
}

// lookupFunc adds to the standard function that the default may be left out.
func lookupFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "map", Type: cty.DynamicPseudoType},
			{Name: "key", Type: cty.String},
		},
		VarParam: &function.Parameter{Name: "default", Type: cty.DynamicPseudoType, AllowNull: true, AllowUnknown: true, AllowDynamicType: true},
		Type: func(args []cty.Value) (cty.Type, error) {
			if len(args) > 3 {
				return cty.NilType, errors.New("there is one default at most")
			}
			v, err := lookup(args)
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return lookup(args) },
	})
}

func lookup(args []cty.Value) (cty.Value, error) {
	from, key := args[0], args[1]
	t := from.Type()
	switch {
	case !t.IsObjectType() && !t.IsMapType() && t != cty.DynamicPseudoType:
		return cty.NilVal, argErrorf(0, "a map is needed, not a %s", t.FriendlyName())
	case !from.IsKnown() || !key.IsKnown():
		return cty.DynamicVal, nil
	case t.IsObjectType() && t.HasAttribute(key.AsString()):
		return from.GetAttr(key.AsString()), nil
	case t.IsMapType() && from.HasIndex(key).True():
		return from.Index(key), nil
	case len(args) < 3:
		return cty.NilVal, argErrorf(1, "there is no %q.%s", key.AsString(), DidYouMean(key.AsString(), namesOf(from)))
	case t.IsMapType():
		v, err := convert.Convert(args[2], t.ElementType())
		if err != nil {
			return cty.NilVal, argErrorf(2, "the default must be a %s, as the map's values are", t.ElementType().FriendlyName())
		}
		return v, nil
	}
	return args[2], nil
}

func matchKeysFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{
			{Name: "values", Type: cty.List(cty.DynamicPseudoType)},
			{Name: "keys", Type: cty.List(cty.DynamicPseudoType)},
			{Name: "wanted", Type: cty.List(cty.DynamicPseudoType)},
		},
		Type: func(args []cty.Value) (cty.Type, error) {
			if t, _ := convert.UnifyUnsafe([]cty.Type{args[1].Type(), args[2].Type()}); t == cty.NilType {
				return cty.NilType, errors.New("keys and wanted must be lists of one type")
			}
			return args[0].Type(), nil
		},
		Impl: func(args []cty.Value, result cty.Type) (cty.Value, error) {
			values, keys, wanted := args[0].AsValueSlice(), args[1].AsValueSlice(), args[2].AsValueSlice()
			if len(values) != len(keys) {
				return cty.NilVal, errors.New("values and keys must have the same length")
			}
			var matched []cty.Value
			for i, key := range keys {
				in, err := isOneOf(key, wanted)
				if err != nil {
					return cty.NilVal, err
				}
				if !in.IsKnown() {
					return cty.UnknownVal(result), nil
				}
				if in.True() {
					matched = append(matched, values[i])
				}
			}
			if len(matched) == 0 {
				return cty.ListValEmpty(result.ElementType()), nil
			}
			return cty.ListVal(matched), nil
		},
	})
}

func isOneOf(v cty.Value, list []cty.Value) (cty.Value, error) {
	for _, other := range list {
		equal, err := stdlib.Equal(v, other)
		if err != nil || !equal.IsKnown() || equal.True() {
			return equal, err
		}
	}
	return cty.False, nil
}

func oneFunc() function.Function {
	element := func(v cty.Value) (cty.Value, error) {
		t := v.Type()
		switch {
		case t == cty.DynamicPseudoType:
			return cty.DynamicVal, nil
		case t.IsTupleType() && t.Length() == 0:
			return cty.NullVal(cty.DynamicPseudoType), nil
		case t.IsTupleType() && t.Length() == 1 && !v.IsKnown():
			return cty.UnknownVal(t.TupleElementType(0)), nil
		case t.IsTupleType():
		case t.IsListType() || t.IsSetType():
			if !v.IsKnown() {
				return cty.UnknownVal(t.ElementType()), nil
			}
			if v.LengthInt() == 0 {
				return cty.NullVal(t.ElementType()), nil
			}
		default:
			return cty.NilVal, argErrorf(0, "a list or set is needed, not a %s", t.FriendlyName())
		}
		if n := v.LengthInt(); n > 1 {
			return cty.NilVal, argErrorf(0, "there are %d elements, not one", n)
		}
		return v.AsValueSlice()[0], nil
	}
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			v, err := element(args[0])
			if err != nil {
				return cty.NilType, err
			}
			return v.Type(), nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) { return element(args[0]) },
	})
}

func sumFunc() function.Function {
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "list", Type: cty.DynamicPseudoType}},
		Type: func(args []cty.Value) (cty.Type, error) {
			t := args[0].Type()
			if !t.IsListType() && !t.IsSetType() && !t.IsTupleType() && t != cty.DynamicPseudoType {
				return cty.NilType, argErrorf(0, "a list of numbers is needed, not a %s", t.FriendlyName())
			}
			return cty.Number, nil
		},
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if args[0].LengthInt() == 0 {
				return cty.NilVal, argErrorf(0, "there is nothing to add up")
			}
			sum := cty.Zero
			for _, v := range args[0].AsValueSlice() {
				n, err := convert.Convert(v, cty.Number)
				if err != nil || n.IsNull() {
					return cty.NilVal, argErrorf(0, "every element must be a number")
				}
				sum = sum.Add(n)
			}
			return sum, nil
		},
	})
}

func transposeFunc() function.Function {
	lists := cty.Map(cty.List(cty.String))
	return function.New(&function.Spec{
		Params: []function.Parameter{{Name: "map", Type: lists}},
		Type:   function.StaticReturnType(lists),
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			if !args[0].IsWhollyKnown() {
				return cty.UnknownVal(lists), nil
			}
			holders := map[string][]string{}
			for key, list := range args[0].AsValueMap() {
				if list.IsNull() {
					continue
				}
				for _, v := range list.AsValueSlice() {
					if v.IsNull() {
						return cty.NilVal, argErrorf(0, "a list holds null")
					}
					holders[v.AsString()] = append(holders[v.AsString()], key)
				}
			}
			result := map[string]cty.Value{}
			for v, keys := range holders {
				slices.Sort(keys)
				result[v] = stringList(keys)
			}
			if len(result) == 0 {
				return cty.MapValEmpty(cty.List(cty.String)), nil
			}
			return cty.MapVal(result), nil
		},
	})
}

// stringList is a cty list of strings.
func stringList(texts []string) cty.Value {
	if len(texts) == 0 {
		return cty.ListValEmpty(cty.String)
	}
	return cty.ListVal(lists.Map(texts, cty.StringVal))
}
