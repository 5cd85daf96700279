package sandbox

import (
	"go/parser"
	"go/token"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// An init process becomes one as soon as this package is initialised. What is
// imported here must be so before, and with it all that Go sorts before that.
func TestFewImports(t *testing.T) {
	late := []string{"net", "net/netip", "net/http", "os/exec", "os/user", "path/filepath", "regexp", "text/template"}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, e := range entries {
		name := e.Name()
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, "_other.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		seen++
		for _, i := range f.Imports {
			if p, _ := strconv.Unquote(i.Path.Value); slices.Contains(late, p) {
				t.Errorf("%s imports %s: each step's sandbox would wait for it", name, p)
			}
		}
	}
	if seen == 0 {
		t.Error("no files were read")
	}
}
