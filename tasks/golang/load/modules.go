package load

import (
	"bytes"
	"cmp"
	"go/version"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// modules are the modules of a build, as go.mod, go.work, go.sum and
// vendor/modules.txt have them.
type modules struct {
	l     *loader
	mains []*mainModule
	work  *modfile.WorkFile // nil outside a workspace
	base  string            // the directory that local replacements are relative to

	vendorDir string      // of -mod=vendor
	vendor    *vendorList // nil in other modes

	// selected are the modules that may provide packages, with their
	// versions. It is the whole build list, or, if lazy is set, what go.mod
	// requires: with graph pruning that is enough for everything that the
	// build imports. In a workspace it is nil until a package is imported that
	// is in none of its modules.
	selected map[string]string
	lazy     bool

	sums     map[string]string // "path version" → sum
	cacheDir string            // GOMODCACHE, "" until needed
	goMods   map[module.Version]*goMod
	infos    map[module.Version]*Module
	places   map[string]*place
}

// A mainModule is a module whose source is edited: the one of go.mod, or those
// of go.work.
type mainModule struct {
	path, dir string
	file      *modfile.File
	inGOROOT  bool
}

// prefix is what the import paths of the module's packages begin with.
func (m *mainModule) prefix() string {
	if m.inGOROOT && m.path == "std" {
		return ""
	}
	return m.path
}

// readModules reads what governs the query's directory.
func (l *loader) readModules() (*modules, error) {
	m := &modules{l: l, goMods: map[module.Version]*goMod{}, infos: map[module.Version]*Module{}, places: map[string]*place{}}
	var err error
	if l.q.Work != "" {
		err = m.readWork()
	} else {
		err = m.readMain()
	}
	if err != nil {
		return nil, err
	}
	mode, err := m.mode()
	if err != nil {
		return nil, err
	}
	switch mode {
	case "vendor":
		return m, m.readVendor()
	case "readonly":
		if err := m.readSums(); err != nil {
			return nil, err
		}
		if m.work != nil {
			return m, nil // not before it is needed
		}
		return m, m.selectVersions()
	}
	return nil, unsure("-mod=%s", mode)
}

// readMain finds the go.mod at or above the directory.
func (m *modules) readMain() error {
	for dir := m.l.q.Dir; ; dir = filepath.Dir(dir) {
		ok, err := m.l.files.has(dir, "go.mod")
		if err != nil {
			return err
		}
		if ok {
			m.base = dir
			return m.addMain(dir)
		}
		if filepath.Dir(dir) == dir {
			return unsure("no go.mod")
		}
	}
}

func (m *modules) addMain(dir string) error {
	name := filepath.Join(dir, "go.mod")
	text, ok, err := m.l.files.text(name)
	if err != nil {
		return err
	}
	if !ok {
		return unsure("no %s", name)
	}
	file, err := modfile.Parse(name, text, nil)
	if err != nil {
		return unsure("%v", err)
	}
	if file.Module == nil || file.Go == nil {
		return unsure("%s has no module line or no go line", name)
	}
	if err := m.tooNew(file.Go.Version, name); err != nil {
		return err
	}
	for _, r := range file.Require {
		if slices.ContainsFunc(file.Exclude, func(e *modfile.Exclude) bool { return e.Mod == r.Mod }) {
			return unsure("%s requires and excludes %s", name, r.Mod)
		}
	}
	main := &mainModule{path: file.Module.Mod.Path, dir: dir, file: file}
	_, main.inGOROOT = below(filepath.Join(m.l.q.GOROOT, "src"), dir)
	for _, other := range m.mains {
		if other.path == main.path {
			return unsure("two modules %s", main.path)
		}
	}
	if err := module.CheckImportPath(main.path); err != nil {
		return unsure("%v", err)
	}
	m.mains = append(m.mains, main)
	return nil
}

// tooNew refuses what is written for a later Go than the toolchain's.
func (m *modules) tooNew(v, what string) error {
	if !version.IsValid("go"+v) || version.Compare("go"+v, m.l.q.GOVERSION) > 0 {
		return unsure("%s requires Go %s", what, v)
	}
	return nil
}

// readWork reads go.work and the modules that it uses.
func (m *modules) readWork() error {
	name := m.l.q.Work
	text, ok, err := m.l.files.text(name)
	if err != nil {
		return err
	}
	if !ok {
		return unsure("no %s", name)
	}
	if m.work, err = modfile.ParseWork(name, text, nil); err != nil {
		return unsure("%v", err)
	}
	if m.work.Go == nil {
		return unsure("%s has no go line", name)
	}
	if err := m.tooNew(m.work.Go.Version, name); err != nil {
		return err
	}
	m.base = filepath.Dir(name)
	for _, u := range m.work.Use {
		dir := filepath.FromSlash(u.Path)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(m.base, dir)
		}
		if err := m.addMain(filepath.Clean(dir)); err != nil {
			return err
		}
		v := m.mains[len(m.mains)-1].file.Go.Version
		if version.Compare("go"+v, "go"+m.work.Go.Version) > 0 && version.Compare("go"+v, "go1.21") >= 0 {
			return unsure("%s is older than a module that it uses", name)
		}
	}
	if len(m.mains) == 0 {
		return unsure("%s uses no modules", name)
	}
	return nil
}

