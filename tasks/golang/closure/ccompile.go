package closure

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// A cgoSearch asks the C compiler what a package with cgo is made of. It runs
// the preprocessor over every C text of the package as the go command will, and
// takes the compiler's list of what was read; asks where the compiler looks, so
// that a file which appears there later is noticed; and asks for the programs
// and libraries that it would use.
type cgoSearch struct {
	*nativeSearch
	ctx     context.Context
	env     []string
	dir     string // of the package, in the form of this system
	objdir  string // stands for the directory of generated files
	cc, cxx []string
	// Flags as the go command gives them: for each language those of the
	// preprocessor come first.
	cflags, cxxflags, ldflags []string

	mu   sync.Mutex
	read map[string]bool // files that the preprocessor read, as it names them
	bins map[string]bool // files that assembler text includes
	// asked are names of which a condition asks whether there is a file. Where
	// only the preprocessor knows the name, what it made of the text counts.
	asked    map[string]bool
	computed bool
	results  []string // what it made of each text
}

// askCompiler finds the native of a package with cgo.
func (g *gatherer) askCompiler(ctx context.Context, p *goPackage, name string) (_ *native, err error) {
	s := &cgoSearch{nativeSearch: newNativeSearch(g, p, name), ctx: ctx, dir: p.Dir, read: map[string]bool{}, bins: map[string]bool{}, asked: map[string]bool{}}
	if s.env, err = g.c.cfg.OwnEnv(ctx); err != nil {
		return nil, err
	}
	for _, v := range g.c.Env {
		s.env = append(s.env, v.Name+"="+v.Value)
	}
	s.env = append(s.env, "LC_ALL=C", "TERM=dumb")
	if s.objdir, err = os.MkdirTemp("", "airbuild-cgo-"); err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	defer os.RemoveAll(s.objdir)
	if len(p.SwigFiles)+len(p.SwigCXXFiles) > 0 {
		s.lose("what SWIG reads cannot be followed")
	}
	if len(p.FFiles) > 0 {
		s.lose("what Fortran includes cannot be followed")
	}
	s.flags()
	if s.lost == "" {
		s.preprocess()
	}
	if s.lost == "" {
		s.programs()
		s.libraries()
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return s.done()
}

// value is a variable of the environment in which the go command will run.
func (s *cgoSearch) value(name string) string {
	for _, v := range slices.Backward(s.env) {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// words splits a value that is a list of flags.
func (s *cgoSearch) words(text string) []string {
	out, err := splitWords(text)
	if err != nil {
		s.lose("%v", err)
	}
	return out
}

// flags collects the command lines, and refuses what makes them unreadable.
func (s *cgoSearch) flags() {
	s.cc, s.cxx = s.words(s.value("CC")), s.words(s.value("CXX"))
	if len(s.cc) == 0 {
		s.lose("CC is empty")
		return
	}
	if len(s.cxx) == 0 {
		s.cxx = s.cc
	}
	pcCflags, pcLibs := s.pkgConfig()
	base := []string{"-I", s.dir}
	if s.value("GOOS") != "windows" {
		base = append(base, "-fPIC", "-pthread")
	} else {
		base = append(base, "-mthreads")
	}
	base = append(base, archFlags(s.value("GOOS"), s.value("GOARCH"), s.value("GOMIPS64"))...)
	cpp := slices.Concat(s.words(s.value("CGO_CPPFLAGS")), s.p.CgoCPPFLAGS, pcCflags, []string{"-I", s.objdir})
	s.cflags = slices.Concat(base, cpp, s.words(s.value("CGO_CFLAGS")), s.p.CgoCFLAGS)
	s.cxxflags = slices.Concat(base, cpp, s.words(s.value("CGO_CXXFLAGS")), s.p.CgoCXXFLAGS)
	s.ldflags = slices.Concat(s.words(s.value("CGO_LDFLAGS")), s.p.CgoLDFLAGS, pcLibs)
	for _, f := range slices.Concat(s.cc, s.cxx, s.cflags, s.cxxflags, s.ldflags) {
		for _, bad := range [...]string{"-fplugin", "-wrapper", "-fprofile-use", "-fmodules", "-Wl,-plugin", "-Wl,--plugin", "-Wl,@", "-Wa,@", "-Xlinker", "-Xassembler"} {
			if strings.HasPrefix(f, bad) {
				s.lose("what %s reads cannot be followed", f)
			}
		}
		s.named(f)
	}
	if slices.ContainsFunc(s.ldflags, func(f string) bool { return strings.HasPrefix(f, "@") }) {
		s.lose("a response file in LDFLAGS cannot be followed")
	}
}

// named takes every file that a flag names, whatever the flag means: linker
// scripts, lists of symbols, specs, profiles, objects and archives.
func (s *cgoSearch) named(flag string) {
	for _, piece := range strings.FieldsFunc(flag, func(r rune) bool { return r == '=' || r == ',' }) {
		piece = strings.TrimPrefix(piece, "@")
		if piece == "" || piece == "." || piece[0] == '-' {
			continue
		}
		at := s.resolve(s.name, piece)
		if info, err := os.Stat(s.abs(at)); err == nil && info.Mode().IsRegular() {
			s.link(at)
		} else if err != nil && strings.ContainsAny(piece, "./") {
			s.files[at] = true // it may appear
		}
	}
}

// archFlags choose the architecture, as the go command does.
func archFlags(goos, goarch, mips64 string) []string {
	mac := goos == "darwin"
	switch goarch {
	case "386":
		return []string{"-m32"}
	case "amd64":
		if mac {
			return []string{"-arch", "x86_64", "-m64"}
		}
		return []string{"-m64"}
	case "arm64":
		if mac {
			return []string{"-arch", "arm64"}
		}
	case "arm":
		return []string{"-marm"}
	case "s390x":
		return []string{"-m64", "-march=z13"}
	case "mips64", "mips64le":
		if mips64 == "softfloat" {
			return []string{"-mabi=64", "-msoft-float"}
		}
		return []string{"-mabi=64"}
	case "mips", "mipsle":
		return []string{"-mabi=32", "-march=mips32"}
	case "loong64":
		return []string{"-mabi=lp64d"}
	}
	return nil
}

// A cText is one text that the preprocessor reads.
type cText struct {
	file, lang string
	cxx        bool
}

// preprocess runs the preprocessor over all C texts of the package.
func (s *cgoSearch) preprocess() {
	texts := s.cTexts()
	var wait sync.WaitGroup
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	for i, u := range texts {
		wait.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			s.one(u, filepath.Join(s.objdir, fmt.Sprint("out", i)))
		})
	}
	wait.Wait()
	if s.lost != "" {
		return
	}
	dirs := s.searched("c", s.cc, s.cflags)
	if slices.ContainsFunc(texts, func(u cText) bool { return u.cxx }) {
		dirs = append(dirs, s.searched("c++", s.cxx, s.cxxflags)...)
	}
	s.taken(dirs)
}

// cTexts lists the C texts: the package's files, and what is above import "C",
// which is compiled in a directory of generated files.
func (s *cgoSearch) cTexts() []cText {
	var texts []cText
	exported := "#include <stddef.h>\n"
	for i, f := range s.p.CgoFiles {
		text, err := preamble(filepath.Join(s.dir, f))
		if err != nil {
			s.lose("%v", err)
			return nil
		}
		lang := "c"
		if len(s.p.MFiles) > 0 {
			lang = "objective-c"
		}
		file := filepath.Join(s.objdir, fmt.Sprintf("preamble%d.c", i))
		exported += text
		if err := os.WriteFile(file, []byte("#include <stddef.h>\n"+text), 0o666); err != nil {
			s.lose("%v", err)
		}
		texts = append(texts, cText{file, lang, false})
	}
	if err := os.WriteFile(filepath.Join(s.objdir, "_cgo_export.h"), []byte(exported), 0o666); err != nil {
		s.lose("%v", err)
	}
	for _, list := range []struct {
		files []string
		lang  string
		cxx   bool
	}{{s.p.CFiles, "c", false}, {s.p.CXXFiles, "c++", true}, {s.p.MFiles, "objective-c", false}} {
		for _, f := range list.files {
			texts = append(texts, cText{filepath.Join(s.dir, f), list.lang, list.cxx})
		}
	}
	for _, f := range s.p.SFiles {
		full := filepath.Join(s.dir, f)
		if filepath.Ext(f) == ".S" {
			texts = append(texts, cText{full, "assembler-with-cpp", false})
			continue
		}
		if text, err := os.ReadFile(full); err == nil {
			s.assemblerText(text, f)
		}
	}
	return texts
}

// preamble is the C text above import "C" in a Go file.
func preamble(file string) (string, error) {
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, d := range f.Decls {
		d, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range d.Specs {
			i, ok := spec.(*ast.ImportSpec)
			if !ok || i.Path.Value != `"C"` {
				continue
			}
			doc := i.Doc
			if doc == nil && len(d.Specs) == 1 {
				doc = d.Doc
			}
			if doc != nil {
				writePreamble(&b, doc)
			}
		}
	}
	return b.String(), nil
}

// writePreamble writes a comment as C, without #cgo lines.
func writePreamble(b *strings.Builder, doc *ast.CommentGroup) {
	for _, c := range doc.List {
		text := strings.TrimPrefix(c.Text, "//")
		if t, ok := strings.CutPrefix(c.Text, "/*"); ok {
			text = strings.TrimSuffix(t, "*/")
		}
		for line := range strings.SplitSeq(text, "\n") {
			if t := strings.TrimLeft(line, " \t"); strings.HasPrefix(t, "#cgo") && len(t) > 4 && (t[4] == ' ' || t[4] == '\t') {
				line = ""
			}
			b.WriteString(line + "\n")
		}
	}
}

// one runs the preprocessor over one text and notes what it read.
func (s *cgoSearch) one(u cText, out string) {
	cc, flags := s.cc, s.cflags
	if u.cxx {
		cc, flags = s.cxx, s.cxxflags
	}
	dep := out + ".d"
	said, err := s.run(cc, slices.Concat(flags, []string{"-x", u.lang, "-E", "-P", "-MD", "-MF", dep, "-MT", "x", "-o", out, u.file}))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lose("the C compiler does not list what %s includes: %s", filepath.Base(u.file), gocmd.FirstLine(said, err))
		return
	}
	list, err := os.ReadFile(dep)
	if err != nil {
		s.lose("the C compiler lists no includes: %v", err)
		return
	}
	for _, f := range makeDeps(string(list)) {
		s.read[f] = true
	}
	text, err := os.ReadFile(out)
	if err != nil {
		s.lose("%v", err)
		return
	}
	s.assemblerText(text, filepath.Base(u.file))
	// No key holds where the project or the package is.
	for _, dir := range []string{s.objdir, s.dir, s.g.files.Root()} {
		text = bytes.ReplaceAll(text, []byte(dir), []byte("."))
	}
	s.results = append(s.results, fmt.Sprintf("text %s %s", filepath.Base(u.file), action.Of(text)))
}

