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
	"sync/atomic"
	"testing"

	"github.com/airbuild/airbuild/dsl"
	signing "github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/sign"
)

var update = flag.Bool("update", false, "rewrite the parts of docs that are made from schemas and commands")

func docsFile(name string) string { return filepath.Join("..", "..", filepath.FromSlash(name)) }

// A page of docs/reference: the parts of it that are made from schemas, by the
// name in their marker, <!-- schema: NAME --> … <!-- end -->.
type page map[string]string

// referencePages are the pages that docs/reference must have, by their names.
func referencePages() map[string]page {
	pages := map[string]page{"functions": {"functions": functionTable()}}
	index := page{}
	add := func(kind, name, doc string, p page) {
		p["summary"] = doc + "\n"
		pages[name] = p
		index[kind] += fmt.Sprintf("| [`%[1]s`](%[1]s.md) | %[2]s |\n", name, cellText(doc))
	}
	for _, b := range dsl.TopLevelSchema() {
		args := arguments{rows: rowsOfBlock(b.Attrs), blocks: nestedOfBlocks(b.Blocks)}
		if b.Type == "stage" {
			args = argumentsOf(tasks.MetaSchema(), nil)
		}
		p := page{}
		if text := args.text(""); text != "" {
			p["arguments"] = text
		}
		add("blocks", b.Type, b.Doc, p)
	}
	types := pipelines.Tasks(&gocmd.Config{}, &sign.Config{}, &pipelines.ExternalSettings{})
	shared := sharedBlocks(types)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		schema := types[name].Schema()
		add("stage types", name, schema.Doc, page{"arguments": argumentsOf(schema, shared).text(commonArguments)})
	}
	for _, name := range slices.Sorted(maps.Keys(shared)) {
		n := shared[name]
		add("shared blocks", name, n.Doc, page{"arguments": arguments{rows: rowsOf(n.Attrs)}.text("")})
	}
	for _, e := range pipelines.Embedded() {
		add("pipelines", e.Name, e.Description+".", page{"parameters": parameterTable(e)})
	}
	for kind, rows := range index {
		index[kind] = "| | |\n|---|---|\n" + rows
	}
	pages["README"] = index
	return pages
}

const commonArguments = "\nEvery stage also accepts the [common arguments](stage.md#optional-arguments).\n"

// sharedBlocks are the blocks that several stage types have, by their types.
// They have a page of their own.
func sharedBlocks(types map[string]tasks.Task) map[string]tasks.Nested {
	count, shared := map[string]int{}, map[string]tasks.Nested{}
	for _, t := range types {
		for _, b := range t.Schema().Blocks {
			text := nested{b.Type, b.Labels, b.Doc, rowsOf(b.Attrs), ""}.text()
			if count[text]++; count[text] > 1 {
				shared[b.Type] = b
			}
		}
	}
	return shared
}

// A row is an argument of a stage or of a block.
type row struct {
	name, value, def, doc string
	required              bool
}

func rowsOf(attrs []tasks.Attr) []row {
	var rows []row
	for _, a := range attrs {
		rows = append(rows, row{a.Name, cellText(kindText(a)), cellText(a.Default), cellText(a.Doc), a.Required})
	}
	return rows
}

func rowsOfBlock(attrs []dsl.AttrDoc) []row {
	var rows []row
	for _, a := range attrs {
		rows = append(rows, row{a.Name, cellText(a.Type), cellText(a.Default), cellText(a.Doc), a.Required})
	}
	return rows
}

// A nested is a block inside a stage or a block.
type nested struct {
	name   string
	labels []string
	doc    string
	rows   []row
	see    string // what stands in the place of rows
}

func nestedOfBlocks(blocks []dsl.BlockDoc) []nested {
	var all []nested
	for _, b := range blocks {
		all = append(all, nested{b.Type, b.Labels, b.Doc, rowsOfBlock(b.Attrs), ""})
	}
	return all
}

// arguments are those of a stage type or a block.
type arguments struct {
	rows   []row
	blocks []nested
}

