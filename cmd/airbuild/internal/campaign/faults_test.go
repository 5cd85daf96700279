package campaign

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/store"
)

// A fault is a wrong result that a key without something gave: of the files before,
// for the files after. What changes has the same size, as all that these keys lacked.
type fault struct {
	step   string
	stages string
	files  map[string]file // in both states
	before map[string]file
	after  map[string]file
	// seen: no key lacks it, but the stage's own declaration does. The store needs
	// no help to hold the wrong result.
	seen bool
}

func text(s string) file { return file{text: s} }

// plainFaults are those of steps without Go.
var plainFaults = []fault{
	{
		step:   "tool", // the tree that a tool was installed with
		stages: "stage \"exec\" \"tool\" {\n  inputs  = [\"tool.in\"]\n  outputs = [\"tool.out\"]\n  script  = \"campaign-tool < tool.in > tool.out\"\n}\n",
		files:  map[string]file{"tool.in": text("in\n")},
		before: map[string]file{"kit/lib/data": text("data 1\n")},
		after:  map[string]file{"kit/lib/data": text("data 2\n")},
	},
	{
		step:   "own", // an output of an earlier run among the inputs
		stages: "stage \"exec\" \"own\" {\n  inputs  = [\"own/**\"]\n  outputs = [\"own/all.txt\"]\n  script  = \"cat own/* > all; mv all own/all.txt\"\n}\n",
		files:  map[string]file{"own/a.txt": text("a\n")},
		before: map[string]file{"own/made.txt": text("a\n")},
	},
	{
		step: "leftover", // a file that a generator made earlier and makes no longer
		stages: "stage \"exec\" \"generate\" {\n  inputs  = [\"specs/*\"]\n  outputs = [\"generated/\"]\n  script  = \"mkdir -p generated; cp specs/* generated\"\n}\n" +
			"stage \"exec\" \"leftover\" {\n  inputs  = [stage.generate]\n  outputs = [\"leftover.out\"]\n  script  = \"cat generated/* > leftover.out\"\n}\n",
		files:  map[string]file{"specs/a": text("a\n")},
		before: map[string]file{"specs/b": text("b\n")},
	},
	{
		step:   "linked", // what a link among the inputs leads to
		stages: "stage \"exec\" \"linked\" {\n  inputs  = [\"linked/**\"]\n  outputs = [\"linked.out\"]\n  script  = \"cat linked/current/x > linked.out\"\n}\n",
		files:  map[string]file{"linked/v1/x": text("1\n"), "linked/v2/x": text("2\n")},
		before: map[string]file{"linked/current": {link: "v1"}},
		after:  map[string]file{"linked/current": {link: "v2"}},
	},
	{
		step: "undeclared", // a file that only a stage which sees the whole project can read
		stages: "stage \"exec\" \"undeclared\" {\n  outputs = [\"undeclared.out\"]\n  script  = \"cat undeclared.txt > undeclared.out\"\n" +
			"  sandbox {\n    inputs = \"workspace\"\n  }\n}\n",
		before: map[string]file{"undeclared.txt": text("1\n")},
		after:  map[string]file{"undeclared.txt": text("2\n")},
		seen:   true,
	},
}

