//go:build linux && (amd64 || arm64)

package trace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// gateFD is the descriptor on which a traced process waits until it is watched.
const gateFD = 3

// Main turns this process into a tracer, or into what will be traced, if it was
// started as one; then it does not return. Every program that traces calls it
// before anything else.
func Main() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case tracerArg:
		fail(runTracer(os.Args[2:]))
	case childArg:
		fail(runChild(os.Args[2:]))
	}
}

// notRun is the exit code of a process that could not be started, as a shell's.
const notRun = 127

func fail(err error) {
	fmt.Fprintln(os.Stderr, "airbuild trace:", err)
	os.Exit(notRun)
}

// arguments are the options and the command: its path and its arguments.
func arguments(args []string) (o Options, path string, argv []string, err error) {
	if len(args) < 3 {
		return o, "", nil, errors.New("this command is started by airbuild itself only")
	}
	err = json.Unmarshal([]byte(args[0]), &o)
	return o, args[1], args[2:], err
}

// runChild waits until it is watched, filters its system calls and becomes the
// program.
func runChild(args []string) error {
	runtime.LockOSThread()
	o, path, argv, err := arguments(args)
	if err != nil {
		return err
	}
	gate := os.NewFile(gateFD, "gate")
	if _, err := gate.Read(make([]byte, 1)); err != nil {
		return fmt.Errorf("wait for the tracer: %w", err)
	}
	gate.Close()
	if err := installFilter(calls(o)); err != nil {
		return fmt.Errorf("filter system calls: %w", err)
	}
	err = syscall.Exec(path, argv, os.Environ())
	return fmt.Errorf("start %s: %w", path, err)
}

// runTracer starts the command, follows it to its end, and ends as it did.
func runTracer(args []string) error {
	runtime.LockOSThread()
	signal.Ignore(unix.SIGINT, unix.SIGTERM, unix.SIGHUP) // they are for the process, which gets them too
	o, _, _, err := arguments(args)
	if err != nil {
		return err
	}
	t := &tracer{clock: o.Clock, files: o.Dir != "", seen: map[string]*Access{}, exact: ownProc()}
	started := ""
	if o.Dir != "" {
		f, err := os.CreateTemp(o.Dir, startedPattern)
		if err != nil {
			return err
		}
		started = f.Name()
		f.Close()
	}
	status, err := t.run(args)
	if err != nil {
		return err
	}
	if started != "" {
		name := started[:len(started)-len(filepath.Ext(started))] + ".json"
		if err := t.record().write(name); err != nil {
			return err
		}
		os.Remove(started)
	}
	end(status)
	return nil
}

// end ends this process like the one that it followed.
func end(status unix.WaitStatus) {
	if !status.Signaled() {
		os.Exit(status.ExitStatus())
	}
	unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	signal.Reset()
	unix.Kill(os.Getpid(), unix.Signal(status.Signal()))
	time.Sleep(50 * time.Millisecond)
	os.Exit(128 + int(status.Signal()))
}

// ownProc reports whether /proc shows the processes by the numbers that this
// process knows them by.
func ownProc() bool {
	self, err := os.Readlink("/proc/self")
	return err == nil && self == fmt.Sprint(os.Getpid())
}

// Supported reports whether processes can be traced here, by tracing one.
func Supported(ctx context.Context) error {
	argv, err := Command(os.Args[0], Options{}, "/proc/self/exe", []string{"airbuild", tracerArg})
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "/proc/self/exe", argv[1:]...)
	cmd.Env = []string{}
	var exit *exec.ExitError
	out, err := cmd.CombinedOutput()
	switch {
	case errors.As(err, &exit) && exit.ExitCode() == notRun && string(out) == "airbuild trace: this command is started by airbuild itself only\n":
		return nil // the traced process ran
	case ctx.Err() != nil:
		return ctx.Err()
	case len(out) > 0:
		return fmt.Errorf("%s", firstLine(out))
	case err == nil:
		return errors.New("the traced process did not run")
	}
	return err
}

func firstLine(b []byte) string {
	for i, c := range b {
		if c == '\n' {
			return string(b[:i])
		}
	}
	return string(b)
}
