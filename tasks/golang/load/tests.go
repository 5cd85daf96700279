package load

import (
	"path/filepath"
	"slices"
)

// testMainImports are what the generated program of a test imports.
var testMainImports = [...]string{"os", "reflect", "testing", "testing/internal/testdeps"}

// tests adds the tests of packages: for each that has any, the package with
// its test files, the package of its external tests, the generated program,
// and copies of all packages between them that import the tested one.
func (l *loader) tests(roots []*node) ([]*node, error) {
	out := slices.Clone(roots)
	for _, n := range roots {
		if len(n.TestGoFiles)+len(n.XTestGoFiles) == 0 {
			continue
		}
		t, err := l.test(n)
		if err != nil {
			return nil, err
		}
		out = append(out, t.main)
		if t.in != n {
			out = append(out, t.in)
		}
		if t.ext != nil {
			out = append(out, t.ext)
		}
	}
	return out, nil
}

// A testOf is what is linked to test a package.
type testOf struct {
	of, in, ext, main *node // in is of itself if it has no test files of its own
}

func (l *loader) test(n *node) (*testOf, error) {
	var err error
	if n.TestEmbedFiles, err = l.embed(n.Dir, n.TestEmbedPatterns); err != nil {
		return nil, err
	}
	if n.XTestEmbedFiles, err = l.embed(n.Dir, n.XTestEmbedPatterns); err != nil {
		return nil, err
	}
	t := &testOf{of: n, in: n}
	if len(n.TestGoFiles) > 0 || n.Name == "main" {
		if err := l.internalTest(t); err != nil {
			return nil, err
		}
	}
	if len(n.XTestGoFiles) > 0 {
		if err := l.externalTest(t); err != nil {
			return nil, err
		}
	}
	if err := l.testMain(t); err != nil {
		return nil, err
	}
	t.recompile()
	return t, t.cycle()
}

// internalTest is the package with the files that are in it for tests only.
func (l *loader) internalTest(t *testOf) error {
	imports, err := l.importAll(t.of, t.of.src.testImports)
	if err != nil {
		return err
	}
	in := &node{Package: t.of.Package, src: t.of.src}
	in.ForTest = t.of.ImportPath
	in.GoFiles = slices.Concat(t.of.GoFiles, t.of.TestGoFiles)
	in.EmbedFiles = slices.Concat(t.of.EmbedFiles, t.of.TestEmbedFiles)
	in.imports = slices.Concat(imports, t.of.imports)
	t.in = in
	return nil
}

// externalTest is the package beside it.
func (l *loader) externalTest(t *testOf) error {
	n := t.of
	imports, err := l.importAll(n, n.src.xtestImports)
	if err != nil {
		return err
	}
	t.ext = &node{src: n.src, Package: Package{
		Dir: n.Dir, ImportPath: n.ImportPath + "_test", Name: n.Name + "_test", ForTest: n.ImportPath,
		Module: n.Module, GoFiles: n.XTestGoFiles, EmbedFiles: n.XTestEmbedFiles,
	}}
	for _, dep := range imports {
		if dep != n {
			t.ext.imports = append(t.ext.imports, dep)
		}
	}
	if len(t.ext.imports) < len(imports) {
		t.ext.imports = append(t.ext.imports, t.in)
	}
	return nil
}

// testMain is the program that is generated.
func (l *loader) testMain(t *testOf) error {
	n := t.of
	main := &node{src: &sources{}, Package: Package{
		Dir: n.Dir, ImportPath: n.ImportPath + ".test", Name: "main", Module: n.Module,
		GoFiles: []string{filepath.Join(n.Dir, "_testmain.go")},
	}}
	var err error
	if main.DefaultGODEBUG, err = l.godebug(n.src.debug, n.src.testDebug, n.src.xtestDebug); err != nil {
		return err
	}
	for _, path := range slices.Concat(testMainImports[:], l.linked()) {
		if path == t.in.ImportPath {
			main.imports = append(main.imports, t.in)
			continue
		}
		dep, err := l.load(path, nil)
		if err != nil {
			return err
		}
		if dep != nil {
			main.imports = append(main.imports, dep)
		}
	}
	if len(t.in.GoFiles)+len(t.in.CgoFiles) > 0 {
		main.imports = append(main.imports, t.in)
	}
	if t.ext != nil {
		main.imports = append(main.imports, t.ext)
	}
	t.main = main
	return nil
}

// recompile puts the package with its test files in the place of the package
// everywhere below the program; what is changed by that is copied first.
func (t *testOf) recompile() {
	instead := map[*node]*node{t.of: t.in}
	for _, n := range postorder([]*node{t.main}) {
		if n == t.of {
			continue
		}
		own := n == t.main || n == t.in || n == t.ext
		copied := func() {
			if own {
				return
			}
			own = true
			dup := *n
			dup.named = false
			dup.ForTest = t.of.ImportPath
			dup.imports = slices.Clone(n.imports)
			instead[n] = &dup
			n = &dup
		}
		for i, dep := range n.imports {
			if other := instead[dep]; other != nil && other != dep {
				copied()
				n.imports[i] = other
			}
		}
		if n.Name == "main" && n != t.main && n != t.in {
			copied()
		}
	}
}

// cycle refuses tests whose imports lead back to them.
func (t *testOf) cycle() error {
	if t.in != t.of && slices.Contains(postorder(t.in.imports), t.in) {
		return unsure("import cycle in the tests of %s", t.of.ImportPath)
	}
	return nil
}
