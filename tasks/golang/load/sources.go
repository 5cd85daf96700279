package load

import (
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sources are the files of one directory, sorted out for the target: the part
// of a package that does not hang on where it is.
type sources struct {
	Package                            // the lists of files, patterns and flags, and Name
	imports, testImports, xtestImports []string
	debug, testDebug, xtestDebug       []string // //go:debug lines
	goAssembly                         []string // .S and .sx, which only cgo compiles
	dir                                string
}

// empty reports whether no Go file is for the target, tests included.
func (s *sources) empty() bool {
	return len(s.GoFiles)+len(s.CgoFiles)+len(s.TestGoFiles)+len(s.XTestGoFiles) == 0
}

// ext is what follows the last dot of a name, with it.
func ext(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i:]
	}
	return ""
}

// hidden reports whether the go command looks away from a name.
func hidden(name string) bool { return name[0] == '_' || name[0] == '.' }

// SourceName reports whether the go command looks at a file of this name in a
// package's directory.
func SourceName(name string) bool {
	switch name {
	case "go.mod", "go.work", "default.pgo":
		return true
	}
	e := ext(name)
	return e == ".syso" || sourceExt(e)
}

// noPackage has the lists of any package.
var noPackage Package

// sourceExt reports whether files with this extension have constraints.
func sourceExt(ext string) bool {
	return ext == ".go" || noPackage.listFor(ext) != nil && ext != ".syso"
}

// listFor returns the list that files of an extension other than .go are in.
func (p *Package) listFor(ext string) *[]string {
	switch ext {
	case ".c":
		return &p.CFiles
	case ".cc", ".cpp", ".cxx":
		return &p.CXXFiles
	case ".m":
		return &p.MFiles
	case ".h", ".hh", ".hpp", ".hxx":
		return &p.HFiles
	case ".f", ".F", ".for", ".f90":
		return &p.FFiles
	case ".s", ".S", ".sx":
		return &p.SFiles
	case ".swig":
		return &p.SwigFiles
	case ".swigcxx":
		return &p.SwigCXXFiles
	case ".syso":
		return &p.SysoFiles
	}
	return nil
}

// readSources reads the package in a directory.
func (l *loader) readSources(dir string) (*sources, error) {
	list, err := l.files.listSources(dir)
	if err != nil {
		return nil, err
	}
	if list == nil {
		return nil, unsure("no directory %s", dir)
	}
	s := &sources{dir: dir}
	known, ok := l.ahead.take(dir)
	if !ok {
		known = l.readFacts(dir, list, atOnce)
	}
	for i := range list {
		if err := l.addFile(s, &list[i], known[i]); err != nil {
			return nil, err
		}
	}
	if len(s.CgoFiles) > 0 {
		s.SFiles = append(s.SFiles, s.goAssembly...)
		slices.Sort(s.SFiles)
	} else {
		s.IgnoredOtherFiles = append(s.IgnoredOtherFiles, s.goAssembly...)
		slices.Sort(s.IgnoredOtherFiles)
	}
	for _, list := range []*[]string{&s.imports, &s.testImports, &s.xtestImports,
		&s.EmbedPatterns, &s.TestEmbedPatterns, &s.XTestEmbedPatterns} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return s, nil
}

// readFacts finds out what the source files of a directory say; each calls a
// function for each number. What it could not, it leaves out: addFile has the
// words for it.
func (l *loader) readFacts(dir string, list []entry, each func([]int, func(int))) []*fact {
	known := make([]*fact, len(list))
	var read []int
	for i := range list {
		e := &list[i]
		if e.kind != isFile || e.fact != "" || hidden(e.name) || !sourceExt(ext(e.name)) {
			continue
		}
		if ok, err := l.tags.fileName(e.name); ok && err == nil {
			read = append(read, i)
		}
	}
	each(read, func(i int) {
		if f, err := l.files.factOf(dir, &list[i]); err == nil {
			known[i] = f
		}
	})
	return known
}

