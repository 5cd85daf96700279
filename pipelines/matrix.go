package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// An axis is one dimension of a matrix.
type axis struct {
	name   string
	values []cty.Value // scalars, with their marks
	texts  []string    // the same as text
	ranges []hcl.Range
}

// platformAxis is the axis whose values are platforms, and derived are the
// values that it adds.
const platformAxis = "platform"

var derived = [...]string{"os", "arch", "variant", "exe"}

// cellWords are what a cell says of itself to those that refer to it.
var cellWords = [...]string{"key", "path", "paths", "value"}

// matrixCells expands matrix, include and exclude. It returns nil after an
// error, and when a value is unknown because of an error elsewhere.
func (b *bodyReader) matrixCells(attr *hclsyntax.Attribute) []*cell {
	axes, ok := b.axes(attr)
	if cellCount(axes) > maxCells {
		b.fail(errorAt(attr.Expr.Range(), "Too many cells", "The axes have %s combinations; a stage has at most %d cells. Take values out of the axes: exclude works on combinations that are made already.", axisSizes(axes), maxCells))
		return nil
	}
	cells := b.product(axes)
	excluded, included := b.objects("exclude"), b.objects("include")
	if !ok {
		return nil
	}
	cells = b.exclude(cells, axes, excluded)
	cells = b.include(cells, axes, included)
	if b.unusable() {
		return nil
	}
	if len(cells) == 0 {
		b.fail(errorAt(attr.Expr.Range(), "Empty matrix", "Nothing is left of the matrix: each axis needs a value, and exclude must leave a cell."))
		return nil
	}
	b.fillGaps(cells)
	return cells
}

// axes evaluates the matrix attribute.
func (b *bodyReader) axes(attr *hclsyntax.Attribute) ([]axis, bool) {
	v, ok := b.value(attr.Expr)
	if !ok {
		return nil, false
	}
	at := b.scope.blame(attr.Expr)
	if !isMapping(v) {
		b.fail(errorAt(at, "Wrong type", "matrix is an object of axes, as in { platform = [\"linux/amd64\"] }, not %s.", describe(v)))
		return nil, false
	}
	items := attributesOf(v)
	source := objectSource(attr.Expr, b.stage.decl.Module)
	var axes []axis
	for _, name := range axisOrder(source, items) {
		expr := source[name].expr
		if expr == nil {
			expr = attr.Expr
		}
		if a, ok := b.axis(name, items[name], expr); ok {
			axes = append(axes, a)
		}
	}
	if len(items) == 0 {
		b.fail(errorAt(at, "Empty matrix", "Name at least one axis, as in { platform = [\"linux/amd64\"] }."))
	}
	b.checkAxisNames(axes, at)
	return axes, !b.failed
}

// axis evaluates the values of one axis.
func (b *bodyReader) axis(name string, v cty.Value, expr hcl.Expression) (axis, bool) {
	a := axis{name: name}
	at := b.scope.blame(expr)
	if !v.IsKnown() {
		b.poisoned = true
		return a, false
	}
	if !isList(v) {
		b.fail(errorAt(at, "Wrong type", "The axis %q is a list of values, not %s.", name, describe(v)))
		return a, false
	}
	elements := elementsOf(v)
	if len(elements) == 0 {
		b.fail(errorAt(at, "Empty matrix", "The axis %q has no values, so that the matrix has no cells.", name))
		return a, false
	}
	good := true
	for i, e := range elements {
		r := b.elementRange(expr, i)
		text, ok := b.scalar(e, r, fmt.Sprintf("A value of the axis %q", name))
		if !ok {
			good = false
			continue
		}
		a.values, a.texts, a.ranges = append(a.values, e), append(a.texts, text), append(a.ranges, r)
	}
	return a, good
}

