package golang

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

func TestClosureOfABuild(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	common := []string{
		"cmd/app/main.go", "internal/greet/greet.go", "internal/greet/static/a.txt", "third/lib/lib.go",
	}
	for _, tt := range []struct {
		name, platform string
		tags           []string
		more           []string
	}{
		{"linux", "linux/amd64", nil, []string{"internal/greet/os_other.go"}},
		{"windows", "windows/arm64", nil, []string{"internal/greet/os_windows.go"}},
		{"tags", "linux/amd64", []string{"extra"}, []string{"internal/greet/extra.go", "internal/greet/os_other.go", "internal/more/more.go"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := p.block("go_build", "package", "./cmd/app", "tags", tt.tags)
			b.Platform = platform(t, tt.platform)
			got, modules := p.listed(&p.plan(&build{p.cfg}, b)[0])
			want := slices.Sorted(slices.Values(append(slices.Clone(common), tt.more...)))
			if !slices.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
			if want := "module example.com/lib v1.2.3 go1.26 => ./third/lib -\nmodule example.com/sample (main) go1.26 -\n"; withoutDefaults(modules) != want {
				t.Errorf("modules: got\n%s\nwant\n%s", modules, want)
			}
		})
	}
}

// withoutDefaults leaves out the line with the GODEBUG settings that a module of an
// older Go has: a Go after the one in go.mod adds settings. That the line is what the
// go command says is tested in tasks/golang/load.
func withoutDefaults(modules string) string {
	if first, rest, ok := strings.Cut(modules, "\n"); ok && strings.HasPrefix(first, "godebug ") {
		return rest
	}
	return modules
}

func TestClosureOfTests(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	got, _ := p.listed(&p.plan(&test{p.cfg}, p.block("go_test", "packages", []string{"./internal/..."}))[0])
	want := []string{
		"go.mod", "internal/greet/extra.go", "internal/greet/greet.go", "internal/greet/greet_test.go",
		"internal/greet/notes.txt", "internal/greet/os_other.go", "internal/greet/os_windows.go",
		"internal/greet/static/a.txt", "internal/greet/static/b.md", "internal/greet/testdata",
		"internal/more/more.go", "third/lib/go.mod", "third/lib/lib.go",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// A remembered closure must be asked again exactly when it may have changed.
func TestClosureIsRemembered(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change map[string]string
		asks   bool
		finds  string
	}{
		{"nothing", nil, false, ""},
		{"README", map[string]string{"README.md": "other"}, false, ""},
		{"embedded content", map[string]string{"internal/greet/static/a.txt": "other"}, false, ""},
		{"another main", map[string]string{"cmd/other/main.go": "package main\n\nfunc main() {}\n"}, false, ""},
		{"another platform's file", map[string]string{"internal/greet/os_windows.go": "package greet\n\nimport _ \"os\"\n\nconst system = \"w\"\n"}, false, ""},
		{"dist appears", map[string]string{"dist/x": ""}, false, ""},
		{"import", map[string]string{"third/lib/lib.go": "package lib\n\nimport _ \"os\"\n\nconst Name = \"lib\"\n"}, true, ""},
		{"new file", map[string]string{"internal/greet/new.go": "package greet\n\nimport _ \"example.com/sample/internal/more\"\n"}, true, "internal/more/more.go"},
		{"new embed", map[string]string{"internal/greet/static/c.txt": "c"}, true, "internal/greet/static/c.txt"},
		{"constraint", map[string]string{"internal/greet/extra.go": "package greet\n"}, true, "internal/greet/extra.go"},
		{"go.mod", map[string]string{"go.mod": sample()["go.mod"] + "\n"}, true, ""},
		{"replacement's go.mod", map[string]string{"third/lib/go.mod": "module example.com/lib\n\ngo 1.22\n"}, true, ""},
		{"profile", map[string]string{"cmd/app/default.pgo": ""}, true, "cmd/app/default.pgo"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := newProject(t, fixedSample(nil))
			list := func() (engine.Discovery, error) {
				b := p.block("go_build", "package", "./cmd/app")
				b.Platform = platform(t, "linux/amd64")
				w := p.workspace()
				defer w.Close()
				return p.plan(&build{p.cfg}, b)[0].Discoverer.Discover(t.Context(), w)
			}
			if _, err := list(); err != nil {
				t.Fatal(err)
			}
			p.write(tt.change)
			tc, _ := p.cfg.Toolchain()
			broken := *tc
			broken.Bin = filepath.Join(p.root, "no-such-go")
			good := p.cfg.Toolchain
			p.cfg.Toolchain = func() (*gocmd.Toolchain, error) { return &broken, nil }
			p.cfg.AlwaysAsk = true
			if _, err := list(); (err != nil) != tt.asks {
				t.Errorf("asked again: %v, want %v", err, tt.asks)
			}
			p.cfg.Toolchain, p.cfg.AlwaysAsk = good, false
			l, err := list()
			if err != nil {
				t.Fatal(err)
			}
			if tt.finds != "" && !slices.ContainsFunc(l.Inputs, func(in engine.Input) bool { return in.Path == tt.finds }) {
				t.Errorf("%s is not found", tt.finds)
			}
		})
	}
}

