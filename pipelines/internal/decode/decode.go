// Package decode reads the body of a stage: the attributes of its type by their
// kinds, and the meta-arguments that every type has.
package decode

import (
	"fmt"
	"maps"
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
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
	"github.com/airbuild/airbuild/tasks"
)

// A Decoder decodes the body of one stage, cell by cell. What it asks of other
// stages is asked of those that are planned already.
type Decoder struct {
	Eval     *eval.Evaluator
	Stage    *eval.Stage // that is read
	Schema   *tasks.Schema
	Project  *tasks.Project
	Files    *projectfs.ProjectFiles
	Suspects *Suspects

	// ByName returns a stage, or nil.
	ByName func(name string) *eval.Stage
	// Needed are the stages that the one that is read refers to, directly or
	// through others.
	Needed func() []*eval.Stage
	// Source reports whether a file that is there is a source: no stage makes it.
	Source func(name string) bool
	// Step returns a planned step.
	Step func(engine.StepID) *engine.Step

	// shared holds what is the same for all cells.
	shared map[*hclsyntax.Attribute]Decoded
	byCell map[*hclsyntax.Attribute]bool // whether an attribute depends on the cell
	meta   *Meta                         // of all cells, if no meta-argument depends on the cell
}

// Twin returns a Decoder for other cells at the same time, which evaluates by
// on and adds to suspects.
func (d *Decoder) Twin(on *eval.Evaluator, suspects *Suspects) *Decoder {
	t := *d
	t.Eval, t.Suspects = on, suspects
	t.shared, t.byCell = maps.Clone(d.shared), maps.Clone(d.byCell)
	return &t
}

// Decoded is an attribute that was read.
type Decoded struct {
	Value tasks.Value
	Set   bool // false for null and after an error

	secret []string // keys of a map whose values are sensitive
}

// Attribute decodes one attribute, or hands out what it was for an earlier
// cell if it does not depend on the cell.
func (d *Decoder) Attribute(attr *hclsyntax.Attribute, a *tasks.Attr, dir string) Decoded {
	if known, ok := d.shared[attr]; ok {
		return known
	}
	got := d.decode(attr, a, dir)
	if d.isShared(attr) {
		if d.shared == nil {
			d.shared = map[*hclsyntax.Attribute]Decoded{}
		}
		d.shared[attr] = got
	}
	return got
}

// isShared reports whether an attribute is the same in all cells. What dir
// says may differ by cell and changes what paths mean.
func (d *Decoder) isShared(attr *hclsyntax.Attribute) bool {
	dir := d.Stage.Decl.Body.Attributes["dir"]
	return !d.dependsOnCell(attr) && (dir == nil || !d.dependsOnCell(dir))
}

func (d *Decoder) dependsOnCell(attr *hclsyntax.Attribute) bool {
	depends, known := d.byCell[attr]
	if !known {
		depends = eval.MentionsCell(attr.Expr)
		if d.byCell == nil {
			d.byCell = map[*hclsyntax.Attribute]bool{}
		}
		d.byCell[attr] = depends
	}
	return depends
}

func (d *Decoder) decode(attr *hclsyntax.Attribute, a *tasks.Attr, dir string) Decoded {
	v, ok := d.Eval.Value(attr.Expr)
	if !ok || v.IsNull() {
		return Decoded{}
	}
	k := kindDecoder{on: d, attr: a, expr: attr.Expr, at: d.Eval.Scope.Blame(attr.Expr), dir: dir}
	k.out = tasks.Value{Range: attr.Expr.Range(), Refs: eval.RefsIn(v), Sensitive: v.HasMarkDeep(dsl.Sensitive)}
	if !k.kind(v) {
		return Decoded{}
	}
	return Decoded{k.out, true, k.secret}
}

// A kindDecoder turns one value into what an attribute's kind says.
type kindDecoder struct {
	on   *Decoder
	attr *tasks.Attr
	expr hcl.Expression
	at   hcl.Range
	dir  string

	out    tasks.Value
	secret []string
}

// kind decodes v, which is known and not null. It reports whether the
// attribute can be used.
func (d *kindDecoder) kind(v cty.Value) bool {
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
		d.on.Eval.Poisoned = true
		return false
	}
	return true
}

// is begins the detail of a wrong type.
func (d *kindDecoder) is(what string) string { return fmt.Sprintf("%q is %s", d.attr.Name, what) }

// wrong reports a value of the wrong type. want says what should be there, as
// is does.
func (d *kindDecoder) wrong(at hcl.Range, want string, v cty.Value) bool {
	hint := ""
	if h, ok := eval.HandleOf(v); ok {
		hint = fmt.Sprintf(" Use %s.path or .paths for its outputs.", h)
	}
	d.on.Eval.Fail(diag.ErrorAt(at, "Wrong type", "%s, not %s.%s", want, eval.Describe(v), hint))
	return false
}

func (d *kindDecoder) convert(v cty.Value, want cty.Type, detail string) bool {
	plain, _ := v.Unmark()
	got, err := convert.Convert(plain, want)
	if err != nil || got.IsNull() {
		return d.wrong(d.at, detail, plain)
	}
	d.out.Cty = got
	return true
}

func (d *kindDecoder) whole() bool {
	f := d.out.Cty.AsBigFloat()
	if _, accuracy := f.Int64(); f.IsInt() && accuracy == big.Exact {
		return true
	}
	d.on.Eval.Fail(diag.ErrorAt(d.at, "Wrong type", "%q is a whole number.", d.attr.Name))
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
func (d *kindDecoder) element(v cty.Value, at hcl.Range, want string) (element, bool) {
	if !v.IsKnown() {
		d.on.Eval.Poisoned = true
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
		case eval.OutputMark:
			e.refs = append(e.refs, tasks.Ref(m))
		case dsl.Mark:
			e.sensitive = true
		}
	}
	e.refs = eval.SortRefs(e.refs)
	return e, true
}