// goFaults are those of Go's stages.
var goFaults = []fault{
	{
		step:   "assembly", // an include of another directory, for which Go's cache has the old object
		stages: "stage \"go_build\" \"assembly\" {\n  package = \"./assembly\"\n  output  = \"assembly\"\n}\n",
		files: map[string]file{
			"assembly/main.go":   text("package main\n\nfunc f() int\n\nfunc main() { println(f()) }\n"),
			"assembly/f_amd64.s": text("#include \"../inc/v.h\"\n\nTEXT ·f(SB), 4, $0-8\n\tMOVQ $VAL, ret+0(FP)\n\tRET\n"),
		},
		before: map[string]file{"inc/v.h": text("#define VAL 1\n")},
		after:  map[string]file{"inc/v.h": text("#define VAL 2\n")},
	},
	{
		step:   "headers", // a header of -isystem
		stages: "stage \"go_build\" \"headers\" {\n  package = \"./headers\"\n  output  = \"headers\"\n  cgo     = true\n}\n",
		files: map[string]file{
			"headers/main.go": text("package main\n\n// #cgo CFLAGS: -isystem ${SRCDIR}/../system\n// #include <v.h>\nimport \"C\"\n\nfunc main() { println(C.VAL) }\n"),
		},
		before: map[string]file{"system/v.h": text("#define VAL 1\n")},
		after:  map[string]file{"system/v.h": text("#define VAL 2\n")},
	},
	{
		step:   "embedded", // a file below an embedded folder
		stages: "stage \"go_build\" \"embedded\" {\n  package = \"./embedded\"\n  output  = \"embedded\"\n}\n",
		files:  map[string]file{"embedded/main.go": text("package main\n\nimport \"embed\"\n\n//go:embed all:data\nvar f embed.FS\n\nfunc main() {\n\tb, _ := f.ReadFile(\"data/.x\")\n\tprintln(string(b))\n}\n")},
		before: map[string]file{"embedded/data/.x": text("1\n")},
		after:  map[string]file{"embedded/data/.x": text("2\n")},
	},
	{
		step:   "compiled", // a generated source that is there no longer
		stages: "stage \"go_build\" \"compiled\" {\n  package = \"./compiled\"\n  output  = \"compiled\"\n}\n",
		files:  map[string]file{"compiled/main.go": text("package main\n\nvar s = \"\"\n\nfunc main() { println(s) }\n")},
		before: map[string]file{"compiled/z_gen.go": text("package main\n\nfunc init() { s = \"old\" }\n")},
	},
	{
		step:   "verdict", // what a test reads through a link
		stages: "stage \"go_test\" \"verdict\" {\n  packages = [\"./verdict\"]\n}\n",
		files: map[string]file{
			"verdict/v.go":      text("package verdict\n"),
			"verdict/v_test.go": text("package verdict\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestV(t *testing.T) {\n\tif b, err := os.ReadFile(\"testdata/x\"); err != nil || string(b) != \"1\\n\" {\n\t\tt.Fatal(string(b), err)\n\t}\n}\n"),
			"verdict/testdata":  {link: "../shared"},
		},
		before: map[string]file{"shared/x": text("1\n")},
		after:  map[string]file{"shared/x": text("2\n")},
	},
	{
		step:   "vetted", // a file that is excluded on the platform
		stages: "stage \"go_vet\" \"vetted\" {\n  packages = [\"./vetted\"]\n}\n",
		files:  map[string]file{"vetted/v.go": text("package vetted\n")},
		before: map[string]file{"vetted/x_windows.go": text("//go:build windows\n\npackage vetted\n\nconst X = 1\n")},
		after:  map[string]file{"vetted/x_windows.go": text("package vetted\n\n//go:build windows\n\nconst X = 1\n")},
	},
}

var (
	chosen     = flag.String("campaign.faults", "", "only these of the old faults, with commas between them")
	alsoVerify = flag.Bool("campaign.verify", false, "have verify find the old faults of steps with Go too")
)

// TestOldFaults puts faults back that airbuild had, and expects `run --audit-hits` and
// `verify` to find each. Where a key is right today, the store is given what the fault
// stored: the result of the old files under the key of the new ones.
//
// Faults that give the same wrong bytes from the same files every time (a version that
// sorts wrong, a name in a bill of materials) are beyond them: a rebuild repeats those.
func TestOldFaults(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the tool and the C compiler's flags are for Linux")
	}
	bin := program(t)
	t.Run("plain", func(t *testing.T) { findFaults(t, bin, plainFaults, auditHits, verify) })
	t.Run("go", func(t *testing.T) {
		if testing.Short() {
			t.Skip("compiles the standard library with empty caches")
		}
		faults := slices.Clone(goFaults)
		_, err := exec.LookPath("gcc")
		faults = slices.DeleteFunc(faults, func(f fault) bool {
			lacks := f.step == "headers" && err != nil || f.step == "assembly" && runtime.GOARCH != "amd64"
			if lacks {
				t.Logf("left out: the fault of %s: this host has no compiler for it", f.step)
			}
			return lacks
		})
		// Both rebuild alike, and here that takes a minute: the second one on demand.
		commands := [][]string{auditHits}
		if *alsoVerify {
			commands = append(commands, verify)
		}
		findFaults(t, bin, faults, commands...)
	})
}

// verdicts are the lines of a report that say how steps came out.
func verdicts(out string) string {
	return strings.Join(regexp.MustCompile(`(?m)^(same|differs|failed|follows|left out|not the same|not built again|error|audit of hits).*$`).FindAllString(out, -1), "\n")
}

// The commands that must find each fault.
var auditHits, verify = []string{"run", "--audit-hits", "1"}, []string{"verify"}

