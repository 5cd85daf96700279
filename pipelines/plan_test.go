package pipelines

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/sign"
)

func TestMetaArguments(t *testing.T) {
	f := project(`
stage "make" "gen" {
  outputs = ["gen.txt"]
}
stage "make" "it" {
  matrix      = { n = [1, 2] }
  description = "number ${matrix.n}"
  dir         = "web"
  env         = { A = "1", B = null }
  pass_env    = ["HOME", "UNSET"]
  inputs      = ["src/**", "!src/old/**", "index.html", stage.gen, "../LICENSE"]
  timeout     = "90s"
  retries     = 2
  cache       = false
  file        = "index.html"
  files       = ["src/*.js", "!src/b.js", "../README.md"]
  outputs     = ["out-${matrix.n}/"]
  sandbox {
    network = true
    inputs  = "workspace"
  }
  resources {
    cpu    = 2
    memory = "1.5GiB"
  }
}`).with("web/index.html", "x").with("web/src/a.js", "a").with("web/src/b.js", "b").with("web/src/old/c.js", "c")
	p := f.mustLoad(t)
	b := f.block(t, "it[2]")
	m := b.Meta
	if m.Dir != "web" || m.Timeout != 90*time.Second || m.Retries != 2 || m.Cache || m.SandboxMode != "workspace" ||
		m.Network == nil || !*m.Network || m.CPU != 2 || m.Memory != 3<<29 {
		t.Errorf("meta %+v", m)
	}
	if b.Description != "number 2" {
		t.Errorf("description %q", b.Description)
	}
	if !maps.Equal(m.Env, map[string]string{"A": "1"}) || !maps.Equal(m.PassEnv, map[string]string{"HOME": "value of HOME"}) {
		t.Errorf("env %v, pass_env %v", m.Env, m.PassEnv)
	}
	if !slices.Equal(m.Inputs, []string{"src/**", "!src/old/**"}) {
		t.Errorf("patterns %v", m.Inputs)
	}
	var refs []string
	for _, r := range m.InputRefs {
		refs = append(refs, r.Path)
	}
	if !slices.Equal(refs, []string{"web/index.html", "gen.txt", "LICENSE"}) {
		t.Errorf("paths %v", refs)
	}
	var files []string
	for _, r := range b.Paths("files") {
		files = append(files, r.Path)
	}
	if !slices.Equal(files, []string{"web/src/a.js", "README.md"}) {
		t.Errorf("files %v", files)
	}
	if got := b.Strings("outputs"); !slices.Equal(got, []string{"out-2/"}) {
		t.Errorf("outputs %v", got)
	}
	if got := p.Stage("it").Cells[1].Outputs; !slices.Equal(got, []string{"web/out-2"}) {
		t.Errorf("cell outputs %v", got)
	}
}

func TestInnerSteps(t *testing.T) {
	f := project(`
stage "make" "fat" {
  inner  = true
  output = "fat"
}
stage "make" "it" {
  file = stage.fat.path
}`)
	p := f.mustLoad(t)
	if got := needs(t, p, "it"); !slices.Equal(got, []string{"fat"}) {
		t.Errorf("it needs %v", got)
	}
	if got := needs(t, p, "fat"); !slices.Equal(got, []string{"fat (half)"}) {
		t.Errorf("fat needs %v", got)
	}
	id, _ := p.Graph.Lookup("fat (half)")
	if !p.Graph.Steps[id].Inner {
		t.Error("the first step is not inner")
	}
}

