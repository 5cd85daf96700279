package load

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
)

func TestModulesTxt(t *testing.T) {
	v := parseModulesTxt(`# a.b/c v1.2.3
## explicit; go 1.20
a.b/c
a.b/c/d
# e.f/g v1.0.0 => ../g
## explicit
e.f/g
# h.i/j v1.0.0 => k.l/m v2.0.0+incompatible
## go 1.17
h.i/j/k
# odd line here
ignored/package
# e.f/g => ../g
# short
`)
	if len(v.packages) != 4 || v.packages["a.b/c/d"] != (module.Version{Path: "a.b/c", Version: "v1.2.3"}) {
		t.Errorf("packages: %v", v.packages)
	}
	if m := v.meta[module.Version{Path: "a.b/c", Version: "v1.2.3"}]; !m.explicit || m.goVersion != "1.20" {
		t.Errorf("a.b/c: %+v", m)
	}
	if m := v.meta[module.Version{Path: "h.i/j", Version: "v1.0.0"}]; m.explicit || m.replacement != (module.Version{Path: "k.l/m", Version: "v2.0.0+incompatible"}) {
		t.Errorf("h.i/j: %+v", m)
	}
	if m := v.meta[module.Version{Path: "e.f/g"}]; m == nil || m.replacement.Path != "../g" {
		t.Errorf("e.f/g: %+v", m)
	}
	if len(v.modules) != 3 || len(v.replaced) != 3 {
		t.Errorf("modules %v, replaced %v", v.modules, v.replaced)
	}
}

func FuzzModulesTxt(f *testing.F) {
	f.Add("# a.b/c v1.2.3\n## explicit; go 1.20\na.b/c\n")
	f.Add("# a => b\n# a v1 => b v2\n#  \n# x\n## workspace\n")
	f.Fuzz(func(t *testing.T, text string) {
		v := parseModulesTxt(text)
		for p, mod := range v.packages {
			if mod.Path == "" || module.CheckImportPath(p) != nil {
				t.Errorf("package %q of %v", p, mod)
			}
			if !slices.ContainsFunc(v.modules, func(m module.Version) bool { return m.Path == mod.Path }) {
				t.Errorf("%v provides %q and is not listed", mod, p)
			}
		}
	})
}

func FuzzScan(f *testing.F) {
	f.Add("//go:build a\n\npackage p\n\nimport \"embed\"\n\n//go:embed x\nvar f embed.FS\n")
	f.Add("/* */ // +build x\n\npackage p\n// #cgo LDFLAGS: -lm\nimport \"C\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		for _, v := range []*fact{scanGo([]byte(text)), scanOther([]byte(text))} {
			if back, ok := decodeFact(string(encodeFact(v))); !ok || back.constraint != v.constraint || back.pkg != v.pkg {
				t.Errorf("%+v became %+v", v, back)
			}
		}
	})
}