// scalar returns a matrix value as text.
func (b *bodyReader) scalar(v cty.Value, at hcl.Range, what string) (string, bool) {
	plain, _ := v.Unmark()
	if !plain.IsKnown() {
		b.poisoned = true
		return "", false
	}
	if v.HasMarkDeep(dsl.Sensitive) {
		b.fail(errorAt(at, "Sensitive value in a name", "%s is part of the step's name and would be seen: use a value that is not sensitive.", what))
		return "", false
	}
	s, quick := dsl.QuickText(plain)
	if !quick {
		text, err := convert.Convert(plain, cty.String)
		if err != nil || plain.IsNull() {
			b.fail(errorAt(at, "Wrong type", "%s is a string, a number or a bool, not %s.", what, describe(plain)))
			return "", false
		}
		s = text.AsString()
	}
	if s != "" && !strings.ContainsFunc(s, isControl) {
		return s, true
	}
	b.fail(errorAt(at, "Invalid value", "%s must not be empty or hold control characters: it is part of the step's name.", what))
	return "", false
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// checkAxisNames refuses axes that would hide something else.
func (b *bodyReader) checkAxisNames(axes []axis, at hcl.Range) {
	for _, a := range axes {
		b.checkValueName(a.name, axes, at)
	}
}

// checkValueName reports a matrix value that would hide something else.
func (b *bodyReader) checkValueName(name string, axes []axis, at hcl.Range) bool {
	switch {
	case slices.Contains(cellWords[:], name):
		b.fail(errorAt(at, "Reserved axis", "%q is what each.%s says of a cell: use another name.", name, name))
	case hasAxis(axes, platformAxis) && slices.Contains(derived[:], name):
		b.fail(errorAt(at, "Reserved axis", "The axis platform gives matrix.%s already: use another name, or name a platform.", name))
	default:
		return true
	}
	return false
}

func hasAxis(axes []axis, name string) bool {
	return slices.ContainsFunc(axes, func(a axis) bool { return a.name == name })
}

// maxCells is how many cells the axes of one matrix may make. A file that asks
// for more is a mistake, or means to take all memory.
const maxCells = 100_000

// cellCount returns how many cells axes make, or a number above maxCells if
// there are more.
func cellCount(axes []axis) int {
	n := 1
	for _, a := range axes {
		if n *= len(a.values); n > maxCells {
			break // further factors could overflow
		}
	}
	return n
}

// axisSizes writes the sizes of axes as a product: "3 × 7".
func axisSizes(axes []axis) string {
	var sizes []string
	for _, a := range axes {
		sizes = append(sizes, strconv.Itoa(len(a.values)))
	}
	return strings.Join(sizes, " × ")
}

// product makes the cells of the axes, the first axis varying slowest.
func (b *bodyReader) product(axes []axis) []*cell {
	n := 1
	for _, a := range axes {
		n *= len(a.values)
	}
	if len(axes) == 0 || n == 0 {
		return nil
	}
	platforms := b.platforms(axes)
	cells := make([]*cell, 0, n)
	for i := range n {
		c := &cell{values: make(map[string]cty.Value, len(axes)+len(derived))}
		key := make([]string, len(axes))
		rest := i
		for k := len(axes) - 1; k >= 0; k-- {
			a := &axes[k]
			at := rest % len(a.values)
			rest /= len(a.values)
			c.values[a.name], key[k] = a.values[at], a.texts[at]
			if a.name == platformAxis {
				c.platform = platforms[at]
				c.addDerived()
			}
		}
		c.key = strings.Join(key, ",")
		cells = append(cells, c)
	}
	return b.unique(cells, axes)
}

// unique reports cells of the same key.
func (b *bodyReader) unique(cells []*cell, axes []axis) []*cell {
	for _, a := range axes {
		seen := make(map[string]bool, len(a.texts))
		for i, text := range a.texts {
			if seen[text] {
				b.fail(errorAt(a.ranges[i], "Duplicate cell", "The axis %q has %q already.", a.name, text))
			}
			seen[text] = true
		}
	}
	if b.failed {
		return cells
	}
	keys := make(map[string]bool, len(cells))
	for _, c := range cells {
		if keys[c.key] {
			b.fail(errorAt(axes[0].ranges[0], "Duplicate cell", "Two cells have the key %q: no value should hold a comma.", c.key))
		}
		keys[c.key] = true
	}
	return cells
}

// platforms parses the values of the platform axis; a mistake leaves a nil.
func (b *bodyReader) platforms(axes []axis) []*tasks.Platform {
	at := slices.IndexFunc(axes, func(a axis) bool { return a.name == platformAxis })
	if at < 0 {
		return nil
	}
	parsed := make([]*tasks.Platform, len(axes[at].texts))
	for i, text := range axes[at].texts {
		parsed[i] = b.parsePlatform(text, axes[at].ranges[i])
	}
	return parsed
}

func (b *bodyReader) parsePlatform(text string, at hcl.Range) *tasks.Platform {
	p, err := gocmd.ParsePlatform(text)
	if err != nil {
		b.fail(errorAt(at, "Unknown platform", "%s", sentence(err.Error())))
		return nil
	}
	return &p
}

// addDerived adds what the platform says.
func (c *cell) addDerived() {
	if c.platform == nil {
		return
	}
	c.values["os"] = cty.StringVal(c.platform.OS)
	c.values["arch"] = cty.StringVal(c.platform.Arch)
	c.values["variant"] = cty.StringVal(c.platform.Variant)
	c.values["exe"] = cty.StringVal(gocmd.Exe(c.platform.OS, c.platform.Arch))
}

// A cellPattern is one object of include or exclude, in source order.
type cellPattern struct {
	names  []string
	values map[string]cty.Value
	texts  map[string]string
	ranges map[string]hcl.Range
	Range  hcl.Range
}

// objects evaluates include or exclude; elements with a mistake are left out.
func (b *bodyReader) objects(name string) []cellPattern {
	attr := b.body.Attributes[name]
	if attr == nil {
		return nil
	}
	v, ok := b.value(attr.Expr)
	if !ok || v.IsNull() {
		return nil
	}
	if !isList(v) {
		b.fail(errorAt(attr.Expr.Range(), "Wrong type", "%s is a list of objects, not %s.", name, describe(v)))
		return nil
	}
	var out []cellPattern
	for i, e := range elementsOf(v) {
		if p, ok := b.pattern(name, e, elementExpr(attr.Expr, i), b.elementRange(attr.Expr, i)); ok {
			out = append(out, p)
		}
	}
	return out
}

func (b *bodyReader) pattern(name string, v cty.Value, expr hcl.Expression, at hcl.Range) (cellPattern, bool) {
	p := cellPattern{values: map[string]cty.Value{}, texts: map[string]string{}, ranges: map[string]hcl.Range{}, Range: at}
	if !v.IsKnown() {
		b.poisoned = true
		return p, false
	}
	if !isMapping(v) {
		b.fail(errorAt(at, "Wrong type", "An element of %s is an object, as in { platform = \"linux/amd64\" }, not %s.", name, describe(v)))
		return p, false
	}
	items := attributesOf(v)
	source := objectSource(expr, b.stage.decl.Module)
	good := true
	for _, key := range axisOrder(source, items) {
		r := at
		if s, ok := source[key]; ok {
			r = s.expr.Range()
		}
		text, ok := b.scalar(items[key], r, fmt.Sprintf("%q in %s", key, name))
		good = good && ok
		p.names = append(p.names, key)
		p.values[key], p.texts[key], p.ranges[key] = items[key], text, r
	}
	return p, good
}

// exclude takes out every cell that has all the values of some pattern.
func (b *bodyReader) exclude(cells []*cell, axes []axis, patterns []cellPattern) []*cell {
	var known []string
	for _, a := range axes {
		known = append(known, a.name)
		if a.name == platformAxis {
			known = append(known, derived[:]...)
		}
	}
	for _, p := range patterns {
		for _, name := range p.names {
			if !slices.Contains(known, name) {
				b.fail(errorAt(p.ranges[name], "Unknown axis", "The matrix has no axis %q.%s", name, dsl.DidYouMean(name, known)))
			}
		}
		if len(p.names) == 0 {
			b.fail(errorAt(p.Range, "Empty exclude", "An empty object would exclude every cell: name an axis and its value."))
		}
	}
	if b.failed {
		return cells
	}
	return slices.DeleteFunc(cells, func(c *cell) bool {
		return slices.ContainsFunc(patterns, func(p cellPattern) bool { return c.has(p.texts, p.names) })
	})
}

// has reports whether the cell's values of these names are these texts.
func (c *cell) has(texts map[string]string, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		v, ok := c.values[name]
		return !ok || textOf(v) != texts[name]
	})
}

