package gocmd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	goversion "go/version"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// A Module is the Go module, and the workspace if there is one, that governs a
// directory of the project. All paths are project-relative, "." for its root.
type Module struct {
	Root      string // where go.mod is
	Path      string // of the module: "example.com/m"
	Go        string // the go line's version, "1.22"; "" if there is none
	Work      string // the directory of the go.work that governs, or ""
	WorkGo    string // its go line
	Uses      []string
	Replaced  []string // directories in the project that replace modules
	Outside   bool     // a module outside the project is used or replaces another
	Requires  bool     // go.mod requires anything at all
	Vendored  bool     // a vendor directory stands for the module cache, as Go decides it
	VendorDir string   // where it is or would be
}

// errNoModule says that no go.mod governs a directory.
var errNoModule = errors.New("no go.mod")

// FindModule reads the module that governs dir, and unless alone is set the
// workspace. It looks no further than the project: what is above it cannot be
// carried along.
func FindModule(project fs.FS, dir string, alone bool) (*Module, error) {
	m := &Module{}
	if !alone {
		if err := m.readWork(project, dir); err != nil {
			return nil, err
		}
	}
	root, ok := ascend(project, dir, "go.mod")
	if !ok {
		if m.Work == "" || dir != m.Work {
			return nil, errNoModule
		}
		m.Root = m.Work
	} else {
		m.Root = root
		if err := m.readMod(project); err != nil {
			return nil, err
		}
		if m.Work != "" && !slices.Contains(m.Uses, m.Root) {
			m.Work, m.WorkGo, m.Uses = "", "", nil
		}
	}
	m.VendorDir = path.Join(m.Root, "vendor")
	if m.Work != "" {
		m.VendorDir = path.Join(m.Work, "vendor")
	}
	m.Vendored = m.vendored(project)
	return m, nil
}

// ascend returns the nearest directory at or above dir that holds name.
func ascend(project fs.FS, dir, name string) (string, bool) {
	for {
		if fi, err := fs.Stat(project, path.Join(dir, name)); err == nil && !fi.IsDir() {
			return dir, true
		}
		if dir == "." {
			return "", false
		}
		dir = path.Dir(dir)
	}
}

func (m *Module) readWork(project fs.FS, dir string) error {
	at, ok := ascend(project, dir, "go.work")
	if !ok {
		return nil
	}
	name := path.Join(at, "go.work")
	text, err := fs.ReadFile(project, name)
	if err != nil {
		return err
	}
	w, err := modfile.ParseWork(name, text, nil)
	if err != nil {
		return err
	}
	m.Work = at
	if w.Go != nil {
		m.WorkGo = w.Go.Version
	}
	for _, u := range w.Use {
		if p, ok := InProject(at, u.Path); ok {
			m.Uses = append(m.Uses, p)
		} else {
			m.Outside = true
		}
	}
	m.replaced(at, w.Replace)
	return nil
}

func (m *Module) readMod(project fs.FS) error {
	name := path.Join(m.Root, "go.mod")
	text, err := fs.ReadFile(project, name)
	if err != nil {
		return err
	}
	f, err := modfile.Parse(name, text, nil)
	if err != nil {
		return err
	}
	if f.Module == nil {
		return fmt.Errorf("%s: no module line", name)
	}
	m.Path = f.Module.Mod.Path
	if f.Go != nil {
		m.Go = f.Go.Version
	}
	m.Requires = len(f.Require) > 0
	m.replaced(m.Root, f.Replace)
	return nil
}

// replaced notes the directories that replace modules.
func (m *Module) replaced(base string, rs []*modfile.Replace) {
	for _, r := range rs {
		if r.New.Version != "" {
			continue
		}
		if p, ok := InProject(base, r.New.Path); ok {
			m.Replaced = append(m.Replaced, p)
		} else {
			m.Outside = true
		}
	}
}

