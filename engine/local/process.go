package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
)

// defaultGrace is how long a process may take to stop when asked.
const defaultGrace = 5 * time.Second

// process runs one program in a process group of its own. When ctx ends the
// group is interrupted, and killed after the grace time; nothing of the group
// outlives the call.
func (j *job) process(ctx context.Context, p *engine.Process) error {
	if j.p.Step.Mode == engine.InProcess {
		if err := makeAll(j.private()); err != nil {
			return err
		}
	}
	name, extra, err := j.resolve(ctx, p.Path)
	if err != nil {
		return err
	}
	if j.placed {
		j.extra = extra
	}
	box, err := j.box(ctx)
	if err != nil {
		return err
	}
	name, argv, err := j.watch(name, append([]string{p.Path}, p.Args...))
	if err != nil {
		return err
	}
	if box != nil {
		return j.processInBox(ctx, box, name, argv, extra, p)
	}
	cmd := exec.CommandContext(ctx, name)
	cmd.Args = argv
	cmd.Dir, cmd.Env = j.surroundings(p, extra)
	cmd.Stdin = p.Stdin
	cmd.Stdout, cmd.Stderr = j.outputs(p)
	grace := j.e.grace()
	group, err := ownGroup(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Path, err)
	}
	defer group.close()
	var sure *time.Timer // set before Wait returns
	cmd.Cancel = func() error {
		sure = time.AfterFunc(grace, func() { group.kill(cmd) })
		return group.interrupt(cmd)
	}
	cmd.WaitDelay = grace + time.Second
	if err := cmd.Start(); err != nil {
		return startError(p.Path, name, err)
	}
	if err := group.started(cmd); err != nil {
		cmd.Wait()
		return fmt.Errorf("start %s: %w", p.Path, err)
	}
	err = cmd.Wait()
	group.kill(cmd)
	if sure != nil {
		sure.Stop() // by then another group may have the number
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code := exit.ExitCode()
		if code < 0 { // ended by a signal: a shell's number for it
			fmt.Fprintf(j.log, "%s: %s\n", p.Path, exit.ProcessState)
			code = 128 + signalNumber(exit.ProcessState)
		}
		return &engine.ExitError{Program: p.Path, Code: code}
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well; something it left behind held the output open
	}
	return err
}

// surroundings are the working directory and the whole environment of a
// process; extra is what its Launcher adds.
func (j *job) surroundings(p *engine.Process, extra []string) (dir string, env []string) {
	dir = p.Dir
	if dir == "" {
		dir = j.runDir()
	}
	env = p.Env
	if env == nil {
		env = j.commandEnv()
	}
	if j.placed {
		extra = slices.DeleteFunc(slices.Clone(extra), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			at, ok := j.e.Fixed[name]
			return ok && at == ""
		})
	}
	return dir, dedupe(slices.Concat(j.base, extra, env, []string{"PWD=" + dir}))
}

// outputs are where a process writes to.
func (j *job) outputs(p *engine.Process) (stdout, stderr io.Writer) {
	stdout, stderr = p.Stdout, p.Stderr
	if stdout == nil {
		stdout = j.log
	}
	if stderr == nil {
		stderr = j.log
	}
	return stdout, stderr
}

func (e *Executor) grace() time.Duration {
	if e.Grace == 0 {
		return defaultGrace
	}
	return e.Grace
}

// startError says what could not be started, and why where that is known.
func startError(asked, name string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		if _, serr := os.Stat(name); serr == nil {
			return fmt.Errorf("start %s: %w (the file exists; its interpreter or dynamic loader is missing)", asked, err)
		}
	}
	return fmt.Errorf("start %s: %w", asked, err)
}

// resolve finds the file to run, and the environment that comes with it.
func (j *job) resolve(ctx context.Context, name string) (string, []string, error) {
	if l, ok := j.e.Launchers[name]; ok {
		return l.Launch(ctx, j.p.Step, j.p.Share)
	}
	if filepath.IsAbs(name) {
		return name, nil, nil
	}
	if strings.ContainsAny(name, `/\`) {
		return filepath.Join(j.runDir(), filepath.FromSlash(name)), nil, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", nil, fmt.Errorf("find program %s: not on PATH; install it, or say where it is", name)
	}
	path, err = filepath.Abs(path)
	return path, nil, err
}

// commandEnv is the command's own environment, secrets included.
func (j *job) commandEnv() []string {
	var env []string
	for _, v := range slices.Concat(j.p.Command.Env, j.p.Step.Secrets) {
		env = append(env, v.Name+"="+v.Value)
	}
	return env
}

// passed are variables of airbuild's own environment without which programs
// do not start; none of them may change a result.
var passed = map[string][]string{
	"windows": {"PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "WINDIR", "PROGRAMDATA", "PROGRAMFILES", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"},
	"unix":    {"PATH"},
}

// baseEnv is the environment that every process gets and no key holds.
func (j *job) baseEnv() []string {
	names := passed["unix"]
	if runtime.GOOS == "windows" {
		names = passed["windows"]
	}
	own := j.private()
	home, tmp := own[0], own[1]
	env := []string{
		"HOME=" + home, "USERPROFILE=" + home, "TMPDIR=" + tmp, "TMP=" + tmp, "TEMP=" + tmp,
		"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC",
	}
	for _, v := range j.e.Environ {
		name, _, _ := strings.Cut(v, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if slices.Contains(names, name) {
			env = append(env, v)
		}
	}
	if !j.p.Step.Network && j.p.Step.Traits.Command {
		env = append(env, noUpdates[:]...)
	}
	return append(env, j.e.Vary...)
}

// noUpdates keep tools from looking for newer versions of themselves and from
// reporting their use, where the step has no network: an attempt would be
// reported, and be taken for what the step lacks. Tests have none of them: a test
// may be about these very variables.
var noUpdates = [...]string{
	"NO_UPDATE_NOTIFIER=1",             // programs with the package update-notifier
	"npm_config_update_notifier=false", // npm
	"PIP_DISABLE_PIP_VERSION_CHECK=1",  // pip
	"CHECKPOINT_DISABLE=1",             // HashiCorp's
	"DO_NOT_TRACK=1",                   // many
}

// dedupe keeps the last value of each variable.
func dedupe(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if i, ok := at[name]; ok {
			out[i] = v
			continue
		}
		at[name] = len(out)
		out = append(out, v)
	}
	return out
}
