package pipelines

import (
	"fmt"
	"math/big"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/tasks"
)

// decoded is an attribute that was read: set is false for null and after an
// error.
type decoded struct {
	value tasks.Value
	set   bool
	// secret are the keys of a map whose values are sensitive.
	secret []string
}

// A leafBody is the stage's own body or one of its nested blocks, with what
// the schema says of it.
type leafBody struct {
	body   *hclsyntax.Body
	attrs  []tasks.Attr
	prefix string    // of names in Block.Values
	header hcl.Range // where a missing attribute is reported
	owner  string    // "stage type go_build", "block size"
}

// leafBodies returns the bodies of the stage that hold attributes of its
// type, and the labels of the nested blocks. Unknown blocks are reported.
func (b *bodyReader) leafBodies() ([]leafBody, map[string][]string) {
	s := b.stage
	owner := fmt.Sprintf("The stage type %s", s.decl.Type)
	bodies := []leafBody{{body: b.body, attrs: s.schema.Attrs, header: s.decl.Range, owner: owner}}
	labels := map[string][]string{}
	first := map[string]hcl.Range{}
	for _, block := range b.body.Blocks {
		if isMetaBlock(block.Type) {
			continue
		}
		nested := findNested(s.schema, block.Type)
		if nested == nil {
			b.fail(errorAt(block.TypeRange, "Unknown block", "%s has no block %q.%s", owner, block.Type, b.insteadOfBlock(block.Type)))
			continue
		}
		if !b.checkLabels(block, nested.Labels) {
			continue
		}
		name := strings.Join(append([]string{block.Type}, block.Labels...), ".")
		if r, dup := first[name]; dup {
			d := errorAt(block.DefRange(), "Duplicate block", "There is such a block already, in line %d: merge the two.", r.Start.Line)
			d.Extra = dsl.Related{{Range: r, Note: "stands first"}}
			b.fail(d)
			continue
		}
		first[name] = block.DefRange()
		labels[block.Type] = append(labels[block.Type], strings.Join(block.Labels, "."))
		bodies = append(bodies, leafBody{
			body: block.Body, attrs: nested.Attrs, prefix: name + ".",
			header: block.DefRange(), owner: "The block " + block.Type,
		})
		for _, inner := range block.Body.Blocks {
			b.fail(errorAt(inner.TypeRange, "Unknown block", "The block %s has no blocks inside.", block.Type))
		}
	}
	for i := range bodies {
		b.checkAttributes(&bodies[i])
	}
	return bodies, labels
}

func findNested(s *tasks.Schema, name string) *tasks.Nested {
	for i := range s.Blocks {
		if s.Blocks[i].Type == name {
			return &s.Blocks[i]
		}
	}
	return nil
}

func (b *bodyReader) insteadOfBlock(name string) string {
	known := slices.Clone(metaBlocks[:])
	for _, n := range b.stage.schema.Blocks {
		known = append(known, n.Type)
	}
	for _, a := range b.stage.schema.Attrs {
		if a.Name == name {
			return fmt.Sprintf(" It is an attribute: write %s = …", name)
		}
	}
	if slices.Contains(metaAttrs[:], name) {
		return fmt.Sprintf(" It is an attribute: write %s = …", name)
	}
	return dsl.DidYouMean(name, known)
}

func (b *bodyReader) checkLabels(block *hclsyntax.Block, want []string) bool {
	switch got := len(block.Labels); {
	case got > len(want):
		b.fail(errorAt(block.LabelRanges[len(want)], "Too many labels", "This label is one too many: a %s block has %s.", block.Type, countLabels(len(want))))
		return false
	case got < len(want):
		b.fail(errorAt(block.DefRange(), "Missing label", "A %s block needs its %s: write %s \"…\" { … }.", block.Type, want[got], block.Type))
		return false
	}
	return true
}

func countLabels(n int) string {
	switch n {
	case 0:
		return "none"
	case 1:
		return "one"
	}
	return fmt.Sprint(n)
}

