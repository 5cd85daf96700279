package dsl

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestDiagnostics loads and evaluates the project in each archive and compares
// what is printed. A file named flags holds one flag a line, as "var x=1",
// "var-file f", "environment prod", "env NAME=value" and "no-git"; other lines
// fail.
func TestDiagnostics(t *testing.T) {
	for _, name := range goldenInputs(t, "testdata/diagnostics", ".txtar", ".txt") {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(name, "ar"), diagnose(t, archive))
		})
	}
}

// diagnose prints the diagnostics of a project.
func diagnose(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	fsys, in := fstest.MapFS{}, testInputs()
	for _, f := range archive.Files {
		if f.Name == "flags" {
			setFlags(t, in, string(f.Data))
			continue
		}
		fsys[f.Name] = &fstest.MapFile{Data: f.Data}
	}
	in.ReadFile = func(name string) ([]byte, error) { return fs.ReadFile(fsys, name) }
	m, diags := Load(fsys, "Airbuildfile")
	s, evalDiags := m.Eval(in)
	diags = append(diags, evalDiags...)
	diags = append(diags, checkStages(s)...)
	if !diags.HasErrors() {
		t.Fatal("no mistake was found")
	}
	var out bytes.Buffer
	if err := WriteDiagnostics(&out, diags, m.Sources, Style{}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func setFlags(t *testing.T, in *Inputs, flags string) {
	t.Helper()
	in.Vars = map[string]string{}
	env := map[string]string{}
	in.LookupEnv = func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
	for flag := range strings.Lines(flags) {
		word, rest, _ := strings.Cut(strings.TrimSpace(flag), " ")
		name, value, _ := strings.Cut(rest, "=")
		switch word {
		case "var":
			in.Vars[name] = value
		case "env":
			env[name] = value
		case "var-file":
			in.VarFiles = append(in.VarFiles, rest)
		case "environment":
			in.Environment = rest
		case "no-git":
			in.Git = nil
		default:
			t.Fatalf("unknown flag %q", word)
		}
	}
}

// checkStages does what a plan does with the bodies: every reference is
// checked, then what can be evaluated is.
func checkStages(s *Scope) hcl.Diagnostics {
	var diags hcl.Diagnostics
	names := []string{}
	for _, stage := range s.Module.Stages {
		names = append(names, stage.Name)
	}
	roots := map[string]Names{"stage": {Noun: "stage", Known: names}}
	for _, stage := range s.Module.Stages {
		for _, attr := range sortedAttributes(stage.Body.Attributes) {
			bad := s.CheckTraversals(attr.Expr, roots)
			diags = append(diags, bad...)
			if !bad.HasErrors() && !refersToStage(attr.Expr) {
				_, bad := s.Value(attr.Expr, s.EvalContext(nil))
				diags = append(diags, bad...)
			}
		}
	}
	return diags
}

func refersToStage(expr hclsyntax.Expression) bool {
	for _, t := range expr.Variables() {
		if t.RootName() == "stage" {
			return true
		}
	}
	return false
}

func TestWriteDiagnosticsStyle(t *testing.T) {
	src := []byte("a = 1\n")
	subject := hcl.Range{Filename: "f", Start: hcl.Pos{Line: 1, Column: 1}, End: hcl.Pos{Line: 1, Column: 2, Byte: 1}}
	wrap := func(name string) func(string) string {
		return func(s string) string { return "<" + name + ">" + s + "</>" }
	}
	var out bytes.Buffer
	err := WriteDiagnostics(&out, hcl.Diagnostics{
		{Severity: hcl.DiagWarning, Summary: "S", Detail: "D.", Subject: &subject},
		{Severity: hcl.DiagError, Summary: "No place", Detail: "E."},
	}, map[string][]byte{"f": src}, Style{Bold: wrap("b"), Error: wrap("e"), Warning: wrap("w"), Dim: wrap("d")})
	if err != nil {
		t.Fatal(err)
	}
	want := `<e>Error:</> <b>No place</>

E.

<w>Warning:</> <b>f:1:1: S</>

<d>  on f line 1:</>
<d>  1: </>a = 1
     <w>^</>
D.
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestWriteDiagnosticsError(t *testing.T) {
	f, err := os.Open(os.DevNull) // not open for writing
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := WriteDiagnostics(f, hcl.Diagnostics{{Summary: "S"}}, nil, Style{}); err == nil {
		t.Error("no error of a writer that fails")
	}
}
