package cells

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
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// A matrix makes the product of its axes, less what is excluded and with what
// is included.
type matrix struct {
	eval *eval.Evaluator
	axes []axis
}

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

// cells expands matrix, include and exclude. It returns nil after an
// error, and when a value is unknown because of an error elsewhere.
func (m *matrix) cells(attr *hclsyntax.Attribute) []*eval.Cell {
	ok := m.readAxes(attr)
	if m.size() > maxCells {
		m.eval.Fail(diag.ErrorAt(attr.Expr.Range(), "Too many cells", "The axes have %s combinations; a stage has at most %d cells. Take values out of the axes: exclude works on combinations that are made already.", m.sizes(), maxCells))
		return nil
	}
	cells := m.product()
	excluded, included := m.objects("exclude"), m.objects("include")
	if !ok {
		return nil
	}
	cells = m.exclude(cells, excluded)
	cells = m.include(cells, included)
	if m.eval.Unusable() {
		return nil
	}
	if len(cells) == 0 {
		m.eval.Fail(diag.ErrorAt(attr.Expr.Range(), "Empty matrix", "Nothing is left of the matrix: each axis needs a value, and exclude must leave a cell."))
		return nil
	}
	fillGaps(cells)
	return cells
}

// readAxes evaluates the matrix attribute.
func (m *matrix) readAxes(attr *hclsyntax.Attribute) bool {
	v, ok := m.eval.Value(attr.Expr)
	if !ok {
		return false
	}
	at := m.eval.Scope.Blame(attr.Expr)
	if !eval.IsMapping(v) {
		m.eval.Fail(diag.ErrorAt(at, "Wrong type", "matrix is an object of axes, as in { platform = [\"linux/amd64\"] }, not %s.", eval.Describe(v)))
		return false
	}
	items := eval.AttributesOf(v)
	source := eval.ItemsOf(attr.Expr, m.eval.Decl.Module)
	for _, name := range eval.Order(source, items) {
		expr := source[name].Expr
		if expr == nil {
			expr = attr.Expr
		}
		if a, ok := m.axis(name, items[name], expr); ok {
			m.axes = append(m.axes, a)
		}
	}
	if len(items) == 0 {
		m.eval.Fail(diag.ErrorAt(at, "Empty matrix", "Name at least one axis, as in { platform = [\"linux/amd64\"] }."))
	}
	for _, a := range m.axes {
		m.checkValueName(a.name, at)
	}
	return !m.eval.Failed
}

// axis evaluates the values of one axis.
func (m *matrix) axis(name string, v cty.Value, expr hcl.Expression) (axis, bool) {
	a := axis{name: name}
	at := m.eval.Scope.Blame(expr)
	if !v.IsKnown() {
		m.eval.Poisoned = true
		return a, false
	}
	if !eval.IsList(v) {
		m.eval.Fail(diag.ErrorAt(at, "Wrong type", "The axis %q is a list of values, not %s.", name, eval.Describe(v)))
		return a, false
	}
	elements := eval.ElementsOf(v)
	if len(elements) == 0 {
		m.eval.Fail(diag.ErrorAt(at, "Empty matrix", "The axis %q has no values, so that the matrix has no cells.", name))
		return a, false
	}
	good := true
	for i, e := range elements {
		r := m.eval.ElementRange(expr, i)
		text, ok := scalar(m.eval, e, r, fmt.Sprintf("A value of the axis %q", name))
		if !ok {
			good = false
			continue
		}
		a.values, a.texts, a.ranges = append(a.values, e), append(a.texts, text), append(a.ranges, r)
	}
	return a, good
}

// scalar returns a matrix value as text.
func scalar(on *eval.Evaluator, v cty.Value, at hcl.Range, what string) (string, bool) {
	plain, _ := v.Unmark()
	if !plain.IsKnown() {
		on.Poisoned = true
		return "", false
	}
	if v.HasMarkDeep(dsl.Sensitive) {
		on.Fail(diag.ErrorAt(at, "Sensitive value in a name", "%s is part of the step's name and would be seen: use a value that is not sensitive.", what))
		return "", false
	}
	s, quick := dsl.QuickText(plain)
	if !quick {
		text, err := convert.Convert(plain, cty.String)
		if err != nil || plain.IsNull() {
			on.Fail(diag.ErrorAt(at, "Wrong type", "%s is a string, a number or a bool, not %s.", what, eval.Describe(plain)))
			return "", false
		}
		s = text.AsString()
	}
	if s != "" && !strings.ContainsFunc(s, eval.IsControl) {
		return s, true
	}
	on.Fail(diag.ErrorAt(at, "Invalid value", "%s must not be empty or hold control characters: it is part of the step's name.", what))
	return "", false
}

// checkValueName reports a matrix value that would hide something else.
func (m *matrix) checkValueName(name string, at hcl.Range) bool {
	switch {
	case slices.Contains(cellWords[:], name):
		m.eval.Fail(diag.ErrorAt(at, "Reserved axis", "%q is what each.%s says of a cell: use another name.", name, name))
	case m.has(platformAxis) && slices.Contains(derived[:], name):
		m.eval.Fail(diag.ErrorAt(at, "Reserved axis", "The axis platform gives matrix.%s already: use another name, or name a platform.", name))
	default:
		return true
	}
	return false
}

