package shell

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

// block is a stage on a host that has the programs jq and sh.
func block(attrs map[string]any) *tasks.Block {
	b := tasktest.Block("exec", "gen", fstest.MapFS{
		"gen.sh": {Mode: 0o755}, "sub/tools/gen.sh": {Mode: 0o755}, "sub/tools/lib": {Mode: fs.ModeDir},
	})
	absent := b.Project.FindTool
	b.Project.FindTool = func(name string) (string, error) {
		if name == "jq" || name == "sh" {
			return "/host/bin/" + name, nil
		}
		return absent(name)
	}
	for k, v := range attrs {
		tasktest.Set(b, k, v)
	}
	return b
}

func programs(s engine.Step) string {
	var names []string
	ps, _ := s.Discoverer.(tasks.Programs)
	for _, p := range ps {
		names = append(names, p.Name+"="+p.Path)
	}
	return strings.Join(names, " ")
}

func inputs(s engine.Step) string {
	var paths []string
	for _, in := range s.Inputs {
		paths = append(paths, in.Path)
	}
	return strings.Join(paths, " ")
}

func TestCommand(t *testing.T) {
	for _, tt := range []struct {
		name, dir           string
		command             []string
		argv, progs, inputs string
	}{
		{"program", ".", []string{"jq", "-n", "1"}, `["jq" "-n" "1"]`, "jq=/host/bin/jq sh=/host/bin/sh", ""},
		{"project file", ".", []string{"./gen.sh"}, `["./gen.sh"]`, "sh=/host/bin/sh", "gen.sh"},
		{"project file in dir", "sub", []string{"tools/gen.sh"}, `["tools/gen.sh"]`, "sh=/host/bin/sh", "sub/tools/gen.sh"},
		{"made by a stage", ".", []string{"dist/gen", "dist/gen"}, `["./dist/gen" "./dist/gen"]`, "sh=/host/bin/sh", "dist/gen"},
		{"made by a stage, from dir", "sub/x", []string{"dist/gen"}, `["../../dist/gen"]`, "sh=/host/bin/sh", "dist/gen"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := block(map[string]any{"command": tt.command, "tools": []string{"sh"}, "outputs": []string{"b/", "a"}})
			b.Meta.Dir = tt.dir
			if tt.command[0] == "dist/gen" {
				v := b.Values["command"]
				v.Refs = []tasks.Ref{{Step: 3, Path: "dist/gen"}}
				b.Values["command"] = v
			}
			s := tasktest.Step(t, &task{}, b)
			if got := fmt.Sprintf("%q", s.Command.Arguments); got != tt.argv {
				t.Errorf("argv %s, want %s", got, tt.argv)
			}
			if got := programs(s); got != tt.progs && got != reverse(tt.progs) {
				t.Errorf("programs %s, want %s", got, tt.progs)
			}
			if got := inputs(s); got != tt.inputs {
				t.Errorf("inputs %s, want %s", got, tt.inputs)
			}
			if got := fmt.Sprint(s.Command.OutputFiles, s.Command.OutputDirectories, s.Command.OutputPaths); got != "[a] [b] [a b]" {
				t.Errorf("outputs %s", got)
			}
			if s.Mode != engine.Staged || s.Command.WorkingDirectory != strings.TrimPrefix(tt.dir, ".") {
				t.Errorf("mode %v in %q", s.Mode, s.Command.WorkingDirectory)
			}
			root := map[string]string{".": "[]", "sub": "[{AIRBUILD_ROOT ..}]", "sub/x": "[{AIRBUILD_ROOT ../..}]"}[tt.dir]
			if got := fmt.Sprint(s.Command.Env); got != root {
				t.Errorf("env %s, want %s", got, root)
			}
		})
	}
}

func reverse(s string) string {
	a, b, _ := strings.Cut(s, " ")
	return b + " " + a
}

