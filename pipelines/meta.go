package pipelines

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine/pattern"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// MetaSchema describes what every stage has, whatever its type: the
// meta-arguments.
func MetaSchema() *tasks.Schema {
	return &tasks.Schema{
		Doc: "Arguments that every stage accepts.",
		Attrs: []tasks.Attr{
			{Name: "matrix", Kind: tasks.Any, Doc: "An object of axes, each a list of values: the stage has a cell for each combination. The axis `platform` also gives os, arch, variant and exe."},
			{Name: "include", Kind: tasks.Any, Doc: "A list of objects: additional values for matching cells of the matrix, or additional cells."},
			{Name: "exclude", Kind: tasks.Any, Doc: "A list of objects: cells that have all values of one of them are removed."},
			{Name: "for_each", Kind: tasks.Any, Doc: "A stage, a list of stages or cells, or a list, set or map of values: the stage has a cell for each."},
			{Name: "after", Kind: tasks.Any, Doc: "A list of stages that must finish first, without using their outputs."},
			{Name: "when", Kind: tasks.Bool, Default: "true", Doc: "Whether the cell exists."},
			{Name: "description", Kind: tasks.String, Doc: "A description, shown by `airbuild list`."},
			{Name: "dir", Kind: tasks.String, Default: "the Airbuildfile's directory", Doc: "The working directory of the stage, to which its paths are relative."},
			{Name: "env", Kind: tasks.StringMap, Doc: "Environment variables of the stage's commands; part of the cache key."},
			{Name: "pass_env", Kind: tasks.Strings, Doc: "Names of environment variables to pass through; their values are part of the cache key."},
			{Name: "inputs", Kind: tasks.Paths, Doc: "Files, patterns (`!` excludes) and other stages' outputs that the stage reads."},
			{Name: "timeout", Kind: tasks.Duration, Default: "none", Doc: "Time limit for a step."},
			{Name: "retries", Kind: tasks.Number, Default: "0", Doc: "How many times a failed step is retried."},
			{Name: "cache", Kind: tasks.Bool, Default: "true", Doc: "Whether results are read from and written to the cache."},
		},
		Blocks: []tasks.Nested{
			{Type: "sandbox", Doc: "Access of the stage's commands to the network and to files.", Attrs: []tasks.Attr{
				{Name: "network", Kind: tasks.Bool, Doc: "Whether the commands may use the network."},
				{Name: "inputs", Kind: tasks.String, Enum: []string{"declared", "workspace"}, Doc: "Whether the commands see only the declared inputs, or the whole project."},
			}},
			{Type: "resources", Doc: "Resources that a step uses.", Attrs: []tasks.Attr{
				{Name: "cpu", Kind: tasks.Number, Default: "1", Doc: "Job slots."},
				{Name: "memory", Kind: tasks.String, Doc: "Memory that a step needs, such as \"2GiB\"."},
			}},
		},
	}
}

var (
	metaAttrs = [...]string{
		"matrix", "include", "exclude", "for_each", "after", "when", "description", "dir", "env",
		"pass_env", "inputs", "timeout", "retries", "cache",
	}
	metaBlocks = [...]string{"sandbox", "resources"}
)

func isMetaBlock(name string) bool { return slices.Contains(metaBlocks[:], name) }

// A metaReader reads the meta-arguments of the present cell.
type metaReader struct {
	*bodyReader
	meta        tasks.Meta
	after       []engine.StepID
	refs        []tasks.Ref
	description string
}

// readMeta reads the meta-arguments of the present cell, apart from those
// that make cells and when.
func (b *bodyReader) readMeta() *metaReader {
	if b.meta != nil {
		return b.meta
	}
	m := &metaReader{bodyReader: b, meta: tasks.Meta{Dir: b.scope.dir, Cache: true}}
	m.dir()
	m.description = m.text("description")
	m.environment()
	m.inputs()
	m.after = m.afterSteps()
	m.meta.Timeout = m.get("timeout", tasks.Duration).value.Duration
	m.meta.Retries = m.count("retries", 0, 0)
	if d := m.get("cache", tasks.Bool); d.set {
		m.meta.Cache = d.value.Cty.True()
	}
	for _, block := range m.metaBlocks() {
		m.block(block)
	}
	if !b.metaNamesCell() {
		b.meta = m
	}
	return m
}

// metaNamesCell reports whether the meta-arguments differ by cell.
func (b *bodyReader) metaNamesCell() bool {
	makesCells := [...]string{"matrix", "include", "exclude", "for_each", "when"}
	for name, attr := range b.body.Attributes {
		if slices.Contains(metaAttrs[:], name) && !slices.Contains(makesCells[:], name) && b.dependsOnCell(attr) {
			return true
		}
	}
	for _, block := range b.body.Blocks {
		if isMetaBlock(block.Type) && slices.ContainsFunc(sortedAttributes(block.Body), b.dependsOnCell) {
			return true
		}
	}
	return false
}