// goVersion is the Go version that rules the build as a whole.
func (m *modules) goVersion() string {
	if m.work != nil {
		return m.work.Go.Version
	}
	return m.mains[0].file.Go.Version
}

func (m *modules) godebugs() []*modfile.Godebug {
	if m.work != nil {
		return m.work.Godebug
	}
	return m.mains[0].file.Godebug
}

// mode decides between the vendor directory and the module cache.
func (m *modules) mode() (string, error) {
	m.vendorDir = filepath.Join(m.base, "vendor")
	if m.l.q.Mod != "" {
		return m.l.q.Mod, nil
	}
	list, err := m.l.files.list(m.vendorDir)
	if err != nil {
		return "", err
	}
	if list == nil || version.Compare("go"+m.goVersion(), "go1.14") < 0 {
		return "readonly", nil
	}
	text, ok, err := m.l.files.text(filepath.Join(m.vendorDir, "modules.txt"))
	if err != nil {
		return "", err
	}
	if !ok {
		return "", unsure("vendor has no modules.txt")
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	notes, _ := strings.CutPrefix(string(line), "## ")
	workspace := false
	for note := range strings.SplitSeq(notes, ";") {
		workspace = workspace || strings.TrimSpace(note) == "workspace"
	}
	if workspace != (m.work != nil) {
		return "readonly", nil
	}
	return "vendor", nil
}

// readSums reads go.sum and go.work.sum files.
func (m *modules) readSums() error {
	names := []string{}
	if m.work != nil {
		names = append(names, m.l.q.Work+".sum")
	}
	for _, main := range m.mains {
		names = append(names, filepath.Join(main.dir, "go.sum"))
	}
	m.sums = map[string]string{}
	for _, name := range names {
		text, _, err := m.l.files.text(name)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			switch f := strings.Fields(line); {
			case len(f) == 0:
			case len(f) != 3:
				return unsure("%s has an odd line", name)
			default:
				k := f[0] + " " + f[1]
				if old := m.sums[k]; old != "" && old != f[2] {
					return unsure("two sums of %s", k)
				}
				m.sums[k] = f[2]
			}
		}
	}
	return nil
}

// replacement returns what stands in for a module. A local directory has no
// version; its path is as build information has it, relative to base.
func (m *modules) replacement(v module.Version) (module.Version, bool, error) {
	if v.Version == "" && m.main(v.Path) != nil {
		return module.Version{}, false, nil
	}
	if m.work != nil {
		if r, ok := replaced(v, m.work.Replace); ok {
			return r, true, nil
		}
	}
	var found module.Version
	for _, main := range m.mains {
		r, ok := replaced(v, main.file.Replace)
		if !ok {
			continue
		}
		r = m.relative(main, r)
		if found.Path != "" && found != r {
			return found, true, unsure("two replacements of %s", v.Path)
		}
		found = r
	}
	return found, found.Path != "", nil
}

