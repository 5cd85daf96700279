package golang

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// moduleRoot is moduleOf for stage types that work on a module as a whole:
// their dir must be where the go.mod, or the go.work, is.
func moduleRoot(b *tasks.Block) (*gocmd.Module, hcl.Diagnostics) {
	m, diags := gocmd.ModuleOf(b)
	if diags.HasErrors() {
		return nil, diags
	}
	if m.Root == b.Meta.Dir || m.Work == b.Meta.Dir && m.Work != "" {
		return m, nil
	}
	return nil, hcl.Diagnostics{b.Error("dir", "Not a module's directory",
		fmt.Sprintf("A %s stage works on a whole module, whose go.mod is in %q. Set dir = %q.", b.Type, m.Root, m.Root))}
}

// newStep begins a step that runs the go command in the workspace.
func newStep(b *tasks.Block, m *gocmd.Module, cfg *gocmd.Config) engine.Step {
	s := b.NewStep(engine.Workspace)
	s.Command.WorkingDirectory = b.WorkingDirectory()
	setWork(&s, m)
	s.Discoverer = closure.NewDiscoverers(cfg)
	s.Estimate = estimates[b.Type]
	return s
}

// estimates are what the go command takes for some ten thousand lines, nothing
// of them compiled. Tests come first of what may start: they take longest, and
// whatever is built meanwhile does not wait for them.
var estimates = map[string]time.Duration{
	"go_test":  2 * time.Minute,
	"go_build": 20 * time.Second,
	"go_vet":   10 * time.Second,
}

// setWork shuts out a go.work that does not govern, such as one above the
// project.
func setWork(s *engine.Step, m *gocmd.Module) {
	if m.Work == "" {
		tasks.SetEnv(s, "GOWORK", "off")
	}
}

// target returns the platform that a step is for: the cell's, or the host's.
func target(b *tasks.Block) (tasks.Platform, hcl.Diagnostics) {
	if b.Platform != nil {
		return *b.Platform, nil
	}
	p, err := gocmd.ParsePlatform(b.Project.HostOS + "/" + b.Project.HostArch)
	if err != nil {
		return p, hcl.Diagnostics{b.Error("", "Unknown host", err.Error())}
	}
	return p, nil
}