func TestClosureSurvivesDamage(t *testing.T) {
	p := newProject(t, fixedSample(nil))
	s := p.plan(&build{p.cfg}, p.block("go_build", "package", "./cmd/app"))[0]
	want, _ := p.listed(&s)
	records, err := filepath.Glob(filepath.Join(p.state, "closures", "*.json"))
	if err != nil || len(records) != 1 {
		t.Fatalf("records: %v, %v", records, err)
	}
	text, err := os.ReadFile(records[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, damage := range []string{"", "{", `{"Version":1}`, strings.Replace(string(text), `"Version":1`, `"Version":99`, 1),
		strings.Replace(string(text), `"cmd/app/main.go"}`, `"../../etc/passwd"}`, 1)} {
		if err := os.WriteFile(records[0], []byte(damage), 0o644); err != nil {
			t.Fatal(err)
		}
		if got, _ := p.listed(&s); !slices.Equal(got, want) {
			t.Errorf("%.40q: got %v", damage, got)
		}
	}
}

func TestClosureSaysWhatGoSays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change map[string]string
		want   string
	}{
		{"no module", map[string]string{"cmd/app/main.go": "package main\n\nimport _ \"example.org/gone\"\n\nfunc main() {}\n"}, "cmd/app/main.go:3:8: cannot find module providing package example.org/gone"},
		{"constraints", map[string]string{"cmd/app/main.go": "//go:build plan9\n\npackage main\n\nfunc main() {}\n"}, "build constraints exclude all Go files"},
		{"embed", map[string]string{"internal/greet/greet.go": "package greet\n\nimport \"embed\"\n\n//go:embed nothing\nvar f embed.FS\n\nfunc Text() string { return system }\n"}, "no matching files found"},
		{"vendor", map[string]string{"vendor/modules.txt": "# example.org/x v1.0.0\n"}, "inconsistent vendoring"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProject(t, fixedSample(tt.change))
			b := p.block("go_build", "package", "./cmd/app")
			b.Platform = platform(t, "linux/amd64")
			_, err := p.plan(&build{p.cfg}, b)[0].Discoverer.Discover(t.Context(), p.workspace())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReplacementOutsideTheProject(t *testing.T) {
	files := fixedSample(map[string]string{"go.mod": strings.Replace(sample()["go.mod"], "./third/lib", "../lib", 1)})
	delete(files, "third/lib/go.mod")
	delete(files, "third/lib/lib.go")
	files["../lib/go.mod"] = "module example.com/lib\n\ngo 1.26\n"
	files["../lib/lib.go"] = "package lib\n\nconst Name = \"lib\"\n"
	p := newProject(t, files)
	s := p.plan(&build{p.cfg}, p.block("go_build", "package", "./cmd/app"))[0]
	got, _ := p.listed(&s)
	if want := ".airbuild/outside/example.com/lib/lib.go"; !slices.Contains(got, want) {
		t.Errorf("%s is not in %v", want, got)
	}
	if st, log := p.runSteps([]engine.Step{s}); st != engine.Done {
		t.Errorf("build: %v\n%s", st, log)
	}
}

func TestHeadersElsewhere(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod":        "module example.com/c\n\ngo 1.26\n",
		"main.go":       "package main\n\n// #cgo CFLAGS: -I${SRCDIR}/include\n// #include \"sub/a.h\"\n// #include <b.h>\nimport \"C\"\n\nfunc main() { println(C.A, C.B) }\n",
		"sub/a.h":       "#include \"deep.h\"\n#define A DEEP\n",
		"sub/deep.h":    "#define DEEP 1\n",
		"include/b.h":   "#define B 2\n",
		"include/not.h": "",
	})
	b := p.block("go_build", "cgo", true)
	got, _ := p.listed(&p.plan(&build{p.cfg}, b)[0])
	if want := []string{closure.NativePath, "include/b.h", "main.go", "sub/a.h", "sub/deep.h"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestIdentity(t *testing.T) {
	p := newProject(t, map[string]string{"bin/go": "one"})
	for _, tt := range []struct {
		tc   gocmd.Toolchain
		want string
	}{
		{gocmd.Toolchain{Version: "go1.26.8", Release: true}, "go=go1.26.8"},
		{gocmd.Toolchain{Version: "devel go1.27", Bin: filepath.Join(p.root, "bin", "go")},
			"go=devel go1.27 go command=sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"},
	} {
		l, err := closure.NewDiscoverers(&gocmd.Config{Toolchain: func() (*gocmd.Toolchain, error) { return &tt.tc, nil }}).Discover(t.Context(), p.workspace())
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range l.Facts {
			got = append(got, f.Name+"="+f.Value)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("got %s, want %s", s, tt.want)
		}
	}
}

// The closure of 1,500 files in 150 packages, remembered, in a fresh
// workspace whose stat index is warm: what a run without work pays a cell.
func BenchmarkClosureRemembered1500(b *testing.B) {
	files := map[string]string{"go.mod": "module example.com/big\n\ngo 1.26\n"}
	main := "package main\n\nimport (\n"
	for i := range 150 {
		pkg := fmt.Sprintf("p%03d", i)
		main += "\t_ \"example.com/big/internal/" + pkg + "\"\n"
		for k := range 10 {
			files[fmt.Sprintf("internal/%s/f%d.go", pkg, k)] = "package " + pkg + "\n"
		}
	}
	files["main.go"] = main + ")\n\nfunc main() {}\n"
	p := newProject(b, files)
	list := func() {
		w := p.workspace()
		defer w.Close()
		if _, err := p.plan(&build{p.cfg}, p.block("go_build"))[0].Discoverer.Discover(b.Context(), w); err != nil {
			b.Fatal(err)
		}
	}
	list()
	b.ReportAllocs()
	for b.Loop() {
		list()
	}
}

// What the tests of a package may read: its folder and what is below, but no
// other package's sources and no other module.
func TestClosureOfTestFiles(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26\n", "go.sum": "",
		"m_test.go": "package m\n", "README.md": "", ".conf": "", "Airbuildfile": "", "x_windows.go": "package m\n",
		".github/ci.yaml": "", "node_modules/n/index.js": "", "dist/out": "", ".git/config": "",
		"templates/page.html": "", "templates/deep/.hidden": "", "_old/o.go": "package old\n",
		"a/a.go": "package a\n", "a/notes.txt": "", "a/testdata/x/go.mod": "module x\n",
		"nested/go.mod": "module example.com/nested\n", "nested/data.txt": "",
		"testdata/x.go": "package x\n", "b/c/c.go": "package c\n", "b/c/c_test.go": "package c\n",
		"b/testdata/y": "", "b/c/.dot/z": "", "b/other.txt": "",
	})
	for pkg, want := range map[string][]string{
		".": {
			".conf", "README.md", "_old/o.go", "a/notes.txt", "a/testdata", "b/c/.dot/z", "b/other.txt", "b/testdata",
			"go.mod", "go.sum", "m_test.go", "templates/deep/.hidden", "templates/page.html", "testdata", "x_windows.go",
		},
		"./a":   {"a/a.go", "go.mod", "go.sum"},
		"./b/c": {"b/c/.dot/z", "b/c/c.go", "b/c/c_test.go", "b/testdata", "go.mod", "go.sum", "testdata"},
	} {
		got, _ := p.listed(&p.plan(&test{p.cfg}, p.block("go_test", "packages", []string{pkg}))[0])
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", pkg, got, want)
		}
	}
}
