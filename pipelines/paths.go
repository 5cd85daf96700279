package pipelines

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine/pattern"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

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
	case strings.ContainsFunc(s, isControl):
		return fmt.Sprintf("%q has a control character.", s)
	}
	return ""
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

func leavesRoot(clean string) bool { return clean == ".." || strings.HasPrefix(clean, "../") }

// hasMeta reports whether a path is a pattern.
func hasMeta(s string) bool { return strings.ContainsAny(s, "*?[{") }

func (d *decoder) path(v cty.Value) bool {
	if h, ok := handleOf(v); ok {
		return d.onePath(h)
	}
	e, ok := d.element(v, d.at, d.is("a path"))
	if !ok {
		return false
	}
	if hasMeta(e.text) && len(e.refs) == 0 && !d.b.files.Exists(path.Join(d.dir, e.text)) {
		d.b.fail(errorAt(e.at, "Pattern not allowed", "%q is one path: write it without * ? [ {.", d.attr.Name))
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
func (d *decoder) onePath(h handle) bool {
	paths := h.paths(d.at)
	if len(paths) == 1 {
		d.setPaths(paths, true)
		return true
	}
	if len(h.cells()) > 0 {
		d.b.fail(errorAt(d.at, "Several paths", "%q is one path and %s has %d outputs: name one cell, or one of %s.paths.", d.attr.Name, h, len(paths), h))
	}
	return false
}

// paths decodes a list of paths, patterns and stages. Null, the path of a stage
// that when leaves out, is passed over, and what a "!" pattern names is taken
// from what stands before it.
func (d *decoder) paths(v cty.Value) bool {
	elements, ranges := []cty.Value{v}, []hcl.Range{d.at}
	if _, isStage := handleOf(v); !isStage && isList(v) {
		elements, ranges = elementsOf(v), nil
	} else if !isStage && !d.alone(v, d.is("a list of paths")) {
		return false
	}
	var out []tasks.PathValue
	good := true
	for i, ev := range elements {
		at := d.at
		if ranges == nil {
			at = d.b.elementRange(d.expr, i)
		}
		var ok bool
		out, ok = d.pathElement(out, ev, at)
		good = good && ok
	}
	d.setPaths(uniquePaths(out), false)
	if len(out) == 0 {
		d.out.Empty = d.b.whyEmpty(d.expr)
	}
	return good
}

// whyEmpty says which stages that an expression names have no outputs; "" if
// that is not the reason.
func (b *bodyReader) whyEmpty(expr hcl.Expression) string {
	var why []string
	for _, t := range expr.Variables() {
		name, _, ok := secondName(t)
		if t.RootName() != "stage" || !ok {
			continue
		}
		if s := b.byName[name]; s != nil && len(handle{stage: s}.cells()) == 0 {
			why = append(why, handle{stage: s}.whyEmpty())
		}
	}
	return strings.Join(why, " ")
}

// whyEmpty says why a stage or cell has no outputs.
func (h handle) whyEmpty() string {
	switch {
	case h.cell != nil || len(h.stage.cells) == 1 && h.stage.cells[0].key == "":
		return fmt.Sprintf("%s is not there: its when is false.", h)
	case len(h.stage.cells) > 0:
		return fmt.Sprintf("%s has no cells: its when is false for each.", h)
	}
	return fmt.Sprintf("%s has no cells: its matrix or for_each is empty.", h)
}

func (d *decoder) pathElement(out []tasks.PathValue, v cty.Value, at hcl.Range) ([]tasks.PathValue, bool) {
	if v.IsNull() {
		return out, true
	}
	if h, ok := handleOf(v); ok {
		return append(out, h.paths(at)...), true
	}
	want := fmt.Sprintf("An element of %q is a path", d.attr.Name)
	if isList(v) {
		want = "Lists are joined by concat or flatten: " + strings.ToLower(want[:1]) + want[1:]
	}
	e, ok := d.element(v, at, want)
	if !ok {
		return out, false
	}
	if negative, is := strings.CutPrefix(e.text, "!"); is && len(e.refs) == 0 {
		return d.withoutMatches(out, negative, at)
	}
	if hasMeta(e.text) && len(e.refs) == 0 && !d.b.files.Exists(path.Join(d.dir, e.text)) {
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
func (d *decoder) withoutMatches(out []tasks.PathValue, text string, at hcl.Range) ([]tasks.PathValue, bool) {
	full, why := d.resolve(text)
	if why != "" {
		d.b.fail(errorAt(at, "Invalid path", "%s", why))
		return out, false
	}
	if err := pattern.Check(full); err != nil {
		d.b.fail(badPattern(at, text, err))
		return out, false
	}
	return slices.DeleteFunc(out, func(p tasks.PathValue) bool { return pattern.Match(full, p.Path) }), true
}

func badPattern(at hcl.Range, text string, why error) *hcl.Diagnostic {
	return errorAt(at, "Invalid pattern", "The pattern %s cannot be used: %s.", excerpt(text), why)
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
func (d *decoder) setPaths(paths []tasks.PathValue, single bool) {
	d.out.Paths = paths
	texts := make([]cty.Value, len(paths))
	for i, p := range paths {
		texts[i] = cty.StringVal(p.Path)
		if p.Ref != nil {
			d.out.Refs = append(d.out.Refs, *p.Ref)
		}
	}
	d.out.Refs = sortRefs(d.out.Refs)
	switch {
	case single:
		d.out.Cty = texts[0]
	case len(texts) == 0:
		d.out.Cty = cty.ListValEmpty(cty.String)
	default:
		d.out.Cty = cty.ListVal(texts)
	}
}

// paths are all outputs that the handle stands for.
func (h handle) paths(at hcl.Range) []tasks.PathValue {
	var paths []tasks.PathValue
	for _, c := range h.cells() {
		for _, out := range c.outputs {
			paths = append(paths, tasks.PathValue{Path: out, Ref: &tasks.Ref{Step: c.step, Path: out}, Range: at})
		}
	}
	return paths
}

// resolve makes a path of the stage's dir one of the project, or says why it
// is none.
func (d *decoder) resolve(s string) (string, string) {
	if why := badPath(s); why != "" {
		return "", why + " It is relative to the stage's dir."
	}
	full := path.Join(d.dir, s)
	if leavesRoot(full) {
		return "", fmt.Sprintf("%q leaves the project.", s)
	}
	return full, ""
}

// literal decodes a path that is no pattern: another stage's output, or a
// file or directory of the project.
func (d *decoder) literal(e element) (tasks.PathValue, bool) {
	if e.sensitive {
		d.b.fail(errorAt(e.at, "Sensitive value in a file name", "%q would show it: use a value that is not sensitive.", d.attr.Name))
		return tasks.PathValue{}, false
	}
	if p, ok := outputOf(e); ok {
		return p, true
	}
	full, why := d.resolve(e.text)
	if why != "" {
		d.b.fail(errorAt(e.at, "Invalid path", "%s", why))
		return tasks.PathValue{}, false
	}
	d.b.suspectPath(full, e)
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
func (d *decoder) expand(e element) ([]tasks.PathValue, bool) {
	full, why := d.resolve(e.text)
	if why != "" {
		d.b.fail(errorAt(e.at, "Invalid path", "%s", why))
		return nil, false
	}
	if err := pattern.Check(full); err != nil {
		d.b.fail(badPattern(e.at, e.text, err))
		return nil, false
	}
	matches, err := d.b.files.Glob(full)
	if err != nil {
		d.b.fail(errorAt(e.at, "Pattern not expanded", "%s.", err))
		return nil, false
	}
	var out []tasks.PathValue
	for _, m := range matches {
		if d.b.source(m) {
			out = append(out, tasks.PathValue{Path: m, Range: e.at})
		}
	}
	if out = append(out, d.b.matchingOutputs(full, e)...); len(out) == 0 {
		d.b.suspects.add(full, suspicion{e.at, d.b.stage, aList})
	}
	slices.SortFunc(out, func(a, b tasks.PathValue) int { return strings.Compare(a.Path, b.Path) })
	return out, true
}

// matchingOutputs are the outputs that a pattern names of stages which the
// present one needs: whether they are there already makes no difference.
func (b *bodyReader) matchingOutputs(full string, e element) (out []tasks.PathValue) {
	for _, s := range b.needed() {
		for _, c := range s.cells {
			for _, made := range c.outputs {
				if pattern.Match(full, made) {
					out = append(out, tasks.PathValue{Path: made, Ref: &tasks.Ref{Step: c.step, Path: made}, Range: e.at})
				}
			}
		}
	}
	return out
}

// needed are the stages that the present one refers to, directly or through
// others.
func (b *bodyReader) needed() []*stage {
	seen := map[*stage]bool{b.stage: true}
	var out []*stage
	var walk func(s *stage)
	walk = func(s *stage) {
		for _, ref := range s.refs {
			if other := b.byName[ref.name]; other != nil && !seen[other] {
				seen[other] = true
				out = append(out, other)
				walk(other)
			}
		}
	}
	walk(b.stage)
	return out
}