// checkAttributes reports attributes that the type does not know and those it
// needs and lacks.
func (b *bodyReader) checkAttributes(l *leafBody) {
	var known []string
	for _, a := range l.attrs {
		known = append(known, a.Name)
		if a.Required && l.body.Attributes[a.Name] == nil {
			b.fail(errorAt(l.header, "Missing attribute", "%s needs %q: %s", l.owner, a.Name, a.Doc))
		}
	}
	if l.prefix == "" {
		known = append(known, metaAttrs[:]...)
	}
	for _, attr := range sortedAttributes(l.body) {
		if slices.Contains(known, attr.Name) {
			continue
		}
		b.fail(errorAt(attr.NameRange, "Unknown attribute", "%s has no attribute %q.%s", l.owner, attr.Name, b.insteadOfAttribute(attr.Name, l, known)))
	}
}

func (b *bodyReader) insteadOfAttribute(name string, l *leafBody, known []string) string {
	if l.prefix == "" && (isMetaBlock(name) || findNested(b.stage.schema, name) != nil) {
		return fmt.Sprintf(" It is a block: write %s { … }.", name)
	}
	for _, n := range b.stage.schema.Blocks {
		for _, a := range n.Attrs {
			if a.Name == name && l.prefix == "" {
				return fmt.Sprintf(" It belongs in the block %s { … }.", n.Type)
			}
		}
	}
	return dsl.DidYouMean(name, known)
}

func sortedAttributes(body *hclsyntax.Body) []*hclsyntax.Attribute {
	var out []*hclsyntax.Attribute
	for _, a := range body.Attributes {
		out = append(out, a)
	}
	slices.SortFunc(out, func(a, b *hclsyntax.Attribute) int { return a.SrcRange.Start.Byte - b.SrcRange.Start.Byte })
	return out
}

// values decodes the attributes of the bodies for the present cell.
func (b *bodyReader) values(bodies []leafBody, dir string) map[string]tasks.Value {
	out := make(map[string]tasks.Value, 8)
	for i := range bodies {
		l := &bodies[i]
		for k := range l.attrs {
			a := &l.attrs[k]
			attr := l.body.Attributes[a.Name]
			if attr == nil || l.prefix == "" && slices.Contains(metaAttrs[:], a.Name) {
				continue
			}
			d := b.attribute(attr, a, dir)
			if d.set {
				out[l.prefix+a.Name] = d.value
			} else if a.Required && !b.unusable() {
				b.fail(errorAt(attr.Expr.Range(), "Missing attribute", "%s needs %q, which is null here: %s", l.owner, a.Name, a.Doc))
			}
		}
	}
	return out
}

// attribute decodes one attribute, or hands out what it was for an earlier
// cell if it does not depend on the cell.
func (b *bodyReader) attribute(attr *hclsyntax.Attribute, a *tasks.Attr, dir string) decoded {
	if d, ok := b.shared[attr]; ok {
		return d
	}
	d := b.decode(attr, a, dir)
	if b.isShared(attr) {
		b.shared[attr] = d
	}
	return d
}

// isShared reports whether an attribute is the same in all cells. What dir
// says may differ by cell and changes what paths mean.
func (b *bodyReader) isShared(attr *hclsyntax.Attribute) bool {
	dir := b.body.Attributes["dir"]
	return !b.dependsOnCell(attr) && (dir == nil || !b.dependsOnCell(dir))
}

func (b *bodyReader) dependsOnCell(attr *hclsyntax.Attribute) bool {
	depends, known := b.byCell[attr]
	if !known {
		depends = mentionsCell(attr.Expr)
		b.byCell[attr] = depends
	}
	return depends
}

func (b *bodyReader) decode(attr *hclsyntax.Attribute, a *tasks.Attr, dir string) decoded {
	v, ok := b.value(attr.Expr)
	if !ok || v.IsNull() {
		return decoded{}
	}
	d := decoder{b: b, attr: a, expr: attr.Expr, at: b.scope.blame(attr.Expr), dir: dir}
	d.out = tasks.Value{Range: attr.Expr.Range(), Refs: refsIn(v), Sensitive: v.HasMarkDeep(dsl.Sensitive)}
	if !d.kind(v) {
		return decoded{}
	}
	return decoded{d.out, true, d.secret}
}

