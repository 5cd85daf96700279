package golang

import (
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// vet is the stage type go_vet.
type vet struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*vet) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_vet",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Compiles: true, ToolchainOnly: true}},
		Doc:    "Runs go vet on packages and their tests.",
		Attrs: []tasks.Attr{
			{Name: "packages", Kind: tasks.Strings, Default: "[\"./...\"]", Doc: "The packages to vet."},
			tagsAttr(),
			{Name: "flags", Kind: tasks.Strings, Doc: "Additional flags for go vet, such as \"-copylocks=false\"."},
			cgoAttr(), modulesAttr(), modAttr(),
		},
		Blocks: []tasks.Nested{cgoBlock()},
	}
}

// Plan implements tasks.Task.
func (t *vet) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	c, diags := planPackages(t.cfg, b, "./...")
	if diags.HasErrors() {
		return nil, diags
	}
	argv := append([]string{"go", "vet"}, c.flags...)
	// With -trimpath what is compiled is found again in every other directory.
	argv = append(argv, "-buildvcs=false", "-trimpath")
	argv = append(argv, b.Strings("flags")...)
	c.step.Command.Arguments = append(argv, c.patterns...)
	addRefs(&c.step, b, "modules")
	c.closure.Test, c.closure.Vetted = true, true
	closure.AddDiscoverer(&c.step, c.closure)
	return []engine.Step{c.step}, diags
}

// A check is a go command that works on packages and makes no binary.
type check struct {
	module   *gocmd.Module
	step     engine.Step
	closure  *closure.Closure
	flags    []string
	patterns []string
}

// planPackages plans what go vet and go test have in common.
func planPackages(cfg *gocmd.Config, b *tasks.Block, def string) (*check, hcl.Diagnostics) {
	m, diags := gocmd.ModuleOf(b)
	if diags.HasErrors() {
		return nil, diags
	}
	c := &check{module: m}
	p, diags := target(b)
	diags = append(diags, oneArch(b, p)...)
	mode, more := modules(b, m)
	diags = append(diags, more...)
	c.patterns, more = packages(b, "packages", def)
	diags = append(diags, more...)
	diags = append(diags, checkCgoLabels(b)...)
	if diags.HasErrors() {
		return nil, diags
	}
	c.step = newStep(b, m, cfg)
	setPlatform(&c.step, p)
	if more := setCgo(&c.step, b, p, false); more.HasErrors() {
		return nil, append(diags, more...)
	}
	mode.Apply(&c.step)
	c.flags = listFlags(b, mode)
	c.closure = closure.Of(cfg, b, m, mode, &c.step, c.flags, slices.Clone(c.patterns))
	return c, diags
}
