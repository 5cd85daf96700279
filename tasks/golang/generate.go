package golang

import (
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// generate is the stage type go_generate.
type generate struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*generate) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_generate",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Command: true}},
		Doc:    "Runs the go:generate directives of packages in a copy of the module, and copies the declared outputs back.",
		Attrs: []tasks.Attr{
			{Name: "packages", Kind: tasks.Strings, Default: "[\"./...\"]", Doc: "The packages whose go:generate directives run."},
			{Name: "outputs", Kind: tasks.Outputs, InDir: true, Required: true, Doc: "The generated files and directories (with a trailing slash); the next run does not read them unless `inputs` names them."},
			{Name: "tools", Kind: tasks.Strings, Doc: "Programs that the directives run, in addition to go; their content is part of the cache key."},
			{Name: "tags", Kind: tasks.Strings, Doc: "Build tags."},
			{Name: "run", Kind: tasks.String, Doc: "A regular expression: only matching directives run."},
			{Name: "skip", Kind: tasks.String, Doc: "A regular expression: matching directives are skipped."},
		},
	}
}

// Plan implements tasks.Task.
func (t *generate) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	m, diags := gocmd.ModuleOf(b)
	if diags.HasErrors() {
		return nil, diags
	}
	patterns, diags := packages(b, "packages", "./...")
	s := b.NewStep(engine.Staged)
	s.Command.WorkingDirectory = b.WorkingDirectory()
	s.Discoverer = closure.NewDiscoverers(t.cfg)
	setWork(&s, m)
	files, dirs := generated(b)
	if len(files)+len(dirs) == 0 {
		diags = append(diags, b.Error("outputs", "No outputs", "Say which files and directories are generated."))
	}
	var progs tasks.Programs
	for _, tool := range b.Strings("tools") {
		progs = progs.Add(b.FindProgram(b.RangeOf("tools"), tool))
	}
	if diags.HasErrors() {
		return nil, diags
	}
	closure.AddDiscoverer(&s, progs)
	argv := []string{"go", "generate"}
	if tags := b.Strings("tags"); len(tags) > 0 {
		argv = append(argv, "-tags="+joinTags(tags))
	}
	for _, name := range []string{"run", "skip"} {
		if b.Has(name) {
			argv = append(argv, "-"+name+"="+b.String(name))
		}
	}
	s.Command.Arguments = append(argv, patterns...)
	tasks.SetOutputs(&s, files, dirs)
	addRefs(&s, b, "outputs")
	if len(b.Meta.Inputs)+len(b.Meta.InputRefs) == 0 {
		addModuleSource(&s, b, m, append(files, dirs...))
	} else {
		// The go command starts nothing outside a module.
		addModuleFiles(&s, m)
	}
	return []engine.Step{s}, diags
}

// generated splits the outputs into files and directories, which have a slash
// at their end.
func generated(b *tasks.Block) (files, dirs []string) {
	for _, p := range b.Strings("outputs") {
		clean := path.Clean(p)
		if strings.HasSuffix(p, "/") {
			dirs = append(dirs, clean)
		} else {
			files = append(files, clean)
		}
	}
	return files, dirs
}

// addModuleSource makes all files of the module, of those in its workspace and
// of those that replace others the inputs, but for what is generated.
func addModuleSource(s *engine.Step, b *tasks.Block, m *gocmd.Module, outputs []string) {
	for _, root := range m.Roots() {
		patterns := []string{"**"}
		for _, o := range outputs {
			if rel, ok := below(root, b.DirPath(o)); ok {
				patterns = append(patterns, "!"+rel, "!"+rel+"/**")
			}
		}
		s.Inputs = append(s.Inputs, engine.GlobInput(root, patterns...))
	}
	addModuleFiles(s, m)
	if m.Vendored && m.Work != "" {
		s.Inputs = append(s.Inputs, engine.GlobInput(m.VendorDir, "**"))
	}
}

// below returns p relative to dir if it is inside it.
func below(dir, p string) (string, bool) {
	rel := gocmd.Relative(dir, p)
	return rel, rel != "." && rel != ".." && !strings.HasPrefix(rel, "../")
}