// run runs a program of the compiler in the package's directory.
func (s *cgoSearch) run(cmd, args []string) (string, error) {
	prog := cmd[0]
	if !strings.ContainsRune(prog, filepath.Separator) {
		prog = lookIn(s.value("PATH"), prog)
	}
	var out bytes.Buffer
	err := gocmd.RunProcess(s.ctx, &engine.Process{Path: prog, Args: slices.Concat(cmd[1:], args), Env: s.env, Dir: s.dir, Stdout: &out, Stderr: &out})
	return out.String(), err
}

// lookIn finds a program in the directories of a PATH.
func lookIn(dirs, prog string) string {
	for _, dir := range filepath.SplitList(dirs) {
		for _, suffix := range [...]string{"", gocmd.Exe(runtime.GOOS, runtime.GOARCH)} {
			name := filepath.Join(dir, prog+suffix)
			if info, err := os.Stat(name); err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
				return name
			}
		}
	}
	return prog
}

// makeDeps reads a rule of make with one target.
func makeDeps(rule string) []string {
	_, rule, _ = strings.Cut(rule, ":")
	var out []string
	var word strings.Builder
	flush := func() {
		if word.Len() > 0 {
			out = append(out, word.String())
			word.Reset()
		}
	}
	for i := 0; i < len(rule); i++ {
		switch c := rule[i]; {
		case c == '\\' && i+1 < len(rule) && strings.IndexByte(" #\t", rule[i+1]) >= 0:
			i++
			word.WriteByte(rule[i])
		case c == '\\' && i+1 < len(rule) && (rule[i+1] == '\n' || rule[i+1] == '\r'):
			i++
			flush()
		case c == '$' && i+1 < len(rule) && rule[i+1] == '$':
			i++
			word.WriteByte('$')
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			flush()
		default:
			word.WriteByte(c)
		}
	}
	flush()
	return out
}