// textOf is a scalar as text.
func textOf(v cty.Value) string {
	v, _ = v.Unmark()
	s, err := convert.Convert(v, cty.String)
	if err != nil || s.IsNull() || !s.IsKnown() {
		return ""
	}
	return s.AsString()
}

// include extends the cells as GitHub's matrix does: an object whose axis
// values match cells of the product adds its other values to them; one that
// matches none is a cell of its own and must name every axis.
func (b *bodyReader) include(cells []*cell, axes []axis, patterns []cellPattern) []*cell {
	product := cells
	keys := make(map[string]bool, len(cells))
	for _, c := range cells {
		keys[c.key] = true
	}
	for _, p := range patterns {
		own, extra, ok := b.splitNames(p, axes)
		if !ok {
			continue
		}
		if extend(product, p, own, extra) {
			if len(extra) == 0 {
				b.fail(errorAt(p.Range, "Duplicate cell", "The matrix has this cell already."))
			}
			continue
		}
		if c := b.ownCell(p, axes); c != nil {
			if keys[c.key] {
				b.fail(errorAt(p.Range, "Duplicate cell", "There is a cell %q already.", c.key))
			}
			keys[c.key] = true
			cells = append(cells, c)
		}
	}
	return cells
}

// splitNames tells a pattern's axes from its other values. It is not ok if
// one of these would hide something else.
func (b *bodyReader) splitNames(p cellPattern, axes []axis) (own, extra []string, ok bool) {
	ok = true
	for _, name := range p.names {
		if hasAxis(axes, name) {
			own = append(own, name)
			continue
		}
		extra = append(extra, name)
		ok = b.checkValueName(name, axes, p.ranges[name]) && ok
	}
	return own, extra, ok
}

