package local

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/tree"
)

// boxRig is a rig on a host that has namespaces.
func boxRig(t *testing.T, files map[string]string) *rig {
	t.Helper()
	r := newRig(t, files)
	if s := r.Sandbox.Support(context.Background()); s.Method != sandbox.Namespaces {
		t.Skipf("this host has no namespaces: %s", s.Reason)
	}
	return r
}

func TestUndeclaredInputIsNamed(t *testing.T) {
	r := boxRig(t, map[string]string{"data/a table.csv": "x", "data/t.csv": "x", "declared": "y", "src/h.h": ""})
	for line, want := range map[string]string{
		"cat data/t.csv":                       `inputs = ["data/t.csv"]`,
		"cat " + r.Workspace.Abs("data/t.csv"): `inputs = ["data/t.csv"]`,
		"ls src":                               `inputs = ["src/**"]`,
		"cat declared nowhere":                 "",
		"echo data/t.csv; exit 1":              "",
		"cat data/t.csv || true":               "",
	} {
		res, err := r.do(context.Background(), sh(engine.Staged, line), "declared")
		log := string(res.StdoutRaw)
		if err != nil || strings.Contains(log, "inputs =") != (want != "") || !strings.Contains(log, want) {
			t.Errorf("%s: %v\n%s", line, err, log)
		}
		if strings.Contains(log, "inputs") && !strings.HasPrefix(log, "cat:") && !strings.HasPrefix(log, "ls:") {
			t.Errorf("%s: the program's own words are not first:\n%s", line, log)
		}
	}
	s := sh(engine.Staged, "cat ../data/t.csv")
	s.Command.WorkingDirectory = "src"
	if res, err := r.do(context.Background(), s, "declared"); err != nil || !strings.Contains(string(res.StdoutRaw), `inputs = ["../data/t.csv"]`) {
		t.Errorf("from another directory: %v %s", err, res.StdoutRaw)
	}
}

func TestHiddenFiles(t *testing.T) {
	r := boxRig(t, map[string]string{"secret": "hush"})
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, "key"), []byte("hush"), 0o666); err != nil {
		t.Fatal(err)
	}
	r.Hide = append(r.Hide, home)
	cas := filepath.Join(r.store.Dir(), "cas")
	for _, file := range []string{r.Workspace.Abs("secret"), filepath.Join(home, "key"), cas} {
		res, err := r.do(context.Background(), sh(engine.Staged, "ls "+file+" && cat "+file))
		if err != nil || res.ExitCode == 0 || strings.Contains(string(res.StdoutRaw), "hush") {
			t.Errorf("%s: %v %+v", file, err, res)
		}
	}
	if res, err := r.do(context.Background(), sh(engine.Workspace, "cat secret")); err != nil || res.ExitCode != 0 {
		t.Errorf("in the workspace: %v %+v", err, res)
	}
	if res, err := r.do(context.Background(), sh(engine.Staged, `echo x > "$TMPDIR/a" && cat /tmp/a && echo y > "$HOME/b" && cat "$HOME/b"`)); err != nil || string(res.StdoutRaw) != "x\ny\n" {
		t.Errorf("private directories: %v %q", err, res.StdoutRaw)
	}
}

// A tool that opens files itself can ask which are not the step's.
func TestHiddenFromTools(t *testing.T) {
	r := boxRig(t, map[string]string{"secret": "hush", "in": "x"})
	r.Tools = map[string]engine.Tool{"look": looker{t, map[string]bool{
		r.Workspace.Abs("secret"): true, "/etc/hostname": true, "/usr/bin/env": false, "/dev/null": false, "/bin/sh": false,
	}}}
	s := engine.Step{Mode: engine.Staged, Command: action.Command{Arguments: []string{"airbuild:look", "1"}}}
	if res, err := r.do(context.Background(), s, "in"); err != nil || res.ExitCode != 0 {
		t.Errorf("%v %+v", err, res)
	}
}

type looker struct {
	t    *testing.T
	want map[string]bool
}

func (l looker) Run(_ context.Context, c *engine.ToolCall) error {
	if c.Place == nil {
		return errors.New("nothing is hidden")
	}
	if _, ok := c.Place("/usr/new", true); ok {
		l.t.Error("/usr may be written to")
	}
	tmp, ok := c.Place("/tmp/none", true)
	if !ok || tmp == "/tmp/none" || filepath.Base(tmp) != "none" {
		l.t.Errorf("/tmp is at %s, %v", tmp, ok)
	}
	l.want[filepath.Join(c.Dir, "in")] = false
	for p, hidden := range l.want {
		if at, ok := c.Place(p, false); (ok && at == p) == hidden {
			l.t.Errorf("%s: hidden %v", p, !hidden)
		}
	}
	return nil
}