// single decodes a string by check, which returns the text to keep.
func (d *kindDecoder) single(v cty.Value, check func(element) (string, bool)) bool {
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
func (d *kindDecoder) list(v cty.Value, check func(element) (string, bool)) bool {
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

func (d *kindDecoder) elements(v cty.Value) ([]element, bool) {
	if !eval.IsList(v) {
		if !d.alone(v, d.is("a list of strings")) {
			return nil, false
		}
		e, ok := d.element(v, d.at, d.is("a list of strings"))
		return []element{e}, ok
	}
	var out []element
	good := true
	for i, ev := range eval.ElementsOf(v) {
		at := d.on.Eval.ElementRange(d.expr, i)
		if ev.IsNull() {
			// Left out without a word, it would move what follows to its place.
			d.on.Eval.Fail(diag.ErrorAt(at, "Null in a list", `This element of %q is null. Leave it out, with compact([…]) where that depends on a condition, or write "".`, d.attr.Name))
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
func (d *kindDecoder) alone(v cty.Value, want string) bool {
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
	d.on.Eval.Fail(diag.ErrorAt(d.at, "Wrong type", "%s, not %s. For a list of this one string write [%s].", want, eval.Describe(plain), text))
	return false
}

func (d *kindDecoder) stringMap(v cty.Value) bool {
	if !eval.IsMapping(v) {
		return d.wrong(d.at, d.is("a map of strings"), v)
	}
	source := eval.ItemsOf(d.expr, d.on.Stage.Decl.Module)
	items := eval.AttributesOf(v)
	out := make(map[string]cty.Value, len(items))
	good := true
	for _, key := range eval.Order(source, items) {
		if items[key].IsNull() {
			continue
		}
		at := d.at
		if s, ok := source[key]; ok {
			at = s.Expr.Range()
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
func (d *kindDecoder) text(e element) (string, bool) {
	if len(d.attr.Enum) > 0 && !slices.Contains(d.attr.Enum, e.text) {
		shown := fmt.Sprintf("%q", e.text)
		hint := dsl.DidYouMean(e.text, d.attr.Enum)
		if e.sensitive {
			shown, hint = "this (sensitive) value", ""
		}
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid value", "%q is one of %s, not %s.%s", d.attr.Name, diag.ListNames(d.attr.Enum), shown, hint))
		return e.text, false
	}
	d.on.suspectText(e)
	return e.text, true
}

func (d *kindDecoder) duration(e element) (string, bool) {
	t, err := parseDuration(e.text)
	if err != nil {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid duration", "%s", err))
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
func (d *kindDecoder) output(e element) (string, bool) {
	if e.sensitive {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Sensitive value in a file name", "%q would show it: use a value that is not sensitive.", d.attr.Name))
		return "", false
	}
	text := e.text
	dist := d.on.Project.Dist + "/"
	if !d.attr.InDir && strings.HasPrefix(text, dist) {
		if len(e.refs) == 0 {
			d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid output", "Outputs of this type land in %s anyway: write %q.", dist, strings.TrimPrefix(text, dist)))
			return "", false
		}
		text = strings.TrimPrefix(text, dist)
	}
	where := dist
	if d.attr.InDir {
		where = "the stage's dir"
	}
	if why := badPath(text); why != "" {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid output", "%s It is relative to %s.", why, where))
		return "", false
	}
	clean := path.Clean(text)
	if clean == "." || LeavesRoot(clean) {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid output", "%q is outside of %s: name a file or folder inside it.", text, where))
		return "", false
	}
	if strings.HasSuffix(text, "/") {
		clean += "/"
	}
	return clean, true
}

func (d *kindDecoder) stageRef(v cty.Value) bool {
	h, ok := eval.HandleOf(v)
	if !ok {
		d.on.Eval.Fail(diag.ErrorAt(d.at, "Wrong type", "%q is a reference to a stage, as in stage.NAME, not %s.", d.attr.Name, eval.Describe(v)))
		return false
	}
	d.out.Cty = cty.StringVal(h.Stage.Decl.Name)
	if !d.attr.Picks {
		d.out.Refs = eval.SortRefs(append(d.out.Refs, h.Refs()...))
	}
	sv := tasks.StageValue{Name: h.Stage.Decl.Name, Type: h.Stage.Decl.Type, Range: d.out.Range}
	for _, c := range h.Cells() {
		sv.Steps = append(sv.Steps, tasks.StepOutputs{
			ID: c.Step, Cell: c.Key, Outputs: c.Outputs, Step: d.on.Step(c.Step), Platform: c.Platform,
		})
	}
	d.out.Stages = append(d.out.Stages, sv)
	if len(sv.Steps) == 0 && d.attr.Some {
		d.on.Eval.Fail(diag.ErrorAt(d.at, "Stage without cells", "%s %q takes its outputs: give this stage the same condition, or name another stage.", h.WhyEmpty(), d.attr.Name))
	}
	// A stage that `when` left out is as good as null.
	return len(sv.Steps) > 0
}

// stageRefs takes a list of stages. Those that `when` left out are passed over.
func (d *kindDecoder) stageRefs(v cty.Value) bool {
	if _, one := eval.HandleOf(v); one {
		return d.stageRef(v)
	}
	if !eval.IsList(v) {
		d.on.Eval.Fail(diag.ErrorAt(d.at, "Wrong type", "%q is a list of stages, as in [stage.NAME], not %s.", d.attr.Name, eval.Describe(v)))
		return false
	}
	any := false
	for _, e := range eval.ElementsOf(v) {
		any = d.stageRef(e) || any
	}
	d.out.Cty = cty.StringVal("")
	return any
}