var (
	joined    = regexp.MustCompile(`([^\\])"\s*"`)
	asmReads  = regexp.MustCompile(`\.(?:incbin|include)\b`)
	asmReader = regexp.MustCompile(`\.(?:incbin|include)[ \t]*\\?"([^"\\\n]+)\\?"`)
)

// assemblerText notes the files that assembler text includes, in a file of its
// own or in C.
func (s *cgoSearch) assemblerText(text []byte, where string) {
	if !bytes.Contains(text, []byte(".inc")) {
		return
	}
	text = joined.ReplaceAll(text, []byte("$1"))
	found := asmReader.FindAllSubmatch(text, -1)
	if len(found) < len(asmReads.FindAll(text, -1)) {
		s.lose("the file of an .incbin or .include in %s cannot be read from the source", where)
	}
	for _, m := range found {
		s.bins[string(m[1])] = true
	}
}

var nonexistent = regexp.MustCompile(`(?m)^ignoring nonexistent directory "([^"]+)"`)

// searched are the directories in which the compiler looks for includes, in
// order, with those that do not exist.
func (s *cgoSearch) searched(lang string, cc, flags []string) []string {
	empty := filepath.Join(s.objdir, "empty")
	if err := os.WriteFile(empty, nil, 0o666); err != nil {
		s.lose("%v", err)
		return nil
	}
	said, err := s.run(cc, slices.Concat(flags, []string{"-E", "-v", "-x", lang, "-o", os.DevNull, empty}))
	_, list, ok := strings.Cut(said, "search starts here:\n")
	if err != nil || !ok {
		s.lose("the C compiler does not say where it looks for headers: %s", gocmd.FirstLine(said, err))
		return nil
	}
	dirs := lists.Map(nonexistent.FindAllStringSubmatch(said, -1), func(m []string) string { return m[1] })
	for line := range strings.Lines(list) {
		if strings.HasPrefix(line, "End of search list") {
			break
		}
		if strings.HasPrefix(line, " ") {
			dirs = append(dirs, strings.TrimSuffix(strings.TrimSpace(line), " (framework directory)"))
		}
	}
	return dirs
}

