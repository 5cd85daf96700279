package scaffold

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/airbuild/airbuild/dsl"
)

func project(files ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		fsys[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return fsys
}

const main = "package main\n\nfunc main() {}\n"

func TestLook(t *testing.T) {
	for _, tt := range []struct {
		name    string
		fsys    fstest.MapFS
		mains   string
		modules string
		names   string
	}{
		{"one main", project("go.mod", "module ex.com/tool/v2\n", "main.go", main), ".", "", ""},
		{"several", project("go.mod", "module ex.com/x\n", "cmd/b/b.go", main, "cmd/a/a.go", main, "lib/lib.go", "package lib\n",
			"vendor/v/v.go", main, "testdata/t/t.go", main, "_old/o.go", main, "dist/d/d.go", main), "./cmd/a ./cmd/b", "", ""},
		{"twins", project("go.mod", "module ex.com/x\n", "a/run/m.go", main, "b/run/m.go", main), "./a/run ./b/run", "", "./b/run=b-run"},
		{"twin of the root", project("go.mod", "module ex.com/x\n", "m.go", main, "cmd/x/m.go", main), ". ./cmd/x", "", "./cmd/x=cmd-x"},
		{"a name that is taken", project("go.mod", "module ex.com/x\n", "a/run/m.go", main, "b/run/m.go", main, "c/b-run/m.go", main, "c/b/run/m.go", main),
			"./a/run ./b/run ./c/b-run ./c/b/run", "", "./b/run=run-2 ./c/b/run=c-b-run"},
		{"a library", project("go.mod", "module ex.com/x\n", "x.go", "package x\n"), "", "", ""},
		{"helpers", project("go.mod", "module ex.com/x\n", "cmd/a/a.go", main, "tools/a/a.go", main, "examples/e/e.go", main, "scripts/s.go", main), "./cmd/a", "", ""},
		{"nothing but helpers", project("go.mod", "module ex.com/x\n", "tools/a/a.go", main), "./tools/a", "", ""},
		{"modules in folders", project("a/go.mod", "module ex.com/a\n", "a/m.go", main, "a/in/go.mod", "module ex.com/a/in\n", "a/in/cmd/b/b.go", main,
			"vendor/v/go.mod", "module v\n", "x/testdata/go.mod", "module t\n"), "./a ./a/in/cmd/b", "a a/in", ""},
		{"a workspace", project("go.work", "go 1.26\nuse (\n\t./lib\n\t./app\n\t../outside\n)\n", "app/go.mod", "module ex.com/app\n",
			"app/main.go", main, "app/cmd/two/main.go", main, "lib/go.mod", "module ex.com/lib\n", "lib/lib.go", "package lib\n"),
			"./app ./app/cmd/two", "app lib", ""},
	} {
		f, err := Look(tt.fsys, "folder")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var names []string
		for _, pkg := range f.Mains {
			if n, ok := f.Names[pkg]; ok {
				names = append(names, pkg+"="+n)
			}
		}
		if m, w, n := strings.Join(f.Mains, " "), strings.Join(f.Modules, " "), strings.Join(names, " "); m != tt.mains || w != tt.modules || n != tt.names {
			t.Errorf("%s: mains %q, modules %q, names %q", tt.name, m, w, n)
		}
	}
}

func TestLookNothing(t *testing.T) {
	if _, err := Look(project("main.go", main), "x"); !errors.As(err, &NoModule{}) {
		t.Errorf("got %v", err)
	}
	if _, err := Look(project("go.work", "use use use"), "x"); err == nil || errors.As(err, &NoModule{}) {
		t.Errorf("a broken go.work: got %v", err)
	}
}

// Every file that can be written has no mistake that can be seen without
// planning, and the right pipelines.
func TestFile(t *testing.T) {
	odd := `./cmd/a "${x}" %{y}`
	for _, f := range []Facts{
		{Name: "x"},
		{Name: "x", Mains: []string{"."}},
		{Name: "x", Mains: []string{"."}, Identity: true},
		{Name: "x", Mains: []string{"./a", odd}, Names: map[string]string{odd: "b"}, Identity: true},
		{Name: "x", Modules: []string{"app", "lib"}, Mains: []string{"./app", odd}, Names: map[string]string{odd: "b-app"}, Go: "1.27.3", Asked: "toolchain go1.27.3 in go.work"},
		{Name: "x", Modules: []string{"lib"}, Identity: true},
		{Name: "x", Modules: []string{"a", "a/in"}, Nested: true, Mains: []string{"./a", "./a/in/cmd/b"}, Stamp: "main.Version", Identity: true},
		{Name: "x", Mains: []string{"./cmd/a"}, Helpers: []string{"./tools/a"}, Stamp: "ex.com/x/internal/version.Version", Identity: true},
	} {
		src := f.File()
		m, diags := dsl.Load(project("Airbuildfile", string(src)), "Airbuildfile")
		if diags.HasErrors() {
			t.Errorf("%+v: %v\n%s", f, diags, src)
		}
		want := 2
		if len(f.Mains) == 0 {
			want = 1
		}
		if len(m.Pipelines) != want {
			t.Errorf("%+v: %d pipelines, want %d", f, len(m.Pipelines), want)
		}
	}
}

func TestStamp(t *testing.T) {
	const lib = "package version\n\nvar Version = \"dev\"\n"
	importing := "package main\n\nimport _ \"ex.com/x/internal/version\"\n\nfunc main() {}\n"
	for _, tt := range []struct {
		name string
		fsys fstest.MapFS
		want string
	}{
		{"none", project("m.go", main), ""},
		{"version", project("m.go", main+"\nvar (\n\tVersion string\n\tversion = \"dev\"\n)\n"), "main.version"},
		{"Version in another file", project("m.go", main, "v.go", "package main\n\nvar Version string\n"), "main.Version"},
		{"computed", project("m.go", main+"\nvar version = main2()\n"), ""},
		{"a test's", project("m.go", main, "v_test.go", "package main\n\nvar version string\n"), ""},
		{"one of two", project("cmd/a/m.go", main+"var version string\n", "cmd/b/m.go", main), ""},
		{"imported", project("m.go", importing, "internal/version/v.go", lib), "ex.com/x/internal/version.Version"},
		{"not imported", project("m.go", main, "internal/version/v.go", lib), ""},
		{"Makefile", project("m.go", main, "build/info/i.go", "package info\n\nvar AppVersion string\n", "Makefile", "build:\n\tgo build -ldflags '-s -X ex.com/x/build/info.AppVersion=$(V)'\n"), "ex.com/x/build/info.AppVersion"},
		{"GoReleaser", project("m.go", main, "v/v.go", "package v\n\nvar Version string\n", ".goreleaser.yaml", "ldflags:\n  - -X ex.com/x/v.Version={{.Version}}\n"), "ex.com/x/v.Version"},
	} {
		tt.fsys["go.mod"] = &fstest.MapFile{Data: []byte("module ex.com/x\n")}
		f, err := Look(tt.fsys, "x")
		if err != nil || f.Stamp != tt.want {
			t.Errorf("%s: %q, %v; want %q", tt.name, f.Stamp, err, tt.want)
		}
	}
}