// extend adds the extra values of a pattern to the cells that have its own,
// and reports whether there are any.
func extend(cells []*cell, p cellPattern, own, extra []string) bool {
	matched := false
	for _, c := range cells {
		if c.has(p.texts, own) {
			matched = true
			for _, name := range extra {
				c.values[name] = p.values[name]
			}
		}
	}
	return matched
}

// ownCell is the cell that an include adds.
func (b *bodyReader) ownCell(p cellPattern, axes []axis) *cell {
	c := &cell{values: maps.Clone(p.values)}
	var key []string
	for _, a := range axes {
		text, ok := p.texts[a.name]
		if !ok {
			b.fail(errorAt(p.Range, "Incomplete cell",
				"No cell of the matrix matches, so this would be a cell of its own: give it the axis %q too.", a.name))
			return nil
		}
		key = append(key, text)
		if a.name == platformAxis {
			c.platform = b.parsePlatform(text, p.ranges[a.name])
			c.addDerived()
		}
	}
	c.key = strings.Join(key, ",")
	return c
}

// fillGaps gives every cell each name that some cell has, null where it has
// none, and makes the matrix objects.
func (b *bodyReader) fillGaps(cells []*cell) {
	names := map[string]bool{}
	for _, c := range cells {
		for name := range c.values {
			names[name] = true
		}
	}
	for _, c := range cells {
		for name := range names {
			if _, ok := c.values[name]; !ok {
				c.values[name] = cty.NullVal(cty.DynamicPseudoType)
			}
		}
		c.matrix = cty.ObjectVal(c.values)
	}
}