// refsIn returns every step output that a value was computed from.
func refsIn(v cty.Value) []tasks.Ref {
	var refs []tasks.Ref
	if !v.ContainsMarked() {
		return nil
	}
	for m := range cty.ValueMarksOfTypeDeep[outputMark](v) {
		refs = append(refs, tasks.Ref(m))
	}
	return sortRefs(refs)
}

func sortRefs(refs []tasks.Ref) []tasks.Ref {
	slices.SortFunc(refs, func(a, b tasks.Ref) int {
		if a.Step != b.Step {
			return int(a.Step) - int(b.Step)
		}
		return strings.Compare(a.Path, b.Path)
	})
	return slices.Compact(refs)
}

// A decoder turns one value into what an attribute's kind says.
type decoder struct {
	b    *bodyReader
	attr *tasks.Attr
	expr hcl.Expression
	at   hcl.Range
	dir  string

	out    tasks.Value
	secret []string
}

// kind decodes v, which is known and not null. It reports whether the
// attribute can be used.
func (d *decoder) kind(v cty.Value) bool {
	switch d.attr.Kind {
	case tasks.String:
		return d.single(v, d.text)
	case tasks.Output:
		return d.single(v, d.output)
	case tasks.Duration:
		return d.single(v, d.duration)
	case tasks.Bool:
		return d.convert(v, cty.Bool, d.is("a bool"))
	case tasks.Number:
		return d.convert(v, cty.Number, d.is("a whole number")) && d.whole()
	case tasks.Strings:
		return d.list(v, d.text)
	case tasks.Outputs:
		return d.list(v, d.output)
	case tasks.StringMap:
		return d.stringMap(v)
	case tasks.Path:
		return d.path(v)
	case tasks.Paths:
		return d.paths(v)
	case tasks.StageRef:
		return d.stageRef(v)
	case tasks.StageRefs:
		return d.stageRefs(v)
	}
	d.out.Cty, _ = v.UnmarkDeep()
	if !d.out.Cty.IsWhollyKnown() {
		d.b.poisoned = true
		return false
	}
	return true
}

// is begins the detail of a wrong type.
func (d *decoder) is(what string) string { return fmt.Sprintf("%q is %s", d.attr.Name, what) }

// wrong reports a value of the wrong type. want says what should be there, as
// is does.
func (d *decoder) wrong(at hcl.Range, want string, v cty.Value) bool {
	hint := ""
	if h, ok := handleOf(v); ok {
		hint = fmt.Sprintf(" Use %s.path or .paths for its outputs.", h)
	}
	d.b.fail(errorAt(at, "Wrong type", "%s, not %s.%s", want, describe(v), hint))
	return false
}

func (d *decoder) convert(v cty.Value, want cty.Type, detail string) bool {
	plain, _ := v.Unmark()
	got, err := convert.Convert(plain, want)
	if err != nil || got.IsNull() {
		return d.wrong(d.at, detail, plain)
	}
	d.out.Cty = got
	return true
}

func (d *decoder) whole() bool {
	f := d.out.Cty.AsBigFloat()
	if _, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact {
		return true
	}
	d.b.fail(errorAt(d.at, "Wrong type", "%q is a whole number.", d.attr.Name))
	return false
}

// An element is one string with where it stands and what marks it.
type element struct {
	text string
	at   hcl.Range
	refs []tasks.Ref
	// sensitive values must not become names.
	sensitive bool
}

// element returns a string value; it is not ok after a mistake and for an
// unknown.
func (d *decoder) element(v cty.Value, at hcl.Range, want string) (element, bool) {
	if !v.IsKnown() {
		d.b.poisoned = true
		return element{}, false
	}
	plain, marks := v.Unmark()
	s, err := convert.Convert(plain, cty.String)
	if err != nil || s.IsNull() {
		return element{}, d.wrong(at, want, plain)
	}
	e := element{text: s.AsString(), at: at}
	for m := range marks {
		switch m := m.(type) {
		case outputMark:
			e.refs = append(e.refs, tasks.Ref(m))
		case dsl.Mark:
			e.sensitive = true
		}
	}
	e.refs = sortRefs(e.refs)
	return e, true
}