// name writes a platform as it is written in an Airbuildfile.
func name(p tasks.Platform) string {
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

// setPlatform pins the target in the command's environment. Steps for one
// target share the packages that the go command compiles.
func setPlatform(s *engine.Step, p tasks.Platform) {
	s.Group = "go " + name(p)
	for _, e := range p.Env {
		k, v, _ := strings.Cut(e, "=")
		tasks.SetEnv(s, k, v)
		if k == "GOARM" && p.Variant == "" {
			s.Assumed = append(s.Assumed, fmt.Sprintf("%s has no variant: GOARM=%s, the go command's default when it cross-compiles; for older processors: %s/v6 or %s/v5", name(p), v, name(p), name(p)))
		}
	}
}

// oneArch refuses the universal platform for what runs on one architecture.
func oneArch(b *tasks.Block, p tasks.Platform) hcl.Diagnostics {
	if p.Arch != gocmd.Universal {
		return nil
	}
	return hcl.Diagnostics{b.Error("", "Platform is for binaries only",
		fmt.Sprintf("%s joins two builds into one file. Use darwin/arm64 or darwin/amd64 in a %s stage.", gocmd.UniversalPort, b.Type))}
}

// modules decides how a step finds its modules: as `modules` and `mod` say, or
// as the go command would.
func modules(b *tasks.Block, m *gocmd.Module) (closure.ModMode, hcl.Diagnostics) {
	mode := closure.ModMode{Flag: "readonly"}
	if m.Vendored {
		mode.Flag = "vendor"
	}
	if !b.Has("modules") {
		mode.Flag = b.StringOr("mod", mode.Flag)
		return mode, nil
	}
	for _, st := range b.Stages("modules") {
		if len(st.Steps) == 0 {
			mode.Flag = b.StringOr("mod", mode.Flag) // its when is false
			continue
		}
		if len(st.Steps) != 1 || len(st.Steps[0].Outputs) != 1 {
			return mode, hcl.Diagnostics{b.Error("modules", "One module tree required",
				fmt.Sprintf("Stage %q has several cells. Refer to one of them: stage.%s[\"…\"].", st.Name, st.Name))}
		}
		out := st.Steps[0].Outputs[0]
		mode.After = append(mode.After, st.Steps[0].ID)
		switch st.Type {
		case "go_vendor":
			if out != m.VendorDir {
				return mode, hcl.Diagnostics{b.Error("modules", "Vendor directory of another module",
					fmt.Sprintf("Stage %q fills %s; this stage's module is in %q and reads %s.", st.Name, out, m.Root, m.VendorDir))}
			}
			mode.Flag = "vendor"
		case "go_download":
			mode.Flag, mode.Proxy = "readonly", out
		default:
			return mode, hcl.Diagnostics{b.Error("modules", "Not a stage with modules",
				fmt.Sprintf("Stage %q is of type %s. Refer to a go_vendor or a go_download stage.", st.Name, st.Type))}
		}
	}
	if set := b.StringOr("mod", mode.Flag); set != mode.Flag {
		if mode.Flag == "vendor" || set == "vendor" {
			return mode, hcl.Diagnostics{b.Error("mod", "Does not go with modules",
				fmt.Sprintf("The stage that modules refers to needs mod = %q. Leave mod out.", mode.Flag))}
		}
		mode.Flag = set
	}
	return mode, nil
}

// outPath writes a project-relative output as seen from the step's working
// directory.
func outPath(b *tasks.Block, p string) string { return gocmd.Relative(b.Meta.Dir, p) }

// packages returns the packages that a stage names, with the default.
func packages(b *tasks.Block, attr, def string) ([]string, hcl.Diagnostics) {
	ps := b.Strings(attr)
	if len(ps) == 0 {
		return []string{def}, nil
	}
	var diags hcl.Diagnostics
	for _, p := range ps {
		if d := badPackage(b, attr, p); d != nil {
			diags = append(diags, d)
		}
	}
	return ps, diags
}

// badPackage says what is wrong with a package's name: a flag, an absolute
// path, or a place outside the project.
func badPackage(b *tasks.Block, attr, p string) *hcl.Diagnostic {
	switch {
	case p == "" || strings.HasPrefix(p, "-"):
		return b.Error(attr, "Bad package", fmt.Sprintf("%q is not a package. Write an import path, or a path such as \"./cmd/app\".", p))
	case path.IsAbs(p) || strings.Contains(p, `\`) || len(p) > 1 && p[1] == ':':
		return b.Error(attr, "Bad package", fmt.Sprintf("%q is an absolute path. Write it relative to the stage's dir, with slashes.", p))
	case strings.HasPrefix(p, "../") || p == "..":
		if _, ok := gocmd.InProject(b.Meta.Dir, p); !ok {
			return b.Error(attr, "Bad package", fmt.Sprintf("%q is outside the project.", p))
		}
	case path.Ext(p) == ".go":
		return b.Error(attr, "Bad package", fmt.Sprintf("%q is a file. Write the package's directory.", p))
	case strings.Contains(p, "@"):
		return b.Error(attr, "Bad package", fmt.Sprintf("%q has a version. Add the module to go.mod (`go get -tool %s`) and leave the version out.", p, p))
	case !strings.HasPrefix(p, ".") && !strings.ContainsAny(p, ".") && strings.Contains(p, "/") && dirExists(b, p):
		return b.Error(attr, "Bad package", fmt.Sprintf("%q would be a package of the standard library. Did you mean \"./%s\"?", p, p))
	}
	return nil
}

// dirExists reports whether a path relative to the stage's dir is a directory.
func dirExists(b *tasks.Block, p string) bool {
	return gocmd.IsDir(b.Project.Files, b.DirPath(p))
}
