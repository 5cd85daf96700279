package closure

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// Go's linker sets a variable by -X only if it is a string that has no value, or
// a constant one; it says nothing of names that it does not find. So stamps are
// checked against the sources of the programs when these are listed.

// StampsOf are the variables that a go_build stage sets: those of stamp, and of
// -X among the flags of the linker.
func StampsOf(b *tasks.Block) []string {
	names := slices.Collect(maps.Keys(b.Map("stamp")))
	words, _ := splitWords(strings.Join(b.Strings("ldflags"), " "))
	for i, w := range words {
		w = strings.TrimPrefix(w, "-")
		v, ok := strings.CutPrefix(w, "-X=")
		if !ok {
			v, ok = strings.CutPrefix(w, "X=")
		}
		if !ok && (w == "X" || w == "-X") && i+1 < len(words) {
			v, ok = words[i+1], true
		}
		if name, _, set := strings.Cut(v, "="); ok && set {
			names = append(names, name)
		}
	}
	return lists.Unique(names)
}

// splitWords splits flags as the go command does: by blanks, with quotes around
// whole words.
func splitWords(text string) ([]string, error) {
	var out []string
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(text) {
		end := strings.IndexAny(text, " \t\n\r")
		if q := text[0]; q == '\'' || q == '"' {
			if end = strings.IndexByte(text[1:], q); end < 0 {
				return out, fmt.Errorf("%q has no closing quote", text)
			}
			out, text = append(out, text[1:1+end]), text[end+2:]
			continue
		}
		if end < 0 {
			end = len(text)
		}
		out, text = append(out, text[:end]), text[end:]
	}
	return out, nil
}

// checkStamps reports stamps that the linker would ignore.
func (c *Closure) checkStamps(pkgs []*goPackage) error {
	var errs []error
	var known []string // what can be set, of packages that somebody edits
	if len(c.Stamps) == 0 {
		return nil
	}
	for _, p := range pkgs {
		if p.Module != nil && inTree(p.Module) && (p.Name != "main" || !p.DepOnly) {
			if vars, err := stringVars(p); err == nil {
				for _, v := range slices.Sorted(maps.Keys(vars)) {
					if vars[v] == "" {
						known = append(known, linkName(p)+"."+v)
					}
				}
			}
		}
	}
	for _, name := range c.Stamps {
		why, err := stampFails(name, pkgs)
		if err != nil {
			return err
		}
		near := tasks.DidYouMean(name, known)
		if why == "" || near == "" && c.StampsMayMiss {
			continue
		}
		errs = append(errs, fmt.Errorf("stamp %q sets nothing: %s.%s", name, why, near))
	}
	return errors.Join(errs...)
}

// linkName is what the linker calls a package.
func linkName(p *goPackage) string {
	if p.Name == "main" {
		return "main"
	}
	return p.ImportPath
}

// stampFails says why the linker would ignore a stamp, or "".
func stampFails(name string, pkgs []*goPackage) (string, error) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return "it must be a package and a variable, such as main.version", nil
	}
	pkg, variable := name[:dot], name[dot+1:]
	why := "package " + pkg + " is not part of the program"
	for _, p := range pkgs {
		if p.ImportPath == pkg && p.Name == "main" {
			why = "the linker calls package " + pkg + " main"
		}
		if linkName(p) != pkg || p.Name == "main" && p.DepOnly {
			continue
		}
		vars, err := stringVars(p)
		if err != nil {
			return "", err
		}
		if problem, ok := vars[variable]; ok {
			if problem == "" {
				return "", nil
			}
			why = variable + " " + problem
		} else {
			why = "package " + pkg + " has no variable " + variable
		}
	}
	return why, nil
}

// stringVars are the names that a package declares at its top: "" for a variable
// that the linker can set, otherwise why it cannot.
func stringVars(p *goPackage) (map[string]string, error) {
	vars, consts := map[string]string{}, map[string]bool{}
	var files []*ast.File
	for _, name := range slices.Concat(p.GoFiles, p.CgoFiles) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(p.Dir, name)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, fmt.Errorf("look for variables that are stamped: %w", err)
		}
		files = append(files, f)
	}
	each := func(visit func(token.Token, ast.Spec)) {
		for _, f := range files {
			for _, d := range f.Decls {
				if d, ok := d.(*ast.GenDecl); ok {
					for _, s := range d.Specs {
						visit(d.Tok, s)
					}
				}
			}
		}
	}
	for _, f := range files {
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				vars[fn.Name.Name] = "is a function"
			}
		}
	}
	each(func(tok token.Token, s ast.Spec) {
		switch s := s.(type) {
		case *ast.TypeSpec:
			vars[s.Name.Name] = "is a type"
		case *ast.ValueSpec:
			if tok == token.CONST {
				for _, n := range s.Names {
					vars[n.Name], consts[n.Name] = "is a constant", true
				}
			}
		}
	})
	each(func(tok token.Token, s ast.Spec) {
		v, ok := s.(*ast.ValueSpec)
		if !ok || tok != token.VAR {
			return
		}
		for i, n := range v.Names {
			vars[n.Name] = settable(v, i, consts)
		}
	})
	return vars, nil
}

// Why a variable cannot be set.
const (
	notString = "is not a string"
	computed  = "is computed when the program starts, and only a variable without a value or with a constant one can be stamped"
)

// settable says why the linker cannot set the i-th variable of a declaration.
func settable(v *ast.ValueSpec, i int, consts map[string]bool) string {
	switch t := v.Type.(type) {
	case nil:
		if len(v.Values) != len(v.Names) {
			return computed
		}
	case *ast.Ident:
		if t.Name != "string" {
			return "has type " + t.Name + "; it must be string"
		}
	case *ast.SelectorExpr:
		return "has a type of another package; it must be string"
	default:
		return notString
	}
	if len(v.Values) == 0 {
		return ""
	}
	if len(v.Values) != len(v.Names) {
		return computed
	}
	return constantString(v.Values[i], consts)
}

// constantString says what is wrong with a variable's value, if it is not a
// constant string. A constant of another package is not looked for.
func constantString(e ast.Expr, consts map[string]bool) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind == token.STRING {
			return ""
		}
		return notString
	case *ast.ParenExpr:
		return constantString(e.X, consts)
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return notString
		}
		if why := constantString(e.X, consts); why != "" {
			return why
		}
		return constantString(e.Y, consts)
	case *ast.Ident:
		switch {
		case consts[e.Name]:
			return ""
		case e.Name == "true" || e.Name == "false" || e.Name == "nil":
			return notString
		}
		return computed
	case *ast.SelectorExpr:
		return ""
	case *ast.CallExpr:
		if id, ok := e.Fun.(*ast.Ident); ok && id.Name == "string" && len(e.Args) == 1 {
			return constantString(e.Args[0], consts)
		}
		return computed
	}
	return notString
}
