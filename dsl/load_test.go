package dsl

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/zclconf/go-cty/cty"
)

// project makes a file system of an Airbuildfile and other files.
func project(airbuildfile string, files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{"Airbuildfile": {Data: []byte(airbuildfile)}}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

// testInputs are inputs of a host with git and no environment.
func testInputs() *Inputs {
	return &Inputs{
		HostOS: "linux", HostArch: "amd64",
		Git: func([]string) (*Git, error) {
			return &Git{
				Commit: "0123456789abcdef0123456789abcdef01234567", Short: "0123456", Branch: "main",
				Tag: "v1.2.3", Describe: "v1.2.3-4-g0123456", Dirty: true,
				Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.FixedZone("", 3600)),
			}, nil
		},
	}
}

// evalOK loads and evaluates a file that has no mistakes.
func evalOK(t *testing.T, airbuildfile string, in *Inputs) *Scope {
	t.Helper()
	m, diags := Load(project(airbuildfile, nil), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	s, diags := m.Eval(in)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return s
}

func TestEval(t *testing.T) {
	s := evalOK(t, `
variable "version" {
  type    = string
  default = git.describe
}
locals {
  b    = "${local.a}!"
  a    = upper(var.version)
  cell = { "linux/amd64,yq" = 7 }
}
stage "exec" "x" {
  a = stage.bin["linux/amd64", "yq"].path
  b = "${stage.bin["linux/${var.arch}","yq"].path}"
}
`, testInputs())
	if got := s.Locals.GetAttr("b").AsString(); got != "V1.2.3-4-G0123456!" {
		t.Errorf("local.b = %s", got)
	}
	if got := s.Source.GetAttr("time").AsString(); got != "2026-01-02T02:04:05Z" {
		t.Errorf("source.time = %s", got)
	}
	bin := cty.ObjectVal(map[string]cty.Value{"bin": cty.ObjectVal(map[string]cty.Value{
		"linux/amd64,yq": cty.ObjectVal(map[string]cty.Value{"path": cty.StringVal("dist/yq")}),
	})})
	ctx := s.EvalContext(map[string]cty.Value{"stage": bin, "var": cty.ObjectVal(map[string]cty.Value{"arch": cty.StringVal("amd64")})})
	for _, name := range []string{"a", "b"} {
		v, diags := s.Value(s.Module.Stages[0].Body.Attributes[name].Expr, ctx)
		if diags.HasErrors() || v.AsString() != "dist/yq" {
			t.Errorf("%s = %#v, %v", name, v, diags)
		}
	}
}

// TestPrecedence takes the winning source away, one after the other.
func TestPrecedence(t *testing.T) {
	const file = `
variable "v" {
  default = "default"
  env     = "CI_V"
}
environment "prod" {
  v = "environment"
}
`
	files := map[string]string{"one.hcl": `v = "file one"`, "two.json": `{"v": "file two"}`}
	env := map[string]string{"AIRBUILD_VAR_v": "AIRBUILD_VAR", "CI_V": "env"}
	in := testInputs()
	in.Values = map[string]cty.Value{"v": cty.StringVal("parameter")}
	in.Vars = map[string]string{"v": "--var"}
	in.VarFiles = []string{"one.hcl", "two.json"}
	in.Environment = "prod"
	in.ReadFile = func(name string) ([]byte, error) { return []byte(files[name]), nil }
	in.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	steps := []struct {
		want string
		drop func()
	}{
		{"parameter", func() { in.Values = nil }},
		{"--var", func() { in.Vars = nil }},
		{"file two", func() { in.VarFiles = in.VarFiles[:1] }},
		{"file one", func() { in.VarFiles = nil }},
		{"AIRBUILD_VAR", func() { delete(env, "AIRBUILD_VAR_v") }},
		{"env", func() { env["CI_V"] = "" }}, // empty counts as not set
		{"environment", func() { in.Environment = "" }},
		{"default", func() {}},
	}
	for _, step := range steps {
		if got := evalOK(t, file, in).Vars.GetAttr("v").AsString(); got != step.want {
			t.Errorf("got %q, want %q", got, step.want)
		}
		step.drop()
	}
}

// TestTextValues holds what --var makes of a text for each type.
func TestTextValues(t *testing.T) {
	for _, row := range []struct{ typ, text, want string }{
		{"string", "true", `cty.StringVal("true")`},
		{"any", "12", `cty.StringVal("12")`},
		{"number", "12", `cty.NumberIntVal(12)`},
		{"bool", "true", `cty.True`},
		{"list(string)", `["a", 1]`, `cty.ListVal([]cty.Value{cty.StringVal("a"), cty.StringVal("1")})`},
		{"set(string)", `["b", "a", "b"]`, `cty.SetVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")})`},
		{"map(number)", `{ a = "1" }`, `cty.MapVal(map[string]cty.Value{"a":cty.NumberIntVal(1)})`},
		{"object({ a = string, b = optional(number, 7) })", `{ a = "x" }`,
			`cty.ObjectVal(map[string]cty.Value{"a":cty.StringVal("x"), "b":cty.NumberIntVal(7)})`},
	} {
		in := testInputs()
		in.Vars = map[string]string{"v": row.text}
		s := evalOK(t, fmt.Sprintf("variable \"v\" {\n  type = %s\n}\n", row.typ), in)
		if got := fmt.Sprintf("%#v", s.Vars.GetAttr("v")); got != row.want {
			t.Errorf("%s from %q = %s, want %s", row.typ, row.text, got, row.want)
		}
	}
}

func TestNullable(t *testing.T) {
	const file = `
variable "null" {
  default = "d"
}
variable "not_null" {
  default  = "d"
  nullable = false
}
environment "e" {
  null     = null
  not_null = null
}
`
	in := testInputs()
	in.Environment = "e"
	s := evalOK(t, file, in)
	if v := s.Vars.GetAttr("null"); !v.IsNull() {
		t.Errorf("null = %#v", v)
	}
	if v := s.Vars.GetAttr("not_null"); v.IsNull() || v.AsString() != "d" {
		t.Errorf("not_null = %#v", v)
	}
}

// TestGitAttributes holds that Git is asked only for what is used.
func TestGitAttributes(t *testing.T) {
	for _, row := range []struct {
		name, file string
		vars       map[string]string
		wantTime   bool
		want       string
	}{
		{name: "nothing", file: `locals { a = "git.tag" }`},
		{name: "default", file: `variable "v" { default = git.describe }`, want: "describe"},
		{name: "default not used", file: `variable "v" { default = git.describe }`, vars: map[string]string{"v": "1"}},
		{name: "stage", file: `stage "exec" "s" { a = "${git.short}${git.dirty}" }`, want: "dirty short"},
		{name: "nested block", file: "stage \"exec\" \"s\" {\n  size {\n    a = git[\"tag\"]\n  }\n}\n", want: "tag"},
		{name: "source", file: `pipeline "p" { a = source.epoch }`, want: "time"},
		{name: "whole object", file: `locals { a = templatefile("t", git) }`, want: "branch commit commit_count describe dirty previous_tag short tag time url"},
		{name: "template's values", file: `locals { a = templatefile("t", { v = git.tag }) }`, want: "tag"},
		{name: "validation", file: "variable \"v\" {\n  default = 1\n  validation {\n    condition     = git.dirty\n    error_message = \"x\"\n  }\n}\n", want: "dirty"},
		{name: "environment not chosen", file: "variable \"v\" {\n  default = 1\n}\nenvironment \"e\" {\n  v = git.tag\n}\n"},
		{name: "wanted time", file: ``, wantTime: true, want: "time"},
	} {
		t.Run(row.name, func(t *testing.T) {
			in := testInputs()
			in.Vars, in.WantTime = row.vars, row.wantTime
			git, calls, asked := in.Git, 0, ""
			in.Git = func(attrs []string) (*Git, error) {
				calls++
				asked = strings.Join(attrs, " ")
				return git(attrs)
			}
			m, diags := Load(project(row.file, map[string]string{"t": "x"}), "Airbuildfile")
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			if _, diags := m.Eval(in); diags.HasErrors() {
				t.Fatal(diags)
			}
			if asked != row.want || calls > 1 || calls == 0 && row.want != "" {
				t.Errorf("asked %d times, for %q; want %q", calls, asked, row.want)
			}
		})
	}
}

// TestNoTime holds that a wanted time that cannot be had is not a mistake.
func TestNoTime(t *testing.T) {
	in := testInputs()
	in.WantTime = true
	in.Git = func([]string) (*Git, error) { return nil, errors.New("no git") }
	if s := evalOK(t, ``, in); !s.Time.IsZero() || s.Epoch != 0 {
		t.Errorf("time %v, epoch %d", s.Time, s.Epoch)
	}
}

func TestSourceTime(t *testing.T) {
	in := testInputs()
	in.WantTime = true
	s := evalOK(t, ``, in)
	if s.Epoch != 1767319445 || s.Time.Format(time.RFC3339Nano) != "2026-01-02T02:04:05Z" {
		t.Errorf("time %v, epoch %d", s.Time, s.Epoch)
	}
}

func TestSensitive(t *testing.T) {
	in := testInputs()
	in.Vars = map[string]string{"token": "hunter2", "more": `["hunter", 7]`}
	s := evalOK(t, `
variable "token" {
  sensitive = true
}
variable "more" {
  type      = list(string)
  sensitive = true
}
locals {
  header = "Bearer ${var.token}"
  key    = sensitive("abc")
}
`, in)
	if v := s.Locals.GetAttr("header"); !v.HasMark(Sensitive) {
		t.Errorf("%#v is not sensitive", v)
	}
	got := s.Secrets()
	if want := []string{"hunter2", "hunter", "abc", "7"}; !slices.Equal(got, want) {
		t.Errorf("secrets = %q, want %q", got, want)
	}
}

// TestIncomplete holds that one broken file brings no follow-up mistakes.
func TestIncomplete(t *testing.T) {
	m, diags := Load(project(`
include "missing.hcl" {}
variable "a" {
  default = "x"
}
locals {
  b = var.from_missing
  c = local.from_missing.deep
}
stage "exec" "s" {
  a = local.also_missing
}
environment "e" {
  missing = 1
}
`, nil), "Airbuildfile")
	if len(diags) != 1 || !m.Incomplete {
		t.Fatalf("incomplete = %v, %v", m.Incomplete, diags)
	}
	in := testInputs()
	in.Vars = map[string]string{"other": "x"}
	s, diags := m.Eval(in)
	if len(diags) != 0 {
		t.Error(diags)
	}
	if v, diags := s.Value(m.Stages[0].Body.Attributes["a"].Expr, s.EvalContext(nil)); v.IsKnown() || len(diags) != 0 {
		t.Errorf("%#v, %v", v, diags)
	}
}

// TestDamaged holds that a syntax error in one block leaves the others whole.
func TestDamaged(t *testing.T) {
	m, diags := Load(project(`
stage "exec" "broken" {
  a = [
stage "exec" "whole" {
  a = 1
}
variable "v" {
  default = )
}
pipeline "p" {
  stages = [stage.whole
}
`, nil), "Airbuildfile")
	if len(diags) != 3 || m.Incomplete {
		t.Errorf("incomplete = %v, %v", m.Incomplete, diags)
	}
	if len(m.Stages) != 2 || !m.Stages[0].Damaged || m.Stages[1].Damaged {
		t.Errorf("stages %+v", m.Stages)
	}
	if len(m.Pipelines) != 1 || !m.Pipelines[0].Damaged {
		t.Errorf("pipelines %+v", m.Pipelines)
	}
	if _, diags := m.Eval(testInputs()); len(diags) != 0 {
		t.Error(diags)
	}
}

// TestInclude holds that paths are relative to the including file.
func TestInclude(t *testing.T) {
	m, diags := Load(project("include \"build/a.hcl\" {}\n", map[string]string{
		"build/a.hcl":   "include \"../b.hcl\" {}\nstage \"exec\" \"a\" {}\n",
		"b.hcl":         "include \"build/c.hcl\" {}\nairbuild {\n  dist = \"out/\"\n}\n",
		"build/c.hcl":   "stage \"exec\" \"c\" {}\n",
		"build/not.hcl": "!",
	}), "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	if got := slices.Sorted(maps.Keys(m.Sources)); !slices.Equal(got, []string{"Airbuildfile", "b.hcl", "build/a.hcl", "build/c.hcl"}) {
		t.Errorf("sources %q", got)
	}
	if len(m.Stages) != 2 || m.Stages[0].Name != "c" || m.Stages[1].Name != "a" || m.Settings.Dist != "out" {
		t.Errorf("stages %+v, dist %q", m.Stages, m.Settings.Dist)
	}
}

func TestCellIndex(t *testing.T) {
	for _, row := range []struct{ expr, want string }{
		{`stage.b["a","c"]`, "a,c"},
		{`stage.b["a" , "c", "d"]`, "a,c,d"},
		{`stage.b[ # comment, with comma
  "a", /* another, */ "c"
]`, "a,c"},
		{`stage.b[join(",", ["a", "c"]), "d"]`, "a,c,d"},
		{`stage.b["a", ("c" == "c" ? "c" : "x")]`, "a,c"},
		{`stage.b["a", "${"c"}"]`, "a,c"},
		{`stage.b[1 + 1]`, "2"},
		{`stage.b[(5 % 3), "c"]`, "2,c"},
		{`stage.b[5 % 3, "c"]`, "2,c"},
		{`"${stage.b["a","c"]}"`, "a,c"},
		{`stage.b[stage.b["a","c"], "d"]`, "a,c,d"},
		{`[for x in ["c"] : stage.b["a", x]][0]`, "a,c"},
		{`stage.b["a", -1]`, "a,-1"},
		{`(stage /* a */ . /* b */ b /* c */ ["a", "c"])`, "a,c"},
	} {
		m, diags := Load(project("stage \"exec\" \"s\" {\n  x = "+row.expr+"\n}\n", nil), "Airbuildfile")
		if diags.HasErrors() {
			t.Errorf("%s: %v", row.expr, diags)
			continue
		}
		s, _ := m.Eval(testInputs())
		cellNames := map[string]cty.Value{}
		for _, name := range []string{"2", "a,c", "a,c,d", "2,c", "a,-1"} {
			cellNames[name] = cty.StringVal(name)
		}
		stages := cty.ObjectVal(map[string]cty.Value{"b": cty.ObjectVal(cellNames)})
		v, diags := s.Value(m.Stages[0].Body.Attributes["x"].Expr, s.EvalContext(map[string]cty.Value{"stage": stages}))
		if diags.HasErrors() || v.AsString() != row.want {
			t.Errorf("%s = %#v, %v", row.expr, v, diags)
		}
	}
}

// TestCellIndexRanges holds that the mask changes no range.
func TestCellIndexRanges(t *testing.T) {
	src := []byte("a = stage.b[\"x\", \"y\"].path\nb = [stage.b[\"é\",\"y\"],\n  1]\n")
	body, diags := parse(src, "f")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	for name, want := range map[string]string{"a": `stage.b["x", "y"].path`, "b": "[stage.b[\"é\",\"y\"],\n  1]"} {
		if got := body.Attributes[name].Expr.Range().SliceBytes(src); string(got) != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
}

func TestSuggestName(t *testing.T) {
	known := []string{"vendor", "bin", "linux", "go_build", "a"}
	for given, want := range map[string]string{
		"vender": "vendor", "bim": "bin", "BIN": "bin", "lniux": "linux", "go-buidl": "go_build",
		"b": "", "zzz": "", "": "", "vendor": "", "completely": "",
	} {
		if got := SuggestName(given, known); got != want {
			t.Errorf("SuggestName(%q) = %q, want %q", given, got, want)
		}
	}
}

// TestSchema holds that the schema is what an Airbuildfile's reader needs.
func TestSchema(t *testing.T) {
	var check func(BlockDoc)
	check = func(b BlockDoc) {
		if b.Doc == "" {
			t.Errorf("block %s has no doc", b.Type)
		}
		for _, a := range b.Attrs {
			if a.Doc == "" || a.Type == "" || !strings.HasSuffix(a.Doc, ".") {
				t.Errorf("attribute %s.%s: %+v", b.Type, a.Name, a)
			}
		}
		for _, n := range b.Blocks {
			check(n)
		}
	}
	for _, b := range TopLevelSchema() {
		check(b)
		if !blockStart.MatchString(b.Type + " {") {
			t.Errorf("parse does not find the start of a %s block", b.Type)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(realistic), []byte("locals {}\n"))
	f.Add([]byte("include \"b.hcl\" {}\nlocals {\n  a = local.b\n  b = local.a\n}\n"), []byte("stage \"x\" \"y\" {\n  a = stage.b[\"c\",\"d\"\n}\n"))
	f.Add([]byte("variable \"v\" {\n  type = list(object({a=optional(string,\"x\")}))\n  default = [{}]\n}\n"), []byte("a = \"unclosed\n"))
	for _, name := range goldenInputs(f, "testdata/diagnostics", ".txtar", ".txt") {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, data)
	}
	f.Fuzz(func(t *testing.T, root, included []byte) {
		m, diags := Load(project(string(root), map[string]string{"b.hcl": string(included)}), "Airbuildfile")
		s, evalDiags := m.Eval(testInputs())
		diags = append(append(diags, evalDiags...), checkStages(s)...)
		var out bytes.Buffer
		if err := WriteDiagnostics(&out, diags, m.Sources, Style{}); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsFunc(out.String(), func(r rune) bool { return isControl(r) && r != '\n' && r != '\t' }) {
			t.Errorf("control characters in %q", out.String())
		}
	})
}

// realistic is the Airbuildfile of a project that is released for several
// platforms.
const realistic = `
airbuild {
  required_version = ">= 0.1.0"
}

variable "version" {
  type        = string
  default     = git.describe
  env         = "CI_COMMIT_TAG"
  description = "Stamped into binaries and file names"
  validation {
    condition     = can(regex("^v", var.version))
    error_message = "The version starts with v."
  }
}

variable "hosts" {
  type    = list(object({ name = string, port = optional(number, 22) }))
  default = [{ name = "a" }, { name = "b", port = 2222 }]
}

locals {
  platforms = ["linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"]
  cells     = [for p in local.platforms : replace(p, "/", "_")]
  by_os     = { for p in local.platforms : split("/", p)[0] => p... }
  targets   = { for h in var.hosts : h.name => "${h.name}:${h.port}" }
}

toolchain "go" {
  version = "1.26.8"
}

stage "go_tidy" "tidy" {
  mode = "check"
}

stage "go_vendor" "vendor" {
  after = [stage.tidy]
}

stage "go_build" "bin" {
  matrix = {
    platform = local.platforms
    cmd      = ["yq"]
  }
  exclude = [{ platform = "windows/arm64" }]
  package = "./cmd/${matrix.cmd}"
  modules = stage.vendor
  output  = "${matrix.cmd}_${var.version}_${matrix.os}_${matrix.arch}${matrix.exe}"
  stamp   = { "main.version" = var.version }
  size {
    strip    = true
    trimpath = true
  }
}

stage "archive" "archives" {
  for_each = stage.bin
  format   = each.os == "windows" ? "zip" : "tar.gz"
  files    = [each.path, "LICENSE", "README.md", stage.bin["linux/amd64", "yq"].path]
}

stage "checksum" "sums" {
  files = stage.archives.paths
}

pipeline "release" {
  description = "Everything we publish"
  stages      = [stage.sums]
}

environment "prod" {
  hosts = [{ name = "prod" }]
}
`

// BenchmarkLoadEval loads and evaluates a file of 80 lines with 5 stages.
func BenchmarkLoadEval(b *testing.B) {
	fsys, in := project(realistic, nil), testInputs()
	b.ReportAllocs()
	b.SetBytes(int64(len(realistic)))
	for b.Loop() {
		m, diags := Load(fsys, "Airbuildfile")
		_, evalDiags := m.Eval(in)
		if diags.HasErrors() || evalDiags.HasErrors() {
			b.Fatal(diags, evalDiags)
		}
	}
}
