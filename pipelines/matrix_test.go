package pipelines

import (
	"slices"
	"strings"
	"testing"
)

// cellKeys are the keys of a stage's cells, in order.
func cellKeys(p *Plan, stage string) []string {
	keys := []string{}
	for _, c := range p.Stage(stage).Cells {
		keys = append(keys, c.Key)
	}
	return keys
}

func TestMatrixCells(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // keys, separated by blanks
	}{
		{"axes in source order, the last one fastest",
			`matrix = { z = ["1", "2"], a = ["x", "y"] }`, "1,x 1,y 2,x 2,y"},
		{"axes of a local in source order",
			`matrix = local.axes`, "1,x 1,y"},
		{"axes of a computed object in alphabetical order",
			`matrix = merge({ z = ["1"] }, { a = ["x", "y"] })`, "x,1 y,1"},
		{"numbers and bools",
			`matrix = { n = [1, 2.5], b = [true] }`, "1,true 2.5,true"},
		{"platforms as written",
			`matrix = { platform = ["linux/arm/v7", "darwin/universal"] }`, "linux/arm/v7 darwin/universal"},
		{"a set",
			`matrix = { n = toset(["b", "a"]) }`, "a b"},
		{"exclude matches on a subset",
			`matrix  = { platform = ["linux/amd64", "windows/arm64"], cmd = ["a", "b"] }
			 exclude = [{ platform = "windows/arm64" }, { platform = "linux/amd64", cmd = "b" }]`, "linux/amd64,a"},
		{"exclude by what a platform says",
			`matrix  = { platform = ["linux/amd64", "windows/arm64"] }
			 exclude = [{ os = "windows" }]`, "linux/amd64"},
		{"exclude may match nothing",
			`matrix  = { platform = ["linux/amd64"] }
			 exclude = [{ platform = "windows/arm64" }]`, "linux/amd64"},
		{"exclude compares numbers as text",
			`matrix  = { n = [1, 2] }
			 exclude = [{ n = "1" }]`, "2"},
		{"include adds a cell, after the product",
			`matrix  = { os = ["linux"], cmd = ["a"] }
			 include = [{ os = "plan9", cmd = "b" }]`, "linux,a plan9,b"},
		{"include brings back what exclude took",
			`matrix  = { os = ["linux", "plan9"] }
			 exclude = [{ os = "plan9" }]
			 include = [{ os = "plan9", slow = true }]`, "linux plan9"},
		{"include with more values adds no cell",
			`matrix  = { os = ["linux", "plan9"] }
			 include = [{ os = "plan9", slow = true }, { fast = true }]`, "linux plan9"},
		{"when leaves out cells",
			`matrix = { os = ["linux", "plan9"] }
			 when   = matrix.os != "plan9"`, "linux"},
		{"when leaves out everything",
			`matrix = { os = ["linux", "plan9"] }
			 when   = false`, ""},
		{"for_each over a list", `for_each = ["b", "a"]`, "b a"},
		{"for_each over a map, as written", `for_each = { b = 1, a = 2 }`, "b a"},
		{"for_each over a computed map", `for_each = merge({ b = 1 }, { a = 2 })`, "a b"},
		{"for_each over nothing", `for_each = []`, ""},
		{"for_each over a stage", `for_each = stage.base`, "linux/amd64 plan9/386"},
		{"for_each over a cell", `for_each = stage.base["plan9/386"]`, "plan9/386"},
		{"for_each over cells", `for_each = [stage.base["plan9/386"], stage.base["linux/amd64"]]`, "plan9/386 linux/amd64"},
		{"for_each over a filter", `for_each = { for k, c in stage.base.cells : k => c if c.os == "plan9" }`, "plan9/386"},
		{"for_each over stages", `for_each = [stage.base, stage.single]`, "linux/amd64 plan9/386 single"},
		{"for_each over a stage without cells", `for_each = stage.single`, ""},
		{"for_each over a stage that is left out", `for_each = stage.never`, ""},
		{"no cells", `text = "x"`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := project(`
locals {
  axes = { z = ["1"], a = ["x", "y"] }
}
stage "make" "base" {
  matrix = { platform = ["linux/amd64", "plan9/386"] }
}
stage "make" "single" {
}
stage "make" "never" {
  matrix = { n = ["1"] }
  when   = false
}
stage "make" "it" {
` + test.body + `
}`).mustLoad(t)
			if got := strings.Join(cellKeys(p, "it"), " "); got != test.want {
				t.Errorf("cells %q, want %q", got, test.want)
			}
		})
	}
}

