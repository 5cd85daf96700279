package decode

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

var (
	metaAttrs = [...]string{
		"matrix", "include", "exclude", "for_each", "after", "when", "description", "dir", "env",
		"pass_env", "inputs", "timeout", "retries", "cache",
	}
	metaBlocks = [...]string{"sandbox", "resources"}
)

func isMetaBlock(name string) bool { return slices.Contains(metaBlocks[:], name) }

// Meta are the meta-arguments of a cell, apart from those that make cells and
// when.
type Meta struct {
	tasks.Meta
	After       []engine.StepID
	Refs        []tasks.Ref
	Description string
}

// A metaReader reads the meta-arguments of the present cell.
type metaReader struct {
	on   *Decoder
	meta Meta
}

// Meta reads the meta-arguments of the present cell.
func (d *Decoder) Meta() *Meta {
	if d.meta != nil {
		return d.meta
	}
	m := &metaReader{on: d, meta: Meta{Meta: tasks.Meta{Dir: d.Eval.Scope.Dir, Cache: true}}}
	m.dir()
	m.meta.Description = m.text("description")
	m.environment()
	m.inputs()
	m.meta.After = m.afterSteps()
	m.meta.Timeout = m.get("timeout", tasks.Duration).Value.Duration
	m.meta.Retries = m.count("retries", 0, 0)
	if d := m.get("cache", tasks.Bool); d.Set {
		m.meta.Cache = d.Value.Cty.True()
	}
	for _, block := range m.metaBlocks() {
		m.block(block)
	}
	if !d.metaNamesCell() {
		d.meta = &m.meta
	}
	return &m.meta
}

// metaNamesCell reports whether the meta-arguments differ by cell.
func (d *Decoder) metaNamesCell() bool {
	makesCells := [...]string{"matrix", "include", "exclude", "for_each", "when"}
	for name, attr := range d.Stage.Decl.Body.Attributes {
		if slices.Contains(metaAttrs[:], name) && !slices.Contains(makesCells[:], name) && d.dependsOnCell(attr) {
			return true
		}
	}
	for _, block := range d.Stage.Decl.Body.Blocks {
		if isMetaBlock(block.Type) && slices.ContainsFunc(eval.SortedAttributes(block.Body), d.dependsOnCell) {
			return true
		}
	}
	return false
}

// get decodes a meta-argument by a kind.
func (m *metaReader) get(name string, kind tasks.Kind) Decoded {
	if m.on.Stage.Decl.Body.Attributes[name] == nil {
		return Decoded{} // most stages have few of them
	}
	return m.getFrom(m.on.Stage.Decl.Body, &tasks.Attr{Name: name, Kind: kind})
}

func (m *metaReader) getFrom(body *hclsyntax.Body, a *tasks.Attr) Decoded {
	attr := body.Attributes[a.Name]
	if attr == nil {
		return Decoded{}
	}
	d := m.on.Attribute(attr, a, m.meta.Dir)
	m.meta.Refs = append(m.meta.Refs, d.Value.Refs...)
	return d
}

func (m *metaReader) text(name string) string {
	if d := m.get(name, tasks.String); d.Set {
		if d.Value.Sensitive {
			m.on.Eval.Fail(diag.ErrorAt(d.Value.Range, "Sensitive value shown", "%q would show it: use a value that is not sensitive.", name))
		}
		return d.Value.Cty.AsString()
	}
	return ""
}

// count decodes a number that is at least least.
func (m *metaReader) countFrom(body *hclsyntax.Body, name string, least, def int) int {
	d := m.getFrom(body, &tasks.Attr{Name: name, Kind: tasks.Number})
	if !d.Set {
		return def
	}
	n, _ := d.Value.Cty.AsBigFloat().Int64()
	if n < int64(least) || n > 1<<16 {
		m.on.Eval.Fail(diag.ErrorAt(d.Value.Range, "Invalid value", "%q is a number from %d to %d, not %d.", name, least, 1<<16, n))
		return def
	}
	return int(n)
}

func (m *metaReader) count(name string, least, def int) int {
	return m.countFrom(m.on.Stage.Decl.Body, name, least, def)
}

