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
func (r *room) command(ctx context.Context, argv []string, w words, dir string, limit time.Duration) error {
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
	env := r.Env
	if env == nil {
		env = os.Environ()
	}
	var out masked
	out.room = r
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

// masked shows whole lines of a command's output. The command's copier writes
// to it from one goroutine.
type masked struct {
	room *room
	rest []byte
}

const maxLine = 64 << 10 // bytes that wait for the end of their line

func (m *masked) Write(p []byte) (int, error) {
	m.rest = append(m.rest, p...)
	if i := bytes.LastIndexByte(m.rest, '\n'); i >= 0 {
		m.room.say("%s", m.rest[:i])
		m.rest = append(m.rest[:0], m.rest[i+1:]...)
	}
	if len(m.rest) > maxLine {
		m.flush()
	}
	return len(p), nil
}

func (m *masked) flush() {
	if len(m.rest) > 0 {
		m.room.say("%s", m.rest)
	}
	m.rest = m.rest[:0]
}

// hook runs one of a plan's hooks about a release; an empty one is done.
func (r *room) hook(ctx context.Context, phase string, argv []string, rel *Release, slot string) error {
	if len(argv) == 0 {
		return nil
	}
	limit := rel.Plan.Hooks.Timeout
	if limit <= 0 {
		limit = DefaultHookTime
	}
	r.say("%s: %s", phase, strings.Join(argv, " "))
	if err := r.command(ctx, argv, r.words(rel, slot), r.dir(rel.ID), limit); err != nil {
		return fmt.Errorf("hook %s: %w", phase, err)
	}
	return nil
}

// words are what commands about a release may refer to.
func (r *room) words(rel *Release, slot string) words {
	w := words{
		"root": r.Root, "current": filepath.Join(r.Root, current), "release": r.dir(rel.ID),
		"version": rel.Version, "environment": rel.Environment, "slot": slot, "port": "",
	}
	if port := rel.Plan.Ports.Of(slot); port != 0 && slot != "" {
		w["port"] = fmt.Sprint(port)
	}
	return w
}