// replaced looks a module up, first with its version.
func replaced(v module.Version, list []*modfile.Replace) (module.Version, bool) {
	var any *modfile.Replace
	for _, r := range list {
		if r.Old == v {
			return r.New, true
		}
		if r.Old.Path == v.Path && r.Old.Version == "" {
			any = r
		}
	}
	if any == nil {
		return module.Version{}, false
	}
	return any.New, true
}

// relative makes the local path of a workspace's module one of the workspace.
func (m *modules) relative(main *mainModule, r module.Version) module.Version {
	if m.work == nil || r.Version != "" || filepath.IsAbs(r.Path) {
		return r
	}
	abs := filepath.Join(main.dir, r.Path)
	p, err := filepath.Rel(m.base, abs)
	if err != nil {
		p = abs
	}
	if !modfile.IsDirectoryPath(p) {
		p = "./" + filepath.ToSlash(filepath.Clean(p))
	}
	return module.Version{Path: p}
}

// main returns the main module of this path, or nil.
func (m *modules) main(path string) *mainModule {
	for _, main := range m.mains {
		if main.path == path {
			return main
		}
	}
	return nil
}

// localDir is the directory of a replacement without a version.
func (m *modules) localDir(r module.Version) string {
	if filepath.IsAbs(r.Path) {
		return filepath.Clean(r.Path)
	}
	return filepath.Join(m.base, filepath.FromSlash(r.Path))
}

// root returns where the files of a module are. local says that another module
// may be nested in them.
func (m *modules) root(v module.Version) (dir string, local bool, err error) {
	if v.Version == "" {
		if main := m.main(v.Path); main != nil {
			return main.dir, true, nil
		}
	}
	r, ok, err := m.replacement(v)
	if err != nil {
		return "", false, err
	}
	if ok {
		v = r
	}
	if v.Version == "" {
		dir := m.localDir(v)
		list, err := m.l.files.list(dir)
		if err == nil && list == nil {
			err = unsure("no directory %s", dir)
		}
		return dir, true, err
	}
	if m.sums[v.Path+" "+v.Version] == "" {
		return "", false, unsure("go.sum has no %s %s", v.Path, v.Version)
	}
	dir, err = m.cached(v)
	return dir, false, err
}

// cached returns the directory of a module in the module cache.
func (m *modules) cached(v module.Version) (string, error) {
	cache, err := m.cache()
	if err != nil {
		return "", err
	}
	p, err := module.EscapePath(v.Path)
	if err != nil {
		return "", unsure("%v", err)
	}
	ver, err := module.EscapeVersion(v.Version)
	if err != nil {
		return "", unsure("%v", err)
	}
	dir := filepath.Join(cache, filepath.FromSlash(p)+"@"+ver)
	list, err := m.l.files.list(dir)
	if err == nil && list == nil {
		err = unsure("%s %s is not in the module cache", v.Path, v.Version)
	}
	return dir, err
}

// goModFile returns where the module cache has the go.mod of a module.
func (m *modules) goModFile(v module.Version) (string, error) {
	cache, err := m.cache()
	if err != nil {
		return "", err
	}
	p, err := module.EscapePath(v.Path)
	if err != nil {
		return "", unsure("%v", err)
	}
	ver, err := module.EscapeVersion(v.Version)
	if err != nil {
		return "", unsure("%v", err)
	}
	return filepath.Join(cache, "cache", "download", filepath.FromSlash(p), "@v", ver+".mod"), nil
}

func (m *modules) cache() (string, error) {
	if m.cacheDir != "" {
		return m.cacheDir, nil
	}
	if m.l.q.ModCache == nil {
		return "", unsure("GOMODCACHE is not known")
	}
	dir, err := m.l.q.ModCache()
	if err != nil {
		return "", unsure("GOMODCACHE: %v", err)
	}
	if !filepath.IsAbs(dir) {
		return "", unsure("GOMODCACHE is %q", dir)
	}
	m.cacheDir = filepath.Clean(dir)
	m.l.files.freeze(m.cacheDir, "module cache")
	return m.cacheDir, nil
}