func TestWorkspace(t *testing.T) {
	b := block(map[string]any{"command": []string{"jq"}})
	b.Meta.SandboxMode = "workspace"
	if s := tasktest.Step(t, &task{}, b); s.Mode != engine.Workspace {
		t.Errorf("mode %v", s.Mode)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		attrs map[string]any
		words string
	}{
		{nil, "Nothing to run"},
		{map[string]any{"command": []string{}}, "Nothing to run"},
		{map[string]any{"command": []string{"jq"}, "script": "jq"}, "one of the two"},
		{map[string]any{"command": []string{"airbuild:archive", "1", "{}"}}, "Not a program"},
		{map[string]any{"command": []string{"./gone.sh"}}, "no file gone.sh"},
		{map[string]any{"command": []string{"sub/tools/lib"}}, "is a directory"},
		{map[string]any{"command": []string{"../x"}}, "leaves the project"},
		{map[string]any{"command": []string{"jq"}, "outputs": []string{"a", "a/"}}, "listed twice"},
		{map[string]any{"script": "echo (\n"}, "line 1 of the script"},
		{map[string]any{"script": "echo\nif true; then\necho"}, "line 2 of the script"},
	} {
		tasktest.WantError(t, &task{}, block(tt.attrs), tt.words)
	}
	for _, attrs := range []map[string]any{
		{"command": []string{"jqq"}},
		{"command": []string{"jq"}, "tools": []string{"jqq"}},
		{"script": "echo\njqq ."},
	} {
		tasktest.WantMissing(t, &task{}, block(attrs), `program "jqq" not found`)
	}
	b := block(map[string]any{"script": "echo hunter2"})
	v := b.Values["script"]
	v.Sensitive = true
	b.Values["script"] = v
	tasktest.WantError(t, &task{}, b, "Sensitive value")
}

func TestFindCalls(t *testing.T) {
	for script, want := range map[string]string{
		"jq . <a | sort >b":                              "jq:1 sort:1",
		"f() { jq; }\nf; echo x; cd /; [ a = b ]":        "jq:1",
		"X=$(date) env jq":                               "date:1 env:1",
		"\n\ncommand -p jq; exec 'sort' -u; \"tr\" a b":  "jq:3 sort:3 tr:3",
		"if command -v zstd >/dev/null; then zstd x; fi": "zstd:1?",
		"which jq && $CC -c x.c":                         "jq:1? which:1",
		"type -p a b || hash c":                          "a:1? b:1? c:1?",
		"PATH=$PWD/bin:$PATH\nmine":                      "mine:2?",
		"for i in 1 2; do (./gen.sh $i &); done; wait":   "./gen.sh:1",
		"cat <<X\n$(jq)\nX":                              "cat:1 jq:2",
	} {
		file, err := parse(script)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range findCalls(file) {
			got = append(got, fmt.Sprintf("%s:%d%s", c.name, c.line, map[bool]string{true: "?"}[c.optional]))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %v, want %s", script, got, want)
		}
	}
}

func TestScriptPlan(t *testing.T) {
	b := block(map[string]any{"script": "command -v zstd || jq .\r\n./gen.sh; ./made", "outputs": []string{"out/", "b"}})
	s := tasktest.Step(t, &task{}, b)
	if got := fmt.Sprintf("%q", s.Command.Arguments); got != `["airbuild:sh" "1" "command -v zstd || jq .\n./gen.sh; ./made" "out" "b"]` {
		t.Error(got)
	}
	if got := programs(s) + " " + inputs(s); got != "jq=/host/bin/jq zstd= gen.sh" {
		t.Error(got)
	}
}

