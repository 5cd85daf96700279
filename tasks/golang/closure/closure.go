// Package closure finds what a step that runs the go command depends on: the files
// of the packages that it compiles, what C and assembly include, and what tests may
// read. A closure is remembered with everything that it depends on.
package closure

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// ModulesPath is where the facts about modules land in the input root.
const ModulesPath = ".airbuild/modules"

// OutsidePath is where the files of modules outside the project land.
const OutsidePath = ".airbuild/outside"

// A Closure is the InputDiscoverer of what go build, vet or test reads: the files of
// the packages named by Patterns and of all that they import, for one target.
//
// Packages of the standard library are covered by the toolchain's version,
// packages of the module cache by one line a module with its sum. All others
// are inputs file by file. go.mod, go.sum and vendor/modules.txt are inputs of
// tests only, which may read them: otherwise only what the closure uses of them
// is in the key, so that a module which another target needs does not rebuild
// this one.
type Closure struct {
	cfg      *gocmd.Config
	Dir      string          // project-relative working directory
	Flags    []string        // of the build, as far as they choose files: -mod, -tags, -race
	Env      []action.EnvVar // of the command
	Patterns []string
	Test     bool   // the tests of the packages too
	Data     bool   // with Test: what tests may read beside what is compiled
	Vetted   bool   // go vet looks at the packages, by itself or before their tests
	Profiles bool   // default.pgo of main packages
	Proxy    string // a go_download tree, project-relative, or ""
	Dist     string // the output directory, which is no part of any package
	// Stamps are variables that the linker sets. StampsMayMiss: it is no
	// mistake if there is none, unless there is one of a similar name.
	Stamps        []string `json:",omitempty"`
	StampsMayMiss bool     `json:",omitempty"`
	// AsmDirs are where Go's assembler looks for includes, relative to the
	// package's directory or absolute.
	AsmDirs []string
	// Identified: the output has Go's build id, which counts the directories in
	// the LDFLAGS of cgo. HostDirs are those of the project and of modules on this
	// host, unless the step finds them at paths that are the same everywhere.
	Identified bool     `json:",omitempty"`
	HostDirs   []string `json:",omitempty"`
	// Compilers are the C compilers by name, at the end of all links. They are
	// in the closure's name on this host only.
	Compilers map[string]string `json:"-"`

	// network: the step may fetch, and so may the go list that answers for it.
	// It is not in the closure's name: the answer is the same.
	network bool
	// fetch: what go.mod and go.sum pin may be fetched before the step, though
	// it has no network itself.
	fetch bool
	// byLoader: airbuild's own loader answered, which it does only if go.sum and
	// its like have all sums.
	byLoader *atomic.Bool

	// Unseen are outputs of steps that this one does not wait for: with Data they
	// are left out, there or not.
	Unseen []string `json:",omitempty"`

	ModFiles []string // go.mod, go.sum, go.work, …: what is read beside packages
	Vendor   string   // the vendor directory in use, or ""
}

// Discover implements engine.InputDiscoverer. The closure is remembered with
// everything that it depends on, so that nothing is listed while none of it changes.
func (c *Closure) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	tc, err := c.cfg.FoundToolchain()
	if err != nil {
		return engine.Discovery{}, err
	}
	if f, ok := files.(interface{ Unseen() []string }); ok && c.Data {
		own := *c
		own.Unseen = f.Unseen()
		c = &own
	}
	mem := memory{files: files, name: c.name(tc, nil)}
	c.cfg.SetState(files)
	if r := mem.load(); r != nil {
		c.note(r)
		return c.discovery(r), nil
	}
	r, err := c.Resolve(ctx, tc, files)
	if err != nil {
		return engine.Discovery{}, c.lacking(ctx, err)
	}
	c.note(r)
	if r.Lost == "" {
		if err := mem.save(r); err != nil {
			return engine.Discovery{}, err
		}
	}
	return c.discovery(r), nil
}

// Costly implements engine.Memoizable.
func (*Closure) Costly() bool { return true }

