// Package local executes steps on this machine: it stages inputs, runs the
// process or the in-process tool under supervision, and collects outputs.
package local

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
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
	// Reach says, by program, what a Staged step sees all the same.
	Reach map[string]engine.Reacher
	// Tracer, unless it is nil, runs the processes of steps under a program of
	// its own.
	Tracer Tracer
	// Fixed names variables of processes that hold a directory of the host, and
	// what it is called in a Sealed step: that is the same on every host. One with
	// an empty name is set by Launchers for steps in the project itself only.
	Fixed map[string]string
	// Vary replaces variables of what every process gets and no key holds,
	// "NAME=value": to show that nothing hangs on them. Nil otherwise.
	Vary []string
	// Grace is how long a process that was asked to stop may take before it
	// is killed; zero means 5 s.
	Grace time.Duration

	saidNotice sync.Once // what the sandbox does not do here
}

// inlineLog is the size up to which a log is kept in the result itself.
const inlineLog = 1 << 10

// Execute runs p and stores what it made. A failed command is a Result with
// its exit code and log.
func (e *Executor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	dir, err := e.Scratch.New()
	if err != nil {
		return nil, err
	}
	defer removeAll(dir)
	j := &job{e: e, p: p, dir: dir, out: filepath.Join(dir, "out"), tmp: filepath.Join(dir, "tmp")}
	if (p.Step.Sealed || p.Step.FixedPath) && e.canSeal(ctx) {
		j.sealed, j.placed = p.Step.Sealed, true
	}
	if p.Step.Mode == engine.Workspace && !j.sealed {
		if tmp := outsideTemp(e.Workspace.Root(), dir); tmp != "" {
			defer removeAll(tmp)
			j.tmp = tmp
		}
	}
	if j.log, err = newLog(filepath.Join(dir, "log"), p.Log, p.Step, j.placed); err != nil {
		return nil, err
	}
	defer j.log.Close()
	res := &action.Result{}
	res.Metadata.ExecutionStart = time.Now().UTC()
	err = j.run(ctx)
	j.closeBox()
	res.Metadata.Worker = j.worker
	res.Metadata.ExecutionCompleted = time.Now().UTC()
	if err == nil {
		err = j.collect(ctx, res)
	}
	j.explain(ctx, err)
	if ctx.Err() != nil {
		j.log.finish() // shows what is held; the error that counts is ctx's
		return nil, context.Cause(ctx)
	}
	var exit *engine.ExitError
	if errors.As(err, &exit) {
		res.ExitCode = int32(cmp.Or(exit.Code, 1))
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return res, j.keepLog(ctx, res)
}

// A job is one execution.
type job struct {
	e    *Executor
	p    *engine.Prepared
	dir  string // scratch, removed afterwards
	out  string // where outputs (and, staged, inputs) are, as in the project
	tmp  string // for temporary files of processes
	log  *logFile
	base []string // environment that is not in the key

	sealed   bool                   // a Sealed step, and this host can do it
	placed   bool                   // a Sealed or FixedPath step, and this host can do it
	extra    []string               // what the Launcher of a placed step's program adds
	seen     map[string]string      // directories of Fixed variables → what a placed step calls them
	testDirs map[string]bool        // directories of inputs that are tests; nil until needed
	was      map[string]fs.FileInfo // what was in output directories of the project itself
	boxes    boxes
	worker   string // how its processes were kept apart; empty without any
}

func (j *job) run(ctx context.Context) error {
	if err := j.makeDirs(); err != nil {
		return err
	}
	stage := j.stage
	if j.sealed {
		stage = j.stageSealed
	}
	if j.sealed || j.p.Step.Mode == engine.Staged {
		if err := stage(ctx); err != nil {
			return err
		}
	}
	argv := j.p.Command.Arguments
	if len(argv) == 0 {
		return errors.New("the step has no command")
	}
	j.base = j.baseEnv()
	if j.p.Step.Mode == engine.Workspace && !j.sealed {
		if err := j.clearInPlace(argv); err != nil {
			return err
		}
	}
	if name, ok := strings.CutPrefix(argv[0], ToolPrefix); ok {
		return j.runTool(ctx, name, argv[1:])
	}
	proc := &engine.Process{Path: argv[0], Args: argv[1:]}
	if j.p.Step.Mode == engine.Workspace {
		proc.Args = j.redirect(proc.Args)
		if !j.sealed { // there they are
			if err := j.seedOutputs(); err != nil {
				return err
			}
		}
	}
	return j.process(ctx, proc)
}

// workDir is the working directory in the scratch copy of the project, where
// outputs are looked for first.
func (j *job) workDir() string {
	return filepath.Join(j.out, filepath.FromSlash(j.p.Command.WorkingDirectory))
}

// runDir is the working directory that the command runs in.
func (j *job) runDir() string {
	if j.placed {
		return path.Join(fixedProject, j.p.Command.WorkingDirectory)
	}
	if j.p.Step.Mode == engine.Workspace {
		return filepath.Join(j.e.Workspace.Root(), filepath.FromSlash(j.p.Command.WorkingDirectory))
	}
	return j.workDir()
}

// makeDirs makes the working directory and the outputs' parents, and for what
// surely starts programs a private home and temporary directory.
func (j *job) makeDirs() error {
	dirs := []string{j.workDir()}
	for _, p := range j.p.Command.OutputPaths {
		dirs = append(dirs, filepath.Dir(filepath.Join(j.workDir(), filepath.FromSlash(p))))
	}
	if j.p.Step.Mode != engine.InProcess {
		dirs = append(dirs, j.private()...)
	}
	return makeAll(dirs)
}

// private are the step's own home and temporary directory.
func (j *job) private() []string {
	return []string{filepath.Join(j.dir, "home"), j.tmp}
}

// outsideTemp makes a directory for temporary files outside the project, if the
// scratch directory is in it, as with a cache in the project. Compilers write
// down where they work: the go command takes what is below a module for the
// module's own files, and the path, which is another one each time, comes out in
// binaries. It returns "" if none is needed, or there is no such place.
func outsideTemp(root, scratch string) string {
	real := func(p string) string {
		if at, err := filepath.EvalSymlinks(p); err == nil {
			return at
		}
		return p
	}
	root = real(root)
	if !within(root, real(scratch)) {
		return ""
	}
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if dir, err := filepath.Abs(dir); err != nil || within(root, real(dir)) {
			continue
		}
		if tmp, err := os.MkdirTemp(dir, "airbuild-step-*"); err == nil {
			return tmp
		}
	}
	return ""
}

