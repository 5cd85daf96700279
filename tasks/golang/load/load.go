// Package load lists the packages that a Go command line reads, for one
// target, from the files themselves: what `go list -deps -json` says, without
// starting a process.
//
// It holds to one rule: it gives the go command's own answer, or it says that
// it is not sure. Whatever the rules of the go command make rare (a module
// graph that go.mod does not state, an inconsistent vendor directory, a file
// that does not parse, two modules with one package) ends in *NotSure, and the
// caller asks the go command, which also has the better words for mistakes.
//
// What is not checked is what changes no list: whether an import of an
// internal package is allowed, whether names collide on other file systems,
// whether the module cache still holds what go.sum says. The build that
// follows finds it.
//
// Build tags that the toolchain sets by itself are the one thing that it asks,
// by Query.ToolTags, and only if a constraint names one.
//
// What a file says (its package clause, imports, constraints, embeds, cgo and
// debug lines) is remembered by its content in Facts, so that a second Load
// parses nothing.
package load

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// A Query is one command line of the go command, with all of the environment
// that chooses files. Paths are absolute and in the form of this system.
type Query struct {
	Dir      string   // working directory
	Patterns []string // import paths, "std", "cmd", and directories: ".", "./a", "./...", "../b/..."
	Test     bool     // as -test: the tests of the named packages too
	Std      bool     // list the packages of the standard library too; they are listed anyway if a pattern names one

	GOOS, GOARCH string
	Variant      string   // the value of GOAMD64, GOARM, …; "" is the toolchain's default
	Tags         []string // of -tags
	Cgo, Race    bool

	Mod  string // "readonly", "vendor", or "": as the go command chooses
	Work string // the go.work file in use, or "" for none

	GOROOT    string
	GOVERSION string // "go1.26.8"
	// Release: GOVERSION names what is in GOROOT, which nobody edits.
	Release bool
	// Project is a directory whose files may change although they lie in
	// GOROOT or the module cache; "" if there is none.
	Project string
	// ToolTags returns the build tags that the toolchain itself sets for the
	// target, such as "goexperiment.NAME" and "amd64.v1". It is called when a
	// constraint names such a tag, at most once; nil leaves those to the go
	// command.
	ToolTags func() ([]string, error)
	// ModCache returns GOMODCACHE. It is called when a module of the cache is
	// needed, at most once.
	ModCache func() (string, error)
}

// A Package is what the go command says of a package, as far as a build reads
// it: the fields of the same names in `go list -json`, with the same values
// and the same names in JSON.
//
// The program that is generated to run tests has one file, _testmain.go in
// the package's directory, as an absolute path; it exists nowhere.
type Package struct {
	Dir, ImportPath, Name, ForTest string
	Standard, DepOnly              bool
	DefaultGODEBUG                 string
	Module                         *Module

	GoFiles, CgoFiles, CFiles, CXXFiles, MFiles, HFiles, FFiles, SFiles []string
	SwigFiles, SwigCXXFiles, SysoFiles                                  []string
	IgnoredGoFiles, IgnoredOtherFiles                                   []string
	TestGoFiles, XTestGoFiles                                           []string
	EmbedPatterns, EmbedFiles                                           []string
	TestEmbedPatterns, TestEmbedFiles                                   []string
	XTestEmbedPatterns, XTestEmbedFiles                                 []string
	CgoCFLAGS, CgoCPPFLAGS, CgoCXXFLAGS, CgoLDFLAGS, CgoPkgConfig       []string
}

// Fields are the names of the fields of Package, in the form of the flag -json
// of go list.
const Fields = "Dir,ImportPath,Name,ForTest,Standard,DepOnly,DefaultGODEBUG,Module," +
	"GoFiles,CgoFiles,CFiles,CXXFiles,MFiles,HFiles,FFiles,SFiles,SwigFiles,SwigCXXFiles,SysoFiles," +
	"IgnoredGoFiles,IgnoredOtherFiles,TestGoFiles,XTestGoFiles," +
	"EmbedPatterns,EmbedFiles,TestEmbedPatterns,TestEmbedFiles,XTestEmbedPatterns,XTestEmbedFiles," +
	"CgoCFLAGS,CgoCPPFLAGS,CgoCXXFLAGS,CgoLDFLAGS,CgoPkgConfig"

// A Module is what the go command says of the module of a package.
type Module struct {
	Path, Version, Dir, GoMod, GoVersion, Sum string
	Main                                      bool
	Replace                                   *Module
}