func TestPatternsDoNotSeeOutputs(t *testing.T) {
	f := project(`
stage "make" "it" {
  files = ["**/*.md"]
}`).with("dist/old.md", "x").with(".git/x.md", "x").with("docs/b.md", "b").with("docs/a.md", "a").with("distant/c.md", "c")
	f.mustLoad(t)
	var got []string
	for _, p := range f.block(t, "it").Paths("files") {
		got = append(got, p.Path)
	}
	if want := []string{"README.md", "distant/c.md", "docs/a.md", "docs/b.md"}; !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

// A task learns of a path that a stage planned later makes.
func TestMakesKnowsLaterStages(t *testing.T) {
	f := project(`
stage "make" "first" {
  text = "x"
}
stage "make" "vendor" {
  after   = [stage.first]
  outputs = ["vendor"]
}`)
	var told []bool
	f.opts.Tasks = map[string]tasks.Task{"make": curious{&told}}
	p := f.mustLoad(t)
	if len(p.Graph.Steps) != 2 || len(p.Stages) != 2 || len(p.Stages[1].Cells) != 1 {
		t.Errorf("%d steps, %d stages", len(p.Graph.Steps), len(p.Stages))
	}
	if want := []bool{false, false, true, true}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}
}

// curious asks whether vendor is made.
type curious struct{ told *[]bool }

func (curious) Schema() *tasks.Schema { return fakeTask{}.Schema() }

func (c curious) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	*c.told = append(*c.told, b.Project.Makes("vendor"))
	return fakeTask{}.Plan(b)
}

const selectFile = `
stage "make" "bin" {
  matrix = { platform = ["linux/amd64", "linux/arm64"], cmd = ["a", "b"] }
  output = "${matrix.cmd}_${matrix.arch}"
}
stage "make" "check" {
}
pipeline "check" {
  description = "Checks"
  stages      = [stage.check]
}
pipeline "release" {
  stages = [pipeline.check, stage.bin["linux/amd64", "a"], [stage.check]]
}
`

func TestSelect(t *testing.T) {
	p := project(selectFile).mustLoad(t)
	tests := []struct {
		targets string // separated by blanks
		want    string
		err     string
	}{
		{"check", "check", ""},
		{"release", "bin[linux/amd64,a] check", ""},
		{"bin", "bin[linux/amd64,a] bin[linux/amd64,b] bin[linux/arm64,a] bin[linux/arm64,b]", ""},
		{"bin[linux/arm64,b]", "bin[linux/arm64,b]", ""},
		{"bin[linux/arm64]", "bin[linux/arm64,a] bin[linux/arm64,b]", ""},
		{"bin[b]", "bin[linux/amd64,b] bin[linux/arm64,b]", ""},
		{`bin["b","linux/arm64"]`, "bin[linux/arm64,b]", ""},
		{"check bin[a] check", "bin[linux/amd64,a] bin[linux/arm64,a] check", ""},
		{"", "", `no target: name one of the pipelines check, release, or call one of them "default"`},
		{"relaese", "", `no pipeline or stage "relaese". Did you mean "release"?`},
		{"bin[linux/amd46]", "", `stage bin has no cell "linux/amd46". Did you mean "linux/amd64"?`},
		{"bin[c", "", `target "bin[c": the bracket is not closed`},
		{"check[x]", "", `stage check has no cell "x". It has no cells.`},
		{"lost found", "", "no pipeline or stage \"lost\". All of them: airbuild list.\nno pipeline or stage \"found\". All of them: airbuild list."},
	}
	for _, test := range tests {
		ids, _, err := p.Select(strings.Fields(test.targets))
		if fmt.Sprint(err) != test.err && (err != nil || test.err != "") {
			t.Errorf("Select(%s): error %v, want %s", test.targets, err, test.err)
		}
		got := names(p, ids)
		slices.Sort(got)
		if strings.Join(got, " ") != test.want {
			t.Errorf("Select(%s) = %v, want %s", test.targets, got, test.want)
		}
	}
	if got := p.Pipeline("release").Stages; !slices.Equal(got, []string{"check", "bin"}) {
		t.Errorf("stages of release: %v", got)
	}
}