// dir is relative to the Airbuildfile's folder.
func (m *metaReader) dir() {
	dir := m.text("dir")
	attr := m.on.Stage.Decl.Body.Attributes["dir"]
	if dir == "" {
		return
	}
	at := m.on.Eval.Scope.Blame(attr.Expr)
	full := path.Join(m.on.Eval.Scope.Dir, dir)
	why := badPath(dir)
	if why == "" && LeavesRoot(full) {
		why = fmt.Sprintf("%q leaves the project.", dir)
	}
	if why != "" {
		m.on.Eval.Fail(diag.ErrorAt(at, "Invalid path", "%s dir is a folder of the project, relative to the Airbuildfile.", why))
		return
	}
	m.meta.Dir = full
	if !m.on.Files.Exists(full) || !m.on.Source(full) {
		m.on.Eval.Fail(diag.ErrorAt(at, "Folder not found", "%s", m.on.Files.Absent("folder", full)))
	}
}

// environment reads env and pass_env.
func (m *metaReader) environment() {
	if d := m.get("env", tasks.StringMap); d.Set {
		m.meta.Env = map[string]string{}
		for name, v := range d.Value.Cty.AsValueMap() {
			m.envName(name, d.Value.Range)
			m.meta.Env[name] = v.AsString()
		}
		for _, name := range d.secret {
			if m.meta.Secrets == nil {
				m.meta.Secrets = map[string]string{}
			}
			m.meta.Secrets[name] = m.meta.Env[name]
		}
	}
	d := m.get("pass_env", tasks.Strings)
	if !d.Set {
		return
	}
	m.meta.PassEnv = map[string]string{}
	for _, v := range d.Value.Cty.AsValueSlice() {
		name := v.AsString()
		m.envName(name, d.Value.Range)
		if m.on.Project.Environ == nil {
			continue
		}
		if value, ok := m.on.Project.Environ(name); ok {
			m.meta.PassEnv[name] = value
		}
	}
}

func (m *metaReader) envName(name string, at hcl.Range) {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		m.on.Eval.Fail(diag.ErrorAt(at, "Invalid name", "%q cannot be the name of an environment variable.", name))
	}
}

// inputs sorts what is declared into patterns, which the engine expands when
// it runs, and paths.
func (m *metaReader) inputs() {
	attr := m.on.Stage.Decl.Body.Attributes["inputs"]
	if attr == nil {
		return
	}
	v, ok := m.on.Eval.Value(attr.Expr)
	if !ok || v.IsNull() {
		return
	}
	d := &kindDecoder{on: m.on, attr: &tasks.Attr{Name: "inputs", Kind: tasks.Paths}, expr: attr.Expr, at: m.on.Eval.Scope.Blame(attr.Expr), dir: m.meta.Dir}
	elements := []cty.Value{v}
	if _, isStage := eval.HandleOf(v); !isStage && eval.IsList(v) {
		elements = eval.ElementsOf(v)
	} else if !isStage && !d.alone(v, d.is("a list of paths")) {
		return
	}
	for i, e := range elements {
		if !e.IsNull() {
			m.input(d, e, m.on.Eval.ElementRange(attr.Expr, i))
		}
	}
	m.meta.Refs = append(m.meta.Refs, eval.RefsIn(v)...)
}

func (m *metaReader) input(d *kindDecoder, v cty.Value, at hcl.Range) {
	if h, ok := eval.HandleOf(v); ok {
		m.meta.InputRefs = append(m.meta.InputRefs, h.Paths(at)...)
		m.meta.Refs = append(m.meta.Refs, h.Refs()...)
		return
	}
	e, ok := d.element(v, at, "An element of \"inputs\" is a path")
	if !ok {
		return
	}
	bare, negative := strings.CutPrefix(e.text, "!")
	if len(e.refs) > 0 || !negative && (!hasMeta(bare) || m.on.Files.Exists(path.Join(d.dir, bare))) {
		if p, ok := d.literal(e); ok {
			m.meta.InputRefs = append(m.meta.InputRefs, p)
		}
		return
	}
	m.inputPattern(d, e, bare, negative)
}

