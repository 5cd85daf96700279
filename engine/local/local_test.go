package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
)

// rig is an executor over a project and a store in temporary directories.
type rig struct {
	*Executor
	t     *testing.T
	store *store.Disk
	log   bytes.Buffer
}

func newRig(t *testing.T, files map[string]string) *rig {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the commands of these tests are a Unix shell's")
	}
	return openRig(t, files)
}

// openRig is newRig for steps that run on every system.
func openRig(t *testing.T, files map[string]string) *rig {
	t.Helper()
	root, cache := t.TempDir(), t.TempDir()
	for name, content := range files {
		p := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(p), 0o777), os.WriteFile(p, []byte(content), 0o666)); err != nil {
			t.Fatal(err)
		}
	}
	st, err := store.Open(filepath.Join(cache, "store"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := tree.Preload(filepath.Join(cache, "state")).Open(root, "dist")
	if err != nil {
		t.Fatal(err)
	}
	scratch, err := OpenScratch(filepath.Join(cache, "scratch"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(scratch.Close(), w.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return &rig{t: t, store: st, Executor: &Executor{Store: st, Workspace: w, Scratch: scratch, Sandbox: &sandbox.Host{}, Hide: []string{cache}, Environ: os.Environ(), Grace: 100 * time.Millisecond}}
}

// do executes a step with the given project files as inputs.
func (r *rig) do(ctx context.Context, s engine.Step, inputs ...string) (*action.Result, error) {
	r.t.Helper()
	var in tree.Inputs
	for _, p := range inputs {
		if err := in.Add(r.Workspace, p, p); err != nil {
			r.t.Fatal(err)
		}
	}
	tr, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		r.t.Fatal(err)
	}
	r.log.Reset()
	return r.Execute(ctx, &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: &r.log, Share: engine.Share{CPU: 1}})
}

// sh is a step that runs a shell line.
func sh(mode engine.Mode, line string, outputs ...string) engine.Step {
	s := engine.Step{Name: "s", Mode: mode, Command: action.Command{Arguments: []string{"/bin/sh", "-c", line}}}
	for _, o := range outputs {
		if dir, ok := strings.CutSuffix(o, "/"); ok {
			o = dir
			s.Command.OutputDirectories = append(s.Command.OutputDirectories, dir)
		} else {
			s.Command.OutputFiles = append(s.Command.OutputFiles, o)
		}
		s.Command.OutputPaths = append(s.Command.OutputPaths, o)
	}
	return s
}

func (r *rig) content(d action.Digest) string {
	r.t.Helper()
	f, err := r.store.Open(context.Background(), d)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(f); err != nil {
		r.t.Fatal(err)
	}
	return b.String()
}

func TestStagedSeesDeclaredInputsOnly(t *testing.T) {
	r := newRig(t, map[string]string{"in/a": "alpha", "secret": "no"})
	res, err := r.do(context.Background(), sh(engine.Staged, "seen=$(find . -type f | sort); echo \"$seen\" > list; cp in/a made/out; chmod +x made/out", "list", "made/out"), "in/a")
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%v %+v\n%s", err, res, &r.log)
	}
	got := map[string]string{}
	for _, f := range res.OutputFiles {
		got[f.Path] = fmt.Sprint(r.content(f.Digest), f.Executable)
	}
	if got["list"] != "./in/a\nfalse" {
		t.Errorf("the command saw %q", got["list"])
	}
	if !strings.HasPrefix(got["made/out"], "alpha") || !strings.HasSuffix(got["made/out"], "true") {
		t.Errorf("made/out is %q", got["made/out"])
	}
	if _, err := os.Stat(r.Workspace.Abs("list")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the command wrote into the project: %v", err)
	}
}

func TestExitCodeAndLog(t *testing.T) {
	r := newRig(t, nil)
	res, err := r.do(context.Background(), sh(engine.Staged, "echo out; echo err >&2; exit 3", "never"))
	if err != nil || res.ExitCode != 3 || string(res.StdoutRaw) != "out\nerr\n" {
		t.Errorf("%v %+v", err, res)
	}
	long := strings.Repeat("0123456789\n", 1000)
	res, err = r.do(context.Background(), sh(engine.Staged, "i=0; while [ $i -lt 1000 ]; do echo 0123456789; i=$((i+1)); done"))
	if err != nil || r.content(res.Stdout) != long {
		t.Errorf("a long log: %v, %d bytes inline", err, len(res.StdoutRaw))
	}
}

func TestOutputsAreAsDeclared(t *testing.T) {
	r := newRig(t, nil)
	for line, want := range map[string]string{
		"true":                      "declared output out was not made",
		"mkdir out":                 "output out is a directory, and declared as a file",
		"ln -s /etc/passwd out":     "output out is a link to /etc/passwd, which is outside the project",
		"ln -s ../../elsewhere out": "output out is a link to ../../elsewhere, which is outside the project",
		"mkfifo out":                "output out is neither a file, a link nor a directory",
	} {
		res, err := r.do(context.Background(), sh(engine.Staged, line, "out"))
		if err != nil || res.ExitCode == 0 || !strings.Contains(string(res.StdoutRaw), want) {
			t.Errorf("%s: %v %+v, want %q in the log", line, err, res, want)
		}
	}
	res, err := r.do(context.Background(), sh(engine.Staged, "echo x > out", "out/"))
	if err != nil || !strings.Contains(string(res.StdoutRaw), "output out is a file, and declared as a directory") {
		t.Errorf("a file for a directory: %v %+v", err, res)
	}
}

func TestOutputDirectory(t *testing.T) {
	r := newRig(t, nil)
	res, err := r.do(context.Background(), sh(engine.Staged, "mkdir -p d/sub d/none; echo 1 > d/a; echo 2 > d/sub/b; ln -s a d/l", "d/"))
	if err != nil || len(res.OutputDirectories) != 1 {
		t.Fatalf("%v %+v\n%s", err, res, &r.log)
	}
	d := res.OutputDirectories[0]
	msg, err := action.UnmarshalTree([]byte(r.content(d.Tree)))
	if err != nil {
		t.Fatal(err)
	}
	files, links, empty, err := tree.Flatten(msg, "")
	if err != nil || len(files) != 2 || len(links) != 1 || len(empty) != 1 || r.content(files[1].Digest) != "2\n" {
		t.Errorf("%v %v %v %v", files, links, empty, err)
	}
	if action.Of(msg.Root.Marshal()) != d.Root {
		t.Error("the root directory's digest is not that of the tree's root")
	}
}

func TestWorkspaceRedirectsOutputs(t *testing.T) {
	r := newRig(t, map[string]string{"go.mod": "old", "src": "x"})
	s := sh(engine.Workspace, "", "dist/bin", "go.mod")
	s.Command.Arguments = []string{"/bin/sh", "-c", `cat src > "$0"; f="${1#-modfile=}"; echo more >> "$f"`, "dist/bin", "-modfile=go.mod"}
	res, err := r.do(context.Background(), s, "go.mod", "src")
	if err != nil || res.ExitCode != 0 {
		t.Fatalf("%v %+v\n%s", err, res, &r.log)
	}
	got := map[string]string{}
	for _, f := range res.OutputFiles {
		got[f.Path] = r.content(f.Digest)
	}
	if got["dist/bin"] != "x" || got["go.mod"] != "oldmore\n" {
		t.Errorf("made %q", got)
	}
	if b, _ := os.ReadFile(r.Workspace.Abs("go.mod")); string(b) != "old" {
		t.Errorf("go.mod in the project is %q", b)
	}
}

func TestEnvironment(t *testing.T) {
	r := newRig(t, nil)
	r.Environ = append(r.Environ, "LEAK=1", "HOME=/home/me")
	s := sh(engine.Staged, `echo "leak=$LEAK tz=$TZ own=$OWN secret=$SECRET"; case "$HOME" in /home/me) echo real home;; esac`)
	s.Command.Env = []action.EnvVar{{Name: "OWN", Value: "mine"}}
	s.Secrets = []action.EnvVar{{Name: "SECRET", Value: "hunter2"}}
	res, err := r.do(context.Background(), s)
	if err != nil || string(res.StdoutRaw) != "leak= tz=UTC own=mine secret=***\n" {
		t.Errorf("%v %q", err, res.StdoutRaw)
	}
	if strings.Contains(r.log.String(), "hunter2") {
		t.Error("the secret was shown")
	}
}

func TestMaskAcrossWrites(t *testing.T) {
	s := &engine.Step{Mask: []string{"hunter2", "two\nlines"}}
	for _, parts := range [][]string{
		{"x hunter2 y"}, {"x hun", "ter2 y"}, {"x h", "u", "n", "t", "e", "r", "2", " y"},
	} {
		var live bytes.Buffer
		l, err := newLog(filepath.Join(t.TempDir(), "log"), &live, s, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			l.Write([]byte(p))
		}
		name, _, err := l.finish()
		l.Close()
		kept, _ := os.ReadFile(name)
		if err != nil || live.String() != "x *** y" || string(kept) != "x *** y" {
			t.Errorf("%q: shown %q, kept %q, %v", parts, live.String(), kept, err)
		}
	}
}

// Where one secret begins another, none of the longer one is shown.
func TestMaskNestedSecrets(t *testing.T) {
	s := &engine.Step{Mask: []string{"abc", "abcdef", "cde"}}
	for want, parts := range map[string][]string{
		"***.":     {"abcdef."},
		"*** .":    {"ab", "c", "def ."},
		"***d.":    {"abc", "d."},
		"***":      {"abc"},
		"***de":    {"abc", "de"},
		"*** ***x": {"cd", "e abcdefx"},
	} {
		var live bytes.Buffer
		l, err := newLog(filepath.Join(t.TempDir(), "log"), &live, s, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range parts {
			l.Write([]byte(p))
		}
		_, size, err := l.finish()
		l.Close()
		if err != nil || live.String() != want || size != int64(len(want)) {
			t.Errorf("%q: shown %q, want %q, %d bytes, %v", parts, live.String(), want, size, err)
		}
	}
}

// An executable input may be run at once, whatever else starts meanwhile: no
// process may inherit the file while it is open for writing.
func TestStagedProgramIsNotBusy(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	r := newRig(t, map[string]string{"tool": "#!/bin/sh\nexit 0\n"})
	if err := os.Chmod(r.Workspace.Abs("tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	var in tree.Inputs
	if err := in.Add(r.Workspace, "tool", "tool"); err != nil {
		t.Fatal(err)
	}
	tr, err := tree.Build(in.Files, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := engine.Step{Name: "s", Command: action.Command{Arguments: []string{"./tool"}}}
	p := pool.New().WithErrors().WithMaxGoroutines(16)
	for range 400 {
		p.Go(func() error {
			res, err := r.Execute(context.Background(), &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: io.Discard})
			if err == nil && res.ExitCode != 0 {
				err = fmt.Errorf("exit status %d", res.ExitCode)
			}
			return err
		})
	}
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
}

// What the log said before a time-out is not lost for want of an end.
func TestLogOfCancelledStepIsWhole(t *testing.T) {
	r := newRig(t, nil)
	s := sh(engine.Staged, "printf 'waiting for hun'; sleep 60")
	s.Mask = []string{"hunter2"}
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := r.do(ctx, s); err == nil || r.log.String() != "waiting for hun" {
		t.Errorf("%v, log %q", err, &r.log)
	}
}

// An output that is an input too keeps its executable bit.
func TestSeededOutputStaysExecutable(t *testing.T) {
	r := newRig(t, map[string]string{"tool": "x"})
	if err := os.Chmod(r.Workspace.Abs("tool"), 0o755); err != nil {
		t.Fatal(err)
	}
	res, err := r.do(context.Background(), sh(engine.Workspace, "true", "tool"), "tool")
	if err != nil || len(res.OutputFiles) != 1 || !res.OutputFiles[0].Executable {
		t.Errorf("%v %+v", err, res)
	}
}

// TestCancelLeavesNoProcess starts a child and a grandchild that ignores the
// interrupt; both must be gone when Execute returns.
func TestCancelLeavesNoProcess(t *testing.T) {
	r := newRig(t, nil)
	r.Sandbox = nil // the processes' numbers are asked for; engine/sandbox has its own test
	pids := filepath.Join(t.TempDir(), "pids")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := r.do(ctx, sh(engine.Staged, `trap "" INT; (trap "" INT; echo $$ >> `+pids+`; sleep 60) & echo $! >> `+pids+`; wait; sleep 60`))
		done <- err
	}()
	var list []string
	for deadline := time.Now().Add(10 * time.Second); len(list) < 2; {
		if time.Now().After(deadline) {
			t.Fatal("the command did not start")
		}
		b, _ := os.ReadFile(pids)
		list = strings.Fields(string(b))
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	select {
	case err := <-done:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("a cancelled step did not end")
	}
	for _, p := range list {
		pid, err := strconv.Atoi(p)
		if err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid)
	}
}

// waitGone fails if the process is alive a second from now.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	for range 100 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

func TestMissingProgram(t *testing.T) {
	r := newRig(t, nil)
	s := sh(engine.Staged, "")
	s.Command.Arguments = []string{"no-such-program-here"}
	if _, err := r.do(context.Background(), s); err == nil || !strings.Contains(err.Error(), "find program no-such-program-here: not on PATH") {
		t.Errorf("error %v", err)
	}
}

// upper is a tool that copies an input in capitals.
type upper struct{}

func (upper) Run(ctx context.Context, c *engine.ToolCall) error {
	b, err := fs.ReadFile(c.In, c.Args[0])
	if err != nil {
		return err
	}
	if len(b) == 0 {
		return &engine.ExitError{Program: "upper", Code: 4, Err: errors.New("nothing to do")}
	}
	return os.WriteFile(filepath.Join(c.Dir, "dist", "out"), bytes.ToUpper(b), 0o666)
}

func TestInProcessTool(t *testing.T) {
	r := newRig(t, map[string]string{"a": "text", "empty": ""})
	r.Tools = map[string]engine.Tool{"upper": upper{}}
	s := engine.Step{Mode: engine.InProcess, Command: action.Command{
		Arguments: []string{"airbuild:upper", "1", "a"}, OutputFiles: []string{"dist/out"}, OutputPaths: []string{"dist/out"},
	}}
	res, err := r.do(context.Background(), s, "a")
	if err != nil || len(res.OutputFiles) != 1 || r.content(res.OutputFiles[0].Digest) != "TEXT" {
		t.Errorf("%v %+v", err, res)
	}
	s.Command.Arguments[2] = "empty"
	res, err = r.do(context.Background(), s, "empty")
	if err != nil || res.ExitCode != 4 || string(res.StdoutRaw) != "nothing to do\n" {
		t.Errorf("%v %+v", err, res)
	}
	s.Command.Arguments[0] = "airbuild:unknown"
	if _, err = r.do(context.Background(), s); err == nil || !strings.Contains(err.Error(), `no tool "unknown"`) {
		t.Errorf("error %v", err)
	}
}

func TestInputChangedWhileStaging(t *testing.T) {
	r := newRig(t, map[string]string{"a": "one"})
	if _, err := r.Workspace.Digest("a"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.Workspace.Abs("a"), []byte("two"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := r.do(context.Background(), sh(engine.Staged, "cat a"), "a"); err == nil || !strings.Contains(err.Error(), "changed meanwhile") {
		t.Errorf("error %v", err)
	}
}

func TestAbandonedScratchGoes(t *testing.T) {
	dir := t.TempDir()
	live, err := OpenScratch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	// What a killed process leaves: a lock file that nobody holds, and files.
	dead := filepath.Join(dir, "run-1")
	if err := errors.Join(os.WriteFile(dead+".lock", nil, 0o666), os.MkdirAll(filepath.Join(dead, "x"), 0o777), os.Chmod(filepath.Join(dead, "x"), 0o555)); err != nil {
		t.Fatal(err)
	}
	next, err := OpenScratch(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer next.Close()
	if _, err := os.Stat(dead); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what a dead process left is still there: %v", err)
	}
	if _, err := live.New(); err != nil {
		t.Errorf("the scratch of a live process was taken away: %v", err)
	}
}

func TestWorkspaceWritesInPlace(t *testing.T) {
	r := newRig(t, map[string]string{"src": "x", "gen.txt": "of an earlier run"})
	res, err := r.do(context.Background(), sh(engine.Workspace, "true", "gen.txt"), "src")
	if err != nil || res.ExitCode == 0 {
		t.Errorf("an old output was taken for a new one: %v %+v", err, res)
	}
	res, err = r.do(context.Background(), sh(engine.Workspace, "cat src src > gen.txt", "gen.txt"), "src")
	if err != nil || len(res.OutputFiles) != 1 || r.content(res.OutputFiles[0].Digest) != "xx" {
		t.Errorf("%v %+v", err, res)
	}
}

// A link that the step reads is a source like a file: it is not removed, whatever
// becomes of the step.
func TestWorkspaceKeepsLinkThatIsInput(t *testing.T) {
	r := newRig(t, map[string]string{"real/inside": "x"})
	beyond := filepath.Join(t.TempDir(), "beyond")
	if err := errors.Join(os.WriteFile(beyond, []byte("y"), 0o666), os.Symlink("real/inside", filepath.Join(r.Workspace.Root(), "in")), os.Symlink(beyond, filepath.Join(r.Workspace.Root(), "out"))); err != nil {
		t.Fatal(err)
	}
	var in tree.Inputs
	in.Follow = true
	for _, p := range []string{"in", "out"} {
		if err := in.Add(r.Workspace, p, p); err != nil {
			t.Fatal(err)
		}
	}
	tr, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		t.Fatal(err)
	}
	s := sh(engine.Workspace, "exit 1", "in", "out")
	if res, err := r.Execute(context.Background(), &engine.Prepared{Step: &s, Command: s.Command, Inputs: tr, Log: &r.log, Share: engine.Share{CPU: 1}}); err != nil || res.ExitCode != 1 {
		t.Fatalf("%+v, %v", res, err)
	}
	for name, want := range map[string]string{"in": "x", "out": "y"} {
		if b, err := os.ReadFile(filepath.Join(r.Workspace.Root(), name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

func TestOutsideTemp(t *testing.T) {
	root := t.TempDir()
	inside := filepath.Join(root, ".cache", "scratch")
	if err := os.MkdirAll(inside, 0o777); err != nil {
		t.Fatal(err)
	}
	if tmp := outsideTemp(root, t.TempDir()); tmp != "" {
		t.Errorf("scratch outside the project: got %s", tmp)
	}
	t.Setenv("TMPDIR", inside) // not outside either
	tmp := outsideTemp(root, inside)
	if runtime.GOOS == "windows" {
		return // there may be no other place
	}
	if tmp == "" || within(root, tmp) {
		t.Errorf("scratch in the project: got %q", tmp)
	}
	if err := os.Remove(tmp); err != nil {
		t.Error(err)
	}
}
