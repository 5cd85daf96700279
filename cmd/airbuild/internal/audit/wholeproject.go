package audit

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// wholeProject is a step's inputs, and everything else that the project has,
// apart from what the step itself makes.
func (e *executor) wholeProject(p *engine.Prepared) (*tree.Tree, error) {
	files, links := slices.Clone(p.Inputs.Files), slices.Clone(p.Inputs.Links)
	taken := lists.SetBy(files, func(f tree.File) string { return f.Path })
	for _, l := range links {
		taken[l.Path] = true
	}
	root := e.session.Root
	err := paths.Walk(root, func(name, path string, d fs.DirEntry) error {
		switch {
		case path == ".":
			return nil
		case taken[path] || makes(p.Step, path) || strings.HasPrefix(d.Name(), atomicfile.TempPrefix):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case d.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err == nil && !filepath.IsAbs(target) && filepath.IsLocal(filepath.Join(filepath.Dir(path), target)) {
				links = append(links, tree.Link{Path: path, Target: filepath.ToSlash(target)})
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		digest, err := e.session.Workspace.Digest(path)
		if err != nil {
			return err
		}
		files = append(files, tree.File{Path: path, Digest: digest, Executable: info.Mode()&0o111 != 0, Source: tree.Source{Path: name}})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return tree.Build(files, links, nil)
}

// makes reports whether a path of the project is an output of the step, or
// lies in one.
func makes(s *engine.Step, p string) bool {
	return slices.ContainsFunc(s.Command.OutputPaths, func(o string) bool {
		if s.Command.WorkingDirectory != "" {
			o = s.Command.WorkingDirectory + "/" + o
		}
		o = filepath.ToSlash(filepath.Clean(o))
		return o == p || strings.HasPrefix(p, o+"/")
	})
}