func (m *matrix) has(name string) bool {
	return slices.ContainsFunc(m.axes, func(a axis) bool { return a.name == name })
}

// maxCells is how many cells the axes of one matrix may make. A file that asks
// for more is a mistake, or means to take all memory.
const maxCells = 100_000

// size returns how many cells the axes make, or a number above maxCells if
// there are more.
func (m *matrix) size() int {
	n := 1
	for _, a := range m.axes {
		if n *= len(a.values); n > maxCells {
			break // further factors could overflow
		}
	}
	return n
}

// sizes writes the sizes of the axes as a product: "3 × 7".
func (m *matrix) sizes() string {
	return strings.Join(lists.Map(m.axes, func(a axis) string { return strconv.Itoa(len(a.values)) }), " × ")
}

// product makes the cells of the axes, the first axis varying slowest.
func (m *matrix) product() []*eval.Cell {
	n := 1
	for _, a := range m.axes {
		n *= len(a.values)
	}
	if len(m.axes) == 0 || n == 0 {
		return nil
	}
	platforms := m.platforms()
	cells := make([]*eval.Cell, 0, n)
	for i := range n {
		c := &eval.Cell{Values: make(map[string]cty.Value, len(m.axes)+len(derived))}
		key := make([]string, len(m.axes))
		rest := i
		for k := len(m.axes) - 1; k >= 0; k-- {
			a := &m.axes[k]
			at := rest % len(a.values)
			rest /= len(a.values)
			c.Values[a.name], key[k] = a.values[at], a.texts[at]
			if a.name == platformAxis {
				c.Platform = platforms[at]
				addDerived(c)
			}
		}
		c.Key = strings.Join(key, ",")
		cells = append(cells, c)
	}
	return m.unique(cells)
}

// unique reports cells of the same key.
func (m *matrix) unique(cells []*eval.Cell) []*eval.Cell {
	for _, a := range m.axes {
		seen := make(map[string]bool, len(a.texts))
		for i, text := range a.texts {
			if seen[text] {
				m.eval.Fail(diag.ErrorAt(a.ranges[i], "Duplicate cell", "The axis %q has %q already.", a.name, text))
			}
			seen[text] = true
		}
	}
	if m.eval.Failed {
		return cells
	}
	keys := make(map[string]bool, len(cells))
	for _, c := range cells {
		if keys[c.Key] {
			m.eval.Fail(diag.ErrorAt(m.axes[0].ranges[0], "Duplicate cell", "Two cells have the key %q: no value should hold a comma.", c.Key))
		}
		keys[c.Key] = true
	}
	return cells
}

// platforms parses the values of the platform axis; a mistake leaves a nil.
func (m *matrix) platforms() []*tasks.Platform {
	at := slices.IndexFunc(m.axes, func(a axis) bool { return a.name == platformAxis })
	if at < 0 {
		return nil
	}
	parsed := make([]*tasks.Platform, len(m.axes[at].texts))
	for i, text := range m.axes[at].texts {
		parsed[i] = m.parsePlatform(text, m.axes[at].ranges[i])
	}
	return parsed
}

func (m *matrix) parsePlatform(text string, at hcl.Range) *tasks.Platform {
	p, err := gocmd.ParsePlatform(text)
	if err != nil {
		m.eval.Fail(diag.ErrorAt(at, "Unknown platform", "%s", diag.Sentence(err.Error())))
		return nil
	}
	return &p
}

