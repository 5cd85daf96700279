package binary

import (
	"cmp"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// A Library is a shared library that the dynamic loader would take, or look for
// in vain.
type Library struct {
	Name     string `json:"name"`              // as it is needed
	NeededBy string `json:"needed_by"`         // the file that needs it
	Path     string `json:"path,omitempty"`    // in the root; empty if not found
	From     string `json:"from,omitempty"`    // what led there: "RUNPATH of /a/b", "ld.so.cache", …
	Glibc    string `json:"glibc,omitempty"`   // highest version of the GNU C library that it needs
	Bundled  bool   `json:"bundled,omitempty"` // found beside the binary: it is shipped with it
}

// maxLibraries is how many libraries one program may load.
const maxLibraries = 2000

// Resolve looks for the shared libraries of the ELF binary r, whose file is
// r.Path, as its dynamic loader would on a host whose "/" is the directory
// rootDir ("" for this host): DT_RPATH and DT_RUNPATH with $ORIGIN and $LIB,
// ld.so.cache or else ld.so.conf, the default directories; musl's rules for
// musl. LD_LIBRARY_PATH does not count: it is not the binary's. Nothing is
// executed. Libraries and Problems of r are filled in.
func Resolve(r *Report, rootDir string) {
	r.Resolved = true
	if r.Format != ELF || r.Static || r.OS != "linux" && r.OS != "" || r.Kind == "object" {
		r.Resolved = r.Static
		return
	}
	l := &loader{root: root(rootDir), report: r, byName: map[string]*object{}}
	l.run()
}

// A loader plays the dynamic loader.
type loader struct {
	root    root
	report  *Report
	byName  map[string]*object // by the names that they are needed by
	cached  bool
	cache   map[string][]CacheEntry
	confDir []string // of ld.so.conf, where there is no cache
}

// An object is a file that was loaded.
type object struct {
	*Report
	dir     place // $ORIGIN
	parent  *object
	bundled bool
}

// A place is a path in the root or, for what lies outside, on the host.
type place struct {
	path    string
	outside bool
}

func (p place) join(name string) place { return place{path.Join(p.path, name), p.outside} }

func (l *loader) problem(format string, args ...any) {
	l.report.Problems = append(l.report.Problems, fmt.Sprintf(format, args...))
}

func (l *loader) run() {
	self := &object{Report: l.report, dir: l.origin(l.report.Path)}
	l.interpreter()
	objects := []*object{self}
	for i := 0; i < len(objects); i++ {
		for _, name := range objects[i].Needed {
			if _, ok := l.byName[name]; ok {
				continue
			}
			if len(objects) > maxLibraries {
				l.problem("it needs more than %d libraries", maxLibraries)
				return
			}
			if o := l.load(name, objects[i]); o != nil {
				objects = append(objects, o)
			}
		}
	}
	for _, o := range objects {
		l.checkVersions(o)
	}
	l.raiseGlibc(objects)
}

// origin is the folder of the program.
func (l *loader) origin(name string) place {
	abs, err := filepath.Abs(name)
	if err != nil {
		abs = name
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	dir := filepath.Dir(abs)
	if in, ok := l.root.inside(dir); ok {
		return place{path: in}
	}
	return place{filepath.ToSlash(dir), true}
}

// interpreter loads the dynamic loader itself, which libraries may need too.
func (l *loader) interpreter() {
	name := l.report.Interpreter
	if name == "" {
		return
	}
	o, err := l.open(place{path: name})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		l.problem("the dynamic loader %s is not there", name)
	case err != nil:
		l.problem("the dynamic loader %s: %v", name, err)
	case o.machine != l.report.machine:
		l.problem("the dynamic loader %s is one of %s", name, o.Arch)
	default:
		l.byName[path.Base(name)] = o
		if o.SoName != "" {
			l.byName[o.SoName] = o
		}
	}
}

// open reads a library. Where it lies outside of the root its path is the
// host's.
func (l *loader) open(p place) (*object, error) {
	in, host := p.path, filepath.FromSlash(p.path)
	if !p.outside {
		var err error
		if in, host, err = l.root.resolve(p.path); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(host)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", in)
	}
	b := &file{r: &budget{r: f, left: maxRead}, size: info.Size(), light: true}
	report, err := b.inspect()
	if err != nil {
		return nil, err
	}
	if report.Format != ELF {
		return nil, fmt.Errorf("%s is not an ELF file", in)
	}
	report.Path = p.path
	return &object{Report: report, dir: place{path.Dir(p.path), p.outside}}, nil
}

// load finds one library, and tells of it.
func (l *loader) load(name string, by *object) *object {
	lib := Library{Name: name, NeededBy: by.Path}
	o, from := l.find(name, by)
	l.byName[name] = o
	if o == nil {
		l.problem("%s, needed by %s, is not found", name, by.Path)
		l.report.Libraries = append(l.report.Libraries, lib)
		return nil
	}
	if o.SoName != "" && l.byName[o.SoName] == nil {
		l.byName[o.SoName] = o
	}
	o.parent = by
	lib.Path, lib.From, lib.Glibc, lib.Bundled = o.Path, from, o.Glibc, o.bundled
	l.report.Libraries = append(l.report.Libraries, lib)
	return o
}

// find goes the loader's way.
func (l *loader) find(name string, by *object) (*object, string) {
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			l.problem("%s, needed by %s, is relative: where it is found depends on the working directory", name, by.Path)
		}
		o, err := l.open(place{path: name})
		if err != nil {
			return nil, ""
		}
		return o, "its path"
	}
	if l.report.Libc == "musl" {
		return l.findMusl(name, by)
	}
	if len(by.RunPath) == 0 {
		for o := by; o != nil; o = o.parent {
			if len(o.RunPath) > 0 {
				continue
			}
			if found := l.inPaths(name, o, o.RPath); found != nil {
				return found, "RPATH of " + o.Path
			}
		}
	}
	if found := l.inPaths(name, by, by.RunPath); found != nil {
		return found, "RUNPATH of " + by.Path
	}
	if found, from := l.inCache(name, by); found != nil {
		return found, from
	}
	if by.noDefault {
		return nil, ""
	}
	for _, dir := range l.defaults() {
		if o := l.try(place{path: path.Join(dir, name)}); o != nil {
			return o, "default path"
		}
	}
	return nil, ""
}