func makeAll(dirs []string) error {
	for _, d := range dirs {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return fmt.Errorf("make scratch directory: %w", err)
		}
	}
	return nil
}

// redirect replaces arguments that name an output by its place in scratch.
func (j *job) redirect(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		flag, value, ok := strings.Cut(a, "=")
		for _, p := range j.p.Command.OutputPaths {
			place := filepath.Join(j.workDir(), filepath.FromSlash(p))
			switch {
			case a == p:
				out[i] = place
			case a == p+"/":
				out[i] = place + string(filepath.Separator)
			case ok && value == p && strings.HasPrefix(flag, "-"):
				out[i] = flag + "=" + place
			}
		}
	}
	return out
}

// clearInPlace removes the declared output files that the command will write in
// the project itself, because no argument names them: what an earlier run left
// must not be taken for this one's.
func (j *job) clearInPlace(argv []string) error {
	redirected := slices.Concat(argv, j.redirect(argv))
	for _, p := range j.p.Command.OutputFiles {
		place := filepath.Join(j.runDir(), filepath.FromSlash(p))
		scratch := filepath.Join(j.workDir(), filepath.FromSlash(p))
		if j.input(place) != nil || slices.ContainsFunc(redirected, func(a string) bool { return strings.HasSuffix(a, scratch) }) {
			continue
		}
		if err := j.removeInPlace(path.Join(j.p.Command.WorkingDirectory, p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old output: %w", err)
		}
	}
	if !j.p.Step.OwnsDirs {
		j.snapshot()
	}
	return nil
}

// removeInPlace removes a file of the project, which no link leads to.
func (j *job) removeInPlace(p string) error {
	dir, err := j.e.Workspace.OpenDir(path.Dir(p), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Remove(path.Base(p))
}

// snapshot notes what is in the project's own directories that outputs land in:
// what the command does not touch there is not an output.
func (j *job) snapshot() {
	j.was = map[string]fs.FileInfo{}
	for _, p := range j.p.Command.OutputDirectories {
		filepath.WalkDir(filepath.Join(j.runDir(), filepath.FromSlash(p)), func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				if info, err := e.Info(); err == nil {
					j.was[name] = info
				}
			}
			return nil
		})
	}
}