// addDerived adds what the platform says.
func addDerived(c *eval.Cell) {
	if c.Platform == nil {
		return
	}
	c.Values["os"] = cty.StringVal(c.Platform.OS)
	c.Values["arch"] = cty.StringVal(c.Platform.Arch)
	c.Values["variant"] = cty.StringVal(c.Platform.Variant)
	c.Values["exe"] = cty.StringVal(gocmd.Exe(c.Platform.OS, c.Platform.Arch))
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
func (m *matrix) objects(name string) []cellPattern {
	attr := m.eval.Decl.Body.Attributes[name]
	if attr == nil {
		return nil
	}
	v, ok := m.eval.Value(attr.Expr)
	if !ok || v.IsNull() {
		return nil
	}
	if !eval.IsList(v) {
		m.eval.Fail(diag.ErrorAt(attr.Expr.Range(), "Wrong type", "%s is a list of objects, not %s.", name, eval.Describe(v)))
		return nil
	}
	var out []cellPattern
	for i, e := range eval.ElementsOf(v) {
		if p, ok := m.pattern(name, e, eval.ElementExpr(attr.Expr, i), m.eval.ElementRange(attr.Expr, i)); ok {
			out = append(out, p)
		}
	}
	return out
}

func (m *matrix) pattern(name string, v cty.Value, expr hcl.Expression, at hcl.Range) (cellPattern, bool) {
	p := cellPattern{values: map[string]cty.Value{}, texts: map[string]string{}, ranges: map[string]hcl.Range{}, Range: at}
	if !v.IsKnown() {
		m.eval.Poisoned = true
		return p, false
	}
	if !eval.IsMapping(v) {
		m.eval.Fail(diag.ErrorAt(at, "Wrong type", "An element of %s is an object, as in { platform = \"linux/amd64\" }, not %s.", name, eval.Describe(v)))
		return p, false
	}
	items := eval.AttributesOf(v)
	source := eval.ItemsOf(expr, m.eval.Decl.Module)
	good := true
	for _, key := range eval.Order(source, items) {
		r := at
		if s, ok := source[key]; ok {
			r = s.Expr.Range()
		}
		text, ok := scalar(m.eval, items[key], r, fmt.Sprintf("%q in %s", key, name))
		good = good && ok
		p.names = append(p.names, key)
		p.values[key], p.texts[key], p.ranges[key] = items[key], text, r
	}
	return p, good
}

// exclude takes out every cell that has all the values of some pattern.
func (m *matrix) exclude(cells []*eval.Cell, patterns []cellPattern) []*eval.Cell {
	var known []string
	for _, a := range m.axes {
		known = append(known, a.name)
		if a.name == platformAxis {
			known = append(known, derived[:]...)
		}
	}
	for _, p := range patterns {
		for _, name := range p.names {
			if !slices.Contains(known, name) {
				m.eval.Fail(diag.ErrorAt(p.ranges[name], "Unknown axis", "The matrix has no axis %q.%s", name, dsl.DidYouMean(name, known)))
			}
		}
		if len(p.names) == 0 {
			m.eval.Fail(diag.ErrorAt(p.Range, "Empty exclude", "An empty object would exclude every cell: name an axis and its value."))
		}
	}
	if m.eval.Failed {
		return cells
	}
	return slices.DeleteFunc(cells, func(c *eval.Cell) bool {
		return slices.ContainsFunc(patterns, func(p cellPattern) bool { return hasValues(c, p.texts, p.names) })
	})
}

// hasValues reports whether a cell's values of these names are these texts.
func hasValues(c *eval.Cell, texts map[string]string, names []string) bool {
	return !slices.ContainsFunc(names, func(name string) bool {
		v, ok := c.Values[name]
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
func (m *matrix) include(cells []*eval.Cell, patterns []cellPattern) []*eval.Cell {
	product := cells
	keys := lists.SetBy(cells, func(c *eval.Cell) string { return c.Key })
	for _, p := range patterns {
		own, extra, ok := m.splitNames(p)
		if !ok {
			continue
		}
		if extend(product, p, own, extra) {
			if len(extra) == 0 {
				m.eval.Fail(diag.ErrorAt(p.Range, "Duplicate cell", "The matrix has this cell already."))
			}
			continue
		}
		if c := m.ownCell(p); c != nil {
			if keys[c.Key] {
				m.eval.Fail(diag.ErrorAt(p.Range, "Duplicate cell", "There is a cell %q already.", c.Key))
			}
			keys[c.Key] = true
			cells = append(cells, c)
		}
	}
	return cells
}

// splitNames tells a pattern's axes from its other values. It is not ok if
// one of these would hide something else.
func (m *matrix) splitNames(p cellPattern) (own, extra []string, ok bool) {
	ok = true
	for _, name := range p.names {
		if m.has(name) {
			own = append(own, name)
			continue
		}
		extra = append(extra, name)
		ok = m.checkValueName(name, p.ranges[name]) && ok
	}
	return own, extra, ok
}

// extend adds the extra values of a pattern to the cells that have its own,
// and reports whether there are any.
func extend(cells []*eval.Cell, p cellPattern, own, extra []string) bool {
	matched := false
	for _, c := range cells {
		if hasValues(c, p.texts, own) {
			matched = true
			for _, name := range extra {
				c.Values[name] = p.values[name]
			}
		}
	}
	return matched
}

// ownCell is the cell that an include adds.
func (m *matrix) ownCell(p cellPattern) *eval.Cell {
	c := &eval.Cell{Values: maps.Clone(p.values)}
	var key []string
	for _, a := range m.axes {
		text, ok := p.texts[a.name]
		if !ok {
			m.eval.Fail(diag.ErrorAt(p.Range, "Incomplete cell",
				"No cell of the matrix matches, so this would be a cell of its own: give it the axis %q too.", a.name))
			return nil
		}
		key = append(key, text)
		if a.name == platformAxis {
			c.Platform = m.parsePlatform(text, p.ranges[a.name])
			addDerived(c)
		}
	}
	c.Key = strings.Join(key, ",")
	return c
}

// fillGaps gives every cell each name that some cell has, null where it has
// none, and makes the matrix objects.
func fillGaps(cells []*eval.Cell) {
	names := map[string]bool{}
	for _, c := range cells {
		for name := range c.Values {
			names[name] = true
		}
	}
	for _, c := range cells {
		for name := range names {
			if _, ok := c.Values[name]; !ok {
				c.Values[name] = cty.NullVal(cty.DynamicPseudoType)
			}
		}
		c.Matrix = cty.ObjectVal(c.Values)
	}
}
