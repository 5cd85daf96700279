package pipelines

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/tasks"
)

// A fakeTask has an attribute of every kind and makes one step, which claims
// its outputs, or two if inner is set.
type fakeTask struct {
	seen *[]*tasks.Block
	mu   *sync.Mutex // guards seen
}

func (fakeTask) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type: "make",
		Doc:  "Makes files.",
		Attrs: []tasks.Attr{
			{Name: "output", Kind: tasks.Output, Doc: "File to write."},
			{Name: "outputs", Kind: tasks.Outputs, InDir: true, Doc: "Files to write in the dir."},
			{Name: "files", Kind: tasks.Paths, Doc: "Files to read."},
			{Name: "file", Kind: tasks.Path, Doc: "A file to read."},
			{Name: "text", Kind: tasks.String, Doc: "Some text."},
			{Name: "mode", Kind: tasks.String, Enum: []string{"check", "fix"}, Doc: "What to do."},
			{Name: "words", Kind: tasks.Strings, Doc: "Some words."},
			{Name: "strict", Kind: tasks.Bool, Doc: "Whether to be strict."},
			{Name: "level", Kind: tasks.Number, Doc: "A level."},
			{Name: "wait", Kind: tasks.Duration, Doc: "A time."},
			{Name: "stamp", Kind: tasks.StringMap, Doc: "Some pairs."},
			{Name: "modules", Kind: tasks.StageRef, Doc: "Another stage."},
			{Name: "extra", Kind: tasks.Any, Doc: "Anything."},
			{Name: "inner", Kind: tasks.Bool, Doc: "Whether to make an inner step."},
		},
		Blocks: []tasks.Nested{
			{Type: "size", Doc: "Size.", Attrs: []tasks.Attr{{Name: "strip", Kind: tasks.Bool, Doc: "Strip."}}},
			{Type: "tool", Labels: []string{"name"}, Doc: "A tool.", Attrs: []tasks.Attr{{Name: "path", Kind: tasks.Path, Required: true, Doc: "Where it is."}}},
		},
	}
}

func (f fakeTask) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	if f.seen != nil {
		f.mu.Lock()
		*f.seen = append(*f.seen, b)
		f.mu.Unlock()
	}
	s := b.NewStep(engine.InProcess)
	s.Command.Arguments = []string{"airbuild:make", "1", b.String("text")}
	for _, p := range append(b.Paths("files"), b.Paths("file")...) {
		tasks.AddInput(&s, p.Input())
	}
	if dirOutputs := b.Strings("outputs"); len(dirOutputs) > 0 {
		s.Command.WorkingDirectory = b.WorkingDirectory()
		tasks.SetOutputs(&s, dirOutputs, nil)
	}
	if b.Has("output") {
		tasks.SetOutputs(&s, []string{b.DistPath(b.String("output"))}, nil)
	}
	if !b.Bool("inner", false) {
		return []engine.Step{s}, nil
	}
	first := b.NewStep(engine.InProcess)
	first.Name += " (half)"
	tasks.SetOutputs(&first, []string{"dist/half"}, nil)
	s.After = append(s.After, b.First)
	return []engine.Step{first, s}, nil
}

// needy has a required attribute.
type needy struct{}

func (needy) Schema() *tasks.Schema {
	return &tasks.Schema{Type: "needy", Attrs: []tasks.Attr{
		{Name: "files", Kind: tasks.Paths, Required: true, Doc: "Files to read."},
		{Name: "from", Kind: tasks.StageRef, Some: true, Doc: "Another stage."},
	}}
}

func (needy) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	if len(b.Paths("files")) == 0 {
		return nil, hcl.Diagnostics{b.NoFiles("files", "Nothing to read")}
	}
	return []engine.Step{b.NewStep(engine.InProcess)}, nil
}

// A fixture is a project and what is outside of it.
type fixture struct {
	files map[string]string
	opts  Options
	seen  []*tasks.Block
}

func project(airbuildfile string) *fixture {
	return &fixture{files: map[string]string{"Airbuildfile": airbuildfile, "LICENSE": "free\n", "README.md": "# x\n"}}
}

func (f *fixture) with(name, content string) *fixture {
	f.files[name] = content
	return f
}

func (f *fixture) fs() fs.FS {
	m := fstest.MapFS{}
	for name, content := range f.files {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644}
	}
	return m
}

func (f *fixture) load() (*Plan, hcl.Diagnostics) {
	f.seen = nil
	opts := f.opts
	opts.Tasks = map[string]tasks.Task{"make": fakeTask{&f.seen, &sync.Mutex{}}, "needy": needy{}}
	for name, t := range f.opts.Tasks {
		opts.Tasks[name] = t
	}
	if opts.Inputs.LookupEnv == nil {
		opts.Inputs.LookupEnv = func(string) (string, bool) { return "", false }
	}
	if opts.Project.Environ == nil {
		opts.Project.Environ = func(name string) (string, bool) { return "value of " + name, name != "UNSET" }
	}
	opts.Inputs.HostOS, opts.Inputs.HostArch = "linux", "amd64"
	return Load(f.fs(), "Airbuildfile", opts)
}

