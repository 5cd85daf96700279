package golang

import (
	"fmt"
	"path"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// tidy is the stage type go_tidy.
type tidy struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*tidy) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_tidy",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Rebuilt: true}},
		Doc:    "Checks that go.mod and go.sum match the source's imports, or updates them; a passed check needs no network until they or the imports change.",
		Attrs: []tasks.Attr{
			{Name: "mode", Kind: tasks.String, Enum: []string{"check", "fix"}, Default: "check", Doc: "\"check\" fails and prints the difference; \"fix\" rewrites go.mod and go.sum."},
			{Name: "compat", Kind: tasks.String, Default: "the Go version before go.mod's", Doc: "The Go version whose module loading must continue to work (-compat)."},
			modulesSource(),
		},
	}
}

// modulesSource is the modules attribute of stage types that only download.
func modulesSource() tasks.Attr {
	return tasks.Attr{Name: "modules", Kind: tasks.StageRef, Default: "the network, through GOPROXY", Doc: "A go_download stage; its module tree is then the only source of modules."}
}

// Plan implements tasks.Task.
func (t *tidy) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	m, diags := moduleRoot(b)
	if diags.HasErrors() {
		return nil, diags
	}
	if m.Path == "" {
		return nil, hcl.Diagnostics{b.Error("dir", "No Go module",
			fmt.Sprintf("There is only a go.work in %q, and go mod tidy works on one module. Set dir to a module's directory: %s. A matrix over them makes one cell per module.", b.Meta.Dir, strings.Join(m.Uses, ", ")))}
	}
	// Tidying is about one module: a workspace would lend it requirements.
	m.Work, m.Uses = "", nil
	s := newStep(b, m, t.cfg)
	mode, diags := downloadOnly(b)
	if diags.HasErrors() {
		return nil, diags
	}
	mode.Apply(&s)
	s.Network = closure.Network(b)
	args := []string{"mod", "tidy"}
	if b.Has("compat") {
		args = append(args, "-compat="+b.String("compat"))
	}
	if b.String("mode") == "fix" {
		mod, sum := b.DirPath("go.mod"), b.DirPath("go.sum")
		// Go finds the go.sum beside the go.mod that -modfile names.
		args = append(args, "-modfile="+outMark+"/"+mod)
		if err := tasks.SetTool(&s, gomodName, gomodVersion, gomodSpec{Args: args, Files: []string{mod, sum}}); err != nil {
			return nil, append(diags, b.Error("mode", "Cannot plan the fix", err.Error()))
		}
		tasks.SetOutputs(&s, []string{"go.mod", "go.sum"}, nil)
	} else {
		s.Command.Arguments = append(append([]string{"go"}, args...), "-diff")
		tasks.SetOutputs(&s, nil, nil)
	}
	addModuleFiles(&s, m)
	closure.AddDiscoverer(&s, &closure.Imports{Roots: m.Roots(), Dist: b.Project.Dist, Vendor: m.VendorDir})
	return []engine.Step{s}, diags
}

// downloadOnly is modules for stage types that make the vendor directory, or
// that would contradict it.
func downloadOnly(b *tasks.Block) (closure.ModMode, hcl.Diagnostics) {
	mode := closure.ModMode{}
	for _, st := range b.Stages("modules") {
		if len(st.Steps) == 0 {
			continue // its when is false
		}
		if st.Type != "go_download" || len(st.Steps) != 1 || len(st.Steps[0].Outputs) != 1 {
			return mode, hcl.Diagnostics{b.Error("modules", "Not a tree of modules", "Refer to a go_download stage without cells, or to one of its cells.")}
		}
		mode.Proxy = st.Steps[0].Outputs[0]
		mode.After = append(mode.After, st.Steps[0].ID)
	}
	return mode, nil
}

// addModuleFiles makes go.mod and its like inputs; those that are not there
// may appear.
func addModuleFiles(s *engine.Step, m *gocmd.Module) {
	for _, f := range m.Files() {
		in := engine.FileInput(f)
		in.Optional = path.Base(f) != "go.mod"
		tasks.AddInput(s, in)
	}
}