func TestDeclaredTools(t *testing.T) {
	r := boxRig(t, nil)
	opt := t.TempDir()
	bin := filepath.Join(opt, "x", "bin")
	for name, text := range map[string]string{"mytool": "#!/bin/sh\ncat ${0%/*}/../share/text\n", "other": "#!/bin/sh\n"} {
		if err := errors.Join(os.MkdirAll(bin, 0o777), os.WriteFile(filepath.Join(bin, name), []byte(text), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.MkdirAll(filepath.Join(opt, "x", "share"), 0o777), os.WriteFile(filepath.Join(opt, "x", "share", "text"), []byte("fine\n"), 0o666)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r.Environ = os.Environ()
	s := sh(engine.Staged, "mytool")
	tool, files := engine.Fact{Name: "tool mytool", Value: "sha256:0"}, engine.Fact{Name: "tree mytool", Value: "sha256:0"}
	run := func(facts []engine.Fact, argv ...string) (*action.Result, error) {
		if len(argv) > 0 {
			s.Command.Arguments = argv
		}
		tr, err := tree.Build(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return r.Execute(context.Background(), &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: &r.log, Facts: facts})
	}
	if res, err := run([]engine.Fact{{Name: "go", Value: "go1.26"}, tool, files}); err != nil || string(res.StdoutRaw) != "fine\n" {
		t.Errorf("declared: %v %+v", err, res)
	}
	if res, err := run(nil); err != nil || res.ExitCode != 127 || !strings.Contains(string(res.StdoutRaw), `tools = ["mytool"]`) {
		t.Errorf("not declared: %v %+v", err, res)
	}
	if res, err := run([]engine.Fact{tool}); err != nil || res.ExitCode == 0 || !strings.Contains(string(res.StdoutRaw), "share/text: No such file") {
		t.Errorf("a tree that is not in the key: %v %+v", err, res)
	}
	if res, err := run([]engine.Fact{files}, "mytool"); err != nil || string(res.StdoutRaw) != "fine\n" {
		t.Errorf("the command: %v %+v", err, res)
	}
	s.Command.Arguments = []string{"airbuild:start", "1"}
	r.Tools = map[string]engine.Tool{"start": starter(filepath.Join(bin, "other"))}
	if _, err := run(nil); err == nil || !strings.Contains(err.Error(), `tools = [`) {
		t.Errorf("a program that a tool starts: %v", err)
	}
}

// A starter is a tool that runs a program.
type starter string

func (s starter) Run(ctx context.Context, c *engine.ToolCall) error {
	return c.Run(ctx, &engine.Process{Path: string(s)})
}

func TestBlockedAttempts(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	r := boxRig(t, nil)
	var mu sync.Mutex
	run := func(mode engine.Mode, typ, line string) (*action.Result, []engine.Attempt) {
		s := sh(mode, line)
		s.Type = typ
		tr, err := tree.Build(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		var told []engine.Attempt
		res, err := r.Execute(context.Background(), &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: &r.log, Blocked: func(a engine.Attempt) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, a)
		}})
		if err != nil {
			t.Fatal(err)
		}
		return res, told
	}
	for _, mode := range []engine.Mode{engine.Staged, engine.Workspace} {
		res, told := run(mode, "exec", "for i in 1 2 3; do curl -sS -m 10 http://example.com/; done")
		if len(told) != 1 || told[0].Program != "curl" || told[0].Host != "example.com" || told[0].Op != "lookup" {
			t.Errorf("told %+v", told)
		}
		log := string(res.StdoutRaw)
		if res.ExitCode == 0 || !strings.Contains(log, "airbuild: blocked: curl[") || !strings.Contains(log, "sandbox { network = true }") || !strings.HasPrefix(log, "curl:") {
			t.Errorf("log %q", log)
		}
	}
	res, told := run(engine.Workspace, "go_build", "curl -sS -m 10 http://example.com/ || true")
	if log := string(res.StdoutRaw); res.ExitCode != 0 || len(told) != 1 || !strings.Contains(log, "airbuild: blocked: curl[") || strings.Contains(log, "network = true") {
		t.Errorf("a step that succeeds: told %v, log %q", told, log)
	}
	if res.Metadata.Worker != "network=blocked inputs=workspace" {
		t.Errorf("worker %q", res.Metadata.Worker)
	}
}

func TestAllowedNetwork(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not installed")
	}
	r := boxRig(t, nil)
	l := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer l.Close()
	for _, mode := range []engine.Mode{engine.Staged, engine.Workspace} {
		s := sh(mode, "curl -sS -m 10 "+l.URL)
		if res, err := r.do(context.Background(), s); err != nil || res.ExitCode == 0 {
			t.Errorf("off: %v %+v", err, res)
		}
		s.Network = true
		if res, err := r.do(context.Background(), s); err != nil || string(res.StdoutRaw) != "hello" {
			t.Errorf("on: %v %q", err, res.StdoutRaw)
		}
	}
}

// All processes of a step share a sandbox: a server in the background is
// reached by what comes after it.
func TestOneBoxAStep(t *testing.T) {
	r := boxRig(t, nil)
	r.Tools = map[string]engine.Tool{"two": two{}}
	s := engine.Step{Mode: engine.Staged, Command: action.Command{Arguments: []string{"airbuild:two", "1"}}}
	res, err := r.do(context.Background(), s)
	if err != nil || res.ExitCode != 0 {
		t.Errorf("%v %+v\n%s", err, res, &r.log)
	}
}

type two struct{}

func (two) Run(ctx context.Context, c *engine.ToolCall) error {
	if err := c.Run(ctx, &engine.Process{Path: "sh", Args: []string{"-c", "echo one > /tmp/one; readlink /proc/self/ns/net > /tmp/ns"}}); err != nil {
		return err
	}
	return c.Run(ctx, &engine.Process{Path: "sh", Args: []string{"-c", `test "$(cat /tmp/one)" = one && test "$(readlink /proc/self/ns/net)" = "$(cat /tmp/ns)"`}})
}

func TestNoticeOnce(t *testing.T) {
	r := newRig(t, nil)
	r.Sandbox = &sandbox.Host{Limit: sandbox.Filter}
	if r.Sandbox.Support(context.Background()).NetworkBlocked() {
		t.Skip("this host has no network anyway")
	}
	var told []string
	for range 2 {
		s := sh(engine.Workspace, "true")
		tr, err := tree.Build(nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := r.Execute(context.Background(), &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: &r.log, Notice: func(n string) { told = append(told, n) }})
		if err != nil || res.ExitCode != 0 || strings.Contains(res.Metadata.Worker, "blocked") {
			t.Errorf("%v %+v", err, res)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "not blocked here") {
		t.Errorf("told %q", told)
	}
}