// TestScriptLine: a missing program is shown where it stands in a heredoc.
func TestScriptLine(t *testing.T) {
	const src = "stage \"exec\" \"gen\" {\n  script = <<-EOT\n    echo ü\n    jqq .\n  EOT\n}\n"
	f, diags := hclsyntax.ParseConfig([]byte(src), "Airbuildfile", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	attr := f.Body.(*hclsyntax.Body).Blocks[0].Body.Attributes["script"]
	text, _ := attr.Expr.Value(nil)
	b := block(map[string]any{"script": text})
	b.Project.Files = fstest.MapFS{"Airbuildfile": {Data: []byte(src)}}
	v := b.Values["script"]
	v.Range = attr.Expr.Range()
	b.Values["script"] = v
	tasktest.WantMissing(t, &task{}, b, `Airbuildfile:4: program "jqq" not found`)
	r := scriptLine(b, 2)
	if got := src[r.Start.Byte:r.End.Byte]; got != "jqq ." || r.Start.Line != 4 || r.Start.Column != 5 {
		t.Errorf("%v: %q", r, got)
	}
	if got := scriptLine(b, 99); got != v.Range {
		t.Errorf("line 99: %v", got)
	}
}

func run(t *testing.T, script string, env []action.EnvVar, outputs ...string) (dir, log string, err error) {
	t.Helper()
	return runTool(t, Tools()[toolName], script, env, outputs...)
}

func runTool(t *testing.T, tool engine.Tool, script string, env []action.EnvVar, outputs ...string) (dir, log string, err error) {
	t.Helper()
	s := engine.Step{Mode: engine.Staged, Command: action.Command{
		Arguments: append([]string{"airbuild:sh", "1", script}, outputs...), Env: env, OutputPaths: outputs, WorkingDirectory: "work",
	}}
	return tasktest.Run(t, map[string]engine.Tool{toolName: tool}, s, fstest.MapFS{"work/in": {Data: []byte("input\n")}})
}

func TestRun(t *testing.T) {
	dir, log, err := run(t, `
		read line <in
		echo "$line $GREETING $#" >"$1"
		echo two | { read x; echo "$x"; } >> $1
		echo logged
		echo warned >&2`, []action.EnvVar{{Name: "GREETING", Value: "hello"}}, "out/a")
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if got, err := os.ReadFile(filepath.Join(dir, "work/out/a")); string(got) != "input hello 1\ntwo\n" {
		t.Errorf("%v %q", err, got)
	}
	if log != "logged\nwarned\n" {
		t.Errorf("log %q", log)
	}
}

// Where a pattern would give names with backslashes the script fails: its key
// is that of other systems, where it gives others.
func TestPatternsWithBackslashes(t *testing.T) {
	for script, refused := range map[string]bool{
		`mkdir d; echo > d/x; for f in d/*; do echo "$f"; done`: true,
		`mkdir d; echo > d/x; f='*/x'; echo $f`:                 true,
		`for f in *; do echo "$f"; done; echo "d/*"; echo d`:    false,
		`mkdir d; echo > d/x; cd d; echo *`:                     false,
	} {
		_, log, err := runTool(t, tool{backslashes: true}, script, nil)
		if (err != nil) != refused || refused && !strings.Contains(err.Error(), "backslashes") {
			t.Errorf("%s: %v\n%s", script, err, log)
		}
		if _, log, err := runTool(t, tool{}, script, nil); err != nil {
			t.Errorf("%s: %v\n%s", script, err, log)
		}
	}
}

func TestFailures(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		code         int
		words        string // of the error or the log
	}{
		{"exit", "exit 3", 3, "script: exit status 3"},
		{"errexit", "false; echo not reached; exit 9", 1, ""},
		{"unset", "echo $NOWHERE; exit 9", 1, "NOWHERE: unbound variable"},
		{"pipefail", "(exit 4) | true; exit 9", 4, ""},
		{"not found", "true\nno-such-program-here -x", 127, "script line 2: no-such-program-here: exit status 127"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, log, err := run(t, tt.script, nil)
			exit, ok := errors.AsType[*engine.ExitError](err)
			if !ok || exit.Program != "script" || exit.Code != tt.code {
				t.Fatalf("err = %v, want exit status %d", err, tt.code)
			}
			if all := err.Error() + "\n" + log; !strings.Contains(all, tt.words) || strings.Contains(log, "not reached") {
				t.Errorf("%q, want a mention of %q", all, tt.words)
			}
		})
	}
	if _, _, err := run(t, "no-such-program-here || true", nil); err != nil {
		t.Errorf("guarded failure: %v", err)
	}
}

// needSh skips where there is no sh to start processes with.
func needSh(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("this host has no sh to start processes with")
	}
}

func TestProcesses(t *testing.T) {
	needSh(t)
	script := `
		export A=1; B=2; C=3
		unset GONE
		C=4 sh -c 'echo "$A-${B-unset}-$C-${GONE-unset}"; pwd' | sed "s,$PWD,here,"
		mkdir sub; cd sub; sh -c 'echo "$(basename "$(pwd)")"'
		mkdir bin; printf '#!/bin/sh\necho mine\n' >bin/mine; chmod +x bin/mine
		./bin/mine; PATH=$PWD/bin:$PATH; mine; sh -c mine
		sh -c 'exit 7' || echo "status $?"`
	_, log, err := run(t, script, []action.EnvVar{{Name: "GONE", Value: "x"}})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	if want := "1-unset-4-unset\nhere\nsub\nmine\nmine\nmine\nstatus 7\n"; log != want {
		t.Errorf("%q, want %q", log, want)
	}
}

// TestBackground: nothing that a script starts outlives it.
func TestBackground(t *testing.T) {
	needSh(t)
	start := time.Now()
	_, log, err := run(t, "sleep 60 & echo done", nil)
	if err != nil || log != "done\n" || time.Since(start) > 30*time.Second {
		t.Errorf("%v %q after %v", err, log, time.Since(start))
	}
}

func TestCancel(t *testing.T) {
	needSh(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	call := &engine.ToolCall{Args: []string{"while true; do sleep 60; done"}, WorkDir: t.TempDir(), Log: new(strings.Builder)}
	call.Run = func(ctx context.Context, p *engine.Process) error {
		return exec.CommandContext(ctx, p.Path, p.Args...).Run()
	}
	if err := (tool{}).Run(ctx, call); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("err = %v", err)
	}
}