func argumentsOf(schema *tasks.Schema, shared map[string]tasks.Nested) arguments {
	args := arguments{rows: rowsOf(schema.Attrs)}
	for _, b := range schema.Blocks {
		n := nested{b.Type, b.Labels, b.Doc, rowsOf(b.Attrs), ""}
		if _, ok := shared[b.Type]; ok {
			n.see = fmt.Sprintf("See [`%[1]s`](%[1]s.md).", b.Type)
		} else if names, ok := subset(n.rows, args.rows); ok {
			n.see = "Any of the arguments " + names + "."
		}
		args.blocks = append(args.blocks, n)
	}
	return args
}

// subset reports whether all rows are rows of the owner too, with their names.
func subset(rows, owner []row) (names string, ok bool) {
	var list []string
	for _, r := range rows {
		if !slices.Contains(owner, r) {
			return "", false
		}
		list = append(list, "`"+r.name+"`")
	}
	return strings.Join(list, ", "), len(rows) > 0
}

func (a arguments) text(common string) string {
	if len(a.rows) == 0 && len(a.blocks) == 0 {
		return ""
	}
	required, optional := tables(a.rows)
	out := ""
	if required != "" {
		out += "## Required arguments\n\n" + required + "\n"
	}
	if optional != "" || common != "" {
		out += strings.TrimSuffix("## Optional arguments\n\n"+optional+common, "\n") + "\n"
	}
	for _, n := range a.blocks {
		out += "\n" + n.text()
	}
	return out
}

func (n nested) text() string {
	header := n.name
	for _, l := range n.labels {
		header += fmt.Sprintf(" %q", strings.ToUpper(l))
	}
	out := fmt.Sprintf("### `%s` block\n\n%s\n\n", header, n.doc)
	if n.see != "" {
		return out + n.see + "\n"
	}
	required, optional := tables(n.rows)
	switch {
	case required != "" && optional != "":
		return out + "Required:\n\n" + required + "\nOptional:\n\n" + optional
	case required != "":
		return out + "Required:\n\n" + required
	}
	return out + optional
}

// tables are those of the required and of the optional arguments.
func tables(rows []row) (required, optional string) {
	for _, r := range rows {
		if r.required {
			required += fmt.Sprintf("| `%s` | %s | %s |\n", r.name, r.value, r.doc)
		} else {
			optional += fmt.Sprintf("| `%s` | %s | %s | %s |\n", r.name, r.value, r.def, r.doc)
		}
	}
	if required != "" {
		required = "| argument | value | meaning |\n|---|---|---|\n" + required
	}
	if optional != "" {
		optional = "| argument | value | default | meaning |\n|---|---|---|---|\n" + optional
	}
	return required, optional
}

func cellText(s string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(s), " "), "|", `\|`)
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
	return "any"
}

func functionTable() string {
	out := "| function | result |\n|---|---|\n"
	for _, f := range dsl.Functions() {
		out += fmt.Sprintf("| `%s` | %s |\n", f.Signature, cellText(f.Doc))
	}
	return out
}

func parameterTable(e pipelines.EmbeddedPipeline) string {
	out := "| parameter | value | default | meaning |\n|---|---|---|---|\n"
	for _, p := range e.Parameters {
		def := "*required*"
		if p.Default != "" {
			def = "`" + cellText(p.Default) + "`"
		}
		out += fmt.Sprintf("| `%s` | %s | %s | %s |\n", p.Name, cellText(p.Type), def, cellText(p.Description))
	}
	return out
}

// A part of a page that is made: <!-- schema: NAME -->, the text, <!-- end -->.
var marked = regexp.MustCompile(`(?s)<!-- schema: ([^\n]*?) -->\n(.*?)<!-- end -->`)

// Everything that the schemas name has a page in docs/reference that says of it
// what the schema says, and there is no other page.
func TestReferenceIsComplete(t *testing.T) {
	pages := referencePages()
	dir := docsFile("docs/reference")
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		file := filepath.Join(dir, name+".md")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Errorf("%q has no page: %v", name, err)
			continue
		}
		rewriteMarked(t, file, string(b), pages[name])
		if pages[name]["summary"] != "" || name == "functions" {
			checkPage(t, name, string(b), pages[name])
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if _, ok := pages[strings.TrimSuffix(filepath.Base(file), ".md")]; !ok {
			t.Errorf("%s describes nothing that there is", file)
		}
	}
}

