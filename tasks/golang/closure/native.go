package closure

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// A package with C or assembly depends on files that neither go list names nor
// the go command's own cache looks at: what is included from other directories,
// headers of the system, libraries, the programs of the C compiler. They are
// found when the package is listed, by the rules of who reads them: Go's
// assembler has simple ones (assembly.go); of C the compiler is asked itself
// (ccompile.go).
//
// Files of the project become inputs like all others. Files of the host count by
// name and content in one text, at nativePath. All of them together are the
// engine.Unseen of the package.

// NativePath is where the text about files of the host lands in the input root.
const NativePath = ".airbuild/C-headers-and-libraries"

// nativeVersion is the first line of that text. It changes when what is found
// of the same files changes.
const nativeVersion = "native 1"

// A native is what a package depends on besides what go list names, with all
// that the answer depended on. It is kept in <state>/closures/c-<sha256>.json.
type native struct {
	Version int
	Files   []FileStamp
	Dirs    []dirStamp
	Deps    []string // names of files, as engine.Files has them
	Texts   []string // what else counts: the words of pkg-config
	Lost    string   // what could not be followed; such an answer is not kept
}

// A nativeSearch is the making of a native.
type nativeSearch struct {
	g    *gatherer
	p    *goPackage
	name string // of the package's directory

	deps  map[string]bool
	files map[string]bool
	dirs  map[string]names
	texts []string
	lost  string
}

func newNativeSearch(g *gatherer, p *goPackage, name string) *nativeSearch {
	return &nativeSearch{g: g, p: p, name: name, deps: map[string]bool{}, files: map[string]bool{}, dirs: map[string]names{}}
}

// lose notes what cannot be followed; the first counts.
func (s *nativeSearch) lose(format string, args ...any) {
	if s.lost == "" {
		s.lost = fmt.Sprintf(format, args...)
	}
}

// resolve names a file as engine.Files does: project-relative, or absolute.
func (s *nativeSearch) resolve(dir, file string) string {
	file = filepath.Clean(filepath.FromSlash(file))
	if !filepath.IsAbs(file) {
		file = filepath.Join(s.abs(dir), file)
	}
	if rel, ok := s.g.inside(file); ok {
		return rel
	}
	return filepath.ToSlash(file)
}

// abs is the inverse of resolve.
func (s *nativeSearch) abs(name string) string {
	if path.IsAbs(name) || filepath.IsAbs(filepath.FromSlash(name)) {
		return filepath.FromSlash(name)
	}
	return filepath.Join(s.g.files.Root(), filepath.FromSlash(name))
}

// frozen reports whether a file belongs to a tree that a version or a sum
// stands for: Go's own, or the package's module in the module cache.
func (s *nativeSearch) frozen(name string) bool {
	if _, in := s.g.inside(s.abs(name)); in {
		return false
	}
	under := func(dir string) bool {
		_, err := gocmd.RelativeInside(dir, s.abs(name))
		return dir != "" && err == nil
	}
	m := s.p.Module
	return s.g.tc.Release && under(s.g.tc.Root) || m != nil && !inTree(m) && s.g.c.Vendor == "" && under(m.Dir)
}

// take makes a file one that the package depends on, if there is such a file.
func (s *nativeSearch) take(name string) bool {
	if s.frozen(name) {
		_, err := os.Stat(s.abs(name))
		return err == nil
	}
	if s.deps[name] {
		return true
	}
	if _, err := s.g.files.Digest(name); err != nil {
		return false
	}
	s.deps[name], s.files[name] = true, true
	return true
}

// absent makes the answer depend on whether a file appears: at each of the
// elements of its name the directory is watched, as far as there is one.
func (s *nativeSearch) absent(dir, file string) {
	if s.frozen(dir) || dir == s.name && !strings.Contains(file, "/") && load.SourceName(file) {
		return // its names are watched
	}
	full := s.resolve(dir, file)
	if rel, ok := strings.CutPrefix(full, dir+"/"); ok && dir != "." {
		file = rel
	} else {
		dir, file = path.Dir(full), path.Base(full)
	}
	for {
		s.dirs[dir] = allNames
		elem, rest, more := strings.Cut(file, "/")
		entries, err := s.g.files.ReadDir(dir)
		if err != nil || !more || !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == elem }) {
			return
		}
		dir, file = path.Join(dir, elem), rest
	}
}

// done closes the search. Files that go list names are left out of the answer:
// the go command looks at them itself.
func (s *nativeSearch) done() (*native, error) {
	n := &native{Version: recordVersion, Texts: s.texts, Lost: s.lost}
	for _, f := range s.p.sources(false) {
		own := s.resolve(s.name, f)
		delete(s.deps, own)
		if !s.frozen(own) {
			s.files[own] = true
		}
	}
	n.Deps = slices.Sorted(maps.Keys(s.deps))
	for _, f := range slices.Sorted(maps.Keys(s.files)) {
		d, err := stampFile(s.g.files, f)
		if err != nil {
			return nil, err
		}
		n.Files = append(n.Files, FileStamp{f, d})
	}
	for _, dir := range slices.Sorted(maps.Keys(s.dirs)) {
		names, err := stampDir(s.g.files, dir, s.dirs[dir], s.g.c.Dist)
		if err != nil {
			return nil, err
		}
		n.Dirs = append(n.Dirs, dirStamp{dir, s.dirs[dir], names})
	}
	return n, nil
}