// addFile sorts one file in. known is what it says, or nil.
func (l *loader) addFile(s *sources, e *entry, known *fact) error {
	ext := ext(e.name)
	list := s.listFor(ext)
	if e.kind == isDir || hidden(e.name) || ext != ".go" && list == nil {
		return nil
	}
	switch e.kind {
	case isLink:
		if dir, err := l.files.linkToDir(join(s.dir, e.name)); dir || err != nil {
			return err
		}
	case isOther:
		return unsure("%s in %s is not a regular file", e.name, s.dir)
	}
	ok, err := l.tags.fileName(e.name)
	if err != nil {
		return err
	}
	f := &fact{}
	if !ok {
		l.notRead[join(s.dir, e.name)] = true
	}
	if ok && ext != ".syso" {
		if f = known; f == nil {
			if f, err = l.files.factOf(s.dir, e); err != nil {
				return err
			}
		}
		if f.bad != "" {
			return unsure("%s: %s", join(s.dir, e.name), f.bad)
		}
		if ok, err = l.tags.file(f); err != nil {
			return err
		}
	}
	switch {
	case ext == ".go" && (!ok || f.pkg == "documentation"):
		s.IgnoredGoFiles = append(s.IgnoredGoFiles, e.name)
	case ext == ".go":
		return l.addGo(s, e.name, f)
	case !ok:
		s.IgnoredOtherFiles = append(s.IgnoredOtherFiles, e.name)
	case ext == ".S" || ext == ".sx":
		s.goAssembly = append(s.goAssembly, e.name)
	default:
		*list = append(*list, e.name)
	}
	return nil
}

// addGo sorts a Go file for the target in.
func (l *loader) addGo(s *sources, name string, f *fact) error {
	pkg := f.pkg
	test := strings.HasSuffix(name, "_test.go")
	xtest := test && strings.HasSuffix(pkg, "_test") && s.Name != pkg
	if xtest {
		pkg = strings.TrimSuffix(pkg, "_test")
	}
	if s.Name == "" {
		s.Name = pkg
	} else if s.Name != pkg {
		return unsure("packages %s and %s in %s", s.Name, pkg, s.dir)
	}
	if err := l.addCgo(s, f); err != nil {
		return err
	}
	switch {
	case f.uses("C") && test:
		return unsure("cgo in the test %s", join(s.dir, name))
	case f.uses("C") && !l.q.Cgo:
		s.IgnoredGoFiles = append(s.IgnoredGoFiles, name)
	case f.uses("C"):
		s.CgoFiles = append(s.CgoFiles, name)
		s.add(f)
	case xtest:
		s.XTestGoFiles = append(s.XTestGoFiles, name)
		s.xtestImports = append(s.xtestImports, f.imports...)
		s.XTestEmbedPatterns = append(s.XTestEmbedPatterns, f.embeds...)
		s.xtestDebug = append(s.xtestDebug, f.debug...)
	case test:
		s.TestGoFiles = append(s.TestGoFiles, name)
		s.testImports = append(s.testImports, f.imports...)
		s.TestEmbedPatterns = append(s.TestEmbedPatterns, f.embeds...)
		s.testDebug = append(s.testDebug, f.debug...)
	default:
		s.GoFiles = append(s.GoFiles, name)
		s.add(f)
	}
	return nil
}

func (s *sources) add(f *fact) {
	s.imports = append(s.imports, f.imports...)
	s.EmbedPatterns = append(s.EmbedPatterns, f.embeds...)
	s.debug = append(s.debug, f.debug...)
}