// A place is where a package is.
type place struct {
	path   string // the import path, which for the vendored packages of the standard library is not what is written
	dir    string
	std    bool
	module *Module
}

// find resolves an import path as from, or a command line, names it.
func (l *loader) find(path string, from *node) (*place, error) {
	if from != nil && from.Standard {
		if err := l.vendoredStd(from, &path); err != nil {
			return nil, err
		}
	}
	if at := l.mods.places[path]; at != nil {
		return at, nil
	}
	at, err := l.search(path)
	if err == nil {
		l.mods.places[path] = at
	}
	return at, err
}

func (l *loader) search(path string) (*place, error) {
	std, err := l.isStd(path)
	if err != nil {
		return nil, err
	}
	if std {
		if err := l.mods.shadowed(path); err != nil {
			return nil, err
		}
		return &place{path: path, dir: filepath.Join(l.q.GOROOT, "src", filepath.FromSlash(path)), std: true}, nil
	}
	if err := module.CheckImportPath(path); err != nil {
		return nil, unsure("%v", err)
	}
	if l.mods.vendor != nil {
		return l.mods.findVendored(path)
	}
	return l.mods.find(path)
}

// dotless reports whether an import path may be the standard library's.
func dotless(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// isStd reports whether GOROOT has a package.
func (l *loader) isStd(path string) (bool, error) {
	if !dotless(path) {
		return false, nil
	}
	if ok, known := l.std[path]; known {
		return ok, nil
	}
	ok, err := l.files.goFiles(filepath.Join(l.q.GOROOT, "src", filepath.FromSlash(path)))
	if err == nil {
		l.std[path] = ok
	}
	return ok, err
}

// vendoredStd changes the import path of a package that the standard library
// has vendored.
func (l *loader) vendoredStd(from *node, p *string) error {
	if dotless(*p) {
		return nil
	}
	prefix := "vendor"
	if _, cmd := prefixed("cmd", from.ImportPath); cmd {
		prefix = "cmd/vendor"
	}
	at := path.Join(prefix, *p)
	list, err := l.files.list(filepath.Join(l.q.GOROOT, "src", filepath.FromSlash(at)))
	if list != nil {
		*p = at
	}
	return err
}

// shadowed refuses packages that both the standard library and a module have.
func (m *modules) shadowed(p string) error {
	for _, main := range m.mains {
		if _, ok := prefixed(main.path, p); ok && !main.inGOROOT {
			return unsure("both GOROOT and %s may have %s", main.path, p)
		}
	}
	for prefix := p; prefix != "."; prefix = path.Dir(prefix) {
		if _, ok := m.selected[prefix]; ok {
			return unsure("both GOROOT and %s may have %s", prefix, p)
		}
	}
	if m.vendor != nil {
		if v, ok := m.vendor.packages[p]; ok {
			return unsure("both GOROOT and %s have %s", v.Path, p)
		}
	}
	return nil
}

// in returns where a package would be in a module, and whether it is there.
func (m *modules) in(path, prefix, root string, local bool) (string, bool, error) {
	dir := root
	if prefix == "" {
		dir = filepath.Join(root, filepath.FromSlash(path))
	} else {
		rest, ok := prefixed(prefix, path)
		if !ok {
			return "", false, nil
		}
		if rest != "" {
			dir = filepath.Join(root, filepath.FromSlash(rest))
		}
	}
	if local {
		for d := dir; len(d) > len(root); d = filepath.Dir(d) {
			if nested, err := m.l.files.has(d, "go.mod"); nested || err != nil {
				return "", false, err
			}
		}
	}
	ok, err := m.l.files.goFiles(dir)
	return dir, ok, err
}

// findVendored looks in the main modules and the vendor directory.
func (m *modules) findVendored(p string) (*place, error) {
	var found []*place
	for _, main := range m.mains {
		dir, ok, err := m.in(p, main.prefix(), main.dir, true)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, &place{path: p, dir: dir, module: m.mainInfo(main)})
		}
	}
	dir, ok, err := m.in(p, "", m.vendorDir, false)
	if err != nil {
		return nil, err
	}
	if ok {
		v, listed := m.vendor.packages[p]
		if !listed {
			return nil, unsure("%s is in vendor but not in vendor/modules.txt", p)
		}
		info, err := m.vendorInfo(v)
		if err != nil {
			return nil, err
		}
		found = append(found, &place{path: p, dir: dir, module: info})
	}
	if len(found) != 1 {
		return nil, unsure("%d places provide %s", len(found), p)
	}
	return found[0], nil
}

