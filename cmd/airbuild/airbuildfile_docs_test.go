package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/dsl"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang"
	"github.com/airbuild/airbuild/tasks/linuxpkg"
	"github.com/airbuild/airbuild/tasks/sign"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/airbuildfile.md from the schemas")

func docsFile(name string) string { return filepath.Join("..", "..", filepath.FromSlash(name)) }

// docTables are the tables that docs/airbuildfile.md must have, by the name in
// their marker, which is also the heading that they stand under.
func docTables() map[string]string {
	tables := map[string]string{
		"Meta-arguments": schemaTable(pipelines.MetaSchema().Attrs),
		"Functions":      functionTable(),
	}
	addNested := func(owner string, blocks []tasks.Nested) {
		for _, b := range blocks {
			tables[owner+": "+b.Type] = "*" + b.Doc + "*\n\n" + schemaTable(b.Attrs)
		}
	}
	addNested("Meta-arguments", pipelines.MetaSchema().Blocks)
	for _, b := range dsl.TopLevelSchema() {
		tables[b.Type] = blockTable(b)
		for _, inner := range b.Blocks {
			tables[b.Type+": "+inner.Type] = blockTable(inner)
		}
	}
	for name, t := range pipelines.Tasks(&golang.Config{}, &sign.Config{}, &linuxpkg.Config{}, &pipelines.Outward{}) {
		tables[name] = "*" + t.Schema().Doc + "*\n\n" + schemaTable(t.Schema().Attrs)
		addNested(name, t.Schema().Blocks)
	}
	for _, e := range pipelines.Embedded() {
		tables[e.Name] = parameterTable(e)
	}
	return tables
}

func cellText(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
}

func schemaTable(attrs []tasks.Attr) string {
	var b strings.Builder
	b.WriteString("| attribute | value | default | meaning |\n|---|---|---|---|\n")
	for _, a := range attrs {
		def := cellText(a.Default)
		if a.Required {
			def = "*required*"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Name, cellText(kindText(a)), def, cellText(a.Doc))
	}
	return b.String()
}

// kindText is a Kind as a reader knows it.
func kindText(a tasks.Attr) string {
	if len(a.Enum) > 0 {
		text := "`" + strings.Join(a.Enum, "`, `") + "`"
		if a.Kind == tasks.Strings {
			return "list of " + text
		}
		return text
	}
	under := "dist"
	if a.InDir {
		under = "dir"
	}
	switch a.Kind {
	case tasks.String:
		return "string"
	case tasks.Bool:
		return "bool"
	case tasks.Number:
		return "whole number"
	case tasks.Strings:
		return "list of strings"
	case tasks.StringMap:
		return "map of strings"
	case tasks.Duration:
		return "duration"
	case tasks.Path:
		return "path"
	case tasks.Paths:
		return "list of paths"
	case tasks.Output:
		return "output in " + under
	case tasks.Outputs:
		return "list of outputs in " + under
	case tasks.StageRefs:
		return "stages"
	case tasks.StageRef:
		return "stage"
	}
	return "see the text"
}

func blockTable(b dsl.BlockDoc) string {
	out := "*" + b.Doc + "*\n"
	if len(b.Attrs) == 0 {
		return out
	}
	out += "\n| attribute | value | meaning |\n|---|---|---|\n"
	for _, a := range b.Attrs {
		value := cellText(a.Type)
		if a.Required {
			value += ", *required*"
		}
		out += fmt.Sprintf("| `%s` | %s | %s |\n", a.Name, value, cellText(a.Doc))
	}
	return out
}

func functionTable() string {
	out := "| function | result |\n|---|---|\n"
	for _, f := range dsl.Functions() {
		out += fmt.Sprintf("| `%s` | %s |\n", f.Signature, cellText(f.Doc))
	}
	return out
}

func parameterTable(e pipelines.EmbeddedPipeline) string {
	out := "*" + e.Description + "*\n\n| parameter | value | default | meaning |\n|---|---|---|---|\n"
	for _, p := range e.Parameters {
		def := "*required*"
		if p.Default != "" {
			def = "`" + cellText(p.Default) + "`"
		}
		out += fmt.Sprintf("| `%s` | %s | %s | %s |\n", p.Name, cellText(p.Type), def, cellText(p.Description))
	}
	return out
}

// A marked table: <!-- schema: NAME -->, the table, <!-- end -->.
var marked = regexp.MustCompile(`(?s)<!-- schema: ([^\n]*?) -->\n(.*?)<!-- end -->`)

// Everything that the schemas name is in docs/airbuildfile.md under its
// heading, as the schemas describe it, and nothing else is.
func TestAirbuildfileIsDocumented(t *testing.T) {
	name := docsFile("docs/airbuildfile.md")
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text, tables, seen := string(b), docTables(), map[string]int{}
	updated := marked.ReplaceAllStringFunc(text, func(found string) string {
		m := marked.FindStringSubmatch(found)
		seen[m[1]]++
		return "<!-- schema: " + m[1] + " -->\n" + tables[m[1]] + "<!-- end -->"
	})
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if _, ok := tables[name]; !ok {
			t.Errorf("%q is documented, and there is no such thing", name)
		} else if seen[name] > 1 {
			t.Errorf("%q is documented %d times", name, seen[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		if seen[name] == 0 {
			t.Errorf("%q is not documented: put <!-- schema: %s --> and <!-- end --> under a heading", name, name)
		}
	}
	checkHeadings(t, text)
	if updated == text {
		return
	}
	if !*update {
		t.Fatal("the tables of docs/airbuildfile.md are not those of the schemas; go test ./cmd/airbuild -run Documented -update rewrites them")
	}
	if err := os.WriteFile(name, []byte(updated), 0o666); err != nil {
		t.Fatal(err)
	}
}

// checkHeadings expects each table under a heading that names it.
func checkHeadings(t *testing.T, text string) {
	t.Helper()
	heading := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "## ") || strings.HasPrefix(line, "### ") {
			heading = strings.Trim(strings.TrimLeft(line, "# "), "`")
		}
		name, ok := strings.CutPrefix(line, "<!-- schema: ")
		if !ok {
			continue
		}
		owner, _, _ := strings.Cut(strings.TrimSuffix(name, " -->"), ":")
		if strings.Fields(strings.ReplaceAll(heading, "`", " "))[0] != owner {
			t.Errorf("%q stands under the heading %q", owner, heading)
		}
	}
}