func (m *metaReader) inputPattern(d *kindDecoder, e element, bare string, negative bool) {
	full, why := d.resolve(bare)
	if why != "" {
		m.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid path", "%s", why))
		return
	}
	if err := pattern.Check(full); err != nil {
		m.on.Eval.Fail(badPattern(e.at, bare, err))
		return
	}
	clean := path.Clean(bare)
	if LeavesRoot(clean) {
		m.on.Eval.Fail(diag.ErrorAt(e.at, "Invalid path", "The pattern %q leaves the stage's dir: set dir to a folder that holds what it names.", bare))
		return
	}
	if negative {
		m.meta.Inputs = append(m.meta.Inputs, "!"+clean)
		return
	}
	m.meta.Inputs = append(m.meta.Inputs, clean)
	found, err := m.on.Files.MatchesAny(full)
	if err != nil {
		m.on.Eval.Fail(diag.ErrorAt(e.at, "Pattern not expanded", "%s.", err))
	} else if !found {
		m.on.Suspects.Add(full, Suspicion{e.at, m.on.Stage, APattern})
	}
}

// afterSteps reads after: references to stages and cells.
func (m *metaReader) afterSteps() []engine.StepID {
	attr := m.on.Stage.Decl.Body.Attributes["after"]
	if attr == nil {
		return nil
	}
	v, ok := m.on.Eval.Value(attr.Expr)
	if !ok || v.IsNull() {
		return nil
	}
	elements := []cty.Value{v}
	if _, isStage := eval.HandleOf(v); !isStage && eval.IsList(v) {
		elements = eval.ElementsOf(v)
	}
	var ids []engine.StepID
	for i, e := range elements {
		if e.IsNull() {
			continue
		}
		if !e.IsKnown() {
			m.on.Eval.Poisoned = true
			continue
		}
		h, isStage := eval.HandleOf(e)
		refs := eval.RefsIn(e)
		if isStage {
			refs = h.Refs()
		} else if len(refs) == 0 {
			m.on.Eval.Fail(diag.ErrorAt(m.on.Eval.ElementRange(attr.Expr, i), "Wrong type", "after is a list of stages, as in [stage.NAME], not of %s.", eval.Plural(e)))
		}
		for _, r := range refs {
			ids = append(ids, r.Step)
		}
	}
	return ids
}

// metaBlocks returns the sandbox and resources blocks, each at most once.
func (m *metaReader) metaBlocks() []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, block := range m.on.Stage.Decl.Body.Blocks {
		if !isMetaBlock(block.Type) {
			continue
		}
		if slices.ContainsFunc(out, func(o *hclsyntax.Block) bool { return o.Type == block.Type }) {
			m.on.Eval.Fail(diag.ErrorAt(block.DefRange(), "Duplicate block", "There is a block %s already: merge the two.", block.Type))
			continue
		}
		if m.on.checkLabels(block, nil) {
			out = append(out, block)
		}
	}
	return out
}

func (m *metaReader) block(block *hclsyntax.Block) {
	nested := findNested(tasks.MetaSchema(), block.Type)
	l := Body{body: block.Body, attrs: nested.Attrs, prefix: block.Type + ".", header: block.DefRange(), owner: "The block " + block.Type}
	m.on.checkAttributes(&l)
	for _, inner := range block.Body.Blocks {
		m.on.Eval.Fail(diag.ErrorAt(inner.TypeRange, "Unknown block", "The block %s has no blocks inside.", block.Type))
	}
	switch block.Type {
	case "sandbox":
		if d := m.getFrom(block.Body, &nested.Attrs[0]); d.Set {
			network := d.Value.Cty.True()
			m.meta.Network = &network
		}
		if d := m.getFrom(block.Body, &nested.Attrs[1]); d.Set {
			m.meta.SandboxMode = d.Value.Cty.AsString()
		}
	case "resources":
		m.meta.CPU = m.countFrom(block.Body, "cpu", 1, 0)
		if d := m.getFrom(block.Body, &nested.Attrs[1]); d.Set {
			bytes, err := tasks.ParseSize(d.Value.Cty.AsString())
			if err != nil {
				m.on.Eval.Fail(diag.ErrorAt(d.Value.Range, "Invalid size", "%s", err))
			}
			m.meta.Memory = bytes
		}
	}
}
