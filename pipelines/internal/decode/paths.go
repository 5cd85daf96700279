package decode

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// badPath says why a string cannot be a path, or nothing.
func badPath(s string) string {
	switch {
	case s == "":
		return "A path must not be empty."
	case strings.Contains(s, `\`):
		return fmt.Sprintf("%q has a backslash: paths have forward slashes on every platform.", s)
	case strings.HasPrefix(s, "/"):
		return fmt.Sprintf("%q is absolute.", s)
	case len(s) > 1 && s[1] == ':' && isLetter(s[0]):
		return fmt.Sprintf("%q begins with the letter of a drive, as Windows reads it.", s)
	case strings.ContainsFunc(s, eval.IsControl):
		return fmt.Sprintf("%q has a control character.", s)
	}
	return ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// LeavesRoot reports whether a clean path leads out of the project.
func LeavesRoot(clean string) bool { return clean == ".." || strings.HasPrefix(clean, "../") }

// hasMeta reports whether a path is a pattern.
func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[{") }

func (d *kindDecoder) path(v cty.Value) bool {
	if h, ok := eval.HandleOf(v); ok {
		return d.onePath(h)
	}
	e, ok := d.element(v, d.at, d.is("a path"))
	if !ok {
		return false
	}
	if hasMeta(e.text) && len(e.refs) == 0 && !d.on.Files.Exists(path.Join(d.dir, e.text)) {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Pattern not allowed", "%q is one path: write it without * ? [ {.", d.attr.Name))
		return false
	}
	p, ok := d.literal(e)
	if !ok {
		return false
	}
	d.setPaths([]tasks.PathValue{p}, true)
	return true
}

// onePath takes a stage or cell for its only output.
func (d *kindDecoder) onePath(h eval.Handle) bool {
	paths := h.Paths(d.at)
	if len(paths) == 1 {
		d.setPaths(paths, true)
		return true
	}
	if len(h.Cells()) > 0 {
		d.on.Eval.Fail(diag.ErrorAt(d.at, "Several paths", "%q is one path and %s has %d outputs: name one cell, or one of %s.paths.", d.attr.Name, h, len(paths), h))
	}
	return false
}

// paths decodes a list of paths, patterns and stages. Null, the path of a stage
// that when leaves out, is passed over, and what a "!" pattern names is taken
// from what stands before it.
func (d *kindDecoder) paths(v cty.Value) bool {
	elements, ranges := []cty.Value{v}, []hcl.Range{d.at}
	if _, isStage := eval.HandleOf(v); !isStage && eval.IsList(v) {
		elements, ranges = eval.ElementsOf(v), nil
	} else if !isStage && !d.alone(v, d.is("a list of paths")) {
		return false
	}
	var out []tasks.PathValue
	good := true
	for i, ev := range elements {
		at := d.at
		if ranges == nil {
			at = d.on.Eval.ElementRange(d.expr, i)
		}
		var ok bool
		out, ok = d.pathElement(out, ev, at)
		good = good && ok
	}
	d.setPaths(uniquePaths(out), false)
	if len(out) == 0 {
		d.out.Empty = d.on.whyEmpty(d.expr)
	}
	return good
}

// whyEmpty says which stages that an expression names have no outputs; "" if
// that is not the reason.
func (d *Decoder) whyEmpty(expr hcl.Expression) string {
	var why []string
	for _, t := range expr.Variables() {
		name, _, ok := eval.SecondName(t)
		if t.RootName() != "stage" || !ok {
			continue
		}
		if s := d.ByName(name); s != nil && len(eval.Handle{Stage: s}.Cells()) == 0 {
			why = append(why, eval.Handle{Stage: s}.WhyEmpty())
		}
	}
	return strings.Join(why, " ")
}

func (d *kindDecoder) pathElement(out []tasks.PathValue, v cty.Value, at hcl.Range) ([]tasks.PathValue, bool) {
	if v.IsNull() {
		return out, true
	}
	if h, ok := eval.HandleOf(v); ok {
		return append(out, h.Paths(at)...), true
	}
	want := fmt.Sprintf("An element of %q is a path", d.attr.Name)
	if eval.IsList(v) {
		want = "Lists are joined by concat or flatten: " + strings.ToLower(want[:1]) + want[1:]
	}
	e, ok := d.element(v, at, want)
	if !ok {
		return out, false
	}
	if negative, is := strings.CutPrefix(e.text, "!"); is && len(e.refs) == 0 {
		return d.withoutMatches(out, negative, at)
	}
	if hasMeta(e.text) && len(e.refs) == 0 && !d.on.Files.Exists(path.Join(d.dir, e.text)) {
		found, ok := d.expand(e)
		return append(out, found...), ok
	}
	p, ok := d.literal(e)
	if ok {
		out = append(out, p)
	}
	return out, ok
}

// withoutMatches takes what the pattern names out of the paths so far.
func (d *kindDecoder) withoutMatches(out []tasks.PathValue, text string, at hcl.Range) ([]tasks.PathValue, bool) {
	full, why := d.resolve(text)
	if why != "" {
		d.on.Eval.Fail(diag.ErrorAt(at, "Invalid path", "%s", why))
		return out, false
	}
	if err := pattern.Check(full); err != nil {
		d.on.Eval.Fail(badPattern(at, text, err))
		return out, false
	}
	return slices.DeleteFunc(out, func(p tasks.PathValue) bool { return pattern.Match(full, p.Path) }), true
}

func badPattern(at hcl.Range, text string, why error) *hcl.Diagnostic {
	return diag.ErrorAt(at, "Invalid pattern", "The pattern %s cannot be used: %s.", excerpt(text), why)
}

// excerpt quotes a text that may be very long.
func excerpt(text string) string {
	const most = 100
	if len(text) <= most {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.ToValidUTF8(text[:most], "")) + "…"
}

func uniquePaths(paths []tasks.PathValue) []tasks.PathValue {
	seen := make(map[string]bool, len(paths))
	out := paths[:0]
	for _, p := range paths {
		if !seen[p.Path] {
			seen[p.Path] = true
			out = append(out, p)
		}
	}
	return out
}

// setPaths fills in the value; Cty is the paths as text.
func (d *kindDecoder) setPaths(paths []tasks.PathValue, single bool) {
	d.out.Paths = paths
	texts := make([]cty.Value, len(paths))
	for i, p := range paths {
		texts[i] = cty.StringVal(p.Path)
		if p.Ref != nil {
			d.out.Refs = append(d.out.Refs, *p.Ref)
		}
	}
	d.out.Refs = eval.SortRefs(d.out.Refs)
	switch {
	case single:
		d.out.Cty = texts[0]
	case len(texts) == 0:
		d.out.Cty = cty.ListValEmpty(cty.String)
	default:
		d.out.Cty = cty.ListVal(texts)
	}
}

// resolve makes a path of the stage's dir one of the project, or says why it
// is none.
func (d *kindDecoder) resolve(s string) (string, string) {
	if why := badPath(s); why != "" {
		return "", why + " It is relative to the stage's dir."
	}
	full := path.Join(d.dir, s)
	if LeavesRoot(full) {
		return "", fmt.Sprintf("%q leaves the project.", s)
	}
	return full, ""
}

// literal decodes a path that is no pattern: another stage's output, or a
// file or directory of the project.
func (d *kindDecoder) literal(e element) (tasks.PathValue, bool) {
	if e.sensitive {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Sensitive value in a file name", "%q would show it: use a value that is not sensitive.", d.attr.Name))
		return tasks.PathValue{}, false
	}
	if p, ok := outputOf(e); ok {
		return p, true
	}
	full, why := d.resolve(e.text)
	if why != "" {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid path", "%s", why))
		return tasks.PathValue{}, false
	}
	d.on.suspectPath(full, e)
	return tasks.PathValue{Path: full, Range: e.at}, true
}

// outputOf returns the path as the output that it was computed from, if it
// still names that output or something below it.
func outputOf(e element) (tasks.PathValue, bool) {
	clean := path.Clean(e.text)
	for i := range e.refs {
		ref := e.refs[i]
		if clean == ref.Path || strings.HasPrefix(clean, ref.Path+"/") {
			return tasks.PathValue{Path: clean, Ref: &ref, Range: e.at}, true
		}
	}
	return tasks.PathValue{}, false
}

// expand returns the sources that a pattern names, and the outputs of stages
// that this one needs, sorted.
func (d *kindDecoder) expand(e element) ([]tasks.PathValue, bool) {
	full, why := d.resolve(e.text)
	if why != "" {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid path", "%s", why))
		return nil, false
	}
	if err := pattern.Check(full); err != nil {
		d.on.Eval.Fail(badPattern(e.at, e.text, err))
		return nil, false
	}
	matches, err := d.on.Files.Glob(full)
	if err != nil {
		d.on.Eval.Fail(diag.ErrorAt(e.at, "Pattern not expanded", "%s.", err))
		return nil, false
	}
	var out []tasks.PathValue
	for _, m := range matches {
		if d.on.Source(m) {
			out = append(out, tasks.PathValue{Path: m, Range: e.at})
		}
	}
	if out = append(out, d.on.matchingOutputs(full, e)...); len(out) == 0 {
		d.on.Suspects.Add(full, Suspicion{e.at, d.on.Stage, AList})
	}
	slices.SortFunc(out, func(a, b tasks.PathValue) int { return strings.Compare(a.Path, b.Path) })
	return out, true
}

// matchingOutputs are the outputs that a pattern names of stages which the
// present one needs: whether they are there already makes no difference.
func (d *Decoder) matchingOutputs(full string, e element) (out []tasks.PathValue) {
	for _, s := range d.Needed() {
		for _, c := range s.Cells {
			for _, made := range c.Outputs {
				if pattern.Match(full, made) {
					out = append(out, tasks.PathValue{Path: made, Ref: &tasks.Ref{Step: c.Step, Path: made}, Range: e.at})
				}
			}
		}
	}
	return out
}

func (d *Decoder) suspectPath(full string, e element) {
	d.Suspects.Add(full, Suspicion{e.at, d.Stage, APath})
}

// suspectText notes strings that name a place in dist.
func (d *Decoder) suspectText(e element) {
	if len(e.refs) == 0 && !e.sensitive && strings.HasPrefix(e.text, d.Project.Dist+"/") {
		d.Suspects.Add(path.Clean(e.text), Suspicion{e.at, d.Stage, AText})
	}
}