var example = regexp.MustCompile("(?s)```hcl\n(.*?)```")

var stageHeader = regexp.MustCompile(`(?m)^stage "([a-z_]+)"`)

// Every example is a whole Airbuildfile that has no mistake. Those without Go
// stages are also run.
func TestExamplesOfTheDocsAreRight(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program that an example runs is a stand-in in sh")
	}
	quick := []string{"exec", "template", "archive", "checksum", "sign"}
	ran := 0
	for _, name := range []string{"README.md", "docs/airbuildfile.md", "docs/deploy.md"} {
		b, err := os.ReadFile(docsFile(name))
		if err != nil {
			t.Fatal(err)
		}
		examples := example.FindAllStringSubmatch(string(b), -1)
		if len(examples) == 0 {
			t.Errorf("%s has no example", name)
		}
		for _, m := range examples {
			s := docsProject(t)
			if err := os.WriteFile(filepath.Join(s.root, "Airbuildfile"), []byte(m[1]), 0o666); err != nil {
				t.Fatal(err)
			}
			if out, err := s.command("airbuild", "validate").CombinedOutput(); err != nil {
				t.Errorf("an example of %s: %v\n%s\n%s", name, err, m[1], out)
				continue
			}
			if out, err := s.command("airbuild", "fmt", "--check", "--diff").CombinedOutput(); err != nil {
				t.Errorf("an example of %s is not formatted: %s", name, out)
			}
			types := stageHeader.FindAllStringSubmatch(m[1], -1)
			if len(types) == 0 || slices.ContainsFunc(types, func(m []string) bool { return !slices.Contains(quick, m[1]) }) {
				continue
			}
			ran++
			var stages []string
			for _, m := range regexp.MustCompile(`(?m)^stage "[a-z_]+" "([^"]+)"`).FindAllStringSubmatch(m[1], -1) {
				stages = append(stages, m[1])
			}
			if out, err := s.command("airbuild", append([]string{"run"}, stages...)...).CombinedOutput(); err != nil {
				t.Errorf("an example of %s does not run: %v\n%s\n%s", name, err, m[1], out)
			}
		}
	}
	if ran < 5 {
		t.Errorf("only %d examples were run", ran)
	}
}

// docsProject is the project that the examples of the docs are about.
func docsProject(t *testing.T) *sample {
	t.Helper()
	from := t.TempDir()
	files := map[string]string{
		"go.mod":                  "module example.com/root\n\ngo 1.26.0\n",
		"main.go":                 "package main\n\nfunc main() {}\n",
		"cmd/app/main.go":         "package main\n\nfunc main() {}\n",
		"cmd/tool/main.go":        "package main\n\nfunc main() {}\n",
		"LICENSE":                 "Free.\n",
		"vendor.deb":              "",
		"static/index.html":       "hello\n",
		"deploy/app.conf.tmpl":    "host = ${host}\n",
		"README.md":               "# app\n",
		"docs/manual.md":          "# Manual\n",
		"packaging/app.conf":      "port = 80\n",
		"packaging/app.service":   "[Service]\nExecStart=/usr/bin/app\n",
		"bin/amd64/app":           "app\n",
		"bin/arm64/app":           "app\n",
		"bases/static/index.json": "{}\n",
		"api/app.proto":           "syntax = \"proto3\";\n",
		"app.conf.tmpl":           "host = ${host}\n%{ if debug }log = debug\n%{ endif }",
		"build/common.hcl":        "variable \"owner\" {\n  default = \"us\"\n}\n",
		"source.json": `{"version": 1, "commit": "0123456789abcdef0123456789abcdef01234567", "branch": "main",
			"tag": "v1.2.0", "describe": "v1.2.0", "dirty": false, "time": "2026-01-31T12:00:00Z"}`,
	}
	for name, text := range files {
		file := filepath.Join(from, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	s := newSample(t, from)
	bin := t.TempDir()
	protoc := "#!/bin/sh\nmkdir -p gen && echo 'package gen' > gen/app.pb.go\n"
	if err := os.WriteFile(filepath.Join(bin, "protoc"), []byte(protoc), 0o777); err != nil {
		t.Fatal(err)
	}
	gpg := "#!/bin/sh\nwhile [ \"$1\" != --output ]; do shift; done\necho signature > \"$2\"\n"
	if err := os.WriteFile(filepath.Join(bin, "gpg"), []byte(gpg), 0o777); err != nil {
		t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return s.withKeys()
}

// withKeys gives the project the keys that the examples sign with.
func (s *sample) withKeys() *sample {
	s.t.Helper()
	r := signing.OpenKeyring(s.t.TempDir())
	if _, err := r.New("site", signing.NewOptions{}); err != nil {
		s.t.Fatal(err)
	}
	k, err := signing.Generate(bytes.NewReader(bytes.Repeat([]byte{42}, 32)))
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := k.File("")
	if err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, signing.EnvKeys+"="+r.Dir(), "SIGN_KEY="+string(text))
	return s
}