// A Result is a complete answer.
type Result struct {
	// Packages has every package once, its imports before itself.
	Packages []*Package
	// NotRead has, by their absolute names, the ignored files whose names alone
	// say that they are not for the target: the answer does not hang on their
	// content.
	NotRead map[string]bool
}

// NotSure says why Load has no answer. The go command has one, or a better
// message.
type NotSure struct{ Reason string }

func (e *NotSure) Error() string { return "not sure: " + e.Reason }

// unsure is the error of everything that Load leaves to the go command.
func unsure(format string, args ...any) error {
	return &NotSure{fmt.Sprintf(format, args...)}
}

// Load answers q. Errors are *NotSure. Facts may be nil: then nothing is
// remembered. It is the caller who saves them.
func Load(q Query, src Source, facts *Facts) (*Result, error) {
	if facts == nil {
		facts = &Facts{}
	}
	l := &loader{q: &q, facts: facts, files: newFiles(&q, src, facts), nodes: map[string]*node{}, std: map[string]bool{}, notRead: map[string]bool{}}
	l.ahead = newAhead(func(dir string, list []entry) []*fact { return l.readFacts(dir, list, inTurn) })
	defer l.ahead.end()
	if err := l.init(); err != nil {
		return nil, err
	}
	roots, err := l.roots()
	if err != nil {
		return nil, err
	}
	all := roots
	if q.Test {
		if all, err = l.tests(roots); err != nil {
			return nil, err
		}
	}
	for _, n := range all {
		n.named = true
	}
	r := &Result{NotRead: l.notRead}
	for _, n := range postorder(all) {
		p := n.Package
		p.DepOnly = !n.named
		if p.ForTest != "" {
			p.ImportPath += " [" + p.ForTest + ".test]"
		}
		r.Packages = append(r.Packages, &p)
	}
	return r, nil
}

// A loader answers one query.
type loader struct {
	q     *Query
	facts *Facts
	files *files
	tc    *toolchain
	tags  tags
	mods  *modules
	nodes map[string]*node
	std   map[string]bool // import path → is there such a package in GOROOT
	ahead *ahead
	// notRead is Result.NotRead.
	notRead map[string]bool
}

// init reads what all packages have in common: the toolchain and the modules.
func (l *loader) init() error {
	q := l.q
	if q.GOOS == "" || q.GOARCH == "" || !filepath.IsAbs(q.Dir) || !filepath.IsAbs(q.GOROOT) {
		return unsure("the target, the directory or GOROOT is not known")
	}
	var err error
	if l.tc, err = l.readToolchain(); err != nil {
		return err
	}
	if l.tags, err = newTags(q, l.askToolTags); err != nil {
		return err
	}
	l.mods, err = l.readModules()
	return err
}

// A node is a package in the graph of imports.
type node struct {
	Package
	src     *sources
	imports []*node
	named   bool // by a pattern, or a test of such a package
	loading bool // further down the stack
}

// usesCgo and usesSwig report what other tools than the compiler see it.
func (n *node) usesCgo() bool  { return len(n.CgoFiles) > 0 }
func (n *node) usesSwig() bool { return len(n.SwigFiles)+len(n.SwigCXXFiles) > 0 }

// root returns the package that a pattern names by its import path.
func (l *loader) root(path string) (*node, error) {
	n, err := l.load(path, nil)
	if n == nil && err == nil {
		// A package of the standard library: then all of it counts.
		l.q.Std = true
		n, err = l.load(path, nil)
	}
	return n, err
}

// load returns the package that an import path names in the source of
// another one, or nil for a package of the standard library that is not to be
// listed.
func (l *loader) load(path string, from *node) (*node, error) {
	at, err := l.find(path, from)
	if err != nil {
		return nil, err
	}
	if at.std && !l.q.Std {
		return nil, nil
	}
	if n := l.nodes[at.path]; n != nil {
		if n.loading {
			return nil, unsure("import cycle through %s", at.path)
		}
		return n, nil
	}
	src, err := l.readSources(at.dir)
	if err != nil {
		return nil, err
	}
	n := &node{src: src, loading: true}
	l.nodes[at.path] = n
	defer func() { n.loading = false }()
	n.Package = src.Package
	n.Dir, n.ImportPath, n.Standard, n.Module = at.dir, at.path, at.std, at.module
	if err := l.complete(n); err != nil {
		return nil, err
	}
	n.imports, err = l.importAll(n, l.implicit(n))
	return n, err
}