// addCgo takes the #cgo lines of a file in.
func (l *loader) addCgo(s *sources, f *fact) error {
	for _, line := range f.cgo {
		if w := strings.Fields(line); len(w) == 3 && (w[1] == "nocallback" || w[1] == "noescape") {
			continue
		}
		head, text, ok := strings.Cut(strings.TrimSpace(line[len("#cgo"):]), ":")
		words := strings.Fields(head)
		if !ok || len(words) == 0 {
			return unsure("a #cgo line in %s: %s", s.dir, line)
		}
		conds, verb := words[:len(words)-1], words[len(words)-1]
		holds := len(conds) == 0
		for _, c := range conds {
			ok, err := l.tags.cgoLine(c)
			if err != nil {
				return err
			}
			if holds = holds || ok; holds {
				break
			}
		}
		if !holds {
			continue
		}
		args, ok := s.cgoArgs(verb, text)
		if !ok {
			return unsure("a #cgo line in %s: %s", s.dir, line)
		}
		switch verb {
		case "CFLAGS":
			s.CgoCFLAGS = append(s.CgoCFLAGS, args...)
		case "CPPFLAGS":
			s.CgoCPPFLAGS = append(s.CgoCPPFLAGS, args...)
		case "CXXFLAGS":
			s.CgoCXXFLAGS = append(s.CgoCXXFLAGS, args...)
		case "LDFLAGS":
			s.CgoLDFLAGS = append(s.CgoLDFLAGS, args...)
		case "FFLAGS", "pkg-config":
		default:
			return unsure("a #cgo line in %s: %s", s.dir, line)
		}
	}
	return nil
}

// cgoArgs splits the flags of a #cgo line, puts the package's directory in and
// makes the directories of -I and -L absolute.
func (s *sources) cgoArgs(verb, text string) ([]string, bool) {
	args, ok := splitQuoted(text)
	if !ok {
		return nil, false
	}
	slashed := filepath.ToSlash(s.dir)
	for i, a := range args {
		if strings.Contains(a, "${SRCDIR}") {
			if !safeCgo(slashed) {
				return nil, false
			}
			for _, part := range strings.Split(a, "${SRCDIR}") {
				if part != "" && !safeCgo(part) {
					return nil, false
				}
			}
			args[i] = strings.ReplaceAll(a, "${SRCDIR}", slashed)
		} else if !safeCgo(a) {
			return nil, false
		}
	}
	if strings.HasSuffix(verb, "FLAGS") {
		s.absolute(args)
	}
	return args, true
}

// absolute changes args in place.
func (s *sources) absolute(args []string) {
	next := false
	for i, a := range args {
		switch {
		case next:
			if !filepath.IsAbs(a) {
				args[i] = filepath.Join(s.dir, a)
			}
			next = false
		case a == "-I" || a == "-L":
			next = true
		case (strings.HasPrefix(a, "-I") || strings.HasPrefix(a, "-L")) && !filepath.IsAbs(a[2:]):
			args[i] = a[:2] + filepath.Join(s.dir, a[2:])
		}
	}
}

// safeCgo reports whether the go command accepts a flag.
func safeCgo(s string) bool {
	const safe = "+-.,/0123456789=ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz:$@%! ~^"
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < utf8.RuneSelf && strings.IndexByte(safe, c) < 0 {
			return false
		}
	}
	return s != ""
}

// splitQuoted splits at white space. Quotes of either kind hold words
// together, a backslash takes the next character as it is; ok is false if a
// quote or a backslash is left open.
func splitQuoted(s string) (out []string, ok bool) {
	var word strings.Builder
	var quote rune
	started, escaped := false, false
	for _, r := range s {
		switch {
		case escaped:
			escaped, started = false, true
			word.WriteRune(r)
		case r == '\\':
			escaped = true
		case quote != 0:
			if r == quote {
				quote = 0
			} else {
				word.WriteRune(r)
			}
		case r == '"' || r == '\'':
			quote, started = r, true
		case unicode.IsSpace(r):
			if started {
				out = append(out, word.String())
				word.Reset()
				started = false
			}
		default:
			started = true
			word.WriteRune(r)
		}
	}
	if started {
		out = append(out, word.String())
	}
	return out, quote == 0 && !escaped
}