func TestSplitQuoted(t *testing.T) {
	for _, tt := range []struct {
		in   string
		want []string
		ok   bool
	}{
		{``, nil, true},
		{` a  b `, []string{"a", "b"}, true},
		{`a b:"c d" 'e''f'  "g\""`, []string{"a", "b:c d", "ef", `g"`}, true},
		{`'' x`, []string{"", "x"}, true},
		{`a\ b`, []string{"a b"}, true},
		{`"open`, []string{"open"}, false},
		{`x\`, []string{"x"}, false},
	} {
		got, ok := splitQuoted(tt.in)
		if !slices.Equal(got, tt.want) || ok != tt.ok {
			t.Errorf("%s: got %q %v", tt.in, got, ok)
		}
	}
}

// The toolchain is asked for its tags only by a constraint that names one that
// it may set, and of a release once.
func TestToolTags(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"go.mod":      "module m.x\n\ngo 1.26\n",
		"a.go":        "//go:build go1.20 && !race\n\npackage a\n",
		"v1/a.go":     "//go:build amd64.v1 && !goexperiment.none\n\npackage v1\n",
		"v2/a.go":     "//go:build amd64.v2\n\npackage v2\n",
		"v2/b.go":     "//go:build !amd64.v2\n\npackage v2\n",
		"boring/a.go": "//go:build !boringcrypto\n\npackage boring\n",
	})
	facts := &Facts{}
	asked := 0
	load := func(pattern string) []string {
		t.Helper()
		q := newQuery(t, dir, "linux/amd64", pattern)
		q.Std = false
		q.ToolTags = func() ([]string, error) { asked++; return []string{"goexperiment.some", "amd64.v1"}, nil }
		r, err := Load(q, disk{}, facts)
		if err != nil {
			t.Fatal(err)
		}
		return r.Packages[0].GoFiles
	}
	for _, tt := range []struct {
		pattern, file string
		asked         int
	}{{".", "a.go", 0}, {"./v1", "a.go", 1}, {"./v2", "b.go", 1}, {"./boring", "a.go", 1}} {
		if got := load(tt.pattern); !slices.Equal(got, []string{tt.file}) || asked != tt.asked {
			t.Errorf("%s: got %v after %d questions; want %s after %d", tt.pattern, got, asked, tt.file, tt.asked)
		}
	}
}

// Only the table All counts: Go 1.27 added a table of removed settings, whose
// values are functions.
func TestSettings(t *testing.T) {
	const head = "package godebugs\n\n"
	for _, tt := range []struct {
		name, text string
		want       []setting
	}{
		{"go1.26", head + "var All = []Info{{Name: \"a\", Changed: 23, Old: \"1\"}, {Name: \"b\", Opaque: true}}\n",
			[]setting{{name: "a", changed: 23, old: "1"}, {name: "b"}}},
		{"go1.27", head + "var Removed = []RemovedInfo{{Name: \"gone\", Removed: 27, Old: one}}\n\nvar All = []Info{{Name: \"a\"}}\n",
			[]setting{{name: "a"}}},
		{"no table", head + "var Removed = []RemovedInfo{{Name: \"gone\"}}\n", nil},
		{"unknown form", head + "var All = []Info{{Name: name()}}\n", nil},
		{"made by a function", head + "var All = table()\n", nil},
		{"empty", head + "var All = []Info{}\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseSettings([]byte(tt.text))
			if !slices.Equal(got, tt.want) || (err != nil) != (tt.want == nil) {
				t.Errorf("got %v, %v; want %v", got, err, tt.want)
			}
		})
	}
}

// Whatever is rare, or wrong, is left to the go command.
func TestNotSure(t *testing.T) {
	base := map[string]string{"go.mod": "module m.x\n\ngo 1.26\n", "a.go": "package a\n"}
	for _, tt := range []struct {
		name   string
		files  map[string]string
		change func(*Query)
		want   string
	}{
		{"no module", map[string]string{"go.mod": "", "a.go": ""}, nil, "no module line"},
		{"no go line", map[string]string{"go.mod": "module m.x\n"}, nil, "no go line"},
		{"newer Go", map[string]string{"go.mod": "module m.x\n\ngo 1.999\n"}, nil, "requires Go 1.999"},
		{"syntax", map[string]string{"a.go": "package a\n\nimport x\n"}, nil, "missing import path"},
		{"two constraints", map[string]string{"a.go": "//go:build a\n//go:build b\n\npackage a\n"}, nil, "several //go:build"},
		{"two packages", map[string]string{"b.go": "package b\n"}, nil, "packages a and b"},
		{"no files", map[string]string{"a.go": "//go:build plan9\n\npackage a\n"}, nil, "no packages match"},
		{"no module provides", map[string]string{"a.go": "package a\n\nimport _ \"x.y/z\"\n"}, nil, "no module that is required provides x.y/z"},
		{"not in the standard library", map[string]string{"a.go": "package a\n\nimport _ \"nosuch\"\n"}, nil, "provides nosuch"},
		{"not downloaded", map[string]string{"a.go": "package a\n\nimport _ \"x.y/z\"\n", "go.mod": "module m.x\n\ngo 1.26\n\nrequire x.y/z v1.0.0\n", "go.sum": "x.y/z v1.0.0 h1:x\n"}, nil, "not in the module cache"},
		{"no sum", map[string]string{"a.go": "package a\n\nimport _ \"x.y/z\"\n", "go.mod": "module m.x\n\ngo 1.26\n\nrequire x.y/z v1.0.0\n"}, nil, "go.sum has no"},
		{"excluded", map[string]string{"go.mod": "module m.x\n\ngo 1.26\n\nrequire x.y/z v1.0.0\n\nexclude x.y/z v1.0.0\n"}, nil, "requires and excludes"},
		{"cycle", map[string]string{"a.go": "package a\n\nimport _ \"m.x/b\"\n", "b/b.go": "package b\n\nimport _ \"m.x\"\n"}, nil, "import cycle"},
		{"program", map[string]string{"a.go": "package a\n\nimport _ \"m.x/b\"\n", "b/b.go": "package main\n"}, nil, "a program"},
		{"embed", map[string]string{"a.go": "package a\n\nimport _ \"embed\"\n\n//go:embed nothing\nvar s string\n"}, nil, "no matching files"},
		{"debug", map[string]string{"a.go": "//go:debug nosuch=1\n\npackage main\n"}, nil, "unknown GODEBUG"},
		{"C without cgo", map[string]string{"a.c": ""}, func(q *Query) { q.Cgo = true }, "other languages"},
		{"vendor", map[string]string{"vendor/modules.txt": "# x.y/z v1.0.0\n## explicit\nx.y/z\n"}, nil, "differ in x.y/z"},
		{"vendor without a list", map[string]string{"vendor/x": ""}, nil, "no modules.txt"},
		{"ignored directories", map[string]string{"go.mod": "module m.x\n\ngo 1.26\n\nignore ./b\n"}, nil, "ignores"},
		{"test cycle", map[string]string{"a_test.go": "package a\n\nimport _ \"m.x/b\"\n", "b/b.go": "package b\n\nimport _ \"m.x\"\n"}, func(q *Query) { q.Test = true }, "cycle in the tests"},
		{"all", nil, func(q *Query) { q.Patterns = []string{"all"} }, `"all"`},
		{"wildcard of modules", nil, func(q *Query) { q.Patterns = []string{"m.x/..."} }, "any module"},
		{"files", nil, func(q *Query) { q.Patterns = []string{"a.go"} }, `"a.go"`},
		{"mod", nil, func(q *Query) { q.Mod = "mod" }, "-mod=mod"},
		{"development version", nil, func(q *Query) { q.GOVERSION = "devel go1.27-abc" }, "not a release"},
		{"variant", map[string]string{"a.go": "//go:build amd64.v3\n\npackage a\n"}, func(q *Query) { q.ToolTags = func() ([]string, error) { return nil, errors.New("invalid GOAMD64") } }, "invalid GOAMD64"},
		{"experiments", map[string]string{"a.go": "//go:build goexperiment.x\n\npackage a\n"}, func(q *Query) { q.ToolTags = nil }, "build tags are not known"},
		{"go.env", nil, func(q *Query) {
			q.GOROOT = strangeGOROOT(t)
			tree(t, q.GOROOT, map[string]string{"go.env": "GOFLAGS=-tags=x\n"})
		}, "GOFLAGS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir, base)
			tree(t, dir, tt.files)
			q := newQuery(t, dir, "linux/amd64", "./...")
			q.Std = false
			q.ModCache = func() (string, error) { return filepath.Join(dir, "cache"), nil }
			if tt.change != nil {
				tt.change(&q)
			}
			r, err := Load(q, disk{}, nil)
			var e *NotSure
			if !errors.As(err, &e) || !strings.Contains(e.Reason, tt.want) {
				t.Errorf("got %s, %v; want %q", show(r), err, tt.want)
			}
		})
	}
}

// strangeGOROOT is a toolchain without packages.
func strangeGOROOT(t *testing.T) string {
	dir := t.TempDir()
	tree(t, dir, map[string]string{
		"src/internal/godebugs/table.go": "package godebugs\n\nvar All = []Info{{Name: \"x\"}}\n",
	})
	return dir
}

// An error of the file system other than absence ends the Load.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	tree(t, dir, map[string]string{"go.mod": "module m.x\n\ngo 1.26\n", "a.go": "package a\n"})
	q := newQuery(t, dir, "linux/amd64", ".")
	if _, err := Load(q, failing{}, nil); err == nil || !strings.Contains(err.Error(), "permission") {
		t.Errorf("got %v", err)
	}
}

type failing struct{ disk }

func (failing) ReadFile(name string) ([]byte, error) {
	if filepath.Base(name) == "a.go" {
		return nil, fs.ErrPermission
	}
	return os.ReadFile(name)
}
