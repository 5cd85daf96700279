package golang

import (
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	modpath "golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	"golang.org/x/mod/zip"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// A proxy is a GOPROXY tree made by hand, and the go.sum lines of what it has.
type proxy struct {
	t    *testing.T
	dir  string
	sums string
}

// publish adds a version of a module.
func (x *proxy) publish(mod, version string, files map[string]string) {
	x.t.Helper()
	src := x.t.TempDir()
	for name, text := range files {
		if err := writeNew(filepath.Join(src, name), []byte(text)); err != nil {
			x.t.Fatal(err)
		}
	}
	at := filepath.Join(x.dir, filepath.FromSlash(mod), "@v")
	for ext, text := range map[string]string{".mod": files["go.mod"], ".info": `{"Version":"` + version + `","Time":"2024-01-02T03:04:05Z"}`} {
		if err := writeNew(filepath.Join(at, version+ext), []byte(text)); err != nil {
			x.t.Fatal(err)
		}
	}
	zipFile := filepath.Join(at, version+".zip")
	f, err := os.Create(zipFile)
	if err != nil {
		x.t.Fatal(err)
	}
	defer f.Close()
	if err := zip.CreateFromDir(f, modpath.Version{Path: mod, Version: version}, src); err != nil {
		x.t.Fatal(err)
	}
	sum, err := dirhash.HashZip(zipFile, dirhash.Hash1)
	if err != nil {
		x.t.Fatal(err)
	}
	modSum, err := dirhash.Hash1([]string{"go.mod"}, func(string) (r io.ReadCloser, err error) { return os.Open(filepath.Join(src, "go.mod")) })
	if err != nil {
		x.t.Fatal(err)
	}
	x.sums += mod + " " + version + " " + sum + "\n" + mod + " " + version + "/go.mod " + modSum + "\n"
}

// withModules makes a project that requires example.org/dep and, in a test
// only, example.org/testdep.
func withModules(t *testing.T) (*project, *proxy) {
	t.Helper()
	x := &proxy{t: t, dir: t.TempDir()}
	x.publish("example.org/dep", "v1.0.0", map[string]string{
		"go.mod": "module example.org/dep\n\ngo 1.26\n", "dep.go": "package dep\n\nconst Name = \"dep\"\n", "unused/unused.go": "package unused\n"})
	x.publish("example.org/testdep", "v1.1.0", map[string]string{
		"go.mod": "module example.org/testdep\n\ngo 1.26\n", "t.go": "package testdep\n"})
	p := newProject(t, map[string]string{
		"go.mod":      "module example.com/m\n\ngo 1.26\n\nrequire (\n\texample.org/dep v1.0.0\n\texample.org/testdep v1.1.0\n)\n",
		"go.sum":      x.sums,
		"main.go":     "package main\n\nimport \"example.org/dep\"\n\nfunc main() { println(dep.Name) }\n",
		"m_test.go":   "package main\n\nimport (\n\t\"testing\"\n\n\t_ \"example.org/testdep\"\n)\n\nfunc TestOne(t *testing.T) {}\n",
		"plan9.go":    "//go:build plan9\n\npackage main\n",
		"ignore.go":   "//go:build ignore\n\npackage main\n\nimport _ \"example.org/gone\"\n",
		"sub/go.mod":  "module example.com/sub\n",
		"sub/sub.go":  "package sub\n\nimport _ \"example.org/gone\"\n",
		"_x/skip.go":  "package skip\n\nimport _ \"example.org/gone\"\n",
		"docs/a.text": "",
	})
	cache := t.TempDir()
	lookup := p.cfg.LookupEnv
	p.cfg.LookupEnv = func(name string) (string, bool) {
		switch name {
		case "GOPROXY":
			return gocmd.FileURL(filepath.ToSlash(x.dir)), true
		case "GOSUMDB":
			return "off", true
		case "GOMODCACHE":
			return cache, true
		}
		return lookup(name)
	}
	t.Cleanup(func() { // the module cache is read-only
		filepath.WalkDir(cache, func(name string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() {
				err = os.Chmod(name, 0o755)
			}
			return err
		})
	})
	return p, x
}

func TestClosureNamesModulesBySum(t *testing.T) {
	p, x := withModules(t)
	files, modules := p.listed(&p.plan(&build{p.cfg}, p.block("go_build"))[0])
	if want := []string{"main.go"}; !slices.Equal(files, want) {
		t.Errorf("files: got %v, want %v", files, want)
	}
	sum := strings.Fields(x.sums)[2]
	if want := "module example.com/m (main) go1.26 -\nmodule example.org/dep v1.0.0 go1.26 " + sum + "\n"; withoutDefaults(modules) != want {
		t.Errorf("modules: got\n%swant\n%s", modules, want)
	}
}

func TestTidyCheck(t *testing.T) {
	p, _ := withModules(t)
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy")); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	p.write(map[string]string{"main.go": "package main\n\nimport \"example.org/dep\"\n\nfunc main() { println(dep.Name, 1) }\n"})
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy")); st != engine.Hit {
		t.Errorf("a body was edited: %v\n%s", st, log)
	}
	p.write(map[string]string{"main.go": "package main\n\nfunc main() {}\n"})
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy")); st != engine.Failed || !strings.Contains(log, "-\texample.org/dep v1.0.0") {
		t.Errorf("an import went: %v\n%s", st, log)
	}
	before := p.read("main.go")
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy", "mode", "fix")); st != engine.Done {
		t.Fatalf("fix: %v\n%s", st, log)
	}
	if mod := p.read("go.mod"); strings.Contains(mod, "example.org/dep ") || before != p.read("main.go") {
		t.Errorf("go.mod after fix:\n%s", mod)
	}
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy")); st != engine.Done {
		t.Errorf("check after fix: %v\n%s", st, log)
	}
}