// rewriteMarked compares the marked parts of a file with what they should be,
// and with -update writes them.
func rewriteMarked(t *testing.T, file, text string, parts page) {
	t.Helper()
	seen := map[string]int{}
	updated := marked.ReplaceAllStringFunc(text, func(found string) string {
		name := marked.FindStringSubmatch(found)[1]
		seen[name]++
		return "<!-- schema: " + name + " -->\n" + parts[name] + "<!-- end -->"
	})
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if _, ok := parts[name]; !ok {
			t.Errorf("%s has a part %q, which does not exist", file, name)
		} else if seen[name] > 1 {
			t.Errorf("%s has the part %q %d times", file, name, seen[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(parts)) {
		if seen[name] == 0 {
			t.Errorf("%s lacks a part: put <!-- schema: %s --> and <!-- end --> into it", file, name)
		}
	}
	if updated == text {
		return
	}
	if !*update {
		t.Errorf("%s is not up to date; go test ./cmd/airbuild -run 'Reference|Commands' -update rewrites it", file)
		return
	}
	if err := os.WriteFile(file, []byte(updated), 0o666); err != nil {
		t.Fatal(err)
	}
}

// checkPage expects the title, an example before the arguments, and for a stage
// type what stage.x gives.
func checkPage(t *testing.T, name, text string, parts page) {
	t.Helper()
	if title, _, _ := strings.Cut(text, "\n"); title != "# `"+name+"`" && name != "functions" {
		t.Errorf("%s.md has the title %q", name, title)
	}
	first := strings.Index(text, "```hcl\n")
	if first < 0 {
		t.Errorf("%s.md has no example", name)
	}
	for _, part := range []string{"arguments", "parameters"} {
		if at := strings.Index(text, "<!-- schema: "+part+" -->"); at >= 0 && at < first {
			t.Errorf("%s.md has its %s before an example", name, part)
		}
	}
	if strings.Contains(parts["arguments"], commonArguments) && !strings.Contains(text, "\n## Exported attributes\n") {
		t.Errorf("%s.md does not say what stage.x gives: it has no section \"Exported attributes\"", name)
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
	var ran, examples atomic.Int32
	for _, name := range docsPages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(docsFile(name))
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range example.FindAllStringSubmatch(string(b), -1) {
				examples.Add(1)
				if checkExample(t, m[1]) {
					ran.Add(1)
				}
			}
		})
	}
	t.Cleanup(func() {
		if ran.Load() < 5 || examples.Load() < 50 {
			t.Errorf("only %d examples were checked, and %d run", examples.Load(), ran.Load())
		}
	})
}

// checkExample validates an example, and runs it if it takes no time.
func checkExample(t *testing.T, text string) (ran bool) {
	t.Helper()
	quick := []string{"exec", "template", "archive", "checksum", "sign"}
	s := docsProject(t)
	if err := os.WriteFile(filepath.Join(s.root, "Airbuildfile"), []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	if out, err := s.command("airbuild", "validate").CombinedOutput(); err != nil {
		t.Errorf("an example: %v\n%s\n%s", err, text, out)
		return false
	}
	if out, err := s.command("airbuild", "fmt", "--check", "--diff").CombinedOutput(); err != nil {
		t.Errorf("an example is not formatted: %s", out)
	}
	types := stageHeader.FindAllStringSubmatch(text, -1)
	if len(types) == 0 || slices.ContainsFunc(types, func(m []string) bool { return !slices.Contains(quick, m[1]) }) {
		return false
	}
	var stages []string
	for _, m := range regexp.MustCompile(`(?m)^stage "[a-z_]+" "([^"]+)"`).FindAllStringSubmatch(text, -1) {
		stages = append(stages, m[1])
	}
	if out, err := s.command("airbuild", append([]string{"run"}, stages...)...).CombinedOutput(); err != nil {
		t.Errorf("an example does not run: %v\n%s\n%s", err, text, out)
	}
	return true
}

// docsPages are README.md and all pages below docs.
func docsPages(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(docsFile(pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("no pages match %s: %v", pattern, err)
		}
		for _, file := range found {
			rel, err := filepath.Rel(docsFile("."), file)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(rel))
		}
	}
	return names
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