func TestSelectDefault(t *testing.T) {
	tests := []struct{ file, want, err string }{
		{`pipeline "only" { 
  stages = [stage.a]
}`, "only", ""},
		{`pipeline "x" { 
  stages = [stage.a]
}
pipeline "default" { 
  stages = [stage.a]
}`, "default", ""},
		{``, "", "no target: the file has no pipeline; name a stage"},
	}
	for _, test := range tests {
		p := project("stage \"make\" \"a\" {\n}\n" + test.file).mustLoad(t)
		_, got, err := p.Select(nil)
		if strings.Join(got, " ") != test.want || err != nil != (test.err != "") || err != nil && err.Error() != test.err {
			t.Errorf("Select() = %v, %v; want %s, %s", got, err, test.want, test.err)
		}
	}
}

func TestRequiredVersion(t *testing.T) {
	tests := []struct {
		constraint, own string
		ok              bool
	}{
		{">= 0.1.0", "0.1.0", true},
		{">= 0.1.0", "v1.2.3", true},
		{">= 0.1.0", "0.1.0-rc1", true},
		{"~> 1.2", "2.0.0", false},
		{">= 9", "dev", true},
		{">= 9", "", true},
		{"< 1", "1.0.0", false},
	}
	for _, test := range tests {
		f := project(fmt.Sprintf("airbuild {\n  required_version = %q\n}\n", test.constraint))
		f.opts.Version = test.own
		if _, diags := f.load(); diags.HasErrors() == test.ok {
			t.Errorf("%s with %q: %s", test.constraint, test.own, render(diags))
		}
	}
}

func TestToolchains(t *testing.T) {
	f := project(`
toolchain "go" {
  version = "1.${20 + 6}.0"
}
stage "go_vet" "vet" {
}
stage "go_test" "test" {
}`)
	f.opts.Tasks = stubs()
	var asked []string
	f.opts.Toolchain = func(name, wanted string, dirs []string) error {
		asked = append(asked, strings.TrimSpace(name+" "+wanted+" "+strings.Join(dirs, ",")))
		return nil
	}
	f.mustLoad(t)
	if !slices.Equal(asked, []string{"go 1.26.0"}) {
		t.Errorf("asked for %v", asked)
	}
	asked = nil
	f.files["Airbuildfile"] = "stage \"go_vet\" \"vet\" {\n}\nstage \"go_test\" \"test\" {\n  dir = \"sub\"\n}\nstage \"checksum\" \"other\" {\n  files = [\"sub/x\"]\n}\n"
	f.files["sub/x"] = ""
	f.mustLoad(t)
	if !slices.Equal(asked, []string{"go  .,sub"}) {
		t.Errorf("without a block, asked for %v", asked)
	}
	f.opts.Toolchain = func(string, string, []string) error { return errors.New("no Go on PATH") }
	p := f.mustLoad(t)
	for target, want := range map[string]string{
		"test": "Airbuildfile:1,1-21: Toolchain not available; No Go on PATH.\n", "other": "",
	} {
		ids, _, err := p.Select([]string{target})
		if err != nil {
			t.Fatal(err)
		}
		if got := render(p.Lacking(ids)); got != want {
			t.Errorf("%s: diagnostics:\n%s", target, got)
		}
	}
}

func TestGitIsAskedOnce(t *testing.T) {
	f := project(`
pipeline "release" {
  use = "go_release"
}
locals {
  x = "${git.describe} ${git.commit}"
}`).with("go.mod", "module example.com/x\n").with("main.go", "package main\n")
	f.opts.Tasks = stubs()
	calls := 0
	f.opts.Inputs.Git = func([]string) (*dsl.Git, error) {
		calls++
		return &dsl.Git{Describe: "v1", Commit: "c", Time: time.Unix(1e9, 0)}, nil
	}
	p := f.mustLoad(t)
	if calls != 1 {
		t.Errorf("git was asked %d times", calls)
	}
	if got := p.Stage("archives").Cells[0].Outputs[0]; got != "dist/x_v1_linux_amd64.tar.gz" {
		t.Errorf("archive %s", got)
	}
}

