package pipelines

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "github.com/airbuild/airbuild"

// A room is a folder of the module and what it may import. Names that end in
// "/..." mean the package and all below it.
type room struct {
	dir  string // "dsl", "engine/..."
	ours string // packages of this module that it may import, separated by blanks
	// not are other packages, of the standard library too, that it must not
	// import.
	not string
	// stdlib: nothing but the standard library (and ours).
	stdlib bool
}

// rooms are the arrows of docs/architecture.md. The first room that matches a
// folder counts; a folder that matches none is a mistake.
var rooms = []room{
	{dir: "cmd/airbuild/internal/exit", stdlib: true, not: "os os/..."},
	{dir: "cmd/airbuild/internal/human", stdlib: true, not: "os os/..."},
	{dir: "cmd/airbuild/internal/project", ours: "cmd/airbuild/internal/exit cmd/airbuild/internal/human dsl pipelines tasks/... engine/...", not: "github.com/zclconf/go-cty/... " + network},
	{dir: "cmd/airbuild/internal/hosts", ours: "cmd/airbuild/internal/exit cmd/airbuild/internal/project engine/...", not: hclAndCty + " " + network},
	{dir: "cmd/airbuild/internal/doctor", ours: "cmd/airbuild/internal/human cmd/airbuild/internal/hosts cmd/airbuild/internal/project engine/... pipelines tasks tasks/golang/...", not: hclAndCty + " " + network},
	{dir: "cmd/airbuild/internal/affected", ours: "cmd/airbuild/internal/exit cmd/airbuild/internal/project engine engine/... pipelines tasks/golang/...", not: "github.com/zclconf/go-cty/... " + network},
	{dir: "cmd/airbuild/internal/watch", ours: "pipelines", not: hclAndCty + " os/exec " + network},
	{dir: "cmd/airbuild/internal/workcopy", ours: "cmd/airbuild/internal/exit cmd/airbuild/internal/project engine engine/action engine/store tasks", not: hclAndCty + " os/exec " + network},
	{dir: "cmd/airbuild/internal/rebuild", ours: "cmd/airbuild/internal/bytediff cmd/airbuild/internal/carry cmd/airbuild/internal/exit cmd/airbuild/internal/project cmd/airbuild/internal/workcopy engine engine/... tasks", not: hclAndCty + " " + network},
	{dir: "cmd/airbuild/internal/audit", ours: "cmd/airbuild/internal/carry cmd/airbuild/internal/exit cmd/airbuild/internal/human cmd/airbuild/internal/project cmd/airbuild/internal/workcopy dsl engine engine/...", not: "os/exec " + network},
	{dir: "cmd/airbuild/internal/scaffold", ours: "pipelines tasks/golang/gocmd", not: hclAndCty + " " + network},
	{dir: "cmd/airbuild/internal/heap", stdlib: true, not: "os os/..."},
	{dir: "cmd/airbuild/internal/listing", ours: "cmd/airbuild/internal/human cmd/airbuild/internal/project", not: hclAndCty + " os os/... " + network},
	{dir: "cmd/airbuild/internal/cacheprog", ours: "cmd/airbuild/internal/exit cmd/airbuild/internal/project engine/gocache engine/store", not: hclAndCty + " os/exec " + network},
	{dir: "cmd/airbuild/internal/ui/progress", ours: "cmd/airbuild/internal/human engine/bundle", not: hclAndCty + " os os/... " + network},
	{dir: "cmd/airbuild/internal/ui/verdict", ours: "cmd/airbuild/internal/audit cmd/airbuild/internal/human cmd/airbuild/internal/rebuild cmd/airbuild/internal/ui", not: hclAndCty + " os os/... " + network},
	{dir: "cmd/airbuild/internal/ui/...", ours: "cmd/airbuild/internal/human cmd/airbuild/internal/ui engine engine/action engine/diagnose engine/host/binary", not: hclAndCty + " os/exec " + network},
	{dir: "cmd/airbuild/internal/signatures", ours: "cmd/airbuild/internal/exit engine/sign tasks/provenance", not: hclAndCty + " os/exec " + network},
	{dir: "cmd/airbuild/internal/bundling", ours: "cmd/airbuild/internal/carry cmd/airbuild/internal/exit cmd/airbuild/internal/hosts cmd/airbuild/internal/project dsl engine engine/... pipelines tasks", not: "os/exec " + network},
	{dir: "cmd/airbuild/internal/carry", ours: "...", not: hclAndCty + " " + network},
	{dir: "cmd/airbuild/internal/langserver", ours: "dsl pipelines tasks", not: "os/exec net net/http"},
	{dir: "cmd/airbuild/internal/...", ours: "cmd/airbuild/internal/... pipelines engine engine/pattern engine/action engine/source engine/diagnose", not: "github.com/hashicorp/hcl/v2/..."},
	{dir: "cmd/...", ours: "..."},
	{dir: "dsl/...", ours: "dsl/... engine/pattern", not: "os os/... " + network},
	{dir: "engine", ours: "engine/internal/... engine/action engine/memo engine/tree", not: hclAndCty + " os/exec " + network},
	{dir: "engine/internal/outputs", ours: "engine/action engine/tree", not: hclAndCty + " os/exec " + network},
	{dir: "engine/internal/sched", stdlib: true, not: "os os/... " + network},
	{dir: "engine/action", stdlib: true, not: "os os/... " + network},
	{dir: "engine/pattern", not: hclAndCty + " os os/... " + network},
	{dir: "engine/tree", ours: "engine/action engine/pattern", not: hclAndCty + " os/exec " + network},
	{dir: "engine/memo", ours: "engine/tree", not: hclAndCty + " os/exec " + network},
	{dir: "engine/store/storetest", ours: "engine engine/action engine/store", not: hclAndCty},
	{dir: "engine/store", ours: "engine/action", not: hclAndCty + " os/exec " + network},
	{dir: "engine/local", ours: "engine engine/action engine/tree engine/sandbox", not: hclAndCty},
	{dir: "engine/remote", ours: "engine engine/action engine/tree", not: hclAndCty},
	{dir: "engine/gocache", ours: "engine engine/action", not: hclAndCty},
	{dir: "engine/sign", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle", ours: "engine/bundle/custody engine/bundle/internal/... engine/action engine/sign", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/create", ours: "engine/bundle engine/bundle/custody engine/bundle/internal/... engine/action engine/sign", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/install", ours: "engine/bundle engine/bundle/custody engine/bundle/internal/... engine/action engine/sign engine/store", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/custody", ours: "engine/bundle/internal/files engine/bundle/internal/format engine/action engine/sign", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/internal/format", ours: "engine/action", not: hclAndCty + " os os/... " + network},
	{dir: "engine/bundle/internal/files", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/internal/progress", stdlib: true, not: "os os/... " + network},
	{dir: "engine/bundle/internal/media", ours: "engine/bundle/internal/files engine/bundle/internal/format engine/action", not: hclAndCty + " os/exec " + network},
	{dir: "engine/bundle/internal/contents", ours: "engine/bundle/internal/format engine/bundle/internal/media engine/bundle/internal/progress engine/action", not: hclAndCty + " os os/... " + network},
	{dir: "engine/bundle/internal/bundletest", ours: "engine/bundle/... engine/action engine/sign engine/store", not: hclAndCty + " " + network},
	{dir: "engine/relay", ours: "engine/action engine/store engine/bundle engine/sign", not: hclAndCty + " os/exec"},
	{dir: "engine/sandbox", not: hclAndCty},
	{dir: "engine/trace", not: hclAndCty + " " + network},
	{dir: "engine/host/want", not: hclAndCty + " os os/... " + network},
	{dir: "engine/host/...", ours: "engine/host/...", not: hclAndCty + " " + network},
	{dir: "engine/deploy", not: hclAndCty},
	{dir: "engine/publish", not: hclAndCty + " os/exec"},
	{dir: "engine/diagnose", not: hclAndCty + " os/exec " + network},
	{dir: "engine/source", not: hclAndCty + " " + network},
	{dir: "tasks/golang/buildvcs", ours: "engine", not: hclAndCty + " os/exec " + network},
	{dir: "tasks/golang", ours: "tasks tasks/golang/buildvcs tasks/golang/gocmd tasks/golang/closure tasks/golang/load tasks/golang/goproxy engine engine/action engine/tree", not: network},
	{dir: "tasks/golang/closure", ours: "tasks tasks/golang/buildvcs tasks/golang/gocmd tasks/golang/load engine engine/action", not: hclAndCty + " " + network},
	{dir: "tasks/golang/gocmd", ours: "tasks tasks/golang/load tasks/golang/goproxy engine internal/paths", not: network},
	{dir: "tasks/golang/goproxy/...", ours: "tasks/golang/goproxy", not: hclAndCty + " os/exec " + network},
	{dir: "tasks/golang/load", not: hclAndCty + " os/exec " + network},
	{dir: "tasks/approval", ours: "tasks engine engine/action engine/tree engine/sign", not: network},
	{dir: "tasks/publish", ours: "tasks engine engine/action engine/tree engine/publish engine/source", not: network},
	{dir: "tasks/deploy", ours: "tasks engine engine/action engine/tree engine/deploy", not: network},
	{dir: "tasks/changelog", ours: "tasks engine engine/action engine/source", not: network},
	{dir: "tasks/sign", ours: "tasks engine engine/action engine/tree engine/sign", not: network},
	{dir: "tasks/gobinary", not: hclAndCty + " os os/... " + network},
	{dir: "tasks/provenance", ours: "tasks tasks/gobinary tasks/sign engine engine/action engine/tree engine/sign engine/source", not: network},
	{dir: "tasks/sbom", ours: "tasks tasks/gobinary engine engine/action engine/tree", not: network},
	{dir: "tasks/...", ours: "tasks engine engine/action engine/tree", not: network},
	{dir: "internal/atomicfile", not: hclAndCty + " os/exec " + network},
	{dir: "internal/disktest", not: hclAndCty + " " + network},
	{dir: "internal/frames", not: hclAndCty + " os/exec " + network},
	{dir: "internal/inuse", not: hclAndCty + " os/exec " + network},
	{dir: "internal/...", stdlib: true, not: "os os/... " + network},
	{dir: "pipelines/internal/projectfs", ours: "dsl tasks engine/pattern", not: "os os/... " + network},
	{dir: "pipelines/internal/diag", not: "os os/... " + network},
	{dir: "pipelines/internal/eval", ours: "pipelines/internal/diag dsl tasks engine", not: "os os/... " + network},
	{dir: "pipelines/internal/cells", ours: "pipelines/internal/diag pipelines/internal/eval dsl tasks tasks/golang/gocmd", not: "os os/... " + network},
	{dir: "pipelines/internal/decode", ours: "pipelines/internal/diag pipelines/internal/eval pipelines/internal/projectfs dsl tasks engine engine/pattern", not: "os os/... " + network},
	{dir: "pipelines", ours: "pipelines/internal/... dsl tasks/... engine engine/host/want engine/pattern", not: "os/exec " + network},
	{dir: "docs/man", ours: "docs docs/internal/markdown", not: network},
	{dir: "docs/site", ours: "docs docs/internal/anchor docs/internal/markdown", not: network},
	{dir: "docs", ours: "docs/internal/markdown", not: "os os/... " + network},
	{dir: "docs/...", stdlib: true, not: "os os/... " + network},
	{dir: "testdata/...", ours: "..."},
	{dir: "examples/...", ours: "..."},
}

// network are the packages of the standard library that reach it. net/url is
// none of them.
const network = "net net/http/... net/rpc/... net/smtp"

const hclAndCty = "github.com/hashicorp/hcl/v2/... github.com/zclconf/go-cty/..."

// onlyIn are packages that one room alone may import.
var onlyIn = map[string]string{
	"google.golang.org/grpc/...":        "engine/remote",
	"google.golang.org/protobuf/...":    "engine/remote",
	"github.com/bazelbuild/remote-...":  "engine/remote",
	"github.com/spf13/...":              "cmd/airbuild",
	"github.com/yuin/goldmark/...":      "docs/site",
	"github.com/cpuguy83/go-md2man/...": "docs/man",
}

// TestLayers holds the import rules against every file of the module that is
// no test.
func TestLayers(t *testing.T) {
	files := 0
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "examples" || d.Name() == "vendor"):
			return fs.SkipDir
		case d.IsDir() && name != ".." && ownModule(name):
			return fs.SkipDir // docs/bench: no part of the program
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		files++
		rel, err := filepath.Rel("..", name)
		if err != nil {
			return err
		}
		checkImports(t, filepath.ToSlash(rel))
		return nil
	})
	if err != nil || files < 20 {
		t.Fatalf("%d files, %v", files, err)
	}
}

func ownModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

func checkImports(t *testing.T, name string) {
	src, err := os.ReadFile(filepath.Join("..", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	dir := path.Dir(name)
	r := roomOf(dir)
	if r == nil {
		t.Errorf("%s: no room of the architecture has the folder %s", name, dir)
		return
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if why := r.refuses(dir, imported); why != "" {
			t.Errorf("%s imports %s: %s", name, imported, why)
		}
	}
}

func roomOf(dir string) *room {
	for i := range rooms {
		if matchesImport(rooms[i].dir, dir) {
			return &rooms[i]
		}
	}
	return nil
}

// refuses says why the room must not import a package, or nothing.
func (r *room) refuses(dir, imported string) string {
	if ours, ok := strings.CutPrefix(imported, modulePath+"/"); ok {
		// internal has what the standard library lacks: every room may use it.
		if !anyMatches(r.ours+" internal/...", ours) {
			return r.dir + " may import of this module: " + r.ours
		}
		return ""
	}
	if anyMatches(r.not, imported) {
		return r.dir + " must not import: " + r.not
	}
	if first, _, _ := strings.Cut(imported, "/"); r.stdlib && strings.Contains(first, ".") {
		return r.dir + " imports the standard library only"
	}
	for pattern, only := range onlyIn {
		if matchesImport(pattern, imported) && dir != only {
			return "only " + only + " does"
		}
	}
	return ""
}

func anyMatches(patterns, imported string) bool {
	for pattern := range strings.FieldsSeq(patterns) {
		if matchesImport(pattern, imported) {
			return true
		}
	}
	return false
}

// matchesImport reports whether a package is named by a pattern; "..." at its
// end stands for anything, "/..." for the package and what is below it.
func matchesImport(pattern, imported string) bool {
	prefix, wild := strings.CutSuffix(pattern, "...")
	if !wild {
		return pattern == imported
	}
	return strings.HasPrefix(imported, prefix) || imported == strings.TrimSuffix(prefix, "/")
}

// The rules must be able to fail.
func TestLayersRefuse(t *testing.T) {
	for _, test := range []struct {
		dir, imported string
		refused       bool
	}{
		{"dsl", "os", true},
		{"dsl", modulePath + "/engine", true},
		{"dsl", "github.com/hashicorp/hcl/v2", false},
		{"engine", "os/exec", true},
		{"engine", "github.com/hashicorp/hcl/v2/hclsyntax", true},
		{"engine", "net/http", true},
		{"engine", modulePath + "/engine/action", false},
		{"engine/action", "github.com/zclconf/go-cty/cty", true},
		{"engine/tree", modulePath + "/engine", true},
		{"engine/tree", modulePath + "/engine/memo", true},
		{"tasks/archive", modulePath + "/dsl", true},
		{"tasks/archive", modulePath + "/tasks/golang", true},
		{"tasks/archive", "net", true},
		{"pipelines", "os/exec", true},
		{"pipelines", modulePath + "/tasks/golang", false},
		{"pipelines", modulePath + "/engine/local", true},
		{"engine/local", "google.golang.org/grpc", true},
		{"engine/local", "os/exec", false},
		{"cmd/airbuild/internal/ui", modulePath + "/dsl", true},
		{"cmd/airbuild/internal/project", modulePath + "/cmd/airbuild/internal/ui", true},
		{"cmd/airbuild/internal/audit", modulePath + "/cmd/airbuild/internal/rebuild", true},
		{"cmd/airbuild/internal/bundling", modulePath + "/cmd/airbuild/internal/ui", true},
		{"cmd/airbuild/internal/rebuild", modulePath + "/cmd/airbuild/internal/ui", true},
		{"cmd/airbuild", modulePath + "/engine/local", false},
	} {
		if got := roomOf(test.dir).refuses(test.dir, test.imported) != ""; got != test.refused {
			t.Errorf("%s imports %s: refused %v", test.dir, test.imported, got)
		}
	}
}
