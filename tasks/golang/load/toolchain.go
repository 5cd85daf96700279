package load

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
)

// A toolchain is what files of GOROOT that are no packages say.
type toolchain struct {
	settings []setting // GODEBUG
	odd      string    // a setting in GOROOT/go.env that changes what is listed
}

// A setting is an entry of the table of GODEBUG settings.
type setting struct {
	name    string
	changed int    // the minor version that changed the default, or 0
	old     string // the value before that
}

// readToolchain reads GOROOT, from Facts if it is a release.
func (l *loader) readToolchain() (*toolchain, error) {
	k := makeKey(kindToolchain, l.q.GOVERSION, l.q.GOROOT)
	if l.q.Release {
		if b := l.facts.get(k); b != "" {
			if tc, ok := decodeToolchain(b); ok {
				return tc, tc.usable()
			}
		}
	}
	tc := &toolchain{}
	if err := tc.read(l); err != nil {
		return nil, err
	}
	if l.q.Release {
		l.facts.put(k, encodeToolchain(tc))
	}
	return tc, tc.usable()
}

func (tc *toolchain) usable() error {
	if tc.odd != "" {
		return unsure("GOROOT/go.env sets %s", tc.odd)
	}
	return nil
}

func (tc *toolchain) read(l *loader) error {
	src := func(name string) ([]byte, error) {
		b, ok, err := l.files.text(filepath.Join(l.q.GOROOT, filepath.FromSlash(name)))
		if err == nil && !ok {
			err = unsure("GOROOT has no %s", name)
		}
		return b, err
	}
	if env, err := src("go.env"); err == nil {
		tc.readEnv(string(env))
	}
	table, err := src("src/internal/godebugs/table.go")
	if err != nil {
		return err
	}
	if tc.settings, err = parseSettings(table); err != nil {
		return unsure("the table of GODEBUG settings: %v", err)
	}
	return nil
}

// readEnv looks for settings beyond where modules come from.
func (tc *toolchain) readEnv(text string) {
	for line := range strings.Lines(text) {
		name, _, ok := strings.Cut(strings.TrimSpace(line), "=")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		switch strings.TrimSpace(name) {
		case "GOPROXY", "GOSUMDB", "GOTOOLCHAIN":
		default:
			tc.odd = name
		}
	}
}

func stringLit(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// parseSettings reads the table All. What other tables of the file list, such as
// settings that were removed, is unknown here, so that a project that names one
// is listed by the go command.
func parseSettings(text []byte) ([]setting, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	table, ok := variable(file, "All").(*ast.CompositeLit)
	if !ok || len(table.Elts) == 0 {
		return nil, errors.New("not in the known form")
	}
	var out []setting
	for _, el := range table.Elts {
		lit, ok := el.(*ast.CompositeLit)
		if !ok {
			return nil, errors.New("not in the known form")
		}
		s, ok := parseSetting(lit)
		if !ok {
			return nil, errors.New("not in the known form")
		}
		out = append(out, s)
	}
	return out, nil
}

// variable returns the value of a package variable, or nil.
func variable(file *ast.File, name string) ast.Expr {
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok {
			continue
		}
		for _, spec := range gen.Specs {
			v, ok := spec.(*ast.ValueSpec)
			if ok && len(v.Names) == 1 && len(v.Values) == 1 && v.Names[0].Name == name {
				return v.Values[0]
			}
		}
	}
	return nil
}

func parseSetting(lit *ast.CompositeLit) (s setting, ok bool) {
	for _, el := range lit.Elts {
		kv, isKV := el.(*ast.KeyValueExpr)
		if !isKV {
			return s, false
		}
		id, isID := kv.Key.(*ast.Ident)
		if !isID {
			return s, false
		}
		ok := true
		switch id.Name {
		case "Name":
			s.name, ok = stringLit(kv.Value)
		case "Old":
			s.old, ok = stringLit(kv.Value)
		case "Changed":
			var n *ast.BasicLit
			if n, ok = kv.Value.(*ast.BasicLit); ok {
				var err error
				s.changed, err = strconv.Atoi(n.Value)
				ok = err == nil
			}
		}
		if !ok {
			return s, false
		}
	}
	return s, s.name != ""
}

// askToolTags returns the tags that the toolchain itself sets for the target:
// its experiments and the levels of the architecture. Only the toolchain knows
// them, and few projects name one, so it is asked when a constraint does. The
// answer of a release is kept in Facts.
func (l *loader) askToolTags() ([]string, error) {
	q := l.q
	k := makeKey(kindToolTags, q.GOVERSION, q.GOROOT, q.GOOS, q.GOARCH, q.Variant)
	if q.Release {
		if b := l.facts.get(k); b != "" {
			d := newDecoder(b)
			if list := d.list(); d.done() {
				return list, nil
			}
		}
	}
	if q.ToolTags == nil {
		return nil, unsure("the toolchain's build tags are not known")
	}
	list, err := q.ToolTags()
	if err != nil {
		return nil, unsure("the toolchain's build tags: %v", err)
	}
	if q.Release {
		l.facts.put(k, putList(nil, list))
	}
	return list, nil
}

func encodeToolchain(tc *toolchain) []byte {
	b := putString(nil, tc.odd)
	var list []string
	for _, s := range tc.settings {
		list = append(list, s.name, strconv.Itoa(s.changed), s.old)
	}
	return putList(b, list)
}

func decodeToolchain(b string) (*toolchain, bool) {
	d := newDecoder(b)
	tc := &toolchain{odd: d.str()}
	settings := d.list()
	if !d.done() || len(settings)%3 != 0 {
		return nil, false
	}
	for i := 0; i < len(settings); i += 3 {
		n, err := strconv.Atoi(settings[i+1])
		if err != nil {
			return nil, false
		}
		tc.settings = append(tc.settings, setting{settings[i], n, settings[i+2]})
	}
	return tc, true
}