// native takes in what a package depends on besides its own directory.
func (g *gatherer) native(ctx context.Context, land, name string, p *goPackage) error {
	var n *native
	var err error
	switch {
	case len(p.CgoFiles)+len(p.SwigFiles)+len(p.SwigCXXFiles) > 0:
		n, err = g.remembered(ctx, p, name)
	case len(p.SFiles) > 0 && !g.std(p):
		s := newNativeSearch(g, p, name)
		if !s.assembly() {
			return nil
		}
		n, err = s.done()
	default:
		return nil
	}
	if err != nil {
		return err
	}
	for _, f := range n.Files {
		g.depends[f.P] = true
	}
	for _, d := range n.Dirs {
		g.watch(d.P, d.K)
	}
	h := fmt.Appendf(nil, "%q\n", n.Texts)
	for _, dep := range n.Deps {
		d, err := g.files.Digest(dep)
		if err != nil {
			return fmt.Errorf("read a file that it includes or links: %w", err)
		}
		h = fmt.Appendf(h, "%q %s\n", dep, d)
		switch {
		case !path.IsAbs(dep) && !filepath.IsAbs(dep):
			g.inputs[dep] = ""
		case path.IsAbs(name) && strings.HasPrefix(dep, name+"/"):
			g.inputs[path.Join(land, strings.TrimPrefix(dep, name))] = dep
		default:
			g.host[path.Base(dep)+" "+d.String()] = true
		}
	}
	for _, t := range n.Texts {
		g.host[t] = true
	}
	if dir, ok := g.identifying(p, name); ok {
		g.host["directory of "+p.ImportPath+" "+dir] = true
		g.idDirs = append(g.idDirs, dir)
	}
	g.host[nativeVersion] = true
	part := engine.Unseen{Part: p.ImportPath, Digest: action.Of(h)}
	if n.Lost != "" {
		part.Digest = action.Digest{}
		g.lost = append(g.lost, p.ImportPath+": "+n.Lost)
	}
	g.unseen = append(g.unseen, part)
	return nil
}

// identifying returns the directory of a package that is counted in the build id
// of what is linked with it, if it is another one on other hosts: LDFLAGS with
// ${SRCDIR} are in Go's action ids as they are, with -trimpath too.
func (g *gatherer) identifying(p *goPackage, name string) (string, bool) {
	dir := filepath.ToSlash(p.Dir)
	if !g.c.Identified || !slices.ContainsFunc(p.CgoLDFLAGS, func(f string) bool { return strings.Contains(f, dir) }) {
		return "", false
	}
	fixed := len(g.c.HostDirs) == 0 && (!path.IsAbs(name) && !filepath.IsAbs(name) || p.Module != nil && !inTree(p.Module))
	return dir, !fixed
}

// std reports whether a package is Go's own, for which its version stands.
func (g *gatherer) std(p *goPackage) bool {
	_, in := g.inside(p.Dir)
	return p.Standard && !in
}

// remembered asks the C compiler, unless the answer is known and nothing that it
// depends on has changed.
func (g *gatherer) remembered(ctx context.Context, p *goPackage, name string) (*native, error) {
	q, err := json.Marshal(struct {
		Name, Go, Root string
		Env            []action.EnvVar
		Compilers      map[string]string
		Package        *goPackage
	}{name, g.tc.Version, g.tc.Root, g.c.Env, g.c.Compilers, p})
	if err != nil {
		return nil, err
	}
	mem := memory{files: g.files, name: "c-" + action.Of(q).Hex()}
	if b, err := os.ReadFile(mem.path()); err == nil {
		n := &native{}
		if json.Unmarshal(b, n) == nil && n.Version == recordVersion && n.Lost == "" && mem.holds(&Record{Files: n.Files, Dirs: n.Dirs, Dist: g.c.Dist}) {
			return n, nil
		}
	}
	n, err := g.askCompiler(ctx, p, name)
	if err != nil || n.Lost != "" {
		return n, err
	}
	b, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	return n, gocmd.WriteState(mem.path(), b)
}

// assembly follows what Go's assembler includes. It reports whether anything of
// it is unknown to the go command's cache. An #include is looked for in the
// package's directory, whoever includes, then in the toolchain's, then in those
// of -I.
func (s *nativeSearch) assembly() bool {
	unseen := len(s.g.c.AsmDirs) > 0
	own := lists.Set(s.p.sources(false))
	queue := slices.Clone(s.p.SFiles)
	seen := map[string]bool{}
	for len(queue) > 0 {
		file := s.resolve(s.name, queue[0])
		queue = queue[1:]
		if seen[file] {
			continue
		}
		seen[file] = true
		text, err := os.ReadFile(s.abs(file))
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) {
				s.lose("%s cannot be read", file)
			}
			continue
		}
		for _, include := range spelledIn(text).names {
			found := false
			for i, dir := range append([]string{s.name, filepath.ToSlash(filepath.Join(s.g.tc.Root, "pkg", "include"))}, s.g.c.AsmDirs...) {
				if i == 1 && include == "go_asm.h" {
					found = true // the compiler writes it
					break
				}
				at := s.resolve(s.name, include)
				if i > 0 {
					at = s.resolve(s.resolve(s.name, dir), include)
				}
				if s.take(at) {
					if i == 0 && !own[include] || i > 1 {
						unseen = true
					}
					if i != 1 {
						queue = append(queue, s.abs(at))
					}
					found = true
					break
				}
				s.absent(path.Dir(at), path.Base(at))
			}
			if !found {
				unseen = true
			}
		}
	}
	return unseen
}
