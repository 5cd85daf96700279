package closure

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/tasks/golang/load"
)

// What tests may read beside what is compiled. The go command runs the tests of
// a package in its folder, so that is where they look for files:
//
//   - everything in the folder, sources for other platforms included, and
//     everything below it;
//   - except in folders below that are packages or modules of their own: of
//     packages the sources count only if they are compiled in, of modules
//     nothing;
//   - testdata of the folders above, up to the module's;
//   - go.mod, go.sum and their like.
//
// Outputs of stages that the step does not wait for are left out.
//
// In the module's own folder, folders whose name begins with a dot, node_modules
// and vendor are left out: tools and editors keep their files there, and a fresh
// checkout has none of them.

// moduleFiles takes in the files that say which modules are used.
func (g *gatherer) moduleFiles() {
	names := g.c.ModFiles
	if g.c.Vendor != "" {
		names = append(names[:len(names):len(names)], path.Join(g.c.Vendor, "modules.txt"))
	}
	for _, f := range names {
		if _, err := g.files.Digest(f); err == nil {
			g.input(path.Dir(f), path.Dir(f), path.Base(f), true)
		}
	}
}

// testFiles takes in what the tests of the package in a directory may read.
func (g *gatherer) testFiles(land, name string, m *load.Module) {
	top := g.isTop(name, m)
	g.folder(land, name, folder{own: true, top: top})
	for land, name := land, name; !top && name != "." && name != "/"; {
		land, name = path.Dir(land), path.Dir(name)
		g.testData(land, name)
		top = g.isTop(name, m)
	}
}

// isTop reports whether a directory is a module's own.
func (g *gatherer) isTop(name string, m *load.Module) bool {
	if m == nil || m.Dir == "" {
		return true // nothing above it is known to be the module's
	}
	dir := m.Dir
	if m.Replace != nil && m.Replace.Dir != "" {
		dir = m.Replace.Dir
	}
	_, at, err := g.place(dir, m)
	return err != nil || at == name
}

// testData takes in the testdata of a directory that is no tested package.
func (g *gatherer) testData(land, name string) {
	data := path.Join(name, "testdata")
	g.watch(data, sourceNames) // whether it is there
	if _, err := g.files.ReadDir(data); err == nil && !g.ignored(data) {
		g.testDir(path.Join(land, "testdata"), data)
	}
}

// A folder is what a directory is for the tests that look into it.
type folder struct {
	own bool // their package's
	top bool // a module's
	raw bool // no package can be in it, so that all is data
}

// folder takes in a directory and what is below it.
func (g *gatherer) folder(land, name string, f folder) {
	if !f.own && g.walked[name] {
		return
	}
	g.walked[name] = g.walked[name] || !f.own
	entries, err := g.files.ReadDir(name)
	if err != nil {
		return
	}
	g.watch(name, allNames)
	if !f.own && !f.raw && has(entries, "go.mod") {
		return
	}
	for _, e := range entries {
		n := e.Name()
		child := path.Join(name, n)
		switch {
		case g.ignored(child):
		case e.IsDir() && f.top && (n[0] == '.' || n == "node_modules" || n == "vendor"):
		case e.IsDir() && n == "testdata":
			g.testDir(path.Join(land, n), child)
		case e.IsDir():
			g.folder(path.Join(land, n), child, folder{raw: f.raw || n[0] == '.' || n[0] == '_'})
		case !e.Type().IsRegular() && e.Type() != fs.ModeSymlink:
		case n == "Airbuildfile" || strings.HasSuffix(n, ".airbuild.hcl"):
		case f.own || f.raw || path.Ext(n) != ".go":
			g.testInput(land, name, n)
		}
	}
}

// testDir takes in a testdata directory: as a whole, unless something below is
// to be left out.
func (g *gatherer) testDir(land, name string) {
	if slices.ContainsFunc(g.c.Unseen, func(p string) bool { return strings.HasPrefix(p, name+"/") }) {
		g.folder(land, name, folder{raw: true})
		return
	}
	g.testInput(path.Dir(land), path.Dir(name), path.Base(name))
}

// testInput is input for what only tests read.
func (g *gatherer) testInput(land, name, file string) {
	at := path.Join(land, file)
	if _, compiled := g.inputs[at]; !compiled {
		g.data[at] = true
	}
	g.input(land, name, file, false)
}

// ignored reports whether a path is never an input.
func (g *gatherer) ignored(p string) bool {
	w, ok := g.files.(interface{ Ignored(path string) bool })
	return p == g.c.Dist || slices.Contains(g.c.Unseen, p) || ok && w.Ignored(p)
}

func has(entries []fs.DirEntry, name string) bool {
	return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
}
