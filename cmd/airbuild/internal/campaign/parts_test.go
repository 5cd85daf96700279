package campaign

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A builder adds parts to a new project.
type builder struct {
	rng *rand.Rand
	state
	parts []*part
}

func (b *builder) digit() int { return 1 + b.rng.IntN(9) }

// put adds a file with the text that format makes of a digit.
func (b *builder) put(name, format string) file {
	vary := sources(format)
	f := file{text: vary(b.digit()), vary: vary}
	if !strings.Contains(format, "%d") {
		f = file{text: format}
	}
	b.files[name] = f
	return f
}

func (b *builder) optional(name, format string) {
	f := b.put(name, format)
	f.optional = true
	b.files[name] = f
}

func (b *builder) link(name string, targets ...string) {
	b.files[name] = file{link: targets[b.rng.IntN(len(targets))], targets: targets}
}

func (b *builder) add(p *part) {
	for _, k := range p.knobs {
		b.knobs[p.name+"."+k.name] = b.rng.IntN(k.n)
	}
	b.parts = append(b.parts, p)
}

// show is a script that writes name, executable bit and content of all files below
// the directories.
func show(dirs, output string) string {
	return fmt.Sprintf(`mkdir -p $(dirname %[2]s); for f in $(find -L %[1]s -type f ! -path %[2]s | LC_ALL=C sort); do x=-; if [ -x $f ]; then x=x; fi; echo "$f $x $(cat $f)"; done > .shown; mv .shown %[2]s`, dirs, output)
}

