package pipelines

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/tasks/sign"
)

// Nothing outside tasks/ decides by the name of a stage type: what others need to
// know are its Traits. The file that init writes names types, in a text.
func TestStageTypesByTraits(t *testing.T) {
	types := Tasks(nil, &sign.Config{}, &ExternalSettings{})
	root := os.DirFS("..")
	files := 0
	err := fs.WalkDir(root, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p == "tasks" || p == "testdata" || p == "vendor" || p == "dist" || p != "." && (d.Name()[0] == '.' || ownModule(filepath.Join("..", p))) {
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasPrefix(p, "cmd/airbuild/internal/scaffold/") {
			return nil // writes a file with stages
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		files++
		fset := token.NewFileSet()
		f, err := parser.ParseFile(fset, filepath.Join("..", p), nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(f, func(n ast.Node) bool {
			for _, e := range decidesByType(n) {
				lit, ok := e.(*ast.BasicLit)
				if !ok || lit.Kind != token.STRING {
					continue
				}
				name, _ := strconv.Unquote(lit.Value)
				if types[name] != nil || name == "go_" {
					t.Errorf("%s: the stage type %q is known by its name; give tasks.Traits what is needed", fset.Position(lit.Pos()), name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil || files < 100 {
		t.Fatalf("%d files, %v", files, err)
	}
}

// decidesByType returns what a field Type is compared with, and literals that
// cannot be anything but stage types.
func decidesByType(n ast.Node) []ast.Expr {
	isType := func(e ast.Expr) bool {
		s, ok := e.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Type"
	}
	switch n := n.(type) {
	case *ast.BasicLit:
		for _, word := range []string{"go_", "oci_", "compress_binary"} {
			if strings.HasPrefix(n.Value, `"`+word) {
				return []ast.Expr{n}
			}
		}
	case *ast.BinaryExpr:
		if isType(n.X) || isType(n.Y) {
			return []ast.Expr{n.X, n.Y}
		}
	case *ast.CallExpr:
		for _, a := range n.Args {
			if isType(a) {
				return n.Args
			}
		}
	case *ast.SwitchStmt:
		if n.Tag != nil && isType(n.Tag) {
			var all []ast.Expr
			for _, c := range n.Body.List {
				if c, ok := c.(*ast.CaseClause); ok {
					all = append(all, c.List...)
				}
			}
			return all
		}
	}
	return nil
}
