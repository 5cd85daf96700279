package gocmd

import (
	"strings"
	"testing"
	"testing/fstest"
)

// TestReadsBuildInfo: the file by which a program reads its own version.
func TestReadsBuildInfo(t *testing.T) {
	const reads = "import \"runtime/debug\"\n\nfunc Get() { debug.ReadBuildInfo() }\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"none", map[string]string{"main.go": "package main\n\nimport \"fmt\"\n\nfunc main() { fmt.Println() }\n"}, ""},
		{"in main", map[string]string{"main.go": "package main\n\n" + reads}, "main.go"},
		{"in an imported package", map[string]string{
			"main.go": "package main\n\nimport \"example.com/m/a\"\n\nfunc main() { a.F() }\n",
			"a/a.go":  "package a\n\nimport (\n\t\"example.com/m/b\"\n)\n\nvar F = b.Get\n", "b/b.go": "package b\n\n" + reads,
		}, "b/b.go"},
		{"imports far from the beginning", map[string]string{
			"main.go": strings.Repeat("// A line.\n", 1000) + "package main\n\nimport _ \"example.com/m/b\"\n\nfunc main() {}\n", "b/b.go": "package b\n\n" + reads,
		}, "b/b.go"},
		{"a word in a comment before the imports", map[string]string{
			"main.go": "/*\nfunc x\n*/\npackage main\n\n" + reads,
		}, "main.go"},
		{"a raw string", map[string]string{"main.go": "package main\n\nimport `example.com/m/b`\n", "b/b.go": "package b\n\n" + reads}, "b/b.go"},
		{"a string that is no import", map[string]string{"main.go": "package main\n\nfunc main() { println(\"example.com/m/b\") }\n", "b/b.go": "package b\n\n" + reads}, ""},
		{"a package that is not imported", map[string]string{"main.go": "package main\n\nfunc main() {}\n", "b/b.go": "package b\n\n" + reads}, ""},
		{"another function of the package", map[string]string{"main.go": "package main\n\nimport \"runtime/debug\"\n\nfunc main() { debug.PrintStack() }\n"}, ""},
		{"in a test", map[string]string{"main.go": "package main\n\nfunc main() {}\n", "x_test.go": "package main\n\n" + reads}, ""},
		{"of a name that begins alike", map[string]string{
			"main.go": "package main\n\nimport _ \"example.com/mm/b\"\n\nfunc main() {}\n", "m/b/b.go": "package b\n\n" + reads,
		}, ""},
	} {
		files := fstest.MapFS{"go.mod": {Data: []byte("module example.com/m\n")}}
		for name, text := range tt.files {
			files[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := ReadsBuildInfo(files, ".", "."); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
