package local

import (
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// aLayout is a layout in a directory of the test.
func aLayout(t *testing.T, s *engine.Step) *layout {
	dir := t.TempDir()
	p := &engine.Prepared{Step: s, Command: s.Command}
	return &layout{p: p, project: filepath.Join(dir, "project"), dir: filepath.Join(dir, "step"), out: filepath.Join(dir, "step", "out"), tmp: filepath.Join(dir, "step", "tmp")}
}

func TestRunDir(t *testing.T) {
	for name, c := range map[string]struct {
		mode          engine.Mode
		fixed, copied bool
		want          func(l *layout) string
	}{
		"staged":              {engine.Staged, false, false, func(l *layout) string { return filepath.Join(l.out, "sub") }},
		"in the project":      {engine.Workspace, false, false, func(l *layout) string { return filepath.Join(l.project, "sub") }},
		"at a fixed path":     {engine.Workspace, true, false, func(*layout) string { return fixedProject + "/sub" }},
		"a copy at that path": {engine.Workspace, true, true, func(*layout) string { return fixedProject + "/sub" }},
		"a tool":              {engine.InProcess, false, false, func(l *layout) string { return filepath.Join(l.out, "sub") }},
	} {
		l := aLayout(t, &engine.Step{Mode: c.mode, Command: action.Command{WorkingDirectory: "sub"}})
		l.fixed, l.copied = c.fixed, c.copied
		if got, want := l.runDir(), c.want(l); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if got, want := l.inProject(), c.mode == engine.Workspace && !c.copied; got != want {
			t.Errorf("%s: in the project: %v", name, got)
		}
	}
}

// What a command declares replaces what its Launcher adds, and that replaces what
// every process gets.
func TestEnvironOrder(t *testing.T) {
	l := aLayout(t, &engine.Step{
		Command: action.Command{Env: []action.EnvVar{{Name: "A", Value: "command"}, {Name: "LANG", Value: "command"}}},
		Secrets: []action.EnvVar{{Name: "S", Value: "secret"}},
	})
	e := &Executor{Environ: []string{"PATH=/bin", "HOME=/root", "OTHER=1"}, Vary: []string{"TZ=varied"}}
	dir, env := newEnviron(e, l).process(&engine.Process{}, []string{"A=launcher", "LANG=launcher", "B=launcher"})
	if dir != l.out {
		t.Errorf("directory %s", dir)
	}
	for _, want := range []string{"A=command", "B=launcher", "S=secret", "LANG=command", "TZ=varied", "HOME=" + l.home(), "TMPDIR=" + l.tmp, "PATH=/bin", "PWD=" + dir} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is missing in %q", want, env)
		}
	}
	for _, no := range []string{"A=launcher", "HOME=/root", "OTHER=1", "TZ=UTC"} {
		if slices.Contains(env, no) {
			t.Errorf("%s is in %q", no, env)
		}
	}
	_, own := newEnviron(e, l).process(&engine.Process{Env: []string{"A=process"}, Dir: "/x"}, nil)
	if !slices.Contains(own, "A=process") || slices.Contains(own, "S=secret") || !slices.Contains(own, "PWD=/x") {
		t.Errorf("a process with an environment of its own has %q", own)
	}
}

// A step at a fixed path finds directories of the host at fixed paths too.
func TestEnvironAtFixedPath(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("steps have no fixed path on Windows")
	}
	l := aLayout(t, &engine.Step{Mode: engine.Workspace})
	l.fixed, l.copied = true, true
	cache := filepath.Join(l.dir, "cache")
	v := newEnviron(&Executor{Fixed: map[string]string{"CACHE": "cache", "ONLY": ""}}, l)
	extra := []string{"CACHE=" + cache, "ONLY=/elsewhere"}
	places := v.places(extra)
	if len(places) != 2 || places[0].Dir != l.out || places[0].At != fixedProject || places[1].Dir != cache {
		t.Fatalf("places %v", places)
	}
	_, env := v.process(&engine.Process{}, extra)
	if env = v.inside(env); !slices.Contains(env, "CACHE="+places[1].At) || slices.Contains(env, "ONLY=/elsewhere") {
		t.Errorf("environment %q", env)
	}
}
