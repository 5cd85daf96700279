package campaign

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// module is the path of the projects' module. No package of GOCACHE's base has it.
const module = "example.com/campaign"

// goParts are parts of Go projects. Each package that the program imports has a
// function F that returns what it is made of.
var goParts = map[string]func(b *builder){
	// Packages that import each other, with files that come and go.
	"packages": func(b *builder) {
		b.put("pkg/a/a.go", "package a\n\nimport \"example.com/campaign/pkg/b\"\n\nvar more string\n\nfunc F() string { return \"a%d\" + more + b.F() }\n")
		b.put("pkg/b/b.go", "package b\n\nvar more string\n\nfunc F() string { return \"b%d\" + more }\n")
		b.optional("pkg/a/x.go", "package a\n\nfunc init() { more += \"x%d\" }\n")
		b.optional("pkg/b/y.go", "package b\n\nfunc init() { more += \"y%d\" }\n")
		b.put("pkg/b/z_windows.go", "package b\n\nconst Z = %d\n")
		b.put("pkg/b/tag.go", "//go:build extra\n\npackage b\n\nfunc init() { more += \"t%d\" }\n")
		b.add(&part{name: "packages", imports: []string{"pkg/a"}})
	},
	"embed": func(b *builder) {
		b.put("pkg/emb/e.go", "package emb\n\nimport \"embed\"\n\n//go:embed data/*.txt all:tree one.json\nvar files embed.FS\n\nfunc F() string {\n\tb, _ := files.ReadFile(\"one.json\")\n\te, _ := files.ReadDir(\"tree\")\n\tfor _, f := range e {\n\t\tb = append(b, f.Name()...)\n\t}\n\treturn string(b) + \"%d\"\n}\n")
		b.put("pkg/emb/one.json", "{\"one\": %d}\n")
		b.put("pkg/emb/data/a.txt", "a %d\n")
		b.optional("pkg/emb/data/b.txt", "b %d\n")
		b.put("pkg/emb/tree/x", "x %d\n")
		b.optional("pkg/emb/tree/.hidden", "hidden %d\n")
		b.optional("pkg/emb/tree/deep/y", "y %d\n")
		b.put("pkg/emb/data/not.md", "%d\n")
		b.add(&part{name: "embed", imports: []string{"pkg/emb"}})
	},
	// Assembly that includes files of other folders.
	"assembly": func(b *builder) {
		b.put("pkg/asm/a.go", "package asm\n\nfunc f() int\n\nfunc F() string { return string(rune('0' + f())) }\n")
		b.put("pkg/asm/a_amd64.s", "#include \"../../inc/v.h\"\n\nTEXT ·f(SB), 4, $0-8\n\tMOVQ $VAL, ret+0(FP)\n\tRET\n")
		b.put("inc/v.h", "#include \"../../inc/deep/w.h\"\n#define VAL (W+%d)\n")
		b.put("inc/deep/w.h", "#define W %d\n")
		b.add(&part{name: "assembly", imports: []string{"pkg/asm"}})
	},
	// A package whose files a stage makes, in a folder of their own or beside others.
	"generated": func(b *builder) {
		for _, n := range "abc" {
			b.optional(fmt.Sprintf("api/%c.def", n), "%d")
		}
		b.put("api/always.def", "%d")
		b.put("pkg/gen/g.go", "package gen\n\nvar all string\n\nfunc F() string { return \"g%d\" + all }\n")
		b.put("pkg/kept/g.go", "package kept\n\nvar all string\n\nfunc F() string { return \"k%d\" + all }\n")
		b.add(&part{name: "generated", imports: []string{"pkg/gen", "pkg/kept"}, after: []string{"gen", "kept", "stamp"}, knobs: []knob{{"names", 2}, {"count", 3}, {"stamp", 4}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "exec" "gen" {
  inputs  = ["api/*.def"]
  outputs = ["pkg/gen/sub/"]
  script  = <<-EOT
    mkdir -p pkg/gen/sub
    printf 'package sub\n\nvar All string\n' > pkg/gen/sub/all.go
    for f in api/*.def; do
      n=$(basename $f .def)
      printf 'package sub\n\nfunc init() { All += "%%s" }\n' "$n$(cat $f)" > pkg/gen/sub/%[1]s$n.go
    done
  EOT
}
stage "exec" "kept" {
  matrix  = { n = range(%[2]d) }
  inputs  = ["api/always.def"]
  outputs = ["pkg/kept/z${matrix.n}_%[1]s.go"]
  script  = "mkdir -p pkg/kept; printf 'package kept\n\nfunc init() { all += \"%%s\" }\n' $(cat api/always.def) > $1"
}
stage "exec" "stamp" {
  outputs = ["pkg/gen/stamp.go"]
  script  = "mkdir -p pkg/gen; printf 'package gen\n\nimport \"example.com/campaign/pkg/gen/sub\"\n\nfunc init() { all += sub.All + \"%[3]d\" }\n' > $1"
}
`, []string{"x", "y"}[k("names")], k("count")+1, k("stamp"))
		}})
	},
	"gogenerate": func(b *builder) {
		b.put("pkg/ggen/g.go", "package ggen\n\n//go:generate sh gen.sh\n\nfunc F() string { return \"gg%d\" + made }\n")
		b.put("pkg/ggen/gen.sh", "n=$(cat *.in); printf 'package ggen\\n\\nconst made = \"%%s\"\\n' \"$n-%d\" > z_gen.go\n")
		b.put("pkg/ggen/a.in", "%d")
		b.optional("pkg/ggen/b.in", "%d")
		b.add(&part{name: "gogenerate", imports: []string{"pkg/ggen"}, after: []string{"ggen"}, knobs: []knob{{"by", 2}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "go_generate" "ggen" {
  packages = ["./pkg/ggen"]
  inputs   = [%s]
  outputs  = ["pkg/ggen/z_gen.go"]
  tools    = ["sh", "cat", "printf"]
}
`, []string{`"pkg/ggen/*.{go,sh,in}", "go.mod"`, `"pkg/ggen/**", "go.mod"`}[k("by")])
		}})
	},
	// Files and packages that are links.
	"sourcelinks": func(b *builder) {
		for _, v := range []string{"v1", "v2"} {
			b.put("alt/"+v+"/f.txt", "package lnk\n\nconst text = \"lnk%d\"\n")
			b.put("alt/"+v+"/pk/p.go", "package pk\n\nfunc F() string { return \"pk%d\" }\n")
		}
		b.link("pkg/lnk/f.go", "../../alt/v1/f.txt", "../../alt/v2/f.txt")
		b.put("pkg/lnk/l.go", "package lnk\n\nfunc F() string { return text + \"%d\" }\n")
		b.link("pkg/via", "../alt/v1", "../alt/v2")
		b.add(&part{name: "sourcelinks", imports: []string{"pkg/lnk", "pkg/via/pk"}})
	},
	// A module in place of another, and one of the workspace.
	"modules": func(b *builder) {
		for _, v := range []string{"third", "fork"} {
			b.put(v+"/go.mod", "module example.com/third\n\ngo 1.26\n")
			b.put(v+"/t.go", "package third\n\nvar more string\n\nfunc F() string { return \"third%d\" + more }\n")
			b.optional(v+"/u.go", "package third\n\nfunc init() { more += \"u%d\" }\n")
		}
		b.put("lib/go.mod", "module example.com/lib\n\ngo 1.26\n")
		b.put("lib/l.go", "package lib\n\nfunc F() string { return \"lib%d\" }\n")
		b.put("pkg/mods/m.go", "package mods\n\nimport (\n\t\"example.com/lib\"\n\t\"example.com/third\"\n)\n\nfunc F() string { return third.F() + lib.F() + \"%d\" }\n")
		mod := "module example.com/campaign\n\ngo 1.26\n\nrequire example.com/third v0.0.0\n\nreplace example.com/third => ./"
		work := "go 1.26\n\nuse (\n\t.\n\t./lib\n)\n"
		b.files["go.mod"] = file{text: mod + "third\n", vary: func(v int) string { return mod + []string{"third\n", "fork\n"}[v%2] }}
		b.files["go.work"] = file{text: work, vary: func(v int) string { return work + []string{"", "\nreplace example.com/third => ./fork\n"}[v%2] }}
		b.add(&part{name: "modules", imports: []string{"pkg/mods"}})
	},
	// Tests and all that they read. A case fails if what it reads holds a 3 or a 7.
	"tests": func(b *builder) {
		b.put("pkg/t/t.go", "package t\n\nfunc F() string { return \"t%d\" }\n")
		b.put("pkg/t/t_test.go", testText)
		b.put("pkg/t/testdata/x.txt", "x %d\n")
		b.put("pkg/t/folder/x.txt", "x %d\n")
		b.put("pkg/t/.hidden", "%d\n")
		b.put("pkg/t/beside.txt", "%d\n")
		b.put("pkg/t/t_plan9.go", "package t\n\n// %d\n")
		b.put("pkg/testdata/up.txt", "%d\n")
		b.put("shared/declared.txt", "%d\n")
		b.put("shared/one.txt", "%d\n")
		b.put("shared/two.txt", "%d\n")
		b.put("shared/dir1/x.txt", "%d\n")
		b.put("shared/dir2/x.txt", "%d\n")
		b.optional("pkg/t/testdata/list/a", "%d\n")
		b.optional("pkg/t/testdata/list/b", "%d\n")
		b.put("pkg/t/testdata/list/c", "%d\n")
		b.link("pkg/t/testdata/linked.txt", "../../../shared/one.txt", "../../../shared/two.txt")
		b.link("pkg/t/linkdir", "../../shared/dir1", "../../shared/dir2")
		b.env["CAMPAIGN_T"] = "1"
		b.add(&part{name: "tests", targets: []string{"test"}, imports: []string{"pkg/t"}, knobs: []knob{{"short", 2}, {"env", 3}}, stages: func(k func(string) int) string {
			return fmt.Sprintf(`stage "go_test" "test" {
  packages = ["./pkg/t"]
  inputs   = ["shared/declared.txt"]
  short    = %v
  pass_env = ["CAMPAIGN_T"]
  env      = { CAMPAIGN_U = "%d" }
}
`, k("short") == 1, k("env")+2)
		}})
	},
	"vet": func(b *builder) {
		b.put("pkg/v/v.go", "package v\n\nfunc F() string { return \"v%d\" }\n\nfunc Same(a int) bool { return a == a-0 }\n")
		b.put("pkg/v/w.go", "package v\n\nimport \"os\"\n\nfunc W(a int) { os.Stdout.WriteString(\"%d\") }\n")
		windows := func(v int) string {
			return []string{"//go:build windows\n\npackage v\n\nconst N = 1\n", "package v\n\n//go:build windows\n\nconst N = 1\n"}[v%2]
		}
		b.files["pkg/v/n_windows.go"] = file{text: windows(0), vary: windows}
		assign := func(v int) string {
			return []string{"package v\n\nfunc Self(a int) int { return a }\n", "package v\n\nfunc Self(a int) int { a = a; return a }\n"}[v%2]
		}
		b.files["pkg/v/s.go"] = file{text: assign(0), vary: assign}
		b.put("pkg/v/v_test.go", "package v\n\nimport \"testing\"\n\nfunc TestF(t *testing.T) { _ = F() + \"%d\" }\n")
		b.add(&part{name: "vet", targets: []string{"vet"}, imports: []string{"pkg/v"}, stages: func(k func(string) int) string {
			return "stage \"go_vet\" \"vet\" {\n  packages = [\"./pkg/v\"]\n}\n"
		}})
	},
	// C with headers that the go command's ids do not hold.
	"cgo": func(b *builder) {
		b.put("pkg/cc/c.go", `package cc

// #cgo CFLAGS: -I${SRCDIR}/../../c/plain -isystem ${SRCDIR}/../../c/system -include ../../c/forced.h
// #cgo LDFLAGS: ${SRCDIR}/../../c/lib/libl.a
// const char *text(void);
import "C"

func F() string { return C.GoString(C.text()) + "%d" }
`)
		b.put("pkg/cc/c.c", `#include <plain.h>
#include "quote.h"
#include <system.h>
#define NAMED <named.h>
#include NAMED
#include "../../c/rel/rel.h"
#include "sub/local.h"
#if __has_include("sub/maybe.h")
#include "sub/maybe.h"
#else
#define MAYBE "no"
#endif
extern const char bin_data[];
extern const char *lib_text;
__asm__(".section .rodata\nbin_data: .incbin \"data.bin\"\n.byte 0\n.previous\n");
static char all[256];
const char *text(void) {
	const char *parts[] = {PLAIN, QUOTE, SYSTEM, NAME, REL, LOCAL, FORCED, MAYBE, bin_data, lib_text, 0};
	char *to = all;
	for (const char **p = parts; *p; p++)
		for (const char *c = *p; *c; c++)
			*to++ = *c;
	*to = 0;
	return all;
}
`)
		b.put("c/plain/plain.h", "#define PLAIN \"plain%d\"\n")
		b.put("c/quote/quote.h", "#define QUOTE \"quote%d\"\n")
		b.put("c/system/system.h", "#define SYSTEM \"system%d\"\n")
		b.put("c/plain/named.h", "#define NAME \"name%d\"\n")
		b.put("c/rel/rel.h", "#include \"deep.h\"\n#define REL DEEP \"rel%d\"\n")
		b.put("c/rel/deep.h", "#define DEEP \"deep%d\"\n")
		b.put("c/forced.h", "#define FORCED \"forced%d\"\n")
		b.put("pkg/cc/sub/local.h", "#define LOCAL \"local%d\"\n")
		b.optional("pkg/cc/sub/maybe.h", "#define MAYBE \"maybe%d\"\n")
		b.put("pkg/cc/data.bin", "data%d\n")
		b.files["c/lib/libl.a"] = file{text: library(1), vary: library}
		// A file that would hide another of its name.
		b.files["c/quote/plain.h"] = file{text: "#define PLAIN \"hidden\"\n", vary: sources("#define PLAIN \"hidden%d\"\n"), optional: true}
		b.add(&part{name: "cgo", imports: []string{"pkg/cc"}, cgo: true})
	},
}

const testText = `package t

import (
	"os"
	"strings"
	"testing"
)

func TestFiles(t *testing.T) {
	for name, file := range map[string]string{
		"testdata": "testdata/x.txt", "folder": "folder/x.txt", "hidden": ".hidden", "beside": "beside.txt",
		"other": "t_plan9.go", "up": "../testdata/up.txt", "declared": "../../shared/declared.txt",
		"linked": "testdata/linked.txt", "linkdir": "linkdir/x.txt",
	} {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if name == "other" {
				b = b[len("package t"):]
			}
			judge(t, string(b))
		})
	}
	t.Run("list", func(t *testing.T) {
		e, err := os.ReadDir("testdata/list")
		if err != nil {
			t.Fatal(err)
		}
		if len(e) == 2 {
			t.Error("2 files")
		}
	})
	t.Run("module", func(t *testing.T) {
		b, err := os.ReadFile("../../go.mod")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(b), "=> ./fork") {
			t.Error("fork")
		}
	})
	t.Run("self", func(t *testing.T) { judge(t, F()+"%d") })
	t.Run("short", func(t *testing.T) {
		if !testing.Short() {
			judge(t, os.Getenv("CAMPAIGN_U"))
		}
	})
	t.Run("env", func(t *testing.T) { judge(t, os.Getenv("CAMPAIGN_T")) })
}

func judge(t *testing.T, text string) {
	if strings.ContainsAny(text, "37") {
		t.Errorf("got %%q", text)
	}
}
`

// library is a static library whose text holds v.
func library(v int) string {
	if text, ok := libraries[v]; ok {
		return text
	}
	dir, err := os.MkdirTemp("", "campaign-lib-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "l.c"), fmt.Appendf(nil, "const char *lib_text = \"lib%d\";\n", v), 0o666); err != nil {
		panic(err)
	}
	for _, line := range []string{"gcc -c -o l.o l.c", "ar rcsD libl.a l.o"} {
		f := strings.Fields(line)
		cmd := exec.Command(f[0], f[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			panic(fmt.Sprintf("%s: %v\n%s", line, err, out))
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, "libl.a"))
	if err != nil {
		panic(err)
	}
	libraries[v] = string(b)
	return libraries[v]
}

// libraries are those that library made, by value.
var libraries = map[int]string{}

// program adds the program that prints what all packages are made of.
func (b *builder) program() {
	if _, ok := b.files["go.mod"]; !ok {
		b.put("go.mod", "module example.com/campaign\n\ngo 1.26\n")
	}
	var imports, calls, after []string
	cgo := false
	for _, p := range b.parts {
		for _, dir := range p.imports {
			name := fmt.Sprintf("p%d", len(imports))
			imports = append(imports, fmt.Sprintf("\t%s \"%s/%s\"\n", name, module, dir))
			calls = append(calls, name+".F()")
		}
		for _, s := range p.after {
			after = append(after, "stage."+s)
		}
		cgo = cgo || p.cgo
	}
	b.put("cmd/app/main.go", fmt.Sprintf("package main\n\nimport (\n\t\"os\"\n\n%s)\n\nvar version string\n\nfunc main() { os.Stdout.WriteString(version + %s + \"%%d\") }\n",
		strings.Join(imports, ""), strings.Join(calls, " + ")))
	b.add(&part{name: "program-go", knobs: []knob{{"version", 5}, {"tags", 2}, {"output", 2}}, targets: []string{"bin"}, stages: func(k func(string) int) string {
		c := "  cgo     = false\n"
		if cgo {
			// #cgo lines may not have -iquote.
			c = fmt.Sprintf("  matrix  = { platform = [\"linux/%[1]s\"] }\n  cgo \"linux/%[1]s\" {\n    cppflags = [\"-iquote\", \"../../c/quote\"]\n  }\n", runtime.GOARCH)
		}
		return fmt.Sprintf("stage \"go_build\" \"bin\" {\n  package = \"./cmd/app\"\n  output  = \"%s\"\n%s  stamp   = { \"main.version\" = \"%d\" }\n  after   = [%s]\n%s}\n",
			[]string{"app", "bin/app"}[k("output")], c, k("version"), strings.Join(after, ", "), []string{"", "  tags    = [\"extra\"]\n"}[k("tags")])
	}})
}
