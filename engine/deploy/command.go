package deploy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// killDelay is how long a command that was told to stop may take.
const killDelay = 5 * time.Second

// command runs a program of the host in dir, at most for limit. It is no step
// in a sandbox: to restart a service is what it is for. A program with a slash
// in its name is looked for in dir. What it starts in the background lives on.
func (d *deployment) command(ctx context.Context, argv []string, w words, dir string, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	argv = w.fillAll(argv)
	program := filepath.FromSlash(argv[0])
	if strings.ContainsRune(argv[0], '/') && !filepath.IsAbs(program) {
		program = filepath.Join(dir, program)
	}
	c := exec.CommandContext(ctx, program, argv[1:]...)
	if c.Err != nil {
		return fmt.Errorf("find %s: %w", argv[0], c.Err)
	}
	env := d.Env
	if env == nil {
		env = os.Environ()
	}
	out := lines{logf: d.logf}
	c.Dir, c.Stdout, c.Stderr = dir, &out, &out
	c.Env = append(append([]string(nil), env...), w.env()...)
	inGroup(c)
	c.WaitDelay = killDelay
	err := c.Run()
	out.flush()
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // it ended well, and what it left in the background has its output open
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("run %s: not done after %v", argv[0], limit)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("run %s: %w", argv[0], err)
}

// lines logs a command's output line by line. The command's copier writes to it from
// one goroutine.
type lines struct {
	logf func(format string, args ...any)
	rest []byte
}

const maxLine = 64 << 10 // bytes that wait for the end of their line

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	if i := bytes.LastIndexByte(l.rest, '\n'); i >= 0 {
		l.logf("%s", l.rest[:i])
		l.rest = append(l.rest[:0], l.rest[i+1:]...)
	}
	if len(l.rest) > maxLine {
		l.flush()
	}
	return len(p), nil
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.logf("%s", l.rest)
	}
	l.rest = l.rest[:0]
}

// hook runs one of a plan's hooks about a release; an empty one is done.
func (d *deployment) hook(ctx context.Context, phase string, argv []string, rel *Release, slot string) error {
	if len(argv) == 0 {
		return nil
	}
	limit := rel.Plan.Hooks.Timeout
	if limit <= 0 {
		limit = DefaultHookTime
	}
	d.logf("%s: %s", phase, strings.Join(argv, " "))
	if err := d.command(ctx, argv, d.words(rel, slot), d.dir.releaseDir(rel.ID), limit); err != nil {
		return fmt.Errorf("hook %s: %w", phase, err)
	}
	return nil
}

// words are what commands about a release may refer to.
func (d *deployment) words(rel *Release, slot string) words {
	w := words{
		"root": d.Root, "current": filepath.Join(d.Root, current), "release": d.dir.releaseDir(rel.ID),
		"version": rel.Version, "environment": rel.Environment, "slot": slot, "port": "",
	}
	if port := rel.Plan.Ports.Of(slot); port != 0 && slot != "" {
		w["port"] = fmt.Sprint(port)
	}
	return w
}
