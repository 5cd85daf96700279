package scaffold

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/internal/lists"
)

// defaultStamp is what go_release sets where nothing else is said.
const defaultStamp = "main.version"

// linkFlag finds the variable that a recipe sets with the linker's -X.
var linkFlag = regexp.MustCompile(`-X[ =]\s*["']?([A-Za-z0-9_./~-]+\.[A-Za-z_][A-Za-z0-9_]*[vV]ersion|[A-Za-z0-9_./~-]+\.[vV]ersion)=`)

// recipes are files of other tools that may say which variable that is.
var recipes = [...]string{".goreleaser.yml", ".goreleaser.yaml", "goreleaser.yml", "goreleaser.yaml", "Makefile", "makefile", "GNUmakefile"}

// findStamp returns the variable that holds the version in every program: one
// of package main, one that a recipe of another tool names, or Version of a
// package of the module that all programs import. "" if there is none.
func (f *Facts) findStamp(fsys fs.FS) string {
	mains := lists.Map(f.Mains, func(pkg string) source { return read(fsys, path.Clean(strings.TrimPrefix(pkg, "./"))) })
	all := func(holds func(source) bool) bool {
		return len(mains) > 0 && !slices.ContainsFunc(mains, func(s source) bool { return !holds(s) })
	}
	for _, name := range []string{"version", "Version"} {
		if all(func(s source) bool { return s.vars[name] }) {
			return "main." + name
		}
	}
	text, err := fs.ReadFile(fsys, "go.mod")
	module := modfile.ModulePath(text)
	if err != nil || module == "" {
		return ""
	}
	// has reports whether a package of the module has the variable.
	has := func(pkg, name string) bool {
		dir, ok := strings.CutPrefix(pkg+"/", module+"/")
		return ok && read(fsys, path.Clean(dir)).vars[name]
	}
	for _, recipe := range recipes {
		text, err := fs.ReadFile(fsys, recipe)
		if err != nil {
			continue
		}
		for _, m := range linkFlag.FindAllStringSubmatch(string(text), -1) {
			if i := strings.LastIndexByte(m[1], '.'); has(m[1][:i], m[1][i+1:]) {
				return m[1]
			}
		}
	}
	for _, s := range mains {
		for _, pkg := range s.imports {
			for _, name := range []string{"Version", "version"} {
				imported := func(o source) bool { return slices.Contains(o.imports, pkg) }
				if strings.Contains(path.Base(pkg), "version") && has(pkg, name) && all(imported) {
					return pkg + "." + name
				}
			}
		}
	}
	return ""
}

// A source is what the files of a package say.
type source struct {
	vars    map[string]bool // string variables that the linker can set
	imports []string
}

// read reads the files of a package that are not tests.
func read(fsys fs.FS, dir string) source {
	s := source{vars: map[string]bool{}}
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return s
	}
	for _, e := range entries {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		text, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), e.Name(), text, parser.SkipObjectResolution)
		if err != nil {
			continue
		}
		for _, spec := range file.Imports {
			if pkg, err := strconv.Unquote(spec.Path.Value); err == nil {
				s.imports = append(s.imports, pkg)
			}
		}
		for _, d := range file.Decls {
			if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.VAR {
				for _, spec := range g.Specs {
					s.take(spec.(*ast.ValueSpec))
				}
			}
		}
	}
	return s
}

// take notes variables that are strings, without a value or with a constant.
func (s *source) take(v *ast.ValueSpec) {
	for i, name := range v.Names {
		text := false
		if t, ok := v.Type.(*ast.Ident); ok && t.Name == "string" {
			text = len(v.Values) == 0
		}
		if i < len(v.Values) {
			literal, ok := v.Values[i].(*ast.BasicLit)
			text = ok && literal.Kind == token.STRING
		}
		if text {
			s.vars[name.Name] = true
		}
	}
}
