package golang

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// vendor is the stage type go_vendor.
type vendor struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*vendor) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_vendor",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Rebuilt: true}},
		Doc:    "Writes the packages that the source imports to vendor/ in the directory of the module or workspace; the result is cached until go.mod, go.sum or the imports change.",
		Attrs: []tasks.Attr{
			{Name: "output", Kind: tasks.Output, InDir: true, Default: "vendor", Doc: "The directory to write; builds use it only if it is called vendor."},
			modulesSource(),
		},
	}
}

// Plan implements tasks.Task.
func (t *vendor) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	m, diags := moduleRoot(b)
	if diags.HasErrors() {
		return nil, diags
	}
	verb := "mod"
	if m.Work != "" {
		verb = "work"
		if b.Meta.Dir != m.Work {
			return nil, hcl.Diagnostics{b.Error("dir", "Part of a workspace",
				fmt.Sprintf("The go.work in %q governs this module, and a workspace has one vendor directory. Set dir = %q, or env = { GOWORK = \"off\" } together with a build that does so too.", m.Work, m.Work))}
		}
	}
	mode, diags := downloadOnly(b)
	if diags.HasErrors() {
		return nil, diags
	}
	out := b.DirPath(b.StringOr("output", "vendor"))
	s := newStep(b, m, t.cfg)
	mode.Apply(&s)
	s.Network = closure.Network(b)
	s.OwnsDirs = true
	rel := outPath(b, out)
	spec := gomodSpec{Args: []string{verb, "vendor", "-o", outMark + "/" + out}, Dirs: []string{out}}
	tasks.SetOutputs(&s, nil, []string{rel})
	addModuleFiles(&s, m)
	for _, dir := range m.Replaced {
		// What replaces a module is copied into vendor/, file by file.
		in := engine.GlobInput(dir, "**")
		in.Optional = true
		s.Inputs = append(s.Inputs, in)
	}
	closure.AddDiscoverer(&s, &closure.Imports{Roots: m.Roots(), Dist: b.Project.Dist, Vendor: out})
	closure.AddDiscoverer(&s, outsideReplacements{modFiles: m.Files()})
	return b.ToolStep(s, gomodName, gomodVersion, spec, diags)
}

// outsideReplacements is the InputDiscoverer of the directories outside the project that
// replace modules: all their files, which are copied into vendor/, or their
// go.mod only.
type outsideReplacements struct {
	modFiles []string
	modOnly  bool
}

// Discover implements engine.InputDiscoverer.
func (o outsideReplacements) Discover(_ context.Context, files engine.Files) (engine.Discovery, error) {
	var l engine.Discovery
	for _, name := range o.modFiles {
		text, err := os.ReadFile(filepath.Join(files.Root(), filepath.FromSlash(name)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return l, err
		}
		dirs, err := outsideDirs(files.Root(), name, text)
		if err != nil {
			return l, err
		}
		for mod, dir := range dirs {
			if o.modOnly {
				l.Inputs = append(l.Inputs, engine.Input{Kind: engine.FromFile,
					Path: path.Join(closure.OutsidePath, mod, "go.mod"), File: filepath.ToSlash(filepath.Join(dir, "go.mod"))})
				continue
			}
			if err := addOutside(&l, files, path.Join(closure.OutsidePath, mod), dir); err != nil {
				return l, fmt.Errorf("read the replacement of %s: %w", mod, err)
			}
		}
	}
	slices.SortFunc(l.Inputs, func(a, b engine.Input) int { return strings.Compare(a.Path, b.Path) })
	return l, nil
}

// outsideDirs returns the absolute directories outside the project that a
// go.mod or go.work puts in the place of modules, by module path.
func outsideDirs(root, name string, text []byte) (map[string]string, error) {
	var replaces []*modfile.Replace
	switch path.Base(name) {
	case "go.mod":
		f, err := modfile.Parse(name, text, nil)
		if err != nil {
			return nil, err
		}
		replaces = f.Replace
	case "go.work":
		f, err := modfile.ParseWork(name, text, nil)
		if err != nil {
			return nil, err
		}
		replaces = f.Replace
	}
	dirs := map[string]string{}
	for _, r := range replaces {
		if r.New.Version != "" {
			continue
		}
		if _, ok := gocmd.InProject(path.Dir(name), r.New.Path); ok {
			continue
		}
		dir := filepath.FromSlash(r.New.Path)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(root, filepath.FromSlash(path.Dir(name)), dir)
		}
		dirs[r.Old.Path] = dir
	}
	return dirs, nil
}

// addOutside lists all files of a directory that is not in the project.
func addOutside(l *engine.Discovery, files engine.Files, land, dir string) error {
	entries, err := files.ReadDir(filepath.ToSlash(dir))
	if err != nil {
		return err
	}
	for _, e := range entries {
		at, to := filepath.Join(dir, e.Name()), path.Join(land, e.Name())
		switch {
		case e.IsDir() && e.Name() != ".git":
			if err := addOutside(l, files, to, at); err != nil {
				return err
			}
		case e.Type().IsRegular():
			l.Inputs = append(l.Inputs, engine.Input{Kind: engine.FromFile, Path: to, File: filepath.ToSlash(at)})
		}
	}
	return nil
}
