// Package local executes steps on this machine: it stages inputs, runs the
// process or the in-process tool under supervision, and collects outputs.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/tree"
)

// ToolPrefix begins argv[0] of in-process tools.
const ToolPrefix = "airbuild:"

// Store is what an Executor needs of a store beside the API's verbs.
type Store interface {
	engine.Store
	// PutFile stores the file at path. Its digest must be want, unless want
	// is zero.
	PutFile(ctx context.Context, path string, want action.Digest) (action.Digest, error)
}

// An Executor runs steps here. Fields are set before the first use.
type Executor struct {
	Store     Store
	Workspace *tree.Workspace
	Scratch   *Scratch
	Tools     map[string]engine.Tool     // by name, without ToolPrefix
	Launchers map[string]engine.Launcher // by argv[0]
	Environ   []string                   // of airbuild itself
	// Sandbox keeps the processes of steps from the network and, in Staged
	// steps, from files that were not declared. Nil: nothing does.
	Sandbox *sandbox.Host
	// Hide lists directories whose files no Staged step may see, beside the
	// project: the store, the user's home.
	Hide []string
	// HostPaths says, by program, what a Staged step sees although it is not declared.
	HostPaths map[string]engine.HostPaths
	// Tracer, unless it is nil, runs the processes of steps under a program of
	// its own.
	Tracer Tracer
	// Fixed names variables of processes that hold a directory of the host, and
	// what FixedPath and Hermetic steps call it: that is the same on every host.
	// One with an empty name is set by Launchers for steps in the project itself
	// only.
	Fixed map[string]string
	// Vary replaces variables of what every process gets and no key holds,
	// "NAME=value": to show that nothing depends on them. Nil otherwise.
	Vary []string
	// Grace is how long a process that was asked to stop may take before it
	// is killed; zero means 5 s.
	Grace time.Duration

	notice sync.Once // what the sandbox does not do here
}

// Execute runs p and stores what it made. A failed command is a Result with
// its exit code and log.
func (e *Executor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	dir, err := e.Scratch.New()
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	l := &layout{p: p, project: e.Workspace.Root(), dir: dir, out: filepath.Join(dir, "out"), tmp: filepath.Join(dir, "tmp")}
	if (p.Step.Hermetic || p.Step.FixedPath) && e.fixesPaths(ctx) {
		l.fixed, l.copied = true, p.Step.Hermetic
	}
	if l.inProject() {
		if tmp := outsideTemp(l.project, dir); tmp != "" {
			defer removeAll(tmp)
			l.tmp = tmp
		}
	}
	log, err := newLog(filepath.Join(dir, "log"), p.Log, p.Step, l.fixed)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	env := newEnviron(e, l)
	confined := &confinement{layout: l, e: e, env: env}
	x := &execution{
		layout: l,
		in:     &inputs{layout: l, store: e.Store, workspace: e.Workspace},
		runner: &runner{layout: l, e: e, log: log, env: env, sandbox: confined},
		out:    &outputs{layout: l, store: e.Store, workspace: e.Workspace, log: log},
	}
	res := &action.Result{}
	res.Metadata.ExecutionStart = time.Now().UTC()
	err = x.do(ctx)
	confined.close()
	res.Metadata.Worker = confined.worker
	res.Metadata.ExecutionCompleted = time.Now().UTC()
	if err == nil {
		err = x.out.collect(ctx, res)
	}
	(&hints{layout: l, log: log, sandbox: confined}).write(ctx, err)
	if ctx.Err() != nil {
		log.finish() // shows what is held; the error that counts is ctx's
		return nil, context.Cause(ctx)
	}
	if exit, ok := errors.AsType[*engine.ExitError](err); ok {
		res.ExitCode = int32(cmp.Or(exit.Code, 1))
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return res, keepLog(ctx, e.Store, log, res)
}

// fixesPaths reports whether FixedPath and Hermetic steps find the project at its
// fixed path here. A Tracer names files by where they are in the project itself.
func (e *Executor) fixesPaths(ctx context.Context) bool {
	return e.Tracer == nil && e.Sandbox.FixedPaths(ctx)
}

// An execution is a step that runs: inputs are staged, the command runs, and outputs
// are collected. They share the layout.
type execution struct {
	*layout
	in     *inputs
	runner *runner
	out    *outputs
}

// do stages the inputs and runs the command.
func (x *execution) do(ctx context.Context) error {
	argv := x.p.Command.Arguments
	if len(argv) == 0 {
		return errors.New("the step has no command")
	}
	if err := x.makeDirs(); err != nil {
		return err
	}
	if err := x.in.stage(ctx); err != nil {
		return err
	}
	if x.inProject() {
		if err := x.out.clearInPlace(argv); err != nil {
			return err
		}
	}
	if name, ok := strings.CutPrefix(argv[0], ToolPrefix); ok {
		return x.runner.runTool(ctx, name, argv[1:], x.in)
	}
	proc := &engine.Process{Path: argv[0], Args: argv[1:]}
	if x.p.Step.Mode == engine.Workspace {
		proc.Args = x.out.redirect(proc.Args)
	}
	if x.inProject() { // elsewhere the inputs are in scratch
		if err := x.out.seed(); err != nil {
			return err
		}
	}
	return x.runner.run(ctx, proc)
}

func makeAll(dirs []string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return fmt.Errorf("make scratch directory: %w", err)
		}
	}
	return nil
}
