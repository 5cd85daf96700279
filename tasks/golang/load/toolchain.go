package load

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A toolchain is what GOROOT says of itself beside its packages. Whatever
// cannot be read from its sources is unknown, and needed by few queries.
type toolchain struct {
	unsure   string            // why defaults and experiments are not known
	defaults map[string]string // "GOAMD64" → "v1"
	exp      *ast.FuncDecl     // which experiments are on, as a function of the target
	expText  string
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
	boot, err := src("src/internal/buildcfg/zbootstrap.go")
	if err == nil {
		var exp []byte
		if exp, err = src("src/internal/buildcfg/exp.go"); err == nil {
			err = tc.readBuildConfig(boot, exp)
		}
	}
	if err != nil {
		tc.unsure = err.Error()
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

func (tc *toolchain) readBuildConfig(boot, exp []byte) error {
	file, err := parser.ParseFile(token.NewFileSet(), "", boot, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	tc.defaults = map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Names) != 1 || len(spec.Values) != 1 {
			return true
		}
		if v, ok := stringLit(spec.Values[0]); ok {
			name := spec.Names[0].Name
			tc.defaults[strings.TrimPrefix(strings.TrimPrefix(name, "Default"), "default")] = v
		}
		return true
	})
	tc.expText, err = functionText(exp, "ParseGOEXPERIMENT")
	if err != nil {
		return err
	}
	tc.exp, err = parseFunction(tc.expText)
	return err
}

func stringLit(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// functionText cuts a function out of a Go file.
func functionText(text []byte, name string) (string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", text, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	for _, d := range file.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == name && fn.Recv == nil {
			return string(text[fset.Position(fn.Pos()).Offset:fset.Position(fn.End()).Offset]), nil
		}
	}
	return "", fmt.Errorf("no function %s", name)
}

func parseFunction(text string) (*ast.FuncDecl, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\n"+text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	if len(file.Decls) == 1 {
		if fn, ok := file.Decls[0].(*ast.FuncDecl); ok && fn.Body != nil {
			return fn, nil
		}
	}
	return nil, errors.New("not one function")
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

// toolTags returns the tags that the toolchain itself sets for the target, or
// why they are not known.
func (tc *toolchain) toolTags(q *Query) (list []string, why string) {
	if tc.unsure != "" {
		return nil, tc.unsure
	}
	if tc.defaults["GOEXPERIMENT"] != "" {
		return nil, "the toolchain was built with experiments"
	}
	on, err := experiments(tc.exp, q.GOOS, q.GOARCH)
	if err != nil {
		return nil, "experiments: " + err.Error()
	}
	for _, name := range on {
		list = append(list, "goexperiment."+strings.ToLower(name))
	}
	levels, ok := tc.levels(q.GOOS, q.GOARCH, q.Variant)
	if !ok {
		return nil, fmt.Sprintf("unknown level %q of %s", q.Variant, q.GOARCH)
	}
	for _, level := range levels {
		list = append(list, q.GOARCH+"."+level)
	}
	return list, ""
}

// levels returns the levels of an architecture that a variant includes.
func (tc *toolchain) levels(goos, arch, variant string) ([]string, bool) {
	value := func(name string) string {
		if variant != "" {
			return variant
		}
		return tc.defaults[name]
	}
	count := func(prefix string, from, to int) (out []string) {
		for i := from; i <= to; i++ {
			out = append(out, prefix+strconv.Itoa(i))
		}
		return out
	}
	switch arch {
	case "386":
		v := value("GO386")
		return []string{v}, v == "sse2" || v == "softfloat"
	case "amd64":
		n, ok := number(value("GOAMD64"), "v", 1, 4)
		return count("v", 1, n), ok
	case "arm":
		v, _, _ := strings.Cut(value("GOARM"), ",")
		if goos == "android" && variant == "" {
			v = "7"
		}
		n, ok := number(v, "", 5, 7)
		return count("", 5, n), ok
	case "arm64":
		return levelsARM64(value("GOARM64"))
	case "mips", "mipsle":
		v := value("GOMIPS")
		return []string{v}, v == "hardfloat" || v == "softfloat"
	case "mips64", "mips64le":
		v := value("GOMIPS64")
		return []string{v}, v == "hardfloat" || v == "softfloat"
	case "ppc64", "ppc64le":
		n, ok := number(value("GOPPC64"), "power", 8, 10)
		return count("power", 8, n), ok
	case "riscv64":
		all := []string{"rva20u64", "rva22u64", "rva23u64"}
		i := slices.Index(all, value("GORISCV64"))
		return all[:i+1], i >= 0
	case "wasm":
		return []string{"satconv", "signext"}, variant == ""
	}
	return nil, variant == ""
}

// number parses what follows prefix.
func number(s, prefix string, lo, hi int) (int, bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	n, err := strconv.Atoi(rest)
	return n, ok && err == nil && lo <= n && n <= hi
}

// levelsARM64 returns v8.0 up to the level; v9.x includes v8.(x+5).
func levelsARM64(v string) ([]string, bool) {
	v, _, _ = strings.Cut(v, ",")
	var major, minor int
	switch {
	case len(v) == 4 && strings.HasPrefix(v, "v8."):
		major, minor = 8, int(v[3]-'0')
	case len(v) == 4 && strings.HasPrefix(v, "v9."):
		major, minor = 9, int(v[3]-'0')
	default:
		return nil, false
	}
	if minor < 0 || minor > 9 || major == 9 && minor > 5 {
		return nil, false
	}
	var out []string
	for i := range minor + 1 {
		out = append(out, fmt.Sprintf("v%d.%d", major, i))
	}
	if major == 9 {
		for i := 0; i <= min(minor+5, 9); i++ {
			out = append(out, fmt.Sprintf("v8.%d", i))
		}
	}
	return out, true
}

func encodeToolchain(tc *toolchain) []byte {
	b := putString(nil, tc.unsure)
	b = putString(b, tc.odd)
	b = putString(b, tc.expText)
	var list []string
	for name, v := range tc.defaults {
		list = append(list, name, v)
	}
	b = putList(b, list)
	list = nil
	for _, s := range tc.settings {
		list = append(list, s.name, strconv.Itoa(s.changed), s.old)
	}
	return putList(b, list)
}

func decodeToolchain(b string) (*toolchain, bool) {
	d := newDecoder(b)
	tc := &toolchain{unsure: d.str(), odd: d.str(), expText: d.str(), defaults: map[string]string{}}
	defaults, settings := d.list(), d.list()
	if !d.done() || len(defaults)%2 != 0 || len(settings)%3 != 0 {
		return nil, false
	}
	for i := 0; i < len(defaults); i += 2 {
		tc.defaults[defaults[i]] = defaults[i+1]
	}
	for i := 0; i < len(settings); i += 3 {
		n, err := strconv.Atoi(settings[i+1])
		if err != nil {
			return nil, false
		}
		tc.settings = append(tc.settings, setting{settings[i], n, settings[i+2]})
	}
	if tc.unsure == "" {
		var err error
		if tc.exp, err = parseFunction(tc.expText); err != nil {
			return nil, false
		}
	}
	return tc, true
}