func TestTidyFixWithoutModules(t *testing.T) {
	p := newProject(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n"})
	if st, log := p.run(&tidy{p.cfg}, p.block("go_tidy", "mode", "fix")); st != engine.Done {
		t.Errorf("%v\n%s", st, log)
	}
}

func TestVendorWithoutModules(t *testing.T) {
	p := newProject(t, map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n", "main.go": "package main\n\nfunc main() {}\n"})
	if st, log := p.run(&vendor{p.cfg}, p.block("go_vendor")); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	b := p.block("go_build", "mod", "vendor")
	if st, log := p.run(&build{p.cfg}, b); st != engine.Done {
		t.Errorf("build: %v\n%s", st, log)
	}
}

func TestVendorThenBuild(t *testing.T) {
	p, _ := withModules(t)
	if st, log := p.run(&vendor{p.cfg}, p.block("go_vendor")); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	if got := filesBelow(t, filepath.Join(p.root, "vendor")); !slices.Equal(got, []string{"example.org/dep/dep.go", "example.org/testdep/t.go", "modules.txt"}) {
		t.Errorf("vendor holds %v", got)
	}
	if st, log := p.run(&vendor{p.cfg}, p.block("go_vendor")); st != engine.Hit {
		t.Errorf("again: %v\n%s", st, log)
	}
	lookup := p.cfg.LookupEnv
	p.cfg = &gocmd.Config{Toolchain: p.cfg.Toolchain, Root: p.root, LookupEnv: func(name string) (string, bool) {
		if name == "GOPROXY" || name == "GOMODCACHE" {
			return map[string]string{"GOPROXY": "off", "GOMODCACHE": filepath.Join(p.state, "empty")}[name], true
		}
		return lookup(name)
	}}
	s := p.plan(&build{p.cfg}, p.block("go_build"))
	files, modules := p.listed(&s[0])
	if !slices.Contains(s[0].Command.Arguments, "-mod=vendor") || !slices.Equal(files, []string{"main.go", "vendor/example.org/dep/dep.go"}) ||
		!strings.Contains(modules, "module example.org/dep v1.0.0 go1.26 -\n") {
		t.Errorf("%v\n%v\n%s", s[0].Command.Arguments, files, modules)
	}
	if st, log := p.runSteps(s); st != engine.Done {
		t.Errorf("build: %v\n%s", st, log)
	}
}

func TestDownloadServesABuild(t *testing.T) {
	p, _ := withModules(t)
	steps := p.plan(&download{p.cfg}, p.block("go_download"))
	if !steps[0].Network {
		t.Error("no network")
	}
	if st, log := p.runSteps(steps); st != engine.Done || !strings.Contains(log, "2 modules") {
		t.Fatalf("%v\n%s", st, log)
	}
	want := []string{
		"example.org/dep/@v/list", "example.org/dep/@v/v1.0.0.info", "example.org/dep/@v/v1.0.0.mod", "example.org/dep/@v/v1.0.0.zip",
		"example.org/testdep/@v/list", "example.org/testdep/@v/v1.1.0.info", "example.org/testdep/@v/v1.1.0.mod", "example.org/testdep/@v/v1.1.0.zip",
	}
	if got := filesBelow(t, filepath.Join(p.root, "dist", "modules")); !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
	lookup := p.cfg.LookupEnv
	p.cfg = &gocmd.Config{Toolchain: p.cfg.Toolchain, Root: p.root, LookupEnv: func(name string) (string, bool) {
		if name == "GOPROXY" || name == "GOMODCACHE" {
			return map[string]string{"GOPROXY": "off", "GOMODCACHE": filepath.Join(p.state, "mod")}[name], true
		}
		return lookup(name)
	}}
	b := p.block("go_build")
	b.Values["modules"] = tasks.Value{Range: b.Range, Stages: []tasks.StageValue{{Name: "m", Type: "go_download", Steps: []tasks.StepOutputs{{ID: 0, Outputs: []string{"dist/modules"}}}}}}
	s := p.plan(&build{p.cfg}, b)
	s[0].After = nil // the tree is there already
	st, log := p.runSteps(s)
	exec.Command("chmod", "-R", "u+w", filepath.Join(p.state, "mod")).Run()
	if st != engine.Done {
		t.Errorf("build from the tree: %v\n%s", st, log)
	}
}

func TestDownloadRefusesOtherSums(t *testing.T) {
	p, x := withModules(t)
	wrong := strings.Replace(x.sums, "h1:", "h1:AAAA", 1)
	p.write(map[string]string{"go.sum": wrong})
	if st, log := p.run(&download{p.cfg}, p.block("go_download")); st != engine.Failed || !strings.Contains(log, "checksum mismatch") {
		t.Errorf("%v\n%s", st, log)
	}
}

func TestGenerate(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod":     "module example.com/g\n\ngo 1.26\n",
		"g.go":       "package g\n\n//go:generate go run ./gen\n",
		"gen/gen.go": "package main\n\nimport \"os\"\n\nfunc main() { os.WriteFile(\"made.go\", []byte(\"package g\\n\"), 0o644); os.MkdirAll(\"out\", 0o777); os.WriteFile(\"out/a\", nil, 0o644) }\n",
	})
	b := p.block("go_generate", "outputs", []string{"made.go", "out/"})
	if st, log := p.run(&generate{p.cfg}, b); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	if p.read("made.go") != "package g\n" || p.read("out/a") != "" {
		t.Error("outputs are not there")
	}
	if st, log := p.run(&generate{p.cfg}, b); st != engine.Hit {
		t.Errorf("again: %v\n%s", st, log)
	}
}