// untouched reports whether a file was there before the command, and is as it
// was.
func (j *job) untouched(name string, e fs.DirEntry) bool {
	was, ok := j.was[name]
	if !ok {
		return false
	}
	now, err := e.Info()
	return err == nil && os.SameFile(was, now) && was.ModTime().Equal(now.ModTime()) && was.Size() == now.Size() && was.Mode() == now.Mode()
}

// seedOutputs copies inputs that are outputs too into scratch, so that a step
// that changes a file in place does it there.
func (j *job) seedOutputs() error {
	for _, p := range j.p.Command.OutputFiles {
		src := filepath.Join(j.runDir(), filepath.FromSlash(p))
		in := j.input(src)
		if in == nil {
			continue
		}
		mode := fs.FileMode(0o644)
		if in.Executable {
			mode = 0o755
		}
		if err := copyFile(filepath.Join(j.workDir(), filepath.FromSlash(p)), src, mode); err != nil {
			return err
		}
	}
	return nil
}

// input is the input file of the project at abs, or nil.
func (j *job) input(abs string) *tree.File {
	for i := range j.p.Inputs.Files {
		if f := &j.p.Inputs.Files[i]; f.Source.Path == abs {
			return f
		}
	}
	return nil
}

func (j *job) runTool(ctx context.Context, name string, args []string) error {
	t, ok := j.e.Tools[name]
	if !ok || len(args) == 0 {
		return fmt.Errorf("this airbuild has no tool %q", name)
	}
	call := &engine.ToolCall{
		Args:    args[1:],
		Env:     j.commandEnv(),
		Environ: dedupe(slices.Concat(j.base, j.commandEnv())),
		In:      tree.FS(j.p.Inputs, func(f tree.File) (io.ReadCloser, error) { return j.open(ctx, f) }),
		Dir:     j.out,
		WorkDir: j.runDir(),
		Private: j.p.Private,
		Log:     j.log,
		Run:     j.process,
		Place:   j.watched(j.place(ctx)),
	}
	err := t.Run(ctx, call)
	if err == nil || ctx.Err() != nil {
		return err
	}
	var exit *engine.ExitError
	if errors.As(err, &exit) {
		if exit.Err != nil {
			fmt.Fprintln(j.log, exit.Err)
		}
		return exit
	}
	return fmt.Errorf("%s: %w", name, err)
}

// open reads an input file: from the workspace, from the store, or inline.
func (j *job) open(ctx context.Context, f tree.File) (io.ReadCloser, error) {
	switch {
	case f.Source.Path != "":
		return os.Open(f.Source.Path)
	case f.Source.Blob:
		return j.e.Store.Open(ctx, f.Digest)
	}
	return io.NopCloser(strings.NewReader(string(f.Source.Inline))), nil
}

// keepLog puts the log into the result, inline or as a blob.
func (j *job) keepLog(ctx context.Context, res *action.Result) error {
	name, size, err := j.log.finish()
	if err != nil {
		return err
	}
	if size <= inlineLog {
		b, err := os.ReadFile(name)
		if len(b) > 0 {
			res.StdoutRaw = b
		}
		return err
	}
	res.Stdout, err = j.e.Store.PutFile(ctx, name, action.Digest{})
	if err != nil {
		return fmt.Errorf("store log: %w", err)
	}
	return nil
}
