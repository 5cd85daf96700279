package pipelines

import (
	"go/build/constraint"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/zclconf/go-cty/cty"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// defaultOf is the value of a ready-made pipeline's parameter that the user
// did not set: what the caller says, or what the sources show.
func (p *planner) defaultOf(name string) (cty.Value, bool) {
	if p.opts.Default != nil {
		if v, ok := p.opts.Default(name); ok {
			return v, true
		}
	}
	switch name {
	case "packages":
		mains := MainPackages(p.project.Files, p.user.Dir, p.project.Dist)
		if len(mains) == 0 {
			return cty.NilVal, false
		}
		return cty.ListVal(lists.Map(mains, cty.StringVal)), true
	case "name":
		if name := ModuleName(p.project.Files, p.user.Dir); name != "" {
			return cty.StringVal(name), true
		}
	}
	return cty.NilVal, false
}

// ModuleName is the last element of the module path in dir's go.mod, without
// a major version; "" if there is none.
func ModuleName(fsys fs.FS, dir string) string {
	src, err := fs.ReadFile(fsys, path.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	prefix, _, ok := module.SplitPathVersion(modfile.ModulePath(src))
	if !ok {
		return ""
	}
	return path.Base(prefix)
}

// MainPackages returns the main packages of the module in dir, sorted, as the
// go command wants them: "." and "./cmd/yq". Folders that the go command
// passes over (vendor, testdata, names that begin with "_" or "."), other
// modules and dist do not count, nor do files that are built for no platform.
// Programs below a folder called internal are the project's own tools: they count
// only where there are no others.
func MainPackages(fsys fs.FS, dir, dist string) []string {
	var mains []string
	// A folder that cannot be read holds no package that could be built: the
	// error is passed over.
	_ = fs.WalkDir(fsys, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		if name != dir && (passedOver(d.Name()) || name == dist || isModule(fsys, name)) {
			return fs.SkipDir
		}
		if isMain(fsys, name) {
			rel := "."
			if name != dir {
				rel = "./" + strings.TrimPrefix(name, dir+"/")
			}
			mains = append(mains, rel)
		}
		return nil
	})
	slices.Sort(mains)
	public := slices.DeleteFunc(slices.Clone(mains), func(main string) bool {
		return slices.Contains(strings.Split(main, "/"), "internal")
	})
	if len(public) == 0 {
		return mains
	}
	return public
}

func passedOver(name string) bool {
	return name == "vendor" || name == "testdata" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")
}

func isModule(fsys fs.FS, dir string) bool {
	_, err := fs.Stat(fsys, path.Join(dir, "go.mod"))
	return err == nil
}

// isMain reports whether the first file of a folder that is not ignored is of
// package main.
func isMain(fsys fs.FS, dir string) bool {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || passedOver(name) {
			continue
		}
		src, err := fs.ReadFile(fsys, path.Join(dir, name))
		if err != nil {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil || isIgnored(string(src)) {
			continue
		}
		return file.Name.Name == "main"
	}
	return false
}

// canHold reports whether a constraint can be true, and whether it can be
// false, on some platform and with the tags that the go command sets by itself.
// No platform has two operating systems, which is not looked at.
func canHold(expr constraint.Expr) (yes, no bool) {
	switch e := expr.(type) {
	case *constraint.TagExpr:
		return load.SetByGo(e.Tag), !strings.HasPrefix(e.Tag, "go1.")
	case *constraint.NotExpr:
		yes, no = canHold(e.X)
		return no, yes
	case *constraint.AndExpr:
		xy, xn := canHold(e.X)
		yy, yn := canHold(e.Y)
		return xy && yy, xn || yn
	case *constraint.OrExpr:
		xy, xn := canHold(e.X)
		yy, yn := canHold(e.Y)
		return xy || yy, xn && yn
	}
	return true, true
}

// isIgnored reports whether a file is built on no platform without further
// tags: it has a constraint that asks for one, as "ignore" or "tools", by which
// Go sources mark programs that are run by hand.
func isIgnored(src string) bool {
	for line := range strings.Lines(src) {
		line = strings.TrimSpace(line)
		if constraint.IsGoBuild(line) {
			expr, err := constraint.Parse(line)
			if err != nil {
				return false
			}
			yes, _ := canHold(expr)
			return !yes
		}
		if strings.HasPrefix(line, "package ") {
			return false
		}
	}
	return false
}