// taken makes what the preprocessor read part of the answer, and what it would
// read if it were there.
func (s *cgoSearch) taken(dirs []string) {
	real, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		real = s.dir
	}
	own := func(f string) bool {
		_, err := gocmd.RelativeInside(s.objdir, f)
		return filepath.IsAbs(f) && err == nil
	}
	var search []string // as resolve names them
	for _, d := range dirs {
		if at := s.resolve(s.name, d); !own(d) && !slices.Contains(search, at) {
			search = append(search, at)
		}
	}
	names := map[string]bool{}
	includers := map[string]bool{s.name: true}
	for _, f := range slices.Sorted(maps.Keys(s.read)) {
		if own(f) {
			s.spelled(f, names)
			continue
		}
		at := s.resolve(s.name, f)
		if !filepath.IsAbs(f) && real != s.dir {
			// The compiler goes up from where the directory really is.
			if phys := s.resolve(s.name, filepath.Join(real, f)); !sameFile(s.abs(at), s.abs(phys)) {
				s.files[at] = true
				at = phys
			}
		}
		if !s.take(at) {
			s.lose("%s cannot be read", at)
			return
		}
		if s.frozen(at) {
			continue
		}
		s.spelled(s.abs(at), names)
		if !slices.ContainsFunc(search, func(d string) bool { return path.IsAbs(d) && strings.HasPrefix(at, d+"/") }) {
			includers[path.Dir(at)] = true
		}
		// It would be shadowed by a file of its name in an earlier directory.
		for i, d := range search {
			if rest, ok := strings.CutPrefix(at, d+"/"); ok || d == "." {
				if d == "." {
					rest = at
				}
				for _, earlier := range search[:i] {
					s.absent(earlier, rest)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		found := false
		for dir := range includers {
			found = s.perhaps(dir, name) || found
		}
		found = slices.ContainsFunc(search, func(dir string) bool { return s.perhaps(dir, name) }) || found
		if found && s.asked[name] {
			s.texts = append(s.texts, "exists "+name)
		}
	}
	if s.computed {
		s.texts = append(s.texts, slices.Sorted(slices.Values(s.results))...)
		for _, dir := range search {
			s.tree(dir)
		}
	}
	for _, f := range slices.Sorted(maps.Keys(s.bins)) {
		if !slices.ContainsFunc(append([]string{s.name}, search...), func(dir string) bool {
			at := s.resolve(dir, f)
			if s.take(at) {
				return true
			}
			s.absent(dir, f)
			return false
		}) {
			s.lose("%s, which assembler text includes, is not found", f)
		}
	}
}

// perhaps watches for a file that is not there. It reports whether it is.
func (s *cgoSearch) perhaps(dir, name string) bool {
	if filepath.IsAbs(name) {
		s.files[s.resolve(dir, name)] = true
		return true
	}
	if _, err := os.Stat(s.abs(s.resolve(dir, name))); err == nil {
		return true
	}
	s.absent(dir, name)
	return false
}

// tree watches the names in a directory of the project and all below it.
func (s *cgoSearch) tree(dir string) {
	if path.IsAbs(dir) || dir == s.g.c.Dist {
		s.dirs[dir] = allNames
		return
	}
	s.dirs[dir] = allNames
	entries, err := s.g.files.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != ".git" {
			s.tree(path.Join(dir, e.Name()))
		}
	}
}

func (s *cgoSearch) spelled(file string, names map[string]bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		s.lose("%v", err)
		return
	}
	sp := spelledIn(text)
	for _, n := range sp.names {
		names[n] = true
	}
	for _, n := range sp.asked {
		s.asked[n] = true
	}
	s.computed = s.computed || sp.computed && !path.IsAbs(s.resolve(s.name, file))
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// programs takes the programs that the compiler starts. It answers with a bare
// name where it looks on PATH itself, and not at all if it has none of its own.
func (s *cgoSearch) programs() {
	kinds := []string{"cc1", "as", "ld", "collect2"}
	if len(s.p.CXXFiles) > 0 {
		kinds = append(kinds, "cc1plus")
	}
	for _, kind := range kinds {
		said, err := s.run(s.cc, append(slices.Clone(s.cflags), "-print-prog-name="+kind))
		prog := strings.TrimSpace(said)
		if err != nil || prog == "" || strings.Contains(prog, "\n") {
			continue
		}
		if !filepath.IsAbs(prog) {
			prog = lookIn(s.value("PATH"), prog)
		}
		if filepath.IsAbs(prog) {
			s.take(filepath.ToSlash(prog))
		}
	}
}

// runtimeFiles are what the linker adds without being asked.
var runtimeFiles = [...]string{"crt1.o", "Scrt1.o", "crti.o", "crtbegin.o", "crtbeginS.o", "crtend.o", "crtendS.o", "crtn.o"}

// runtimeLibraries are linked to every program, or by the go command's own
// packages.
var runtimeLibraries = [...]string{"c", "gcc", "gcc_s", "pthread", "dl", "resolv", "m"}

// libraries takes what is linked: libraries of -l in the directories of -L or of
// the system, all libraries of -L directories of the project, and the C
// run-time.
func (s *cgoSearch) libraries() {
	dirs := lists.Map(splitFlags("-L", s.ldflags), func(d string) string { return s.resolve(s.name, d) })
	for _, d := range filepath.SplitList(s.value("LIBRARY_PATH")) {
		dirs = append(dirs, s.resolve(s.name, d))
	}
	for _, d := range dirs {
		s.dirs[d] = allNames
		if path.IsAbs(d) {
			continue
		}
		entries, err := s.g.files.ReadDir(d)
		if err != nil {
			continue
		}
		for _, e := range entries {
			switch n := e.Name(); path.Ext(n) {
			case ".a", ".o", ".so", ".dylib", ".lib", ".dll", ".tbd":
				s.link(path.Join(d, n))
			default:
				if strings.Contains(n, ".so.") {
					s.link(path.Join(d, n))
				}
			}
		}
	}
	libs := slices.Clone(splitFlags("-l", s.ldflags))
	for _, f := range s.ldflags {
		for _, piece := range strings.Split(f, ",")[1:] {
			if l, ok := strings.CutPrefix(piece, "-l"); ok {
				libs = append(libs, l)
			}
		}
	}
	if len(s.p.CXXFiles) > 0 {
		libs = append(libs, "stdc++")
	}
	for _, l := range append(libs, runtimeLibraries[:]...) {
		if exact, ok := strings.CutPrefix(l, ":"); ok {
			s.library(dirs, exact)
			continue
		}
		for _, ext := range [...]string{".so", ".a", ".dylib", ".tbd", ".dll.a"} {
			s.library(dirs, "lib"+l+ext)
		}
	}
	for _, f := range runtimeFiles {
		s.library(nil, f)
	}
}

// library takes a library from the first directory that has it, or else from
// where the compiler finds it.
func (s *cgoSearch) library(dirs []string, file string) {
	for _, d := range dirs {
		if at := s.resolve(d, file); s.take(at) {
			s.link(at)
			return
		}
	}
	if at := s.systemFile(file); at != "" {
		s.link(at)
	}
}

// systemFile asks the compiler for a file of the system's, "" if there is none.
func (s *cgoSearch) systemFile(file string) string {
	said, err := s.run(s.cc, append(slices.Clone(s.cflags), "-print-file-name="+file))
	if at := strings.TrimSpace(said); err == nil && filepath.IsAbs(at) && !strings.Contains(at, "\n") {
		return filepath.ToSlash(filepath.Clean(at))
	}
	return ""
}

var scriptFile = regexp.MustCompile(`[^\s(),]+`)

// link takes a file that is linked. One that refers to others, as a text for the
// linker or a thin archive, takes them along.
func (s *cgoSearch) link(at string) {
	if !s.take(at) {
		return
	}
	f, err := os.Open(s.abs(at))
	if err != nil {
		return
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, _ := f.Read(head)
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte("!<thin>\n")):
		s.lose("%s is a thin archive, whose members cannot be followed", at)
	case bytes.Contains(head, []byte("INPUT")) || bytes.Contains(head, []byte("GROUP")):
		if bytes.IndexByte(head, 0) >= 0 {
			return // a binary
		}
		for _, word := range scriptFile.FindAllString(string(head), -1) {
			switch {
			case filepath.IsAbs(word):
				s.take(s.resolve(s.name, word))
			case strings.HasPrefix(word, "-l"):
				s.library([]string{path.Dir(at)}, "lib"+word[2:]+".so")
				s.library([]string{path.Dir(at)}, "lib"+word[2:]+".a")
			case strings.Contains(word, ".so") || strings.HasSuffix(word, ".a") || strings.HasSuffix(word, ".o"):
				s.library([]string{path.Dir(at)}, word)
			}
		}
	}
}

// splitFlags returns the values of a one-letter flag in either form.
func splitFlags(flag string, lists ...[]string) []string {
	var out []string
	for _, list := range lists {
		for i, f := range list {
			if f == flag && i+1 < len(list) {
				out = append(out, list[i+1])
			} else if v, ok := strings.CutPrefix(f, flag); ok && v != "" {
				out = append(out, v)
			}
		}
	}
	return out
}