func TestGenerateSeesModuleFilesBesideInputs(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod":   "module example.com/g\n\ngo 1.26\n",
		"g/g.go":   "package g\n\n//go:generate go run gen.go\n",
		"g/gen.go": "//go:build ignore\n\npackage main\n\nimport \"os\"\n\nfunc main() { os.WriteFile(\"made.go\", []byte(\"package g\\n\"), 0o644) }\n",
		"other.go": "package other\n",
	})
	b := p.block("go_generate", "packages", []string{"./g"}, "outputs", []string{"g/made.go"})
	b.Meta.Inputs = []string{"g/*.go", "!g/made.go"}
	if st, log := p.run(&generate{p.cfg}, b); st != engine.Done {
		t.Fatalf("%v\n%s", st, log)
	}
	p.write(map[string]string{"other.go": "package other // edited\n"})
	if st, log := p.run(&generate{p.cfg}, b); st != engine.Hit {
		t.Errorf("after an edit of what inputs leaves out: %v\n%s", st, log)
	}
}

func TestVetAndTest(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the standard library")
	}
	p := newProject(t, fixedSample(nil))
	if st, log := p.run(&vet{p.cfg}, p.block("go_vet")); st != engine.Done {
		t.Errorf("vet: %v\n%s", st, log)
	}
	b := p.block("go_test", "cover", "cover.out", "short", true, "run", "Text", "test_timeout", "1m", "count", 1)
	s := p.plan(&test{p.cfg}, b)
	want := "go test -json -mod=readonly -buildvcs=false -short -run=Text -count=1 -covermode=set -coverprofile=dist/cover.out ./..."
	if got := strings.Join(s[0].Command.Arguments, " "); got != want || s[0].LogFormat != "go-test-json" {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if st, log := p.runSteps(s); st != engine.Done || !strings.Contains(log, `"Test":"TestText"`) {
		t.Errorf("test: %v\n%s", st, log)
	}
	if c := p.read("dist/cover.out"); !strings.Contains(c, "example.com/sample/internal/greet/greet.go") {
		t.Errorf("coverage: %s", c)
	}
	if st, _ := p.runSteps(s); st != engine.Hit {
		t.Errorf("again: %v", st)
	}
	p.write(map[string]string{"internal/greet/testdata/want": "other"})
	if st, log := p.runSteps(s); st != engine.Failed {
		t.Errorf("other testdata: %v\n%s", st, log)
	}
}