func TestUseRelease(t *testing.T) {
	f := project(`
pipeline "release" {
  use       = "go_release"
  version   = "v1.2.3"
  platforms = ["linux/amd64", "windows/amd64", "linux/arm/v6,softfloat"]
}
pipeline "check" {
  use         = "go_check"
  description = "Mine"
}
pipeline "all" {
  stages = [pipeline.release, stage.extra]
}
stage "make" "extra" {
  files  = stage.sums.paths
  output = "extra.txt"
}`)
	f.with("go.mod", "module example.com/tool/v2\n").with("main.go", "package main\n").with("cmd/yq/main.go", "package main\n")
	f.opts.Tasks = stubs()
	f.opts.Inputs.Git = noGit
	p := f.mustLoad(t)
	want := []string{
		"linux/amd64,tool", "linux/amd64,yq", "windows/amd64,tool", "windows/amd64,yq",
		"linux/arm/v6,softfloat,tool", "linux/arm/v6,softfloat,yq",
	}
	if got := cellKeys(p, "bin"); !slices.Equal(got, want) {
		t.Errorf("cells of bin: %v", got)
	}
	b := f.blockOf(t, p, "archives[windows/amd64,yq]")
	if got := b.Outputs; !slices.Equal(got, []string{"dist/yq_v1.2.3_windows_amd64.zip"}) {
		t.Errorf("archive: %v", got)
	}
	if got := needs(t, p, "archives[windows/amd64,yq]"); !slices.Equal(got, []string{"bin[windows/amd64,yq]"}) {
		t.Errorf("archive needs %v", got)
	}
	if got := p.Stage("vendor").Cells; len(got) != 0 {
		t.Errorf("vendor is planned: %v", got)
	}
	if l := p.Pipeline("check"); l.Description != "Mine" || !slices.Equal(l.Stages, []string{"tidy", "vet", "test"}) || l.Use != "go_check" {
		t.Errorf("check: %+v", l)
	}
	if l := p.Pipeline("release"); l.Description == "" || !slices.Equal(l.Stages, []string{"tidy", "vet", "test", "sums"}) {
		t.Errorf("release: %+v", l)
	}
	if got, _, err := p.Select([]string{"bin[windows/amd64]"}); err != nil || len(got) != 2 {
		t.Errorf("Select: %v, %v", got, err)
	}
	if p.Sources["airbuild/pipelines/go_release.hcl"] == nil {
		t.Error("the embedded file is not among the sources")
	}
	inArchive := 0
	for _, in := range p.Graph.Steps[b.Step].Inputs {
		if in.Path == "LICENSE" || in.Path == "README.md" {
			inArchive++
		}
	}
	if inArchive != 2 {
		t.Errorf("%d of LICENSE and README.md are in the archive", inArchive)
	}
}

func (f *fixture) blockOf(t testing.TB, p *Plan, step string) Cell {
	t.Helper()
	for _, s := range p.Stages {
		for _, c := range s.Cells {
			if StepName(s.Name, c.Key) == step {
				return c
			}
		}
	}
	t.Fatalf("no step %s", step)
	return Cell{}
}

func TestUseReleaseOptions(t *testing.T) {
	f := &fixture{files: map[string]string{
		"go.mod":  "module example.com/x\n",
		"main.go": "package main\n",
		"Airbuildfile": `
pipeline "release" {
  use       = "go_release"
  version   = "v1"
  platforms = ["linux/amd64"]
  vendor    = true
  test      = false
  stages    = [stage.more]
}
stage "make" "more" {
}`,
	}}
	f.opts.Tasks = stubs()
	f.opts.Default = func(name string) (cty.Value, bool) { return cty.StringVal("given"), name == "name" }
	p := f.mustLoad(t)
	if got := needs(t, p, "bin[linux/amd64,given]"); !slices.Equal(got, []string{"tidy", "vendor"}) {
		t.Errorf("bin needs %v", got)
	}
	if got := names(p, p.Pipeline("release").Steps); slices.Contains(got, "test") || !slices.Contains(got, "more") {
		t.Errorf("release has %v", got)
	}
}

