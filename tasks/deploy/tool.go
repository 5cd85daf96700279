package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	deploying "github.com/airbuild/airbuild/engine/deploy"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

const defaultInterval = time.Second

// A Config is what deploys need in addition to their stages, and what became of
// them. One Config serves the Tasks and the Tools of one run.
type Config struct {
	Environment string // the chosen one, for records
	DryRun      bool   // say what would be done at the root, and do nothing there

	mu       sync.Mutex
	outcomes map[string]deploying.Outcome // by step
}

// rendered is what must not be written anywhere but to its place.
type rendered struct {
	files []deploying.File
	mask  []string
}

// Outcome is what became of a step's deploy, after the run.
func (c *Config) Outcome(step string) (deploying.Outcome, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	o, ok := c.outcomes[step]
	return o, ok
}

// Discover implements engine.InputDiscoverer: it hands over what is not in the command.
func (r rendered) Discover(context.Context, engine.Files) (engine.Discovery, error) {
	return engine.Discovery{Private: r}, nil
}

// TargetOf is the root that a step of this package deploys to.
func (c *Config) TargetOf(s *engine.Step) (deploying.Target, error) {
	args := s.Command.Arguments
	if s.Type != Type || len(args) != 3 {
		return deploying.Target{}, fmt.Errorf("%s is not a deploy", s.Name)
	}
	var sp spec
	if err := json.Unmarshal([]byte(args[2]), &sp); err != nil {
		return deploying.Target{}, fmt.Errorf("read the plan of %s: %w", s.Name, err)
	}
	env := lists.Map(slices.Concat(s.Command.Env, s.Secrets), func(e action.EnvVar) string { return e.Name + "=" + e.Value })
	t := c.target(&sp, env)
	t.Mask = append(t.Mask, s.Mask...)
	return t, tasks.CheckHostDirectory(sp.Root)
}

func (c *Config) target(sp *spec, env []string) deploying.Target {
	t := deploying.Target{Root: sp.Root, Name: sp.Step, Environment: c.Environment, PointerFiles: sp.Files, Env: hostEnv(env)}
	for _, e := range env {
		if name, value, _ := strings.Cut(e, "="); slices.Contains(sp.SecretEnv, name) {
			t.Mask = append(t.Mask, value)
		}
	}
	return t
}

// passed are the variables of the host that hooks and checks get beside those
// that the stage declares: what programs that talk to the system need.
var passed = [...]string{
	"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TZ", "TMPDIR", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS",
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "PROGRAMDATA", "PROGRAMFILES",
}

func hostEnv(own []string) (env []string) {
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if slices.Contains(passed[:], name) {
			env = append(env, e)
		}
	}
	return append(env, own...)
}

// A tool deploys.
type tool struct{ cfg *Config }

func (t tool) run(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	if err := tasks.CheckHostDirectory(sp.Root); err != nil {
		return err
	}
	what, err := tasks.Private[rendered](call)
	if err != nil {
		return err
	}
	target := t.cfg.target(sp, call.Env)
	target.Mask, target.Log = append(target.Mask, what.mask...), call.Log
	sum, err := artifactDigest(ctx, call.In, sp.Artifact)
	if err != nil {
		return fmt.Errorf("read %s: %w", sp.Artifact, err)
	}
	q := deploying.Request{
		Version:  sp.Version,
		Artifact: deploying.Artifact{FS: call.In, Path: sp.Artifact, Strip: sp.Strip, Unpack: sp.Unpack},
		Digest:   sum, Files: what.files, Plan: sp.Plan, Keep: sp.Keep,
	}
	do := deploying.Deploy
	if t.cfg.DryRun {
		do = deploying.DryRun
	}
	out, err := do(ctx, target, q)
	t.cfg.mu.Lock()
	defer t.cfg.mu.Unlock()
	if t.cfg.outcomes == nil {
		t.cfg.outcomes = map[string]deploying.Outcome{}
	}
	t.cfg.outcomes[sp.Step] = out
	return err
}

// artifactDigest is "sha256:…" of a file. A directory has none of its own: that
// of the installed tree says it all.
func artifactDigest(ctx context.Context, in fs.FS, name string) (string, error) {
	info, err := fs.Stat(in, name)
	if err != nil || info.IsDir() {
		return "", err
	}
	d, err := action.OfFile(in.Open(name))
	if err != nil {
		return "", err
	}
	return "sha256:" + d.Hex(), ctx.Err()
}