// get decodes a meta-argument by a kind.
func (m *metaReader) get(name string, kind tasks.Kind) decoded {
	if m.body.Attributes[name] == nil {
		return decoded{} // most stages have few of them
	}
	return m.getFrom(m.body, &tasks.Attr{Name: name, Kind: kind})
}

func (m *metaReader) getFrom(body *hclsyntax.Body, a *tasks.Attr) decoded {
	attr := body.Attributes[a.Name]
	if attr == nil {
		return decoded{}
	}
	d := m.attribute(attr, a, m.meta.Dir)
	m.refs = append(m.refs, d.value.Refs...)
	return d
}

func (m *metaReader) text(name string) string {
	if d := m.get(name, tasks.String); d.set {
		if d.value.Sensitive {
			m.fail(errorAt(d.value.Range, "Sensitive value shown", "%q would show it: use a value that is not sensitive.", name))
		}
		return d.value.Cty.AsString()
	}
	return ""
}

// count decodes a number that is at least least.
func (m *metaReader) countFrom(body *hclsyntax.Body, name string, least, def int) int {
	d := m.getFrom(body, &tasks.Attr{Name: name, Kind: tasks.Number})
	if !d.set {
		return def
	}
	n, _ := d.value.Cty.AsBigFloat().Int64()
	if n < int64(least) || n > 1<<16 {
		m.fail(errorAt(d.value.Range, "Invalid value", "%q is a number from %d to %d, not %d.", name, least, 1<<16, n))
		return def
	}
	return int(n)
}

func (m *metaReader) count(name string, least, def int) int {
	return m.countFrom(m.body, name, least, def)
}

// dir is relative to the Airbuildfile's folder.
func (m *metaReader) dir() {
	dir := m.text("dir")
	attr := m.body.Attributes["dir"]
	if dir == "" {
		return
	}
	at := m.scope.blame(attr.Expr)
	full := path.Join(m.scope.dir, dir)
	why := badPath(dir)
	if why == "" && leavesRoot(full) {
		why = fmt.Sprintf("%q leaves the project.", dir)
	}
	if why != "" {
		m.fail(errorAt(at, "Invalid path", "%s dir is a folder of the project, relative to the Airbuildfile.", why))
		return
	}
	m.meta.Dir = full
	if !m.files.Exists(full) || !m.source(full) {
		m.fail(errorAt(at, "Folder not found", "%s", m.files.Absent("folder", full)))
	}
}

