package language_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/docs/language"
)

// The string literals of the code (help, errors, notices, reports) have few of
// the phrases.
func TestCode(t *testing.T) {
	total, words := 0, 0
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir():
			if base := e.Name(); name != root && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".")) || name == filepath.Join(root, "docs", "language") {
				return fs.SkipDir
			}
			return nil
		case filepath.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		rel, _ := filepath.Rel(root, name)
		for _, l := range literals(t, name) {
			hits, n := language.Find(l.text)
			total, words = total+len(hits), words+n
			for _, h := range hits {
				t.Logf("%s:%d: %s: %q (use: %s)", rel, l.line, h.Phrase.Name, h.Text, h.Phrase.Use)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d in %d words: %.1f per 10,000", total, words, 10000*float64(total)/float64(words))
	if total*10000 > words*limit {
		t.Errorf("%d phrases of language.Phrases in %d words of string literals; at most %d in 10,000 (go test -v lists them)", total, words, limit)
	}
}

type literal struct {
	text string
	line int
}

// literals are the strings of a Go file that may be read by users: not import
// paths, struct tags, regular expressions, and what is a single word.
func literals(t *testing.T, name string) []literal {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var found []literal
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			n.Tag = nil
		case *ast.CallExpr:
			if fun, ok := n.Fun.(*ast.SelectorExpr); ok {
				if pkg, ok := fun.X.(*ast.Ident); ok && pkg.Name == "regexp" {
					return false
				}
			}
		case *ast.BasicLit:
			if n.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(n.Value); err == nil && space.MatchString(strings.TrimSpace(text)) {
				found = append(found, literal{text, fset.Position(n.Pos()).Line})
			}
		}
		return true
	})
	return found
}

var space = regexp.MustCompile(`\s`)
