package pipelines

import (
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// A Bundle is a planned bundle block: what of the project is carried.
type Bundle struct {
	Name, Description string
	Steps             []engine.StepID // what the other side must be able to make, sorted
	Stages            []string        // names, as listed
	Hosts             []string        // "linux/amd64"; empty: this host
	Airbuild          map[string]string
	Sign              []string
	// VolumeSize is in bytes; zero: not given; NoVolumes: one directory.
	VolumeSize int64
	History    bool
	Exclude    []string
	Extra      []Extra // in source order
	Range      hcl.Range
}

// NoVolumes is the VolumeSize of a bundle that is a directory.
const NoVolumes = -1

// An Extra is an extra block of a bundle.
type Extra struct {
	Name     string
	Dir      string // as written; "" for the project's root
	Patterns []string
	Range    hcl.Range
}

// Bundle returns the bundle with the given name, or nil.
func (p *Plan) Bundle(name string) *Bundle {
	for _, b := range p.Bundles {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// planBundles evaluates the bundle blocks. Their stages attribute is that of a
// pipeline.
func (p *planner) planBundles() {
	p.plan.Bundles = nil
	for _, decl := range p.plan.Module.Bundles {
		b := &bundleReader{report: &p.report, user: p.user, pipelines: p.pipelines, decl: decl, planned: &Bundle{Name: decl.Name, Range: decl.Range}}
		b.read()
		p.plan.Bundles = append(p.plan.Bundles, b.planned)
	}
}

// A bundleReader evaluates one bundle block.
type bundleReader struct {
	report    *diag.Report
	user      *eval.Scope
	pipelines *pipelinePlanner
	decl      *dsl.Bundle
	planned   *Bundle
}

func (b *bundleReader) read() {
	b.stages()
	b.planned.Description = b.text("description")
	b.hosts()
	b.airbuild()
	b.planned.Sign = b.strings(b.decl.Body, "sign")
	b.volumeSize()
	if v, ok := b.value(b.decl.Body, "history", cty.Bool); ok {
		b.planned.History = v.True()
	}
	b.planned.Exclude = b.strings(b.decl.Body, "exclude")
	seen := map[string]bool{}
	for _, block := range b.decl.Body.Blocks {
		if block.Type != "extra" || len(block.Labels) != 1 {
			continue // reported by the loader
		}
		if name := block.Labels[0]; !plainName(name) {
			b.report.Add(diag.ErrorAt(block.LabelRanges[0], "Invalid name", "%q names a folder on the other side: write letters, digits, dots, dashes and underscores.", name))
		} else if seen[name] {
			b.report.Add(diag.ErrorAt(block.LabelRanges[0], "Duplicate extra", "The bundle has two blocks extra %q: merge them, or give one another name.", name))
		}
		seen[block.Labels[0]] = true
		e := Extra{Name: block.Labels[0], Range: block.DefRange(), Patterns: b.strings(block.Body, "files")}
		if v, ok := b.value(block.Body, "dir", cty.String); ok {
			e.Dir = v.AsString()
		}
		b.planned.Extra = append(b.planned.Extra, e)
	}
}

// plainName reports whether s is a plain file name everywhere.
func plainName(s string) bool {
	ok := s != "" && len(s) <= 100 && s[0] != '.' && s[0] != '-' && s[len(s)-1] != '.'
	return ok && !strings.ContainsFunc(s, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-", r))
	})
}

// stages resolves what the bundle is for, by the rules of a pipeline.
func (b *bundleReader) stages() {
	attr := b.decl.Body.Attributes["stages"]
	if attr == nil {
		return // reported by the loader
	}
	body := &hclsyntax.Body{Attributes: hclsyntax.Attributes{"stages": attr}}
	l := &pipeline{
		decl:    &dsl.Pipeline{Name: b.decl.Name, Body: body, Range: b.decl.Range, Module: b.decl.Module},
		scope:   b.user,
		planned: &Pipeline{Name: b.decl.Name, Range: b.decl.Range},
	}
	names := lists.Map(b.decl.Module.Pipelines, func(decl *dsl.Pipeline) string { return decl.Name })
	slices.Sort(names)
	b.pipelines.references(l, func(name string) bool { return slices.Contains(names, name) }, names)
	if l.broken {
		return
	}
	if v, ok := b.pipelines.value(l, attr, b.pipelines.contextOf(l)); ok {
		b.pipelines.takeStages(l, attr.Expr, v)
	}
	b.planned.Steps, b.planned.Stages = lists.Unique(l.planned.Steps), l.planned.Stages
}

// value evaluates an attribute that refers to variables and locals only. It is
// not ok after a mistake, for null, and if the attribute is not there.
func (b *bundleReader) value(body *hclsyntax.Body, name string, want cty.Type) (cty.Value, bool) {
	attr := body.Attributes[name]
	if attr == nil {
		return cty.NilVal, false
	}
	v, diags := b.user.Value(attr.Expr, b.user.Context)
	b.report.Add(diags...)
	if diags.HasErrors() || !v.IsWhollyKnown() {
		return cty.NilVal, false
	}
	at := attr.Expr.Range()
	bare, marks := v.UnmarkDeep()
	if _, secret := marks[dsl.Sensitive]; secret {
		b.report.Add(diag.ErrorAt(at, "Sensitive value shown", "%q would be written into the bundle: use a value that is not sensitive.", name))
		return cty.NilVal, false
	}
	if bare.IsNull() {
		return cty.NilVal, false
	}
	got, err := convert.Convert(bare, want)
	if err != nil {
		b.report.Add(diag.ErrorAt(at, "Wrong type", "%q is a %s, not %s.", name, friendly(want), eval.Describe(bare)))
		return cty.NilVal, false
	}
	return got, true
}

func friendly(t cty.Type) string {
	switch {
	case t.IsListType():
		return "list of strings"
	case t.IsMapType():
		return "map of strings"
	}
	return t.FriendlyName()
}

func (b *bundleReader) text(name string) string {
	if v, ok := b.value(b.decl.Body, name, cty.String); ok {
		return v.AsString()
	}
	return ""
}

func (b *bundleReader) strings(body *hclsyntax.Body, name string) []string {
	v, ok := b.value(body, name, cty.List(cty.String))
	if !ok {
		return nil
	}
	var out []string
	for _, e := range v.AsValueSlice() {
		if e.IsNull() || e.AsString() == "" {
			b.report.Add(diag.ErrorAt(body.Attributes[name].Expr.Range(), "Empty value", "%q has an element that is empty.", name))
			continue
		}
		out = append(out, e.AsString())
	}
	return out
}

func (b *bundleReader) hosts() {
	b.planned.Hosts = b.strings(b.decl.Body, "hosts")
	for _, host := range b.planned.Hosts {
		b.checkHost(host, b.decl.Body.Attributes["hosts"].Expr.Range())
	}
}

// checkHost wants "os/arch", both known to somebody else: the toolchain that
// is fetched for it says whether there is one.
func (b *bundleReader) checkHost(host string, at hcl.Range) {
	os, arch, ok := strings.Cut(host, "/")
	if !ok || !plainName(os) || !plainName(arch) {
		b.report.Add(diag.ErrorAt(at, "Invalid host", "%q is not a host: write an operating system and an architecture, as in \"linux/amd64\".", host))
	}
}

func (b *bundleReader) airbuild() {
	v, ok := b.value(b.decl.Body, "airbuild", cty.Map(cty.String))
	if !ok {
		return
	}
	at := b.decl.Body.Attributes["airbuild"].Expr.Range()
	b.planned.Airbuild = map[string]string{}
	values := v.AsValueMap()
	for _, host := range slices.Sorted(maps.Keys(values)) {
		b.checkHost(host, at)
		if e := values[host]; e.IsNull() || e.AsString() == "" {
			b.report.Add(diag.ErrorAt(at, "Empty value", "The path of airbuild for %s is empty.", host))
			continue
		}
		b.planned.Airbuild[host] = values[host].AsString()
	}
}

func (b *bundleReader) volumeSize() {
	text := b.text("volume_size")
	switch text {
	case "":
		return
	case "none":
		b.planned.VolumeSize = NoVolumes
		return
	}
	bytes, err := tasks.ParseSize(text)
	if err != nil {
		b.report.Add(diag.ErrorAt(b.decl.Body.Attributes["volume_size"].Expr.Range(), "Invalid size", "%s", err))
		return
	}
	b.planned.VolumeSize = bytes
}