func TestMatrixValues(t *testing.T) {
	f := project(`
stage "make" "it" {
  matrix  = { platform = ["linux/arm/v7", "windows/amd64"], cmd = ["yq"], n = [1] }
  include = [{ platform = "windows/amd64", cc = "gcc" }]
  text    = "${matrix.platform} ${matrix.os} ${matrix.arch} ${matrix.variant} ${matrix.exe} ${matrix.cmd} ${matrix.n + 1} ${coalesce(matrix.cc, "none")}"
}
stage "make" "each" {
  for_each = stage.it
  text     = "${each.key} ${each.name} ${each.os} ${each.exe} ${each.n} ${length(each.paths)}"
}
stage "make" "again" {
  for_each = stage.each
  text     = "${each.os} ${each.value.key}"
}
stage "make" "items" {
  for_each = { a = { b = "c" } }
  text     = "${each.key} ${each.value.b}"
}`)
	f.mustLoad(t)
	for step, want := range map[string]string{
		"it[linux/arm/v7,yq,1]":     "linux/arm/v7 linux arm v7  yq 2 none",
		"it[windows/amd64,yq,1]":    "windows/amd64 windows amd64  .exe yq 2 gcc",
		"each[windows/amd64,yq,1]":  "windows/amd64,yq,1 it windows .exe 1 0",
		"again[windows/amd64,yq,1]": "windows windows/amd64,yq,1",
		"items[a]":                  "a c",
	} {
		if got := f.block(t, step).String("text"); got != want {
			t.Errorf("%s: text %q, want %q", step, got, want)
		}
	}
	for step, want := range map[string]string{"it[linux/arm/v7,yq,1]": "arm", "again[windows/amd64,yq,1]": "amd64"} {
		if p := f.block(t, step).Platform; p == nil || p.Arch != want {
			t.Errorf("%s: platform %v, want %s", step, p, want)
		}
	}
	if p := f.block(t, "items[a]").Platform; p != nil {
		t.Errorf("items[a] has a platform: %v", p)
	}
}

// A reference that is used in any way makes a dependency, and no other does.
func TestDependencies(t *testing.T) {
	tests := []struct {
		name, body string
		want       string // needs, separated by blanks
	}{
		{"path", `file = stage.a.path`, "a"},
		{"paths", `files = stage.cells.paths`, "cells[x] cells[y]"},
		{"one cell", `file = stage.cells["x"].path`, "cells[x]"},
		{"cell through cells", `file = stage.cells.cells["y"].path`, "cells[y]"},
		{"stage as paths", `files = [stage.a, stage.cells]`, "a cells[x] cells[y]"},
		{"after", `after = [stage.a, stage.cells["y"]]`, "a cells[y]"},
		{"after, single", `after = stage.cells`, "cells[x] cells[y]"},
		{"after a path", `after = [stage.a.path]`, "a"},
		{"stage reference", `modules = stage.a`, "a"},
		{"template", `text = "--file=${stage.a.path}!"`, "a"},
		{"nested template", `text = "${"${upper(stage.a.path)}"}"`, "a"},
		{"functions", `text = join(",", sort(concat(stage.cells.paths, ["x"])))`, "cells[x] cells[y]"},
		{"format", `text = format("%s", replace(stage.a.path, "a", "b"))`, "a"},
		{"condition", `text = stage.a.path == "x" ? "y" : "z"`, "a"},
		{"for", `words = [for p in stage.cells.paths : basename(p)]`, "cells[x] cells[y]"},
		{"for with a filter", `words = [for k, c in stage.cells.cells : c.path if k == "x"]`, "cells[x]"},
		{"map", `stamp = { a = stage.a.path }`, "a"},
		{"any", `extra = { deep = [{ er = stage.a.path }] }`, "a"},
		{"env", `env = { A = stage.a.path }`, "a"},
		{"inputs", `inputs = [stage.a.path, stage.cells["x"], "*.md"]`, "a cells[x]"},
		{"output", `output = "${basename(stage.a.path)}.sum"`, "a"},
		{"output below its path", `output = "${stage.a.path}.sum"`, "a"},
		{"nested block", `tool "x" { 
  path = stage.a.path
}`, "a"},
		{"below an output", `file = "${stage.a.path}/modules.txt"`, "a"},
		{"splat", `words = values(stage.cells.cells)[*].path`, "cells[x] cells[y]"},
		{"name only", `text = stage.a.name`, ""},
		{"matrix value only", `text = stage.cells["x"].n`, ""},
		{"stage that is left out", `files = concat(["LICENSE"], stage.never.paths, [stage.never.path])
modules = stage.never
after   = [stage.never]`, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			p := project(`
stage "make" "a" {
  output = "a.txt"
}
stage "make" "cells" {
  matrix = { n = ["x", "y"] }
  output = "${matrix.n}.txt"
}
stage "make" "never" {
  output = "never.txt"
  when   = false
}
stage "make" "it" {
` + test.body + `
}`).mustLoad(t)
			if got := strings.Join(needs(t, p, "it"), " "); got != test.want {
				t.Errorf("needs %q, want %q", got, test.want)
			}
		})
	}
}