func TestMainPackages(t *testing.T) {
	f := &fixture{files: map[string]string{
		"go.mod":                  "module example.com/x/v3\n",
		"gen.go":                  "//go:build ignore\n\npackage main\n",
		"build.go":                "//go:build tools && (linux || !windows)\n\npackage main\n",
		"cmd/b/old.go":            "//go:build !go1.1\n\npackage main\n",
		"cmd/c/a.go":              "//go:build !tools && cgo\n\npackage main\n",
		"lib.go":                  "package x\n",
		"cmd/a/main.go":           "// Command a.\npackage main\n",
		"cmd/a/inner/x.go":        "package inner\n",
		"cmd/linux/main_linux.go": "//go:build linux\n\npackage main\n",
		"cmd/test/x_test.go":      "package main\n",
		"internal/tool/main.go":   "package main\n",
		"tool/internal/gen/x.go":  "package main\n",
		"vendor/v/main.go":        "package main\n",
		"testdata/t/main.go":      "package main\n",
		"_old/main.go":            "package main\n",
		".hidden/main.go":         "package main\n",
		"other/go.mod":            "module example.com/other\n",
		"other/main.go":           "package main\n",
		"own/go.mod":              "module example.com/own\n",
		"own/internal/x/main.go":  "package main\n",
		"dist/main.go":            "package main\n",
		"broken/main.go":          "pakcage main\n",
	}}
	if got := MainPackages(f.fs(), ".", "dist"); !slices.Equal(got, []string{"./cmd/a", "./cmd/c", "./cmd/linux"}) {
		t.Errorf("main packages %v", got)
	}
	if got := MainPackages(f.fs(), "other", "dist"); !slices.Equal(got, []string{"."}) {
		t.Errorf("main packages of other: %v", got)
	}
	if got := MainPackages(f.fs(), "own", "dist"); !slices.Equal(got, []string{"./internal/x"}) {
		t.Errorf("main packages of own: %v", got)
	}
	if got := ModuleName(f.fs(), "."); got != "x" {
		t.Errorf("module name %q", got)
	}
}

func TestEmbedded(t *testing.T) {
	all := Embedded()
	var found []string
	for _, e := range all {
		found = append(found, e.Name)
		if e.Description == "" || len(e.Source) == 0 || len(e.Parameters) == 0 {
			t.Errorf("%s: %q, %d bytes, parameters %v", e.Name, e.Description, len(e.Source), e.Parameters)
		}
		for _, p := range e.Parameters {
			if p.Description == "" || p.Type == "any" || p.Default == "" {
				t.Errorf("%s: parameter %+v", e.Name, p)
			}
		}
		_, diags := loadEmbedded(e.Name)
		if len(diags) > 0 {
			t.Errorf("%s: %s", e.Name, render(diags))
		}
	}
	if !slices.Equal(found, []string{"go_check", "go_release"}) {
		t.Errorf("embedded %v", found)
	}
}

func TestRegistry(t *testing.T) {
	all := Tasks(nil, &sign.Config{}, &ExternalSettings{})
	for _, name := range []string{
		"archive", "checksum", "compress_binary", "exec", "go_build", "go_download", "go_generate",
		"go_test", "go_tidy", "go_vendor", "go_vet", "sign", "template",
	} {
		task, ok := all[name]
		if !ok {
			t.Errorf("no stage type %s", name)
			continue
		}
		schema := task.Schema()
		meta := tasks.MetaSchema()
		for _, a := range schema.Attrs {
			if slices.ContainsFunc(meta.Attrs, func(m tasks.Attr) bool { return m.Name == a.Name }) {
				t.Errorf("%s: the attribute %s is a meta-argument", name, a.Name)
			}
		}
		for _, n := range schema.Blocks {
			if slices.ContainsFunc(meta.Blocks, func(m tasks.Nested) bool { return m.Type == n.Type }) {
				t.Errorf("%s: the block %s is a meta-argument", name, n.Type)
			}
		}
	}
	if len(Tools(nil, &sign.Config{}, &ExternalSettings{})) == 0 {
		t.Error("no tools")
	}
}