// Query implements engine.Memoizable.
func (c *Closure) Query(roots *engine.NamedRoots) (string, error) {
	tc, err := c.cfg.FoundToolchain()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("closure %d %s", recordVersion, c.name(tc, roots)), nil
}

// note remembers who answered.
func (c *Closure) note(r *Record) {
	if c.byLoader != nil {
		c.byLoader.Store(strings.HasPrefix(r.Note, listedHere))
	}
}

// sure reports whether go.sum and its like have all sums that the closure needs.
func (c *Closure) sure() bool { return c.byLoader != nil && c.byLoader.Load() }

// discovery is what the engine wants of a record.
func (c *Closure) discovery(r *Record) engine.Discovery {
	l := r.Discovery()
	l.Reads = c.reads(r)
	return l
}

// lacking says of an error of an offline run which modules are missing. A
// vendor directory, or a tree of the project's own, is not Offline's business.
func (c *Closure) lacking(ctx context.Context, err error) error {
	if c.Vendor != "" || c.Proxy != "" {
		return err
	}
	return c.cfg.Lacking(ctx, c.Dir, err)
}

// name identifies the query: the same name and the same record's files give
// the same closure.
func (c *Closure) name(tc *gocmd.Toolchain, roots *engine.NamedRoots) string {
	compilers := c.Compilers
	if roots != nil {
		compilers = nil // the closure depends on their content
	}
	b, err := json.Marshal(struct {
		Go, Root  string
		Query     *Closure
		Compilers map[string]string `json:",omitempty"`
	}{tc.Version, roots.Name("GOROOT", filepath.ToSlash(tc.Root)), c, compilers})
	if err != nil {
		return "" // not reached: plain strings
	}
	return action.Of(b).Hex()
}

// inTree reports whether the module's files are source that someone edits:
// main modules and directories that replace modules.
func inTree(m *load.Module) bool {
	return m.Main || m.Replace != nil && m.Replace.Version == ""
}

// Resolve lists the packages and gathers them into a record.
func (c *Closure) Resolve(ctx context.Context, tc *gocmd.Toolchain, files engine.Files) (*Record, error) {
	pkgs, how, err := c.packages(ctx, tc, files)
	if err != nil {
		return nil, err
	}
	if err := c.checkStamps(pkgs); err != nil {
		return nil, err
	}
	g := newGatherer(c, tc, files)
	g.how = how
	for _, p := range pkgs {
		if err := g.add(ctx, p); err != nil {
			return nil, fmt.Errorf("list package %s: %w", p.ImportPath, err)
		}
	}
	return g.record()
}

// A gatherer turns packages into a record.
type gatherer struct {
	c     *Closure
	tc    *gocmd.Toolchain
	files engine.Files
	roots []string // of the project: as given, and with links resolved

	inputs   map[string]string // input path → absolute file if outside the project
	depends  map[string]bool   // files whose content the answer depends on
	dirs     map[string]names  // directories whose names it depends on
	patterns map[string]bool   // of //go:embed
	modules  map[string]bool   // lines of modulesPath
	data     map[string]bool   // inputs that only tests read
	walked   map[string]bool   // directories below packages, gathered
	sums     map[string]string // "path version" → sum, of go.sum; nil until needed
	sorted   []string          // the paths of inputs, when all are known
	host     map[string]bool   // lines of nativePath
	idDirs   []string          // directories in Go's build id
	unseen   []engine.Unseen
	lost     []string // why the result cannot be kept
	pkgs     int
	how      string // who listed the packages
}

func newGatherer(c *Closure, tc *gocmd.Toolchain, files engine.Files) *gatherer {
	g := &gatherer{c: c, tc: tc, files: files, host: map[string]bool{}, roots: []string{files.Root()},
		inputs: map[string]string{}, depends: map[string]bool{}, dirs: map[string]names{}, modules: map[string]bool{}, patterns: map[string]bool{},
		data: map[string]bool{}, walked: map[string]bool{}}
	if real, err := filepath.EvalSymlinks(files.Root()); err == nil && real != files.Root() {
		g.roots = append(g.roots, real)
	}
	for _, f := range c.ModFiles {
		g.depends[f] = true
		g.watch(path.Dir(f), sourceNames)
	}
	if c.Vendor != "" {
		g.depends[path.Join(c.Vendor, "modules.txt")] = true
	}
	if c.Data {
		g.moduleFiles()
	}
	return g
}