// try opens a library and passes over what is of another architecture, as
// loaders do.
func (l *loader) try(p place) *object {
	o, err := l.open(p)
	if err != nil || o.machine != l.report.machine {
		return nil
	}
	return o
}

// inPaths looks in the folders of a DT_RPATH or DT_RUNPATH of o.
func (l *loader) inPaths(name string, o *object, dirs []string) *object {
	for _, dir := range dirs {
		p, origin := l.expand(dir, o)
		if !path.IsAbs(p.path) {
			l.problem("the search path %q of %s is relative: what is found depends on the working directory", dir, o.Path)
			continue
		}
		if found := l.try(p.join(name)); found != nil {
			found.bundled = origin
			return found
		}
	}
	return nil
}

// expand replaces $ORIGIN, $LIB and $PLATFORM.
func (l *loader) expand(dir string, o *object) (p place, origin bool) {
	origin = strings.Contains(dir, "$ORIGIN") || strings.Contains(dir, "${ORIGIN}")
	lib := "lib"
	if l.report.machine.class == elf.ELFCLASS64 {
		lib = "lib64"
	}
	if triplet := l.triplet(); triplet != "" && l.isDir("/lib/"+triplet) {
		lib = "lib/" + triplet
	}
	platform := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686"}[l.report.Arch]
	replace := strings.NewReplacer("${ORIGIN}", o.dir.path, "$ORIGIN", o.dir.path, "${LIB}", lib, "$LIB", lib,
		"${PLATFORM}", platform, "$PLATFORM", platform)
	return place{path.Clean(replace.Replace(dir)), origin && o.dir.outside}, origin
}

func (l *loader) isDir(name string) bool {
	_, host, err := l.root.resolve(name)
	if err != nil {
		return false
	}
	info, err := os.Stat(host)
	return err == nil && info.IsDir()
}

// inCache asks ld.so.cache; where there is none, the directories from which it
// would have been made.
func (l *loader) inCache(name string, by *object) (*object, string) {
	if !l.cached {
		l.cached = true
		l.readCache()
	}
	plain := slices.Clone(l.cache[name])
	slices.SortStableFunc(plain, func(a, b CacheEntry) int { // those for every processor first
		return cmp.Compare(min(a.Hwcap, 1), min(b.Hwcap, 1))
	})
	for _, e := range plain {
		if by.noDefault && slices.Contains(l.defaults(), path.Dir(e.Path)) {
			continue
		}
		if o := l.try(place{path: e.Path}); o != nil {
			return o, "ld.so.cache"
		}
	}
	for _, dir := range l.confDir {
		if o := l.try(place{path: path.Join(dir, name)}); o != nil {
			return o, "ld.so.conf (there is no ld.so.cache: run ldconfig)"
		}
	}
	return nil, ""
}

