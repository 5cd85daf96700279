package eval

import (
	"strings"

	"github.com/zclconf/go-cty/cty"
)

// Describe names a value's type for a message.
func Describe(v cty.Value) string {
	if v.IsNull() {
		return "null"
	}
	if _, ok := HandleOf(v); ok {
		return "a stage"
	}
	if _, ok := PipelineOf(v); ok {
		return "a pipeline"
	}
	ty := v.Type()
	switch {
	case ty == cty.String:
		return "a string"
	case ty == cty.Number:
		return "a number"
	case ty == cty.Bool:
		return "a bool"
	case ty.IsListType(), ty.IsTupleType(), ty.IsSetType():
		return "a list"
	case ty.IsObjectType(), ty.IsMapType():
		return "an object"
	}
	return ty.FriendlyName()
}

// IsList reports whether a value is a list, a tuple or a set.
func IsList(v cty.Value) bool {
	ty := v.Type()
	return v.IsKnown() && !v.IsNull() && (ty.IsListType() || ty.IsTupleType() || ty.IsSetType())
}

// IsMapping reports whether a value is an object or a map.
func IsMapping(v cty.Value) bool {
	ty := v.Type()
	return v.IsKnown() && !v.IsNull() && (ty.IsObjectType() || ty.IsMapType())
}

// ElementsOf returns a list's elements; what marks the list marks each.
func ElementsOf(v cty.Value) []cty.Value {
	v, marks := v.Unmark()
	elements := v.AsValueSlice()
	if len(marks) > 0 {
		for i := range elements {
			elements[i] = elements[i].WithMarks(marks)
		}
	}
	return elements
}

// AttributesOf returns an object's values; what marks the object marks each.
func AttributesOf(v cty.Value) map[string]cty.Value {
	v, marks := v.Unmark()
	items := v.AsValueMap()
	if len(marks) > 0 {
		for name := range items {
			items[name] = items[name].WithMarks(marks)
		}
	}
	return items
}

// Plural names a value's type for a message.
func Plural(v cty.Value) string {
	s := Describe(v)
	s = strings.TrimPrefix(strings.TrimPrefix(s, "a "), "an ")
	return s + "s"
}

// IsControl reports whether r is a control character of ASCII.
func IsControl(r rune) bool { return r < ' ' || r == 0x7f }