// find looks in all modules whose path is a prefix of the package's.
func (m *modules) find(p string) (*place, error) {
	if m.work != nil {
		// A package of a main module is taken without a look at others.
		at, err := m.candidates(p, false)
		if at != nil || err != nil {
			return at, err
		}
		if m.selected == nil {
			if err := m.selectVersions(); err != nil {
				return nil, err
			}
		}
	}
	at, err := m.candidates(p, true)
	if at == nil && err == nil {
		err = unsure("no module that is required provides %s", p)
	}
	return at, err
}

func (m *modules) candidates(p string, all bool) (*place, error) {
	var found []*place
	var mod module.Version
	for prefix := p; prefix != "."; prefix = path.Dir(prefix) {
		v := module.Version{Path: prefix}
		if m.main(prefix) == nil {
			var ok bool
			if v.Version, ok = m.selected[prefix]; !ok || !all {
				continue
			}
		}
		root, local, err := m.root(v)
		if err != nil {
			return nil, err
		}
		dir, ok, err := m.in(p, prefix, root, local)
		if err != nil {
			return nil, err
		}
		if ok {
			found, mod = append(found, &place{path: p, dir: dir}), v
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		var err error
		found[0].module, err = m.info(mod)
		return found[0], err
	}
	return nil, unsure("%d modules provide %s", len(found), p)
}

func (m *modules) mainInfo(main *mainModule) *Module {
	v := module.Version{Path: main.path}
	info := m.infos[v]
	if info == nil {
		info = &Module{Path: main.path, Main: true, Dir: main.dir, GoMod: filepath.Join(main.dir, "go.mod"), GoVersion: main.file.Go.Version}
		m.infos[v] = info
	}
	return info
}

// info describes a module that provides a package.
func (m *modules) info(v module.Version) (*Module, error) {
	if main := m.main(v.Path); main != nil && v.Version == "" {
		return m.mainInfo(main), nil
	}
	if info := m.infos[v]; info != nil {
		return info, nil
	}
	mod, err := m.goMod(v)
	if err != nil {
		return nil, err
	}
	if err := m.consistent(mod); err != nil {
		return nil, err
	}
	info := &Module{Path: v.Path, Version: v.Version}
	r, ok, err := m.replacement(v)
	if err != nil {
		return nil, err
	}
	if !ok {
		err = m.fill(info, mod)
	} else {
		info.Replace = &Module{Path: r.Path, Version: r.Version}
		err = m.fill(info.Replace, mod)
		info.Dir, info.GoMod, info.GoVersion = info.Replace.Dir, info.Replace.GoMod, info.Replace.GoVersion
	}
	if err != nil {
		return nil, err
	}
	m.infos[v] = info
	return info, nil
}

// fill adds where a module or replacement is.
func (m *modules) fill(info *Module, mod *goMod) (err error) {
	info.GoVersion = mod.goVersion
	v := module.Version{Path: info.Path, Version: info.Version}
	if v.Version == "" {
		info.Dir = m.localDir(v)
		info.GoMod = filepath.Join(info.Dir, "go.mod")
		return nil
	}
	info.Sum = m.sums[v.Path+" "+v.Version]
	if info.Dir, err = m.cached(v); err != nil {
		return err
	}
	info.GoMod, err = m.goModFile(v)
	return err
}

// consistent refuses a go.mod that requires less than one of the modules in
// use does: the go command would want to change it.
func (m *modules) consistent(mod *goMod) error {
	if !m.lazy {
		return nil
	}
	for _, r := range mod.requires {
		if have, ok := m.selected[r.Path]; ok && semver.Compare(r.Version, have) > 0 && !m.excluded(r) {
			return unsure("%s requires %s %s, go.mod only %s", mod.path, r.Path, r.Version, have)
		}
	}
	return nil
}

// excluded reports whether a main module excludes a version.
func (m *modules) excluded(v module.Version) bool {
	return slices.ContainsFunc(m.mains, func(main *mainModule) bool {
		return slices.ContainsFunc(main.file.Exclude, func(e *modfile.Exclude) bool { return e.Mod == v })
	})
}

// A goMod is what counts of the go.mod of a module that is not edited.
type goMod struct {
	path      string
	goVersion string // "" if there is no go line
	requires  []module.Version
}

// pruned reports whether the module states all that its packages need.
func (g *goMod) pruned() bool {
	return version.Compare("go"+cmp.Or(g.goVersion, "1.16"), "go1.17") >= 0
}

// goMod reads the go.mod of a module, or of what replaces it.
func (m *modules) goMod(v module.Version) (*goMod, error) {
	if g := m.goMods[v]; g != nil {
		return g, nil
	}
	r, ok, err := m.replacement(v)
	if err != nil {
		return nil, err
	}
	actual := v
	if ok {
		actual = r
	}
	var g *goMod
	if actual.Version == "" {
		g, err = m.readGoMod(filepath.Join(m.localDir(actual), "go.mod"))
	} else {
		g, err = m.cachedGoMod(actual)
	}
	if err != nil {
		return nil, err
	}
	if !ok && g.path != v.Path {
		return nil, unsure("%s calls itself %s", v.Path, g.path)
	}
	if ok && actual.Version != "" && g.path != v.Path && g.path != actual.Path {
		return nil, unsure("%s calls itself %s", actual.Path, g.path)
	}
	if g.goVersion != "" {
		if err := m.tooNew(g.goVersion, v.Path); err != nil {
			return nil, err
		}
	}
	m.goMods[v] = g
	return g, nil
}

// cachedGoMod reads a go.mod of the module cache, which stays as it is.
func (m *modules) cachedGoMod(v module.Version) (*goMod, error) {
	if m.sums[v.Path+" "+v.Version+"/go.mod"] == "" {
		return nil, unsure("go.sum has no %s %s/go.mod", v.Path, v.Version)
	}
	name, err := m.goModFile(v)
	if err != nil {
		return nil, err
	}
	k := makeKey(kindGoMod, name)
	if b := m.l.facts.get(k); b != "" {
		if g, ok := decodeGoMod(b); ok {
			return g, nil
		}
	}
	g, err := m.readGoMod(name)
	if err == nil {
		m.l.facts.put(k, encodeGoMod(g))
	}
	return g, err
}

func (m *modules) readGoMod(name string) (*goMod, error) {
	text, ok, err := m.l.files.text(name)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, unsure("no %s", name)
	}
	file, err := modfile.ParseLax(name, text, nil)
	if err != nil {
		return nil, unsure("%v", err)
	}
	g := &goMod{}
	if file.Module != nil {
		g.path = file.Module.Mod.Path
	}
	if file.Go != nil {
		g.goVersion = file.Go.Version
	}
	for _, r := range file.Require {
		g.requires = append(g.requires, r.Mod)
	}
	return g, nil
}

func encodeGoMod(g *goMod) []byte {
	b := putString(putString(nil, g.path), g.goVersion)
	var list []string
	for _, r := range g.requires {
		list = append(list, r.Path, r.Version)
	}
	return putList(b, list)
}

func decodeGoMod(b string) (*goMod, bool) {
	d := newDecoder(b)
	g := &goMod{path: d.str(), goVersion: d.str()}
	list := d.list()
	if !d.done() || len(list)%2 != 0 {
		return nil, false
	}
	for i := 0; i < len(list); i += 2 {
		g.requires = append(g.requires, module.Version{Path: list[i], Version: list[i+1]})
	}
	return g, true
}