// single decodes a string by check, which returns the text to keep.
func (d *decoder) single(v cty.Value, check func(element) (string, bool)) bool {
	want := d.is("a string")
	if d.attr.Kind == tasks.Duration {
		want = d.is(`a time such as "90s"`)
	}
	e, ok := d.element(v, d.at, want)
	if !ok {
		return false
	}
	s, ok := check(e)
	d.out.Cty = cty.StringVal(s)
	return ok
}

// list decodes a list of strings, or a single one, by check.
func (d *decoder) list(v cty.Value, check func(element) (string, bool)) bool {
	elements, ok := d.elements(v)
	out := make([]cty.Value, 0, len(elements))
	for _, e := range elements {
		s, good := check(e)
		ok = ok && good
		out = append(out, cty.StringVal(s))
	}
	d.out.Cty = cty.ListValEmpty(cty.String)
	if len(out) > 0 {
		d.out.Cty = cty.ListVal(out)
	}
	return ok
}

func (d *decoder) elements(v cty.Value) ([]element, bool) {
	if !isList(v) {
		if !d.alone(v, d.is("a list of strings")) {
			return nil, false
		}
		e, ok := d.element(v, d.at, d.is("a list of strings"))
		return []element{e}, ok
	}
	var out []element
	good := true
	for i, ev := range elementsOf(v) {
		at := d.b.elementRange(d.expr, i)
		if ev.IsNull() {
			// Left out without a word, it would move what follows to its place.
			d.b.fail(errorAt(at, "Null in a list", `This element of %q is null. Leave it out, with compact([…]) where that depends on a condition, or write "".`, d.attr.Name))
			good = false
			continue
		}
		e, ok := d.element(ev, at, fmt.Sprintf("An element of %q is a string", d.attr.Name))
		good = good && ok
		if ok {
			out = append(out, e)
		}
	}
	return out, good
}

// alone reports whether a value that is not a list may stand for a list of one:
// a string may. A number or a bool is a mistake where a list of strings belongs.
func (d *decoder) alone(v cty.Value, want string) bool {
	plain, _ := v.Unmark()
	if ty := plain.Type(); !plain.IsKnown() || plain.IsNull() || ty != cty.Number && ty != cty.Bool {
		return true
	}
	s, err := convert.Convert(plain, cty.String)
	if err != nil {
		return true
	}
	text := fmt.Sprintf("%q", s.AsString())
	if v.HasMark(dsl.Sensitive) {
		text = "…"
	}
	d.b.fail(errorAt(d.at, "Wrong type", "%s, not %s. For a list of this one string write [%s].", want, describe(plain), text))
	return false
}

func (d *decoder) stringMap(v cty.Value) bool {
	if !isMapping(v) {
		return d.wrong(d.at, d.is("a map of strings"), v)
	}
	source := objectSource(d.expr, d.b.stage.decl.Module)
	items := attributesOf(v)
	out := make(map[string]cty.Value, len(items))
	good := true
	for _, key := range axisOrder(source, items) {
		if items[key].IsNull() {
			continue
		}
		at := d.at
		if s, ok := source[key]; ok {
			at = s.expr.Range()
		}
		e, ok := d.element(items[key], at, fmt.Sprintf("The value of %q in %q is a string", key, d.attr.Name))
		if ok {
			_, ok = d.text(e)
		}
		good = good && ok
		out[key] = cty.StringVal(e.text)
		if e.sensitive {
			d.secret = append(d.secret, key)
		}
	}
	d.out.Cty = cty.MapValEmpty(cty.String)
	if len(out) > 0 {
		d.out.Cty = cty.MapVal(out)
	}
	return good
}

// text checks an ordinary string.
func (d *decoder) text(e element) (string, bool) {
	if len(d.attr.Enum) > 0 && !slices.Contains(d.attr.Enum, e.text) {
		shown := fmt.Sprintf("%q", e.text)
		hint := dsl.DidYouMean(e.text, d.attr.Enum)
		if e.sensitive {
			shown, hint = "this (sensitive) value", ""
		}
		d.b.fail(errorAt(e.at, "Invalid value", "%q is one of %s, not %s.%s", d.attr.Name, listNames(d.attr.Enum), shown, hint))
		return e.text, false
	}
	d.b.suspectText(e)
	return e.text, true
}