func (l *loader) readCache() {
	data, err := l.root.read("/etc/ld.so.cache", maxStrings)
	if err == nil {
		var entries []CacheEntry
		if entries, err = ParseCache(data); err == nil {
			l.cache = map[string][]CacheEntry{}
			for _, e := range entries {
				l.cache[e.Name] = append(l.cache[e.Name], e)
			}
			return
		}
		l.problem("%v", err)
	}
	l.confDir = l.root.ldConf("/etc/ld.so.conf", 0)
}

// triplet is Debian's name of the architecture in library paths.
func (l *loader) triplet() string {
	return map[string]string{
		"amd64": "x86_64-linux-gnu", "386": "i386-linux-gnu", "arm64": "aarch64-linux-gnu",
		"arm": "arm-linux-gnueabihf", "ppc64le": "powerpc64le-linux-gnu", "s390x": "s390x-linux-gnu",
		"riscv64": "riscv64-linux-gnu", "loong64": "loongarch64-linux-gnu", "mips64le": "mips64el-linux-gnuabi64",
	}[l.report.Arch]
}

// defaults are the directories that distributions build into their loaders.
func (l *loader) defaults() []string {
	var dirs []string
	if t := l.triplet(); t != "" {
		dirs = append(dirs, "/lib/"+t, "/usr/lib/"+t)
	}
	if l.report.machine.class == elf.ELFCLASS64 {
		dirs = append(dirs, "/lib64", "/usr/lib64")
	}
	return append(dirs, "/lib", "/usr/lib")
}

// muslOwn are the names that musl's loader takes for itself.
var muslOwn = []string{"libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.", "ld-musl-"}

// findMusl goes the way of musl's loader: search paths of all that led here,
// then one list of directories.
func (l *loader) findMusl(name string, by *object) (*object, string) {
	if slices.ContainsFunc(muslOwn, func(own string) bool { return strings.HasPrefix(name, own) }) {
		if o := l.byName[path.Base(l.report.Interpreter)]; o != nil {
			return o, "the loader itself"
		}
		if o := l.try(place{path: l.report.Interpreter}); o != nil && l.report.Interpreter != "" {
			return o, "the loader itself"
		}
	}
	for o := by; o != nil; o = o.parent {
		if found := l.inPaths(name, o, slices.Concat(o.RPath, o.RunPath)); found != nil {
			return found, "RPATH of " + o.Path
		}
	}
	dirs, from := []string{"/lib", "/usr/local/lib", "/usr/lib"}, "default path"
	arch := strings.TrimSuffix(strings.TrimPrefix(path.Base(l.report.Interpreter), "ld-musl-"), ".so.1")
	conf := "/etc/ld-musl-" + arch + ".path"
	if text, err := l.root.read(conf, 1<<20); err == nil {
		dirs, from = strings.FieldsFunc(string(text), func(c rune) bool { return c == ':' || c == '\n' }), conf
	}
	for _, dir := range dirs {
		if o := l.try(place{path: path.Join(dir, name)}); o != nil {
			return o, from
		}
	}
	return nil, ""
}

// checkVersions looks for the symbol versions that o needs in the libraries
// that were found.
func (l *loader) checkVersions(o *object) {
	for _, need := range o.Versions {
		lib := l.byName[need.Library]
		if lib == nil || need.Weak || len(lib.provides) == 0 || lib.provides[need.Version] {
			continue
		}
		which := ""
		if len(need.Symbols) > 0 {
			which = " (for " + strings.Join(need.Symbols, ", ") + ")"
		}
		l.problem("%s has no version %s, needed by %s%s", lib.Path, need.Version, o.Path, which)
	}
}

// raiseGlibc makes the needed version that of the binary and of all that is
// shipped with it.
func (l *loader) raiseGlibc(objects []*object) {
	for _, o := range objects {
		if o.bundled && o.Glibc != "" && CompareVersions(o.Glibc, l.report.Glibc) > 0 {
			l.report.Glibc = o.Glibc
			l.report.GlibcSymbols = append([]string{"in " + path.Base(o.Path)}, o.GlibcSymbols...)
		}
	}
}