func TestWorkspace(t *testing.T) {
	files := map[string]string{
		"go.work":    "go 1.26\n\nuse (\n\t./a\n\t./b\n)\n",
		"a/go.mod":   "module example.com/a\n\ngo 1.26\n",
		"a/main.go":  "package main\n\nimport _ \"example.com/b\"\n\nfunc main() {}\n",
		"b/go.mod":   "module example.com/b\n\ngo 1.26\n",
		"b/b.go":     "package b\n",
		"c/go.mod":   "module example.com/c\n\ngo 1.26\n",
		"c/main.go":  "package main\n\nfunc main() {}\n",
		"b/other.go": "//go:build never\n\npackage b\n",
	}
	p := newProject(t, files)
	b := p.block("go_build", "package", "./a")
	b.Meta.Dir = "."
	s := p.plan(&build{p.cfg}, b)
	if _, off := envOf(s[0])["GOWORK"]; off {
		t.Error("GOWORK is set in a workspace")
	}
	if got, _ := p.listed(&s[0]); !slices.Equal(got, []string{"a/main.go", "b/b.go"}) {
		t.Errorf("got %v", got)
	}
	if st, log := p.runSteps(s); st != engine.Done {
		t.Errorf("build: %v\n%s", st, log)
	}
	b = p.block("go_build")
	b.Meta.Dir = "c"
	s = p.plan(&build{p.cfg}, b)
	if envOf(s[0])["GOWORK"] != "off" {
		t.Error("a module that is not in go.work builds in it")
	}
	if st, log := p.runSteps(s); st != engine.Done {
		t.Errorf("build outside the workspace: %v\n%s", st, log)
	}
}

// filesBelow lists the files below a directory.
func filesBelow(t *testing.T, dir string) []string {
	t.Helper()
	found := map[string]bool{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		found[path.Clean(filepath.ToSlash(rel))] = true
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(found))
}

// A replacement outside the project is found by the copies that tools work on.
func TestOutsideReplacementInModuleStages(t *testing.T) {
	p, _ := withModules(t)
	p.write(map[string]string{
		"../lib/go.mod": "module example.org/lib\n\ngo 1.26\n",
		"../lib/lib.go": "package lib\n",
		"go.mod":        p.read("go.mod") + "\nrequire example.org/lib v0.0.0\n\nreplace example.org/lib => ../lib\n",
		"use.go":        "package main\n\nimport _ \"example.org/lib\"\n",
	})
	if st, log := p.run(&download{p.cfg}, p.block("go_download")); st != engine.Done {
		t.Errorf("download: %v\n%s", st, log)
	}
	if st, log := p.run(&vendor{p.cfg}, p.block("go_vendor")); st != engine.Done {
		t.Errorf("vendor: %v\n%s", st, log)
	}
	p.write(map[string]string{"../lib/lib.go": "package lib\n\nconst X = 1\n"})
	if st, log := p.run(&vendor{p.cfg}, p.block("go_vendor")); st != engine.Done || !strings.Contains(p.read("vendor/example.org/lib/lib.go"), "X = 1") {
		t.Errorf("vendor after an edit: %v\n%s", st, log)
	}
}

// A vendor directory that a stage makes is used where it is referred to and
// nowhere else, whether or not an earlier run has left it there.
func TestVendorOfAStageIsNoSurprise(t *testing.T) {
	p := newProject(t, fixedSample(map[string]string{"vendor/modules.txt": ""}))
	mod := func(makes func(string) bool) string {
		b := p.block("go_vet")
		b.Project.Makes = makes
		return p.plan(&vet{p.cfg}, b)[0].Command.Arguments[2]
	}
	if got := mod(nil); got != "-mod=vendor" {
		t.Errorf("a vendor directory of the source: %s", got)
	}
	if got := mod(func(p string) bool { return p == "vendor" }); got != "-mod=readonly" {
		t.Errorf("a vendor directory of a stage: %s", got)
	}
}

func TestModuleOf(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.work":     "go 1.26\n\nuse ./a\n",
		"a/go.mod":    "module example.com/a\n\ngo 1.26\n",
		"a/x/y/y.go":  "package y\n",
		"b/go.mod":    "module example.com/b\n",
		"bad/go.mod":  "modul x\n",
		"none/x.text": "",
	})
	for _, tt := range []struct {
		dir, gowork      string
		root, work, path string
		err              string
	}{
		{"a/x/y", "", "a", ".", "example.com/a", ""},
		{"a/x/y", "off", "a", "", "example.com/a", ""},
		{"b", "", "b", "", "example.com/b", ""},
		{".", "", ".", ".", "", ""},
		{"none", "", "", "", "", "There is no go.mod in none"},
		{"bad", "", "", "", "", "bad/go.mod:1"},
	} {
		b := p.block("go_build")
		b.Meta.Dir = tt.dir
		b.Meta.Env = map[string]string{"GOWORK": tt.gowork}
		m, diags := gocmd.ModuleOf(b)
		if tt.err != "" {
			if !diags.HasErrors() || !strings.Contains(diags.Error(), tt.err) {
				t.Errorf("%s: got %v, want %q", tt.dir, diags, tt.err)
			}
			continue
		}
		if diags.HasErrors() || m.Root != tt.root || m.Work != tt.work || m.Path != tt.path {
			t.Errorf("%s: got %+v, %v", tt.dir, m, diags)
		}
	}
}
