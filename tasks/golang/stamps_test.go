package golang

import (
	"strings"
	"testing"
)

func TestStamps(t *testing.T) {
	p := newProject(t, map[string]string{
		"go.mod": "module example.com/s\n\ngo 1.24\n",
		"main.go": `package main

import (
	"strings"

	"example.com/s/ver"
)

const word = "a"

type name string

var (
	version, commit string
	Literal         = "dev"
	Sum             = ("a" + word) + string("b")
	Foreign         = ver.Default
	typed    string = "x"
	computed        = strings.ToLower("DEV")
	copied          = Literal
	number   int
	flag            = true
	named    name
	list     []string
	one, two        = pair()
)

func pair() (string, string) { return "a", "b" }

func main() {
	println(version, commit, Literal, Sum, Foreign, typed, computed, copied, number, flag, named, list, one, two)
}
`,
		"ver/ver.go":   "package ver\n\nconst Default = \"d\"\n\nvar Version string\n",
		"other/o.go":   "package other\n\nvar Version string\n",
		"tool/main.go": "package main\n\nvar toolVersion string\n\nfunc main() { println(toolVersion) }\n",
	})
	for _, tt := range []struct{ stamp, want string }{
		{"main.version", ""},
		{"main.commit", ""},
		{"main.Literal", ""},
		{"main.Sum", ""},
		{"main.Foreign", ""},
		{"main.typed", ""},
		{"example.com/s/ver.Version", ""},
		{"main.verison", `package main has no variable verison. Did you mean "main.version"?`},
		{"main.word", "word is a constant"},
		{"main.pair", "pair is a function"},
		{"main.name", "name is a type"},
		{"main.computed", "is computed when the program starts"},
		{"main.copied", "is computed when the program starts"},
		{"main.one", "is computed when the program starts"},
		{"main.number", "number has type int"},
		{"main.named", "named has type name"},
		{"main.flag", "flag is not a string"},
		{"main.list", "list is not a string"},
		{"example.com/s/ver.Default", "Default is a constant"},
		{"example.com/s/var.Version", `is not part of the program. Did you mean "example.com/s/ver.Version"?`},
		{"example.com/s/other.Version", "package example.com/s/other is not part of the program"},
		{"example.com/s.version", "the linker calls package example.com/s main"},
		{"main.toolVersion", "package main has no variable toolVersion"},
		{"version", "it must be a package and a variable"},
	} {
		for _, b := range [][]any{
			{"stamp", map[string]string{tt.stamp: "v1"}},
			{"ldflags", []string{"-w", "-X " + tt.stamp + "=v1"}},
			{"ldflags", []string{"'-X=" + tt.stamp + "=v 1'"}},
		} {
			s := p.plan(&build{p.cfg}, p.block("go_build", b...))[0]
			_, err := s.Discoverer.Discover(t.Context(), p.workspace())
			got := ""
			if err != nil {
				got = err.Error()
			}
			if (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
				t.Errorf("%v: got %q, want %q", b, got, tt.want)
			}
		}
	}

	// One of several programs is enough.
	s := p.plan(&build{p.cfg}, p.block("go_build", "packages", []string{".", "./tool"}, "stamp", map[string]string{"main.toolVersion": "1"}))[0]
	if _, err := s.Discoverer.Discover(t.Context(), p.workspace()); err != nil {
		t.Errorf("two programs: %v", err)
	}
}