func (d *decoder) duration(e element) (string, bool) {
	t, err := parseDuration(e.text)
	if err != nil {
		d.b.fail(errorAt(e.at, "Invalid duration", "%s", err))
		return "", false
	}
	d.out.Duration = t
	return e.text, true
}

// parseDuration parses a time that is not negative; the error is a detail.
func parseDuration(s string) (time.Duration, error) {
	t, err := time.ParseDuration(s)
	if err != nil || t < 0 {
		return 0, fmt.Errorf("%q is not a duration: write a number with its unit, as in \"90s\", \"10m\" or \"1h30m\".", s)
	}
	return t, nil
}

// output checks an output path and returns it cleaned. A slash at the end
// stays: it says that the output is a directory.
func (d *decoder) output(e element) (string, bool) {
	if e.sensitive {
		d.b.fail(errorAt(e.at, "Sensitive value in a file name", "%q would show it: use a value that is not sensitive.", d.attr.Name))
		return "", false
	}
	text := e.text
	dist := d.b.project.Dist + "/"
	if !d.attr.InDir && strings.HasPrefix(text, dist) {
		if len(e.refs) == 0 {
			d.b.fail(errorAt(e.at, "Invalid output", "Outputs of this type land in %s anyway: write %q.", dist, strings.TrimPrefix(text, dist)))
			return "", false
		}
		text = strings.TrimPrefix(text, dist)
	}
	where := dist
	if d.attr.InDir {
		where = "the stage's dir"
	}
	if why := badPath(text); why != "" {
		d.b.fail(errorAt(e.at, "Invalid output", "%s It is relative to %s.", why, where))
		return "", false
	}
	clean := path.Clean(text)
	if clean == "." || leavesRoot(clean) {
		d.b.fail(errorAt(e.at, "Invalid output", "%q is outside of %s: name a file or folder inside it.", text, where))
		return "", false
	}
	if strings.HasSuffix(text, "/") {
		clean += "/"
	}
	return clean, true
}

func (d *decoder) stageRef(v cty.Value) bool {
	h, ok := handleOf(v)
	if !ok {
		d.b.fail(errorAt(d.at, "Wrong type", "%q is a reference to a stage, as in stage.NAME, not %s.", d.attr.Name, describe(v)))
		return false
	}
	d.out.Cty = cty.StringVal(h.stage.decl.Name)
	if !d.attr.Picks {
		d.out.Refs = sortRefs(append(d.out.Refs, h.refs()...))
	}
	sv := tasks.StageValue{Name: h.stage.decl.Name, Type: h.stage.decl.Type, Range: d.out.Range}
	for _, c := range h.cells() {
		sv.Steps = append(sv.Steps, tasks.StepOutputs{
			ID: c.step, Cell: c.key, Outputs: c.outputs, Step: &d.b.plan.Graph.Steps[c.step], Platform: c.platform,
		})
	}
	d.out.Stages = append(d.out.Stages, sv)
	if len(sv.Steps) == 0 && d.attr.Some {
		d.b.fail(errorAt(d.at, "Stage without cells", "%s %q takes its outputs: give this stage the same condition, or name another stage.", h.whyEmpty(), d.attr.Name))
	}
	// A stage that `when` left out is as good as null.
	return len(sv.Steps) > 0
}

// stageRefs takes a list of stages. Those that `when` left out are passed over.
func (d *decoder) stageRefs(v cty.Value) bool {
	if _, one := handleOf(v); one {
		return d.stageRef(v)
	}
	if !isList(v) {
		d.b.fail(errorAt(d.at, "Wrong type", "%q is a list of stages, as in [stage.NAME], not %s.", d.attr.Name, describe(v)))
		return false
	}
	any := false
	for _, e := range elementsOf(v) {
		any = d.stageRef(e) || any
	}
	d.out.Cty = cty.StringVal("")
	return any
}