// environment reads env and pass_env.
func (m *metaReader) environment() {
	if d := m.get("env", tasks.StringMap); d.set {
		m.meta.Env = map[string]string{}
		for name, v := range d.value.Cty.AsValueMap() {
			m.envName(name, d.value.Range)
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
	if !d.set {
		return
	}
	m.meta.PassEnv = map[string]string{}
	for _, v := range d.value.Cty.AsValueSlice() {
		name := v.AsString()
		m.envName(name, d.value.Range)
		if m.project.Environ == nil {
			continue
		}
		if value, ok := m.project.Environ(name); ok {
			m.meta.PassEnv[name] = value
		}
	}
}

func (m *metaReader) envName(name string, at hcl.Range) {
	if name == "" || strings.ContainsAny(name, "=\x00") {
		m.fail(errorAt(at, "Invalid name", "%q cannot be the name of an environment variable.", name))
	}
}

// inputs sorts what is declared into patterns, which the engine expands when
// it runs, and paths.
func (m *metaReader) inputs() {
	attr := m.body.Attributes["inputs"]
	if attr == nil {
		return
	}
	v, ok := m.value(attr.Expr)
	if !ok || v.IsNull() {
		return
	}
	d := &decoder{b: m.bodyReader, attr: &tasks.Attr{Name: "inputs", Kind: tasks.Paths}, expr: attr.Expr, at: m.scope.blame(attr.Expr), dir: m.meta.Dir}
	elements := []cty.Value{v}
	if _, isStage := handleOf(v); !isStage && isList(v) {
		elements = elementsOf(v)
	} else if !isStage && !d.alone(v, d.is("a list of paths")) {
		return
	}
	for i, e := range elements {
		if !e.IsNull() {
			m.input(d, e, m.elementRange(attr.Expr, i))
		}
	}
	m.refs = append(m.refs, refsIn(v)...)
}

func (m *metaReader) input(d *decoder, v cty.Value, at hcl.Range) {
	if h, ok := handleOf(v); ok {
		m.meta.InputRefs = append(m.meta.InputRefs, h.paths(at)...)
		m.refs = append(m.refs, h.refs()...)
		return
	}
	e, ok := d.element(v, at, "An element of \"inputs\" is a path")
	if !ok {
		return
	}
	bare, negative := strings.CutPrefix(e.text, "!")
	if len(e.refs) > 0 || !negative && (!hasMeta(bare) || m.files.Exists(path.Join(d.dir, bare))) {
		if p, ok := d.literal(e); ok {
			m.meta.InputRefs = append(m.meta.InputRefs, p)
		}
		return
	}
	m.inputPattern(d, e, bare, negative)
}

func (m *metaReader) inputPattern(d *decoder, e element, bare string, negative bool) {
	full, why := d.resolve(bare)
	if why != "" {
		m.fail(errorAt(e.at, "Invalid path", "%s", why))
		return
	}
	if err := pattern.Check(full); err != nil {
		m.fail(badPattern(e.at, bare, err))
		return
	}
	clean := path.Clean(bare)
	if leavesRoot(clean) {
		m.fail(errorAt(e.at, "Invalid path", "The pattern %q leaves the stage's dir: set dir to a folder that holds what it names.", bare))
		return
	}
	if negative {
		m.meta.Inputs = append(m.meta.Inputs, "!"+clean)
		return
	}
	m.meta.Inputs = append(m.meta.Inputs, clean)
	found, err := m.files.MatchesAny(full)
	if err != nil {
		m.fail(errorAt(e.at, "Pattern not expanded", "%s.", err))
	} else if !found {
		m.suspects.add(full, suspicion{e.at, m.stage, aPattern})
	}
}

// afterSteps reads after: references to stages and cells.
func (m *metaReader) afterSteps() []engine.StepID {
	attr := m.body.Attributes["after"]
	if attr == nil {
		return nil
	}
	v, ok := m.value(attr.Expr)
	if !ok || v.IsNull() {
		return nil
	}
	elements := []cty.Value{v}
	if _, isStage := handleOf(v); !isStage && isList(v) {
		elements = elementsOf(v)
	}
	var ids []engine.StepID
	for i, e := range elements {
		if e.IsNull() {
			continue
		}
		if !e.IsKnown() {
			m.poisoned = true
			continue
		}
		h, isStage := handleOf(e)
		refs := refsIn(e)
		if isStage {
			refs = h.refs()
		} else if len(refs) == 0 {
			m.fail(errorAt(m.elementRange(attr.Expr, i), "Wrong type", "after is a list of stages, as in [stage.NAME], not of %s.", plural(e)))
		}
		for _, r := range refs {
			ids = append(ids, r.Step)
		}
	}
	return ids
}

// plural names a value's type for a message.
func plural(v cty.Value) string {
	s := describe(v)
	s = strings.TrimPrefix(strings.TrimPrefix(s, "a "), "an ")
	return s + "s"
}

// metaBlocks returns the sandbox and resources blocks, each at most once.
func (m *metaReader) metaBlocks() []*hclsyntax.Block {
	var out []*hclsyntax.Block
	for _, block := range m.body.Blocks {
		if !isMetaBlock(block.Type) {
			continue
		}
		if slices.ContainsFunc(out, func(o *hclsyntax.Block) bool { return o.Type == block.Type }) {
			m.fail(errorAt(block.DefRange(), "Duplicate block", "There is a block %s already: merge the two.", block.Type))
			continue
		}
		if m.checkLabels(block, nil) {
			out = append(out, block)
		}
	}
	return out
}

func (m *metaReader) block(block *hclsyntax.Block) {
	nested := findNested(MetaSchema(), block.Type)
	l := leafBody{body: block.Body, attrs: nested.Attrs, prefix: block.Type + ".", header: block.DefRange(), owner: "The block " + block.Type}
	m.checkAttributes(&l)
	for _, inner := range block.Body.Blocks {
		m.fail(errorAt(inner.TypeRange, "Unknown block", "The block %s has no blocks inside.", block.Type))
	}
	switch block.Type {
	case "sandbox":
		if d := m.getFrom(block.Body, &nested.Attrs[0]); d.set {
			network := d.value.Cty.True()
			m.meta.Network = &network
		}
		if d := m.getFrom(block.Body, &nested.Attrs[1]); d.set {
			m.meta.SandboxMode = d.value.Cty.AsString()
		}
	case "resources":
		m.meta.CPU = m.countFrom(block.Body, "cpu", 1, 0)
		if d := m.getFrom(block.Body, &nested.Attrs[1]); d.set {
			bytes, err := ParseSize(d.value.Cty.AsString())
			if err != nil {
				m.fail(errorAt(d.value.Range, "Invalid size", "%s", err))
			}
			m.meta.Memory = bytes
		}
	}
}

// sizeUnits are the units of memory, in bytes.
var sizeUnits = [...]struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
}

// ParseSize parses "2GiB" into bytes; the error is a sentence for the user.
func ParseSize(s string) (int64, error) {
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseFloat(number, 64)
	if bytes := n * float64(unit); err == nil && bytes > 0 && bytes < 1<<60 {
		return int64(bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size: write a number with its unit, as in \"512MiB\" or \"2GiB\".", s)
}