// InProject resolves a relative path of a go.mod or go.work; ok is false for
// one that leaves the project.
func InProject(base, rel string) (string, bool) {
	if path.IsAbs(rel) {
		return "", false
	}
	p := path.Join(base, strings.ReplaceAll(rel, `\`, "/"))
	return p, p != ".." && !strings.HasPrefix(p, "../")
}

// vendored decides as the go command does when no -mod is given: a vendor
// directory counts from go 1.14 on, if it is of the same kind (of a module or
// of a workspace) as what is built.
func (m *Module) vendored(project fs.FS) bool {
	text, err := fs.ReadFile(project, path.Join(m.VendorDir, "modules.txt"))
	if err != nil {
		return false
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	workspace := bytes.HasPrefix(line, []byte("## workspace"))
	v := m.Go
	if m.Work != "" {
		v = m.WorkGo
	}
	return workspace == (m.Work != "") && v != "" && goversion.Compare("go"+v, "go1.14") >= 0
}

// Files are the files that say which modules are used, in the order in which
// a reader would look; not all need exist.
func (m *Module) Files() []string {
	var out []string
	add := func(dir string, names ...string) {
		for _, n := range names {
			if p := path.Join(dir, n); !slices.Contains(out, p) {
				out = append(out, p)
			}
		}
	}
	if m.Work != "" {
		add(m.Work, "go.work", "go.work.sum")
	}
	if m.Path != "" { // else the root of a workspace without a module of its own
		add(m.Root, "go.mod", "go.sum")
	}
	for _, u := range m.Uses {
		add(u, "go.mod", "go.sum")
	}
	for _, r := range m.Replaced {
		add(r, "go.mod")
	}
	return out
}

// Roots are the directories of all modules whose source is in the project.
func (m *Module) Roots() []string {
	out := append([]string{m.Root}, m.Uses...)
	out = append(out, m.Replaced...)
	return lists.Unique(out)
}

// ImportPath returns the import path of a package that is named as on a
// command line; dir is where that command line would be.
func (m *Module) ImportPath(dir, pkg string) string {
	if pkg != "." && pkg != ".." && !strings.HasPrefix(pkg, "./") && !strings.HasPrefix(pkg, "../") {
		return pkg
	}
	rel := Relative(m.Root, path.Join(dir, pkg))
	if rel == "." || strings.HasPrefix(rel, "..") {
		return m.Path
	}
	return path.Join(m.Path, rel)
}

// ExeName is the name that the go command gives an executable: the last
// element of the import path that is no major version.
func ExeName(importPath string) string {
	dir, elem := path.Split(importPath)
	if dir != "" && isMajor(elem) {
		elem = path.Base(dir)
	}
	return elem
}

// isMajor reports whether s is a major version element: v2, v3, …
func isMajor(s string) bool {
	if len(s) < 2 || s[0] != 'v' || s[1] == '0' || s == "v1" {
		return false
	}
	return strings.Trim(s[1:], "0123456789") == ""
}

// Relative returns target as seen from base; both are clean and
// project-relative.
func Relative(base, target string) string {
	if base == target {
		return "."
	}
	var b, t []string
	if base != "." {
		b = strings.Split(base, "/")
	}
	if target != "." {
		t = strings.Split(target, "/")
	}
	for len(b) > 0 && len(t) > 0 && b[0] == t[0] {
		b, t = b[1:], t[1:]
	}
	return strings.Join(append(slices.Repeat([]string{".."}, len(b)), t...), "/")
}

// IsDir reports whether a project-relative path is a directory.
func IsDir(project fs.FS, p string) bool {
	fi, err := fs.Stat(project, p)
	return err == nil && fi.IsDir()
}

// ReadDirs returns the names of the directories in a project-relative one.
func ReadDirs(project fs.FS, p string) []string {
	entries, err := fs.ReadDir(project, p)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() {
			out = append(out, e.Name())
		}
	}
	return out
}

// Dir is where the go command works on the whole: the workspace or the module.
func (m *Module) Dir() string {
	if m.Work != "" {
		return m.Work
	}
	return m.Root
}

// ModuleOf reads the module that governs the stage's dir.
func ModuleOf(b *tasks.Block) (*Module, hcl.Diagnostics) {
	m, err := moduleIn(b.Project, b.Meta.Dir, b.Meta.Env["GOWORK"] == "off")
	switch {
	case errors.Is(err, errNoModule):
		where := "the project"
		if b.Meta.Dir != "." {
			where = b.Meta.Dir + " or above it in the project"
		}
		return nil, hcl.Diagnostics{b.Error("dir", "No Go module",
			fmt.Sprintf("There is no go.mod in %s. Set dir to the module's directory, or make one with `go mod init`.", where))}
	case err != nil:
		return nil, hcl.Diagnostics{b.Error("dir", "Bad Go module", fmt.Sprintf("The module's files cannot be read: %v.", err))}
	}
	if b.Project.Makes != nil && b.Project.Makes(m.VendorDir) {
		// Whether an earlier run has left it there must not change the plan.
		m.Vendored = false
	}
	return m, nil
}

// A moduleKey is what is remembered of a project: its modules by directory. A
// matrix asks once a cell.
type moduleKey struct {
	dir   string
	alone bool
}

// moduleIn is findModule, once a plan.
func moduleIn(p *tasks.Project, dir string, alone bool) (*Module, error) {
	if p.Memo == nil {
		return FindModule(p.Files, dir, alone)
	}
	key := moduleKey{dir, alone}
	if m, ok := p.Memo.Load(key); ok {
		own := *m.(*Module)
		return &own, nil
	}
	m, err := FindModule(p.Files, dir, alone)
	if err != nil {
		return nil, err
	}
	own := *m
	p.Memo.Store(key, &own)
	return m, nil
}
