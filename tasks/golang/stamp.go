package golang

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/buildvcs"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// stamp is what buildvcs has go build write into the program; nil for nothing. If it
// is not set, it is on where the program reads its own version; what was decided is
// added to assumed.
func (bin *program) stamp(assumed *[]string) (*buildvcs.Stamp, hcl.Diagnostics) {
	b, reads := bin.b, ""
	if b.Project.FindBuild == nil {
		return nil, nil
	}
	if !b.Has("buildvcs") {
		reads = bin.readsBuildInfo()
	}
	if !b.Bool("buildvcs", reads != "") {
		return nil, nil
	}
	c, err := b.Project.FindBuild()
	d := bin.cannotStamp(c, err)
	switch {
	case d == nil:
	case reads == "":
		return nil, hcl.Diagnostics{d}
	case err == nil:
		*assumed = append(*assumed, fmt.Sprintf("buildvcs is not set: %s reads the program's version, and the program has none. %s", reads, d.Detail))
		return nil, nil
	default: // git is there, and what a release is called must not depend on that it works
		d.Severity = hcl.DiagWarning
		return nil, hcl.Diagnostics{d}
	}
	if reads != "" {
		*assumed = append(*assumed, fmt.Sprintf("buildvcs is not set: the program is stamped with its version, because %s reads it; to build without: buildvcs = false", reads))
	}
	s := &buildvcs.Stamp{Hash: c.Hash, Time: c.Time, Modified: c.Modified, Versions: map[string]string{}}
	files := b.Project.Files
	r := &buildvcs.Repository{
		Hash: c.Hash, Time: c.Time, Modified: c.Modified, Root: c.Module, Tags: c.Tags, Ancestors: c.Ancestors,
		Mod: func(file string) (string, bool) {
			if p, differs := c.Mods[file]; differs {
				return p, p != ""
			}
			if file == "go.mod" && c.Folder != "" {
				return c.Module, c.Module != ""
			}
			if c.Folder != "" {
				rel, inside := strings.CutPrefix(file, c.Folder+"/")
				if !inside {
					return "", false
				}
				file = rel
			}
			p := modulePath(files, file)
			return p, p != ""
		},
	}
	for _, dir := range bin.mainModules() {
		if p := modulePath(files, path.Join(dir, "go.mod")); p != "" {
			s.Versions[p] = r.Version(p)
		}
	}
	return s, nil
}

// cannotStamp says why nothing is stamped.
func (bin *program) cannotStamp(c *tasks.Commit, err error) *hcl.Diagnostic {
	b := bin.b
	const moved = "The project is not in a git repository whose .git is a directory, so the go command gets it under another path"
	_, atHand := bin.cfg.Repository()
	switch {
	case err != nil:
		return b.Error("buildvcs", "The commit cannot be read", "What is stamped into the program is not known: "+err.Error()+". To build without: buildvcs = false.")
	case c == nil:
		d := b.Error("buildvcs", "Nothing to stamp", "There is no git repository here, and no source.json that has what go build stamps.")
		d.Severity = hcl.DiagWarning
		return d
	case !atHand && !b.Bool("size.trimpath", true):
		return b.Error("buildvcs", "Needs trimpath here", moved+", which would be in the program. Set trimpath = true, or buildvcs = false.")
	case !atHand && bin.m.Outside:
		return b.Error("buildvcs", "Module outside the project", moved+", from which it does not find modules outside the project. Set buildvcs = false.")
	}
	return nil
}

// readsBuildInfo returns the file by which the program reads its own version, "" for
// none. It is looked for once in a plan.
func (bin *program) readsBuildInfo() string {
	type key struct{ dir, pkg string }
	b := bin.b
	for _, p := range bin.patterns {
		if strings.Contains(p, "...") || p != "." && !strings.HasPrefix(p, "./") && !strings.HasPrefix(p, "../") {
			continue // several, or a package of a dependency
		}
		pkg := b.DirPath(p)
		dir := bin.m.Root
		if bin.m.Work != "" {
			dir = deepest(bin.m.Uses, pkg)
		}
		if dir == "" {
			continue
		}
		look := sync.OnceValue(func() string { return gocmd.ReadsBuildInfo(b.Project.Files, dir, pkg) })
		if b.Project.Memo != nil {
			shared, _ := b.Project.Memo.LoadOrStore(key{dir, pkg}, look)
			look = shared.(func() string)
		}
		if file := look(); file != "" {
			return file
		}
	}
	return ""
}

// deepest is the one of several directories that is nearest above another, "" if none
// is.
func deepest(dirs []string, at string) string {
	best := ""
	for _, d := range dirs {
		if (d == "." || at == d || strings.HasPrefix(at, d+"/")) && (best == "" || best == "." || len(d) > len(best)) {
			best = d
		}
	}
	return best
}

// modulePath is the module path in a go.mod of the project, "" if there is none.
func modulePath(files fs.FS, name string) string {
	text, err := fs.ReadFile(files, name)
	if err != nil {
		return ""
	}
	return modfile.ModulePath(text)
}

// mainModules are the directories of the main modules that the program's packages may
// be of: in a workspace those of the packages, all where a pattern or an import path
// leaves it open.
func (bin *program) mainModules() []string {
	m := bin.m
	if m.Work == "" {
		return []string{m.Root}
	}
	var dirs []string
	for _, p := range bin.patterns {
		if strings.Contains(p, "...") || p != "." && !strings.HasPrefix(p, "./") && !strings.HasPrefix(p, "../") {
			return m.Uses
		}
		if dir := deepest(m.Uses, bin.b.DirPath(p)); dir != "" {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}