// place returns where a directory lands in the input root and how Files names
// it: the same project-relative path, or a place under outsidePath and the
// absolute path for a replacement outside the project.
func (g *gatherer) place(dir string, m *load.Module) (land, name string, err error) {
	if rel, ok := g.inside(dir); ok {
		return rel, rel, nil
	}
	if m == nil {
		return "", "", fmt.Errorf("directory %s is outside the project", dir)
	}
	base := m.Dir
	if m.Replace != nil && m.Replace.Dir != "" {
		base = m.Replace.Dir
	}
	rel, err := filepath.Rel(base, dir)
	if err != nil {
		return "", "", err
	}
	return path.Join(OutsidePath, m.Path, filepath.ToSlash(rel)), filepath.ToSlash(dir), nil
}

func (g *gatherer) inside(dir string) (string, bool) {
	for _, root := range g.roots {
		if rel, err := gocmd.RelativeInside(root, dir); err == nil {
			return rel, true
		}
	}
	return "", false
}

// add takes one package in.
func (g *gatherer) add(ctx context.Context, p *goPackage) error {
	if g.testMain(p) {
		return nil
	}
	if g.std(p) {
		// The toolchain's version says all but what C takes from the host; in
		// the project it is source like any other.
		return g.native(ctx, "", filepath.ToSlash(p.Dir), p)
	}
	g.pkgs++
	if p.DefaultGODEBUG != "" {
		g.modules["godebug "+p.DefaultGODEBUG] = true
	}
	if p.Module != nil {
		if err := g.module(p.Module); err != nil {
			return err
		}
		if !inTree(p.Module) && g.c.Vendor == "" {
			// The module cache: its sum says all but what C takes from elsewhere.
			return g.native(ctx, "", filepath.ToSlash(p.Dir), p)
		}
	}
	land, name, err := g.place(p.Dir, p.Module)
	if err != nil {
		return err
	}
	g.watchUp(name)
	tested := g.c.Test && !p.DepOnly && p.ForTest == ""
	for _, f := range p.sources(tested) {
		g.input(land, name, f, true)
	}
	if tested && g.c.Vetted {
		g.excluded(name, p)
	}
	for _, f := range slices.Concat(p.IgnoredGoFiles, p.IgnoredOtherFiles) {
		if !path.IsAbs(f) && (tested || !strings.HasSuffix(f, "_test.go")) && !p.notRead[filepath.Join(p.Dir, f)] {
			g.depends[path.Join(name, f)] = true
		}
		if tested {
			g.input(land, name, f, false) // vet looks at its build constraints
		}
	}
	g.embeds(land, name, p.EmbedPatterns, p.EmbedFiles)
	if tested {
		g.embeds(land, name, p.TestEmbedPatterns, p.TestEmbedFiles)
		g.embeds(land, name, p.XTestEmbedPatterns, p.XTestEmbedFiles)
	}
	if g.c.Profiles && p.Name == "main" {
		g.beside(land, name, g.files.ReadSources, func(f string) bool { return f == "default.pgo" })
	}
	if tested && g.c.Data && len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
		g.testFiles(land, name, p.Module)
	}
	return g.native(ctx, land, name, p)
}

// excluded tells Go's cache what go vet reads of a package besides what is compiled:
// files that are excluded on the platform, whose build constraints it checks. The id
// under which the go command keeps what vet found is made of the compiled files only.
func (g *gatherer) excluded(name string, p *goPackage) {
	files := slices.Sorted(slices.Values(slices.Concat(p.IgnoredGoFiles, p.IgnoredOtherFiles)))
	if len(files) == 0 {
		return
	}
	var text []byte
	for _, f := range files {
		at := path.Join(name, f)
		d, err := g.files.Digest(at)
		if err != nil {
			continue // vet cannot read it either
		}
		g.depends[at] = true
		text = fmt.Appendf(text, "%q %s\n", f, d)
	}
	g.unseen = append(g.unseen, engine.Unseen{Part: p.ImportPath, Digest: action.Of(text), Checks: true})
}