// plain are the parts without Go.
var plain = map[string]func(b *builder){
	// Cells that come and go, outputs outside dist that change their names, and a
	// stage for each cell.
	"cells": func(b *builder) {
		b.put("cells/in.txt", "in %d\n")
		for _, n := range "abcd" {
			b.put(fmt.Sprintf("cells/%c.txt", n), "cell %d\n")
		}
		b.add(&part{name: "cells", knobs: []knob{{"count", 4}, {"suffix", 3}, {"format", 3}}, stages: func(k func(string) int) string {
			names := []string{`"a"`, `"b"`, `"c"`, `"d"`}[:k("count")+1]
			return fmt.Sprintf(`stage "exec" "cells" {
  matrix  = { n = [%s] }
  inputs  = ["cells/in.txt", "cells/${matrix.n}.txt"]
  outputs = ["made/${matrix.n}%s"]
  script  = "mkdir -p made; cat cells/in.txt cells/${matrix.n}.txt > $1"
}
stage "archive" "packed" {
  for_each = stage.cells
  format   = "%s"
  files    = [each.path, "cells/in.txt"]
  output   = "packed_${each.key}"
}
`, strings.Join(names, ", "), []string{".out", ".txt", "/x"}[k("suffix")], []string{"zip", "tar.gz", "tar"}[k("format")])
		}, targets: []string{"packed"}})
	},
	// Patterns: any depth, braces, what is excluded; the output is among what they
	// match, or not.
	"patterns": func(b *builder) {
		for _, n := range []string{"a.txt", "b.txt", "x/c.txt", "x/y/d.txt", "e.a", "f.b", "skip/g.txt", "skip/h.b"} {
			b.optional("pat/"+n, n+" %d\n")
		}
		b.add(&part{name: "patterns", knobs: []knob{{"out", 3}, {"inputs", 4}}, stages: func(k func(string) int) string {
			out := []string{"pat.out", "pat/made.txt", "pat/x/made.a"}[k("out")]
			return fmt.Sprintf(`stage "exec" "patterns" {
  inputs  = [%s]
  outputs = ["%s"]
  script  = <<-EOT
    mkdir -p pat
    %s
  EOT
}
`, []string{`"pat/**/*.txt", "pat/*.{a,b}", "!pat/skip/**"`, `"pat/**"`, `"pat/*.txt", "pat/x/**"`, `"pat/**/*.{txt,b}", "!pat/b.*"`}[k("inputs")], out, show("pat", out))
		}, targets: []string{"patterns"}})
	},
	// An output folder whose files come and go, and what is made of it.
	"folder": func(b *builder) {
		for _, n := range "abc" {
			b.optional(fmt.Sprintf("specs/%c.spec", n), "spec %d\n")
		}
		b.put("specs/always.spec", "spec %d\n")
		b.add(&part{name: "folder", knobs: []knob{{"dir", 2}, {"list", 2}}, stages: func(k func(string) int) string {
			dir := []string{"tree", "specs/tree"}[k("dir")]
			return fmt.Sprintf(`stage "exec" "folder" {
  inputs  = ["specs/*.spec"]
  outputs = ["%[1]s/"]
  script  = "mkdir -p %[1]s/sub; for f in specs/*.spec; do n=$(basename $f .spec); cp $f %[1]s/$n; cp $f %[1]s/sub/$n-$(cat $f | tr -d ' \n'); done"
}
stage "exec" "listed" {
  inputs  = [stage.folder]
  outputs = ["%[2]s"]
  script  = "%[3]s"
}
stage "archive" "folders" {
  files = concat(stage.folder.paths, stage.listed.paths)
}
`, dir, []string{"listed.txt", "out/listed"}[k("list")], strings.ReplaceAll(show(dir, []string{"listed.txt", "out/listed"}[k("list")]), `"`, `\"`))
		}, targets: []string{"folders"}})
	},
	// Functions that read files when the file is evaluated.
	"functions": func(b *builder) {
		b.put("fun/v.txt", "v %d")
		b.put("fun/t.tmpl", "tmpl %d ${x}\n")
		for _, n := range "abc" {
			b.optional(fmt.Sprintf("fun/%c.x", n), "%d")
		}
		b.add(&part{name: "functions", knobs: []knob{{"x", 5}, {"out", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "template" "text" {
  text   = "${join(" ", glob("fun/*.x"))} ${file("fun/v.txt")} ${fileexists("fun/a.x")}\n"
  output = "text_%[2]d"
}
stage "template" "rendered" {
  source = "fun/t.tmpl"
  vars   = { x = "%[1]d ${filesha256("fun/v.txt")}" }
  output = "conf/rendered"
}
stage "checksum" "texts" {
  files  = concat(stage.text.paths, stage.rendered.paths)
  output = "texts.sum"
}
`, k("x"), k("out"))
		}, targets: []string{"texts"}})
	},
	// Links among inputs, to files and to directories.
	"links": func(b *builder) {
		for _, v := range []string{"v1", "v2"} {
			b.put("links/"+v+"/a.txt", "a %d\n")
			b.put("links/"+v+"/b.txt", "b %d\n")
			b.optional("links/"+v+"/sub/c.txt", "c %d\n")
		}
		b.link("links/current", "v1", "v2")
		b.link("links/one.txt", "v1/a.txt", "v2/a.txt", "v2/b.txt", "current/b.txt")
		b.link("links/twice.txt", "one.txt", "v1/b.txt")
		b.add(&part{name: "links", knobs: []knob{{"which", 3}}, stages: func(k func(string) int) string {
			in := []string{`"links/current/**", "links/*.txt"`, `"links/twice.txt", "links/current/a.txt"`, `"links/**"`}[k("which")]
			return fmt.Sprintf("stage \"exec\" \"links\" {\n  inputs  = [%s]\n  outputs = [\"links.out\"]\n  script  = <<-EOT\n    %s\n  EOT\n}\n", in, show("links", "links.out"))
		}, targets: []string{"links"}})
	},
	// The environment, passed on and set.
	"environment": func(b *builder) {
		b.env["CAMPAIGN_A"], b.env["CAMPAIGN_B"], b.env["CAMPAIGN_C"] = "a", "b", "c"
		b.add(&part{name: "environment", knobs: []knob{{"c", 4}, {"pass", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`variable "level" {
  default = "low"
  env     = "CAMPAIGN_C"
}
stage "exec" "environment" {
  outputs  = ["environment.out"]
  pass_env = [%s]
  env      = { LEVEL = var.level, KNOB = "%d" }
  script   = "echo $CAMPAIGN_A $LEVEL $KNOB $${CAMPAIGN_B:-none} > $1"
}
`, []string{`"CAMPAIGN_A"`, `"CAMPAIGN_A", "CAMPAIGN_B"`}[k("pass")], k("c"))
		}, targets: []string{"environment"}})
	},
	// A tool on PATH that reads a file of the tree that it is installed in.
	"tool": func(b *builder) {
		for name, format := range map[string]string{"bin/campaign-tool": "#!/bin/sh\nread line < \"${0%%/*}/../lib/data\"\necho \"tool %d $line\"\ncat\n", "lib/data": "data %d\n"} {
			vary := sources(format)
			b.kit[name] = file{text: vary(b.digit()), vary: vary, exec: name[0] == 'b'}
		}
		b.put("tool.in", "in %d\n")
		b.add(&part{name: "tool", knobs: []knob{{"by", 2}}, stages: func(k func(string) int) string {
			return []string{`stage "exec" "tool" {
  inputs  = ["tool.in"]
  outputs = ["tool.out"]
  script  = "campaign-tool < tool.in > tool.out"
}
`, `stage "exec" "tool" {
  inputs  = ["tool.in"]
  outputs = ["tool.out"]
  tools   = ["campaign-tool"]
  command = ["sh", "-c", "campaign-tool < tool.in > tool.out"]
}
`}[k("by")]
		}, targets: []string{"tool"}})
	},
	// A chain with a stage in the middle whose output often stays the same.
	"chain": func(b *builder) {
		b.put("chain/a.txt", "line\nline %d\n")
		b.optional("chain/b.txt", "line %d\n")
		b.add(&part{name: "chain", knobs: []knob{{"head", 2}, {"last", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "exec" "first" {
  inputs  = ["chain/*.txt"]
  outputs = ["chain.1"]
  script  = "cat chain/*.txt > chain.1"
}
stage "exec" "second" {
  inputs  = [stage.first]
  outputs = ["chain.2"]
  command = ["sh", "-c", "%s chain.1 > chain.2"]
}
stage "exec" "third" {
  inputs  = [stage.second, "chain/a.txt"]
  outputs = ["%s"]
  script  = "mkdir -p chained; cat chain.2 chain/a.txt > $1"
}
stage "checksum" "chained" {
  files     = [stage.third.path, stage.second.path]
  output    = "chained.sum"
  algorithm = ["sha256", "blake3"]
}
`, []string{"head -n 1", "wc -l"}[k("head")], []string{"chain.3", "chained/3"}[k("last")])
		}, targets: []string{"chained"}})
	},
	// A program of the project, in a folder of its own.
	"program": func(b *builder) {
		f := b.put("prog/sub/run.sh", "#!/bin/sh\necho run %d\ncat \"$1\" ../beside.txt\n")
		f.exec = true
		b.files["prog/sub/run.sh"] = f
		b.put("prog/sub/in.txt", "in %d\n")
		b.put("prog/beside.txt", "beside %d\n")
		b.add(&part{name: "program", knobs: []knob{{"inputs", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "exec" "program" {
  dir     = "prog/sub"
  inputs  = [%s]
  outputs = ["result"]
  command = ["sh", "-c", "./run.sh in.txt > result"]
}
stage "archive" "programs" {
  format = "zip"
  files  = [stage.program.path, "prog/sub/run.sh"]
}
`, []string{`"run.sh", "in.txt", "../beside.txt"`, `"*.sh", "in.*", "../beside.txt"`}[k("inputs")])
		}, targets: []string{"programs"}})
	},
	// A stage that works in the project itself.
	"workspace": func(b *builder) {
		b.put("ws/a.txt", "a %d\n")
		b.optional("ws/b.txt", "b %d\n")
		b.add(&part{name: "workspace", knobs: []knob{{"out", 2}}, stages: func(k func(string) int) string {
			out := []string{"ws.out", "ws.dir/"}[k("out")]
			script := "cat ws/*.txt > ws.out"
			if k("out") == 1 {
				script = "mkdir -p ws.dir; for f in ws/*.txt; do cp $f ws.dir/$(basename $f)-$(cat $f | tr -d ' \\n'); done"
			}
			return fmt.Sprintf("stage \"exec\" \"workspace\" {\n  inputs  = [\"ws/*.txt\"]\n  outputs = [\"%s\"]\n  script  = \"%s\"\n  sandbox {\n    inputs = \"workspace\"\n  }\n}\n", out, script)
		}, targets: []string{"workspace"}})
	},
	// A check whose verdict changes, and what waits for it.
	"check": func(b *builder) {
		b.put("check/x.txt", "value %d\n")
		b.add(&part{name: "check", knobs: []knob{{"bad", 3}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "exec" "check" {
  inputs  = ["check/x.txt"]
  command = ["grep", "-vq", "value [%d]", "check/x.txt"]
}
stage "exec" "checked" {
  after   = [stage.check]
  inputs  = ["check/x.txt"]
  outputs = ["checked.out"]
  script  = "cp check/x.txt checked.out"
}
`, k("bad")+1)
		}, targets: []string{"checked"}})
	},
	// Modes in packages and archives.
	"modes": func(b *builder) {
		b.put("modes/a", "a %d\n")
		f := b.put("modes/b.sh", "#!/bin/sh\necho %d\n")
		f.exec = true
		b.files["modes/b.sh"] = f
		b.optional("modes/sub/c", "c %d\n")
		b.add(&part{name: "modes", knobs: []knob{{"wrap", 2}, {"format", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf("stage \"archive\" \"modes\" {\n  files  = [\"modes\"]\n  format = \"%s\"\n%s}\nstage \"checksum\" \"sums\" {\n  files  = stage.modes.paths\n  output = \"modes.sum\"\n}\n",
				[]string{"tar.zst", "zip"}[k("format")], []string{"", "  wrap_directory = \"w\"\n"}[k("wrap")])
		}, targets: []string{"sums"}})
	},
}