// Planning twice gives the same steps in the same order.
func TestPlanIsStable(t *testing.T) {
	list := func() (out []string) {
		for _, s := range project(selectFile).mustLoad(t).Graph.Steps {
			out = append(out, fmt.Sprintf("%s %v", s.Name, s.After))
		}
		return out
	}
	first := list()
	for range 5 {
		if again := list(); !slices.Equal(first, again) {
			t.Fatalf("first %v, then %v", first, again)
		}
	}
}

func TestLongChain(t *testing.T) {
	var b strings.Builder
	const n = 2000
	for i := range n {
		fmt.Fprintf(&b, "stage \"make\" \"s%d\" {\n  output = \"%d\"\n", i, i)
		if i+1 < n {
			fmt.Fprintf(&b, "  file = stage.s%d.path\n", i+1)
		}
		b.WriteString("}\n")
	}
	p := project(b.String()).mustLoad(t)
	if len(p.Graph.Steps) != n || p.Graph.Steps[n-1].Name != "s0" {
		t.Errorf("%d steps", len(p.Graph.Steps))
	}
	var _ engine.StepID = p.Stages[0].Cells[0].Step
}

// BenchmarkPlanMatrix plans a release of one matrix: each cell is built,
// archived, and summed up in one step.
func BenchmarkPlanMatrix(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprintf("cells=%d", n), func(b *testing.B) {
			f := project(fmt.Sprintf(`
locals {
  tens  = range(%d)
  parts = range(50)
}
stage "make" "bin" {
  matrix = { platform = ["linux/amd64"], n = local.tens, m = local.parts }
  output = "x_${matrix.n}_${matrix.m}_${matrix.os}_${matrix.arch}${matrix.exe}"
  stamp  = { "main.version" = "v1" }
}
stage "make" "archives" {
  for_each = stage.bin
  files    = [each.path, "LICENSE", "README.md"]
  output   = "${basename(each.path)}.tar.gz"
}
stage "make" "sums" {
  files  = stage.archives.paths
  output = "checksums.txt"
}
pipeline "release" {
  stages = [stage.sums]
}`, n/100))
			b.ReportAllocs()
			for b.Loop() {
				if p := f.mustLoad(b); len(p.Graph.Steps) != n+1 {
					b.Fatalf("%d steps", len(p.Graph.Steps))
				}
			}
		})
	}
}

// BenchmarkPlanStages plans many stages without cells, each needing the one
// before.
func BenchmarkPlanStages(b *testing.B) {
	var src strings.Builder
	const n = 1000
	for i := range n {
		fmt.Fprintf(&src, "stage \"make\" \"s%d\" {\n  output = \"%d\"\n  text = \"x\"\n", i, i)
		if i > 0 {
			fmt.Fprintf(&src, "  file = stage.s%d.path\n", i-1)
		}
		src.WriteString("}\n")
	}
	f := project(src.String())
	b.ReportAllocs()
	for b.Loop() {
		f.mustLoad(b)
	}
}

// BenchmarkPlanTrivial plans one stage of 10,000 cells, each with one text and
// one output.
func BenchmarkPlanTrivial(b *testing.B) {
	f := project(`
stage "make" "it" {
  matrix = { a = range(100), b = range(100) }
  text   = "echo ${matrix.a} ${matrix.b}"
  output = "${matrix.a}/${matrix.b}"
}
pipeline "all" {
  stages = [stage.it]
}`)
	b.ReportAllocs()
	for b.Loop() {
		f.mustLoad(b)
	}
}