// testMain reports whether p is a generated test program.
func (g *gatherer) testMain(p *goPackage) bool {
	return g.c.Test && p.Name == "main" && p.ForTest == "" && strings.HasSuffix(p.ImportPath, ".test") &&
		len(p.GoFiles) == 1 && filepath.IsAbs(p.GoFiles[0])
}

// sources are the files that the go command compiles.
func (p *goPackage) sources(tested bool) []string {
	out := slices.Concat(p.GoFiles, p.CgoFiles, p.CFiles, p.CXXFiles, p.MFiles, p.HFiles, p.FFiles,
		p.SFiles, p.SwigFiles, p.SwigCXXFiles, p.SysoFiles)
	if tested {
		out = slices.Concat(out, p.TestGoFiles, p.XTestGoFiles)
	}
	return out
}

// input makes a file of a package an input; depends says that the answer may
// change with its content.
func (g *gatherer) input(land, name, file string, depends bool) {
	if filepath.IsAbs(file) {
		return // generated, in Go's cache
	}
	at, from := path.Join(land, file), path.Join(name, file)
	if at == from {
		from = ""
	}
	g.inputs[at] = from
	if depends {
		g.depends[path.Join(name, file)] = true
	}
}

// watch makes the answer depend on names in a directory.
func (g *gatherer) watch(dir string, n names) { g.dirs[dir] = max(g.dirs[dir], n) }

// watchUp watches a package's directory and those above it, where a go.mod
// may appear.
func (g *gatherer) watchUp(dir string) {
	for g.watch(dir, sourceNames); dir != "." && !path.IsAbs(dir); g.watch(dir, sourceNames) {
		dir = path.Dir(dir)
	}
}

// embeds takes in embedded files, and watches where the patterns look.
func (g *gatherer) embeds(land, name string, patterns, files []string) {
	for _, f := range files {
		g.input(land, name, f, false)
	}
	for _, p := range patterns {
		g.patterns[path.Join(name, strings.TrimPrefix(p, "all:"))] = true
		base := path.Join(name, fixedPart(strings.TrimPrefix(p, "all:")))
		g.watch(path.Dir(base), allNames)
		g.watchTree(base)
	}
}

