package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// defaultGrace is how long a process may take to stop when asked.
const defaultGrace = 5 * time.Second

// A runner runs the processes of one execution, and its tool. Any goroutine may call
// its methods.
type runner struct {
	*layout
	e       *Executor
	log     *logFile
	env     *environ
	sandbox *confinement
}

// run runs one program in a process group of its own. When ctx ends the
// group is interrupted, and killed after the grace time; nothing of the group
// outlives the call.
func (r *runner) run(ctx context.Context, p *engine.Process) error {
	if r.p.Step.Mode == engine.InProcess {
		if err := makeAll(r.private()); err != nil {
			return err
		}
	}
	prog, err := r.resolve(ctx, p.Path)
	if err != nil {
		return err
	}
	name, extra := prog.Path, prog.Env
	if prog.Project != "" && p.Dir == "" && r.inProject() && !r.fixed {
		own := *p
		own.Dir = filepath.Join(prog.Project, filepath.FromSlash(r.p.Command.WorkingDirectory))
		p = &own
	}
	sb, err := r.sandbox.open(ctx, extra)
	if err != nil {
		return err
	}
	name, argv, err := r.traced(name, append([]string{p.Path}, p.Args...))
	if err != nil {
		return err
	}
	if sb != nil {
		return r.runInSandbox(ctx, sb, name, argv, extra, p)
	}
	cmd := exec.CommandContext(ctx, name)
	cmd.Args = argv
	cmd.Dir, cmd.Env = r.env.process(p, extra)
	cmd.Stdin = p.Stdin
	cmd.Stdout, cmd.Stderr = r.streams(p)
	grace := r.e.grace()
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
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code := exit.ExitCode()
		if code < 0 { // ended by a signal: a shell's number for it
			fmt.Fprintf(r.log, "%s: %s\n", p.Path, exit.ProcessState)
			code = 128 + signalNumber(exit.ProcessState)
		}
		return &engine.ExitError{Program: p.Path, Code: code}
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		return nil // it ended well; something it left behind held the output open
	}
	return err
}

// runInSandbox is run in a sandbox.
func (r *runner) runInSandbox(ctx context.Context, sb *sandbox.Sandbox, name string, argv, extra []string, p *engine.Process) error {
	if r.sandbox.hidden {
		extra = slices.DeleteFunc(slices.Clone(extra), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains(personal[:], name) || slices.Contains(outOfReach[:], name)
		})
	}
	dir, env := r.env.process(p, extra)
	if r.fixed {
		env = r.env.inside(env)
	}
	stdout, stderr := r.streams(p)
	err := sb.Run(ctx, &sandbox.Cmd{
		Path: name, Args: argv, Env: env, Dir: dir,
		Stdin: p.Stdin, Stdout: stdout, Stderr: stderr, Grace: r.e.grace(),
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*sandbox.ExitError](err); ok {
		code := exit.Code
		if code < 0 { // ended by a signal: a shell's number for it
			fmt.Fprintf(r.log, "%s: %s\n", p.Path, exit)
			code = 128 + int(exit.Signal)
		}
		return &engine.ExitError{Program: p.Path, Code: code}
	}
	if start, ok := errors.AsType[*sandbox.StartError](err); ok {
		return r.notStarted(p.Path, name, start.Err)
	}
	return err
}

// notStarted is startError for a sandbox, which may not show the program.
func (r *runner) notStarted(asked, name string, err error) error {
	if r.sandbox.hidden && errors.Is(err, os.ErrNotExist) {
		if _, serr := os.Stat(name); serr == nil && !within(r.out, name) {
			return fmt.Errorf("start %s: it is not a declared program of the step, so the sandbox hides %s; to declare it: tools = [%q]", asked, name, asked)
		}
	}
	return startError(asked, name, err)
}

// streams are where a process writes to.
func (r *runner) streams(p *engine.Process) (stdout, stderr io.Writer) {
	stdout, stderr = p.Stdout, p.Stderr
	if stdout == nil {
		stdout = r.log
	}
	if stderr == nil {
		stderr = r.log
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
func (r *runner) resolve(ctx context.Context, name string) (engine.Launch, error) {
	if l, ok := r.e.Launchers[name]; ok {
		return l.Launch(ctx, r.p.Step, r.p.Share)
	}
	if filepath.IsAbs(name) {
		return engine.Launch{Path: name}, nil
	}
	if strings.ContainsAny(name, `/\`) {
		return engine.Launch{Path: filepath.Join(r.runDir(), filepath.FromSlash(name))}, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return engine.Launch{}, fmt.Errorf("find program %s: not on PATH; install it, or say where it is", name)
	}
	path, err = filepath.Abs(path)
	return engine.Launch{Path: path}, err
}

// traced puts the Tracer, if there is one, before a program.
func (r *runner) traced(path string, argv []string) (string, []string, error) {
	if r.e.Tracer == nil {
		return path, argv, nil
	}
	cmd, err := r.e.Tracer.Trace(r.p, r.out, path, argv)
	if err != nil || len(cmd) == 0 {
		return path, argv, err
	}
	return cmd[0], cmd, nil
}
