package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"

	"github.com/airbuild/airbuild/engine"
)

// toolName and toolVersion begin the command of a script. The version changes
// when scripts would run differently.
const (
	toolName    = "sh"
	toolVersion = "1"
)

// The exit statuses that shells give to a program that was not found or could
// not be started, and to one that failed without saying how.
const (
	notStarted    = 127
	failedSomehow = 1
)

// A tool runs a script: Args are its text and its positional parameters. The
// programs that it calls are started by ToolCall.Run and stopped with it.
type tool struct {
	// backslashes: the interpreter joins the names that a pattern matches with
	// those, as on Windows.
	backslashes bool
}

func (t tool) Run(ctx context.Context, tc *engine.ToolCall) error {
	if len(tc.Args) == 0 {
		return errors.New("run script: there is no script")
	}
	file, err := parse(tc.Args[0])
	if err != nil {
		return fmt.Errorf("run script: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	log := &logWriter{w: tc.Log}
	s := &shell{call: tc, environ: environ(tc)}
	runner, err := interp.New(
		interp.Env(expand.ListEnviron(s.environ...)),
		interp.Dir(tc.WorkDir),
		interp.StdIO(nil, log, log),
		interp.Params(append([]string{"-e", "-u", "-o", "pipefail", "--"}, tc.Args[1:]...)...),
		interp.OpenHandler(s.open),
		interp.StatHandler(s.stat),
		interp.ReadDirHandler2(s.readDir),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return s.exec }),
	)
	if err != nil {
		return fmt.Errorf("run script: %w", err)
	}
	err = runner.Run(ctx, file)
	stopped := ctx.Err()
	s.close(cancel)
	if stopped != nil {
		return stopped
	}
	if s.listed != "" && t.backslashes {
		return fmt.Errorf("script expands a pattern with folders (in %s): on Windows the names would have backslashes, and other results than on other systems would be recorded: change to the folder first (cd), or name the files", s.listed)
	}
	return s.outcome(err)
}

// A logWriter takes the output of the script and of all that runs in it at
// the same time: the sides of a pipe, and what is in the background.
type logWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *logWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// environ is what the script sees. An executor that does not say what it adds
// leaves PATH to be airbuild's own.
func environ(tc *engine.ToolCall) []string {
	if tc.Environ != nil {
		return tc.Environ
	}
	return append([]string{"PATH=" + os.Getenv("PATH")}, tc.Env...)
}

// A shell is one run of a script.
type shell struct {
	call     *engine.ToolCall
	environ  []string
	children sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and children.Add against close
	closed bool
	last   failure
	listed string // a folder that a pattern named besides the working directory
}

// begin counts a program that is about to run; false: the script is over.
func (s *shell) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.children.Add(1)
	}
	return !s.closed
}

// close stops what the script left in the background and waits for it.
func (s *shell) close(stop context.CancelFunc) {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	stop()
	s.children.Wait()
}

// A failure is the last program that failed, for the message: the status
// alone says little.
type failure struct {
	line    uint
	program string
	code    uint8
}

// exec runs one program. It implements interp.ExecHandlerFunc.
func (s *shell) exec(ctx context.Context, args []string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.begin() {
		return context.Canceled
	}
	defer s.children.Done()
	hc := interp.HandlerCtx(ctx)
	name, err := s.resolve(hc, args[0])
	if err == nil {
		err = s.call.Run(ctx, &engine.Process{
			Path: name, Args: args[1:], Env: exported(hc.Env), Dir: hc.Dir,
			Stdin: hc.Stdin, Stdout: hc.Stdout, Stderr: hc.Stderr,
		})
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	code := uint8(notStarted)
	if exit, ok := errors.AsType[*engine.ExitError](err); ok {
		code = status(exit.Code)
	} else {
		fmt.Fprintln(hc.Stderr, err)
	}
	s.mu.Lock()
	s.last = failure{hc.Pos.Line(), args[0], code}
	s.mu.Unlock()
	return interp.ExitStatus(code)
}

// status fits an exit code into a shell's byte; a failure stays a failure.
func status(code int) uint8 {
	if code > 0 && code <= 255 {
		return uint8(code)
	}
	return failedSomehow
}

// resolve finds the program. A plain name stays one, for the executor may
// have its own idea of "go", unless the script has a PATH of its own.
func (s *shell) resolve(hc interp.HandlerContext, name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	if strings.ContainsAny(name, `/\`) {
		return filepath.Join(hc.Dir, filepath.FromSlash(name)), nil
	}
	if slices.Contains(s.environ, "PATH="+hc.Env.Get("PATH").String()) {
		return name, nil
	}
	return interp.LookPathDir(hc.Dir, hc.Env, name)
}

// exported is the environment for a program.
func exported(env expand.Environ) []string {
	values := map[string]string{}
	var names []string
	for name, v := range env.Each {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		delete(values, name)
		if v.IsSet() && v.Exported && v.Kind == expand.String {
			values[name] = v.String()
		}
	}
	out := []string{} // not nil: that would mean the step's own
	for _, name := range names {
		if v, ok := values[name]; ok {
			out = append(out, name+"="+v)
		}
	}
	return out
}

// outcome turns what the interpreter returned into the step's result.
func (s *shell) outcome(err error) error {
	if err == nil {
		return nil
	}
	code, ok := errors.AsType[interp.ExitStatus](err)
	if !ok {
		return &engine.ExitError{Program: "script", Code: failedSomehow, Err: err}
	}
	exit := &engine.ExitError{Program: "script", Code: int(code)}
	if s.last.code == uint8(code) {
		exit.Err = fmt.Errorf("script line %d: %s: exit status %d", s.last.line, s.last.program, code)
	}
	return exit
}
