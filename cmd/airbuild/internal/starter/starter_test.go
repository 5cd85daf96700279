package starter

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
		left    string
	}{
		{"one main", project("go.mod", "module ex.com/tool/v2\n", "main.go", main), ".", "", ""},
		{"several", project("go.mod", "module ex.com/x\n", "cmd/b/b.go", main, "cmd/a/a.go", main, "lib/lib.go", "package lib\n",
			"vendor/v/v.go", main, "testdata/t/t.go", main, "_old/o.go", main, "dist/d/d.go", main), "./cmd/a ./cmd/b", "", ""},
		{"twins", project("go.mod", "module ex.com/x\n", "a/run/m.go", main, "b/run/m.go", main), "./a/run", "", "./b/run"},
		{"twin of the root", project("go.mod", "module ex.com/x\n", "m.go", main, "cmd/x/m.go", main), ".", "", "./cmd/x"},
		{"a library", project("go.mod", "module ex.com/x\n", "x.go", "package x\n"), "", "", ""},
		{"a workspace", project("go.work", "go 1.26\nuse (\n\t./lib\n\t./app\n\t../outside\n)\n", "app/go.mod", "module ex.com/app\n",
			"app/main.go", main, "app/cmd/two/main.go", main, "lib/go.mod", "module ex.com/lib\n", "lib/lib.go", "package lib\n"),
			"./app ./app/cmd/two", "app lib", ""},
	} {
		f, err := Look(tt.fsys, "folder")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if m, w, l := strings.Join(f.Mains, " "), strings.Join(f.Modules, " "), strings.Join(f.Left, " "); m != tt.mains || w != tt.modules || l != tt.left {
			t.Errorf("%s: mains %q, modules %q, left %q", tt.name, m, w, l)
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
		{Name: "x", Mains: []string{"./a", odd}, Left: []string{"./b/a"}, Identity: true},
		{Name: "x", Modules: []string{"app", "lib"}, Mains: []string{"./app", odd}, Left: []string{"./b/app"}},
		{Name: "x", Modules: []string{"lib"}, Identity: true},
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
