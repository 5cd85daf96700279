package pipelines

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/host/want"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// planHost evaluates the host block.
func (p *planner) planHost() {
	decl := p.plan.Module.Host
	if decl == nil {
		return
	}
	h := &hostReader{report: &p.report, user: p.user, decl: decl, planned: &want.Host{}}
	h.read()
	p.plan.Host = h.planned
}

// A hostReader evaluates the host block.
type hostReader struct {
	report  *diag.Report
	user    *eval.Scope
	decl    *dsl.Host
	planned *want.Host
}

func (h *hostReader) read() {
	w := h.planned
	w.OS = h.strings("os")
	each(h, "arch", want.ParseArch, &w.Arch)
	w.Kernel, w.Glibc = h.constraint("kernel"), h.constraint("glibc")
	each(h, "commands", want.ParseCommand, &w.Commands)
	h.disk()
	w.Memory = h.size("memory")
	each(h, "syscalls", knownSyscall, &w.Syscalls)
	each(h, "env", want.ParseVariable, &w.Env)
}

func knownSyscall(name string) (string, error) {
	if known := want.Syscalls(); !slices.Contains(known, name) {
		if near := dsl.SuggestName(name, known); near != "" {
			return "", fmt.Errorf("%q is not among what can be probed; did you mean %q?", name, near)
		}
		return "", fmt.Errorf("%q is not among what can be probed: there are %s", name, strings.Join(known, ", "))
	}
	return name, nil
}

// value evaluates an attribute that refers to variables and locals only.
func (h *hostReader) value(name string) (v cty.Value, at hcl.Range, ok bool) {
	attr := h.decl.Body.Attributes[name]
	if attr == nil {
		return v, at, false
	}
	at = attr.Expr.Range()
	v, diags := h.user.Value(attr.Expr, h.user.Context)
	h.report.Add(diags...)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return v, at, false
	}
	v, marks := v.UnmarkDeep()
	if _, secret := marks[dsl.Sensitive]; secret {
		h.report.Add(diag.ErrorAt(at, "Sensitive value shown", "%q would be shown by host check: use a value that is not sensitive.", name))
		return v, at, false
	}
	return v, at, !v.IsNull()
}

// strings are those of an attribute that is a list of strings, or one.
func (h *hostReader) strings(name string) []string {
	v, at, ok := h.value(name)
	if !ok {
		return nil
	}
	if v.Type() == cty.String {
		v = cty.ListVal([]cty.Value{v})
	}
	list, err := convert.Convert(v, cty.List(cty.String))
	if err != nil {
		h.report.Add(diag.ErrorAt(at, "Wrong type", "%q is a list of strings, not %s.", name, eval.Describe(v)))
		return nil
	}
	var out []string
	for i, e := range list.AsValueSlice() {
		if e.IsNull() || e.AsString() == "" {
			h.report.Add(diag.ErrorAt(h.element(name, i), "Empty value", "%q has an element that is empty.", name))
			continue
		}
		out = append(out, e.AsString())
	}
	return out
}

// element is where the i-th element of a list stands, or the whole list where it
// is not written out.
func (h *hostReader) element(name string, i int) hcl.Range {
	expr := h.decl.Body.Attributes[name].Expr
	if list, ok := expr.(*hclsyntax.TupleConsExpr); ok && i < len(list.Exprs) {
		return list.Exprs[i].Range()
	}
	return expr.Range()
}

// each parses every element of a list.
func each[T any](h *hostReader, name string, parse func(string) (T, error), to *[]T) {
	for i, s := range h.strings(name) {
		v, err := parse(s)
		if err != nil {
			h.report.Add(diag.ErrorAt(h.element(name, i), "Invalid value", "%s", diag.Sentence(err.Error())))
			continue
		}
		*to = append(*to, v)
	}
}

// text is the string of an attribute.
func (h *hostReader) text(name string) (string, hcl.Range, bool) {
	v, at, ok := h.value(name)
	if !ok {
		return "", at, false
	}
	if v.Type() != cty.String {
		h.report.Add(diag.ErrorAt(at, "Wrong type", "%q is a string, not %s.", name, eval.Describe(v)))
		return "", at, false
	}
	return v.AsString(), at, true
}

func (h *hostReader) constraint(name string) want.Constraint {
	text, at, ok := h.text(name)
	if !ok {
		return want.Constraint{}
	}
	c, err := want.ParseConstraint(text)
	if err != nil {
		h.report.Add(diag.ErrorAt(at, "Invalid version constraint", "%s", diag.Sentence(err.Error())))
	}
	return c
}

func (h *hostReader) size(name string) int64 {
	text, at, ok := h.text(name)
	if !ok {
		return 0
	}
	return h.ParseSize(text, at)
}

func (h *hostReader) ParseSize(text string, at hcl.Range) int64 {
	n, err := tasks.ParseSize(text)
	if err != nil {
		h.report.Add(diag.ErrorAt(at, "Invalid size", "%s", diag.Sentence(err.Error())))
	}
	return n
}

// disk is one size, of the project's disk, or one for each use.
func (h *hostReader) disk() {
	v, at, ok := h.value("disk")
	if !ok {
		return
	}
	if v.Type() == cty.String {
		h.planned.Disk = map[string]int64{"project": h.ParseSize(v.AsString(), at)}
		return
	}
	sizes, err := convert.Convert(v, cty.Map(cty.String))
	if err != nil {
		h.report.Add(diag.ErrorAt(at, "Wrong type", "%q is a string or a map of strings, not %s.", "disk", eval.Describe(v)))
		return
	}
	h.planned.Disk = map[string]int64{}
	values := sizes.AsValueMap()
	for _, use := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(want.Uses(), use) {
			h.report.Add(diag.ErrorAt(at, "Unknown disk", "%q is not a use of a disk; uses are %s.", use, strings.Join(want.Uses(), ", ")))
			continue
		}
		if values[use].IsNull() {
			h.report.Add(diag.ErrorAt(at, "Empty value", "The size of %q is null.", use))
			continue
		}
		h.planned.Disk[use] = h.ParseSize(values[use].AsString(), at)
	}
}