// fixedPart is the path before the first element with a meta-character.
func fixedPart(pattern string) string {
	elems := strings.Split(pattern, "/")
	i := slices.IndexFunc(elems, func(e string) bool { return strings.ContainsAny(e, `*?[\`) })
	switch {
	case i < 0:
		return pattern
	case i == 0:
		return "."
	}
	return path.Join(elems[:i]...)
}

// watchTree watches a directory and all below it, if it is one.
func (g *gatherer) watchTree(dir string) {
	entries, err := g.files.ReadDir(dir)
	if err != nil {
		return
	}
	g.watch(dir, allNames)
	for _, e := range entries {
		if sub := path.Join(dir, e.Name()); e.IsDir() && e.Name() != ".git" && sub != g.c.Dist {
			g.watchTree(sub)
		}
	}
}

// beside takes in the files of a directory that are wanted, as read lists it.
func (g *gatherer) beside(land, name string, read func(string) ([]fs.DirEntry, error), want func(string) bool) {
	entries, err := read(name)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.Type().IsRegular() && want(e.Name()) {
			g.input(land, name, e.Name(), false)
		}
	}
}

// module writes the line that stands for a module: what of it can change the
// bytes of a binary, its build information included.
func (g *gatherer) module(m *load.Module) error {
	version, sum := m.Version, m.Sum
	if m.Main {
		version, sum = "(main)", "-"
	}
	line := []string{"module", m.Path, cmp.Or(version, "-"), "go" + m.GoVersion}
	if r := m.Replace; r != nil {
		if r.Version == "" {
			// Build information names the directory as go.mod writes it.
			line = append(line, "=>", r.Path)
			g.watchModule(r)
			sum = "-"
		} else {
			line = append(line, "=>", r.Path, r.Version)
			sum = cmp.Or(r.Sum, m.Sum)
			if sum == "" {
				sum = g.goSum(r.Path, r.Version)
			}
		}
	} else if sum == "" && g.c.Vendor == "" {
		sum = g.goSum(m.Path, m.Version)
	}
	if g.c.Vendor != "" {
		sum = "-" // the files themselves are inputs
	}
	g.modules[strings.Join(append(line, cmp.Or(sum, "-")), " ")] = true
	return nil
}

// watchModule makes the answer depend on the go.mod of a replacement.
func (g *gatherer) watchModule(r *load.Module) {
	if r.Dir == "" {
		return
	}
	dir, ok := g.inside(r.Dir)
	if !ok {
		dir = filepath.ToSlash(r.Dir)
	}
	g.depends[path.Join(dir, "go.mod")] = true
}

// goSum looks a module up in the go.sum and go.work.sum files.
func (g *gatherer) goSum(module, version string) string {
	if g.sums == nil {
		g.sums = map[string]string{}
		for _, name := range g.c.ModFiles {
			if path.Ext(name) != ".sum" {
				continue
			}
			text, err := os.ReadFile(filepath.Join(g.files.Root(), filepath.FromSlash(name)))
			if err != nil {
				continue // it need not exist
			}
			ReadSums(g.sums, text)
		}
	}
	return g.sums[module+" "+version]
}

// ReadSums adds the lines of a go.sum to sums.
func ReadSums(sums map[string]string, text []byte) {
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 {
			sums[f[0]+" "+f[1]] = f[2]
		}
	}
}

// ModMode is how a step finds its modules.
type ModMode struct {
	Flag  string // "vendor", "readonly" or "mod"
	Proxy string // a go_download tree, or ""
	After []engine.StepID
}

// Apply makes a step find its modules so.
func (mode ModMode) Apply(s *engine.Step) {
	s.After = append(s.After, mode.After...)
	if mode.Proxy != "" {
		s.Facts = append(s.Facts, engine.Fact{Name: gocmd.ProxyFact, Value: mode.Proxy})
	}
}

// Of begins the closure of what a step's command line names.
func Of(cfg *gocmd.Config, b *tasks.Block, m *gocmd.Module, mode ModMode, s *engine.Step, flags, patterns []string) *Closure {
	c := &Closure{
		cfg: cfg, Dir: b.Meta.Dir, Flags: flags, Env: s.Command.Env, Patterns: patterns,
		Proxy: mode.Proxy, Dist: b.Project.Dist, ModFiles: m.Files(), network: s.Network, fetch: Network(b), byLoader: &atomic.Bool{},
	}
	if mode.Flag == "vendor" {
		c.Vendor = m.VendorDir
	}
	c.AsmDirs = asmDirs(b.Strings("asmflags"))
	if ls, ok := s.Discoverer.(Discoverers); ok {
		for _, l := range ls {
			progs, _ := l.(tasks.Programs)
			for _, p := range progs {
				if c.Compilers == nil {
					c.Compilers = map[string]string{}
				}
				real, err := filepath.EvalSymlinks(p.Path)
				if err != nil {
					real = p.Path
				}
				c.Compilers[p.Name] = real
			}
		}
	}
	return c
}

// asmDirs are the directories that flags of Go's assembler add to those in which
// it looks for includes. A pattern before the flags is not looked at: what a
// package could include counts.
func asmDirs(asmflags []string) []string {
	var dirs []string
	for _, f := range asmflags {
		if !strings.HasPrefix(f, "-") {
			_, f, _ = strings.Cut(f, "=")
		}
		dirs = append(dirs, splitFlags("-I", strings.Fields(strings.ReplaceAll(f, "-I=", "-I")))...)
	}
	return dirs
}

// Network reports whether a step that fetches modules may use the network: it
// may, unless the user says otherwise.
func Network(b *tasks.Block) bool { return b.Meta.Network == nil || *b.Meta.Network }