// complete fills in what hangs on more than the package's own files, and
// refuses what the go command would.
func (l *loader) complete(n *node) (err error) {
	if n.src.empty() {
		return unsure("no Go files for this target in %s", n.Dir)
	}
	if n.EmbedFiles, err = l.embed(n.Dir, n.EmbedPatterns); err != nil {
		return err
	}
	if n.Name == "main" {
		if n.DefaultGODEBUG, err = l.godebug(n.src.debug); err != nil {
			return err
		}
	}
	if !l.q.Cgo {
		n.CFiles, n.CXXFiles, n.MFiles, n.SwigFiles, n.SwigCXXFiles = nil, nil, nil, nil, nil
	}
	if !n.usesCgo() && !n.usesSwig() && len(n.CFiles)+len(n.CXXFiles)+len(n.MFiles)+len(n.FFiles) > 0 {
		return unsure("files of other languages without cgo in %s", n.Dir)
	}
	return nil
}

// importAll loads imports of n.
func (l *loader) importAll(n *node, paths []string) ([]*node, error) {
	l.readAhead(n, paths)
	var out []*node
	for _, path := range paths {
		if path == "C" {
			continue
		}
		dep, err := l.load(path, n)
		if err != nil {
			return nil, err
		}
		if dep == nil {
			continue
		}
		if dep.Name == "main" && dep.Dir != n.Dir {
			return nil, unsure("%s imports %s, which is a program", n.ImportPath, path)
		}
		out = append(out, dep)
	}
	return out, nil
}

// readAhead begins to read what n imports, unless all so far was remembered: then
// it would cost more than it gives. A mistake is found again when it is loaded.
func (l *loader) readAhead(n *node, paths []string) {
	if !l.files.parsed.Load() {
		return
	}
	for _, path := range paths {
		if path == "C" {
			continue
		}
		at, err := l.find(path, n)
		if err != nil {
			return
		}
		if at.std && !l.q.Std || l.nodes[at.path] != nil || l.files.identity(at.dir) != "" {
			continue
		}
		if list, err := l.files.list(at.dir); list != nil && err == nil {
			l.ahead.begin(at.dir, list)
		}
	}
}

// implicit returns the imports of n with those that the compiler and the
// linker add.
func (l *loader) implicit(n *node) []string {
	paths := slices.Clone(n.src.imports)
	add := func(path string) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	excluded := func(names ...string) bool { return n.Standard && slices.Contains(names, n.ImportPath) }
	if n.usesCgo() || n.usesSwig() {
		add("unsafe")
		if n.usesSwig() || !excluded("runtime/cgo") {
			add("runtime/cgo")
		}
		if n.usesSwig() || !excluded("runtime/cgo", "runtime/race", "runtime/msan", "runtime/asan") {
			add("syscall")
		}
		if n.usesSwig() {
			add("sync")
		}
	}
	if n.Name == "main" {
		for _, path := range l.linked() {
			add(path)
		}
	}
	return paths
}

// linked are the packages that every program has.
func (l *loader) linked() []string {
	deps := []string{"runtime"}
	if l.externalLink() {
		deps = append(deps, "runtime/cgo")
	}
	if l.q.GOARCH == "arm" {
		deps = append(deps, "math")
	}
	if l.q.Race {
		deps = append(deps, "runtime/race")
	}
	return deps
}

// externalLink reports whether the platform has no linker of Go's own.
func (l *loader) externalLink() bool {
	switch l.q.GOOS {
	case "android":
		return l.q.GOARCH != "arm64"
	case "ios":
		return l.q.GOARCH == "arm64"
	}
	return false
}

// postorder returns all nodes that can be reached, each after its imports.
func postorder(roots []*node) []*node {
	var out []*node
	seen := map[*node]bool{}
	var walk func(n *node)
	walk = func(n *node) {
		if seen[n] {
			return
		}
		seen[n] = true
		for _, dep := range n.imports {
			walk(dep)
		}
		out = append(out, n)
	}
	for _, n := range roots {
		walk(n)
	}
	return out
}

// below reports whether a path is dir or lies below it, and returns the rest
// with slashes.
func below(dir, p string) (string, bool) {
	if p == dir {
		return "", true
	}
	rest, ok := strings.CutPrefix(p, strings.TrimSuffix(dir, string(filepath.Separator))+string(filepath.Separator))
	return filepath.ToSlash(rest), ok
}

// prefixed reports whether an import path is prefix or lies below it, and
// returns the rest.
func prefixed(prefix, path string) (string, bool) {
	if path == prefix {
		return "", true
	}
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok || cmp.Or(rest, "x")[0] != '/' {
		return "", false
	}
	return rest[1:], true
}