func TestCellsDependCellwise(t *testing.T) {
	p := project(`
stage "make" "bin" {
  matrix = { platform = ["linux/amd64", "windows/amd64"] }
  output = "x_${matrix.os}${matrix.exe}"
}
stage "make" "archives" {
  for_each = stage.bin
  output   = "${trimsuffix(basename(each.path), ".exe")}.zip"
  files    = [each.path, "LICENSE"]
}
stage "make" "sums" {
  files  = concat(stage.archives.paths, stage.bin.paths)
  output = "checksums.txt"
}
pipeline "release" {
  stages = [stage.sums]
}`).mustLoad(t)
	for step, want := range map[string][]string{
		"archives[windows/amd64]": {"bin[windows/amd64]"},
		"sums":                    {"bin[linux/amd64]", "bin[windows/amd64]", "archives[linux/amd64]", "archives[windows/amd64]"},
	} {
		if got := needs(t, p, step); !slices.Equal(got, want) {
			t.Errorf("%s needs %v, want %v", step, got, want)
		}
	}
	if got := p.Stage("archives").Cells[1].Outputs; !slices.Equal(got, []string{"dist/x_windows.zip"}) {
		t.Errorf("outputs %v", got)
	}
	if got := p.Stage("sums").Uses; !slices.Equal(got, []string{"archives", "bin"}) {
		t.Errorf("sums uses %v", got)
	}
}

// Values that are marked for what they came from convert like any other.
func TestMarkedListsKeepTheirOutputs(t *testing.T) {
	f := project(`
stage "make" "cells" {
  matrix = { n = ["y", "x"] }
  output = "${matrix.n}.txt"
}
stage "make" "it" {
  files = concat(sort(stage.cells.paths), ["LICENSE"])
}`)
	f.mustLoad(t)
	var got []string
	for _, p := range f.block(t, "it").Paths("files") {
		ref := "-"
		if p.Ref != nil {
			ref = p.Ref.Path
		}
		got = append(got, p.Path+"="+ref)
	}
	want := []string{"dist/x.txt=dist/x.txt", "dist/y.txt=dist/y.txt", "LICENSE=-"}
	if !slices.Equal(got, want) {
		t.Errorf("files %v, want %v", got, want)
	}
}

func TestSensitiveValues(t *testing.T) {
	f := project(`
variable "token" {
  default   = "hunter2hunter2"
  sensitive = true
}
variable "wait" {
  default   = "90s"
  sensitive = true
}
stage "make" "it" {
  wait = var.wait
  env  = { TOKEN = var.token, PLAIN = "x" }
}`)
	p := f.mustLoad(t)
	b := f.block(t, "it")
	if !b.Values["wait"].Sensitive {
		t.Error("wait is not sensitive")
	}
	if len(b.Meta.Secrets) != 1 || b.Meta.Secrets["TOKEN"] != "hunter2hunter2" {
		t.Errorf("secrets %v", b.Meta.Secrets)
	}
	step := p.Graph.Steps[0]
	if len(step.Command.Env) != 1 || step.Command.Env[0].Name != "PLAIN" || len(step.Secrets) != 1 {
		t.Errorf("env %v, secrets %v", step.Command.Env, step.Secrets)
	}
	if !slices.Contains(step.Mask, "hunter2hunter2") {
		t.Errorf("mask %v", step.Mask)
	}
}

// A task that does not look out would write a secret into its command.
func TestSensitiveValuesAreNotInCommands(t *testing.T) {
	_, diags := project(`
variable "token" {
  default   = "hunter2hunter2"
  sensitive = true
}
stage "make" "it" {
  text = "Bearer ${var.token}"
}`).load()
	want := "Airbuildfile:7,10-31: Sensitive value in a command; Commands are stored and shown. Hand the value over in the environment: env = { NAME = … }.\n"
	if got := render(diags); got != want {
		t.Errorf("got %s", got)
	}
}

func TestSensitiveValuesAreNotInMessages(t *testing.T) {
	f := project(`
variable "token" {
  default   = "hunter2hunter2"
  sensitive = true
}
stage "make" "it" {
  mode  = var.token
  file  = "${var.token}.txt"
  wait  = var.token
  dir   = var.token
  level = var.token
  words = [var.token.x]
  resources {
    memory = var.token
  }
}`)
	_, diags := f.load()
	if !diags.HasErrors() {
		t.Fatal("no error")
	}
	if got := render(diags); strings.Contains(got, "hunter2") {
		t.Errorf("a message tells the secret:\n%s", got)
	}
}