func (f *fixture) mustLoad(t testing.TB) *Plan {
	t.Helper()
	p, diags := f.load()
	if diags.HasErrors() {
		t.Fatalf("Load:\n%s", render(diags))
	}
	return p
}

// block returns the block that the task got for a step.
func (f *fixture) block(t testing.TB, step string) *tasks.Block {
	t.Helper()
	for _, b := range f.seen {
		if b.StepName == step {
			return b
		}
	}
	t.Fatalf("no block for step %s", step)
	return nil
}

// render writes diagnostics one a paragraph, with the places that matter.
func render(diags hcl.Diagnostics) string {
	var b strings.Builder
	for _, d := range diags {
		place := ""
		if d.Subject != nil {
			place = fmt.Sprintf("%s:%d,%d-%d: ", d.Subject.Filename, d.Subject.Start.Line, d.Subject.Start.Column, d.Subject.End.Column)
		}
		fmt.Fprintf(&b, "%s%s; %s\n", place, d.Summary, d.Detail)
		if related, ok := d.Extra.(dsl.Related); ok {
			for _, r := range related {
				fmt.Fprintf(&b, "  %s: %s\n", diag.LineOf(r.Range), r.Note)
			}
		}
	}
	return b.String()
}

// names lists steps by name.
func names(p *Plan, ids []engine.StepID) []string {
	out := []string{}
	for _, id := range ids {
		out = append(out, p.Graph.Steps[id].Name)
	}
	return out
}

// needs lists what a step waits for.
func needs(t testing.TB, p *Plan, step string) []string {
	t.Helper()
	id, ok := p.Graph.Lookup(step)
	if !ok {
		t.Fatalf("no step %s", step)
	}
	return names(p, p.Graph.Needs(id))
}

func noGit([]string) (*dsl.Git, error) { return nil, errors.New("no git here") }

// A stub is a stage type of the ready-made pipelines: any attribute of the
// given names, and one output for each kind of output attribute.
type stub struct {
	name  string
	attrs []tasks.Attr
	block string
}

func stubs() map[string]tasks.Task {
	all := []stub{
		{name: "go_tidy", attrs: []tasks.Attr{{Name: "mode", Kind: tasks.String}}},
		{name: "go_vet"},
		{name: "go_test"},
		{name: "go_vendor"},
		{name: "go_build", block: "size", attrs: []tasks.Attr{
			{Name: "package", Kind: tasks.String}, {Name: "modules", Kind: tasks.StageRef},
			{Name: "output", Kind: tasks.Output}, {Name: "stamp", Kind: tasks.StringMap}, {Name: "buildvcs", Kind: tasks.Bool},
		}},
		{name: "archive", attrs: []tasks.Attr{
			{Name: "format", Kind: tasks.String}, {Name: "output", Kind: tasks.Output}, {Name: "files", Kind: tasks.Paths},
		}},
		{name: "package", attrs: []tasks.Attr{
			{Name: "format", Kind: tasks.Strings}, {Name: "name", Kind: tasks.String}, {Name: "version", Kind: tasks.String},
			{Name: "summary", Kind: tasks.String}, {Name: "maintainer", Kind: tasks.String}, {Name: "license", Kind: tasks.String},
			{Name: "license_file", Kind: tasks.Path}, {Name: "lintian_overrides", Kind: tasks.Strings}, {Name: "binaries", Kind: tasks.Paths},
		}},
		{name: "checksum", attrs: []tasks.Attr{{Name: "files", Kind: tasks.Paths}}},
	}
	byType := map[string]tasks.Task{}
	for _, s := range all {
		byType[s.name] = s
	}
	return byType
}

func (s stub) Schema() *tasks.Schema {
	schema := &tasks.Schema{Type: s.name, Attrs: s.attrs}
	if s.block != "" {
		schema.Blocks = []tasks.Nested{{Type: s.block, Attrs: []tasks.Attr{{Name: "strip", Kind: tasks.Bool}, {Name: "trimpath", Kind: tasks.Bool}}}}
	}
	return schema
}

func (s stub) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	step := b.NewStep(engine.Workspace)
	for _, p := range b.Paths("files") {
		tasks.AddInput(&step, p.Input())
	}
	switch {
	case b.Has("output"):
		tasks.SetOutputs(&step, []string{b.DistPath(b.String("output"))}, nil)
	case s.name == "checksum":
		tasks.SetOutputs(&step, []string{b.DistPath("checksums.txt")}, nil)
	case s.name == "go_vendor":
		tasks.SetOutputs(&step, nil, []string{"vendor"})
	}
	return []engine.Step{step}, nil
}