func findFaults(t *testing.T, bin string, faults []fault, commands ...[]string) {
	if *chosen != "" {
		faults = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slices.Contains(strings.Split(*chosen, ","), f.step) })
	}
	root := t.TempDir()
	airbuild := func(dir, store string, want int, args ...string) (out string) {
		t.Helper()
		cmd := exec.Command(bin, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "AIRBUILD_CACHE="+filepath.Join(root, store), "GOCACHE="+filepath.Join(root, "gocache"),
			"PATH="+filepath.Join(root, "kit", "bin")+string(filepath.ListSeparator)+os.Getenv("PATH"),
			"GIT_CEILING_DIRECTORIES="+root, "GOPROXY=off", "GOTOOLCHAIN=local", "GOFLAGS=", "NO_COLOR=1", "AIRBUILD_COMPILE_CACHE=", "AIRBUILD_AUDIT_HITS=")
		text, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if code := cmd.ProcessState.ExitCode(); code != want {
			t.Fatalf("airbuild %v: exit code %d, want %d\n%s", args, code, want, text)
		}
		return string(text)
	}

	all := map[string]file{
		"go.mod":                text("module example.com/faults\n\ngo 1.26\n"),
		"kit/bin/campaign-tool": {text: "#!/bin/sh\ncat \"${0%/*}/../lib/data\" -\n", exec: true},
	}
	stages := "stage \"exec\" \"right\" {\n  inputs  = [\"go.mod\"]\n  outputs = [\"right.out\"]\n  script  = \"cp go.mod right.out\"\n}\n"
	targets := "stage.right"
	for _, f := range faults {
		maps.Copy(all, f.files)
		stages += f.stages
		targets += ", stage." + f.step
	}
	all["Airbuildfile"] = text(stages + "pipeline \"default\" {\n  stages = [" + targets + "]\n}\n")
	// at writes the files of one state, and those of the tool beside the project.
	kit := &tree{root, map[string]file{}}
	at := func(name string, of func(fault) map[string]file) string {
		files := maps.Clone(all)
		for _, f := range faults {
			maps.Copy(files, of(f))
		}
		tools := map[string]file{}
		for name, f := range files {
			if strings.HasPrefix(name, "kit/") {
				tools[name] = f
				delete(files, name)
			}
		}
		project := &tree{filepath.Join(root, name), map[string]file{}}
		if err := errors.Join(project.sync(files, false), kit.sync(tools, false)); err != nil {
			t.Fatal(err)
		}
		return project.dir
	}
	// What a test or go vet finds in the new files is a failure.
	fails := 0
	for _, f := range faults {
		if f.step == "verdict" || f.step == "vetted" {
			fails = 1
		}
	}
	before := at("before", func(f fault) map[string]file { return f.before })
	oldKeys := keysOf(t, airbuild(before, "store", 0, "run", "-k", "--output", "json"))
	after := at("after", func(f fault) map[string]file { return f.after })
	newKeys := keysOf(t, airbuild(after, "other", fails, "run", "-k", "--output", "json"))
	st, err := store.Open(filepath.Join(root, "store"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		if f.seen {
			continue
		}
		if oldKeys[f.step] == newKeys[f.step] {
			t.Errorf("%s: the key is the same for other files", f.step)
			continue
		}
		from := digestOf(t, st, oldKeys[f.step])
		to := action.Digest{Hash: digestOf(t, nil, newKeys[f.step]).Hash, Size: from.Size}
		if info, err := os.Stat(filepath.Join(root, "other", "cas", newKeys[f.step][:2], newKeys[f.step])); err == nil {
			to.Size = info.Size()
		}
		r, err := st.Result(t.Context(), from)
		if err != nil || r == nil {
			t.Fatalf("%s: no result: %v", f.step, err)
		}
		if err := st.PutResult(t.Context(), to, r); err != nil {
			t.Fatal(err)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}

	out := airbuild(after, "store", 0, "run", "--output", "json")
	for _, f := range faults {
		if !f.seen && !strings.Contains(out, fmt.Sprintf(`"step":"%s","stage":"%[1]s","cell":"","type":"%s","status":"hit"`, f.step, typeOf(f.stages, f.step))) {
			t.Errorf("%s: the fault is not there\n%s", f.step, out)
		}
	}
	for _, args := range commands {
		code := 3
		if args[0] == "verify" && fails > 0 {
			code = 1 // a step fails in the second build, and that comes first
		}
		out := verdicts(airbuild(after, "store", code, args...))
		for _, f := range faults {
			if !regexp.MustCompile(`(?m)^(differs|failed) +` + f.step + `: `).MatchString(out) {
				t.Errorf("%v does not find the fault of %s\n%s", args, f.step, out)
			}
		}
		if regexp.MustCompile(`(?m)^(differs|failed|follows) +right: `).MatchString(out) {
			t.Errorf("%v finds a fault where there is none\n%s", args, out)
		}
	}
	for _, f := range faults {
		if f.seen {
			if out := airbuild(after, "store", 3, "audit", f.step); !strings.Contains(out, "undeclared.txt") {
				t.Errorf("audit does not name the file\n%s", out)
			}
		}
	}
}

// typeOf is the type of a stage.
func typeOf(stages, name string) string {
	m := regexp.MustCompile(`stage "(\w+)" "` + name + `"`).FindStringSubmatch(stages)
	return m[1]
}

// keysOf reads the keys of all steps of a run, by step.
func keysOf(t *testing.T, out string) map[string]string {
	t.Helper()
	keys := map[string]string{}
	for line := range strings.Lines(out) {
		var e struct{ Event, Step, Status, Key string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Event == "step" && e.Status != "run" {
			keys[e.Step] = e.Key
		}
	}
	return keys
}

// digestOf is the digest of an Action whose hash is known, with the size that it has
// in a store.
func digestOf(t *testing.T, s *store.Disk, key string) action.Digest {
	t.Helper()
	hash, err := action.ParseHash(key)
	if err != nil {
		t.Fatal(err)
	}
	d := action.Digest{Hash: hash}
	if s != nil {
		info, err := os.Stat(s.BlobFile(d))
		if err != nil {
			t.Fatal(err)
		}
		d.Size = info.Size()
	}
	return d
}
