package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A contender is one way to do a case's work.
type contender struct {
	name string
	argv []string
	dir  string
	env  []string // added to the case's
	// before sets the stage for one round, outside the measured time.
	before func() error
	// check says whether the run did what the case is about: a no-op that
	// rebuilt something is an error.
	check  func(out string) error
	max    int  // rounds at most; 0: as many as the case
	limit  bool // no tool: what the machine cannot do faster
	prints bool // prints its own time in nanoseconds, without the start of a process
	slow   bool // no warm-up round: it would take longer than it is worth
	tree   bool // sample the memory of all its processes together
	// patience is how long one run may take; 0: as long as there is time.
	patience time.Duration
	why      string // it is not measured, and this is the reason
}

// A result is what a contender's rounds gave.
type result struct {
	name   string
	limit  bool
	walls  []time.Duration
	ratios []float64 // to airbuild's time of the same round
	rss    int64     // bytes: the largest process, over all rounds
	tree   int64     // bytes: all processes together, over all rounds
	why    string
}

func (r *result) median() time.Duration { return median(r.walls) }

func median[T time.Duration | float64](list []T) T {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

var errTime = errors.New("out of time")

// once runs a contender and returns its time, its largest process's and all
// its processes' peak memory, and what it wrote.
func (b *bench) once(c *contender) (wall time.Duration, rss, tree int64, out string, err error) {
	end := b.deadline
	if limit := time.Now().Add(c.patience); c.patience > 0 && limit.Before(end) {
		end = limit
	}
	ctx, cancel := context.WithDeadline(b.ctx, end)
	defer cancel()
	f, err := os.CreateTemp(b.scratch, "out-*")
	if err != nil {
		return 0, 0, 0, "", err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, b.environ(c.env)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, 0, "", err
	}
	var peak func() int64
	if c.tree {
		peak = watchTree(cmd.Process.Pid)
	}
	err = cmd.Wait()
	wall = time.Since(start)
	if peak != nil {
		tree = peak()
	}
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		rss = u.Maxrss * 1024
	}
	text, readErr := os.ReadFile(f.Name())
	out = string(text)
	switch {
	case b.ctx.Err() != nil:
		return wall, rss, tree, out, errors.New("interrupted")
	case ctx.Err() != nil && time.Now().Before(b.deadline):
		return wall, rss, tree, out, fmt.Errorf("not done after %s", c.patience)
	case ctx.Err() != nil:
		return wall, rss, tree, out, errTime
	case err != nil:
		return wall, rss, tree, out, fmt.Errorf("%s: %w\n%s", strings.Join(c.argv, " "), err, tail(out))
	case readErr != nil:
		return wall, rss, tree, out, readErr
	}
	if c.prints {
		ns, err := strconv.ParseInt(strings.TrimSpace(out), 10, 64)
		if err != nil {
			return 0, 0, 0, out, err
		}
		wall = time.Duration(ns)
	}
	return wall, rss, tree, out, nil
}

// turn is one round of one contender: stage, run, check.
func (b *bench) turn(c *contender, r *result) (time.Duration, error) {
	if c.before != nil {
		if err := c.before(); err != nil {
			return 0, err
		}
	}
	wall, rss, tree, out, err := b.once(c)
	if err != nil {
		return 0, err
	}
	if c.check != nil {
		if err := c.check(out); err != nil {
			return 0, fmt.Errorf("%w\n%s", err, tail(out))
		}
	}
	r.rss, r.tree = max(r.rss, rss), max(r.tree, tree)
	return wall, nil
}

// rounds runs the contenders in turn, again and again: the machine's speed
// drifts, and ratios within a round drift less. The first contender is
// airbuild; if it fails, the case has failed. A first round that is not
// counted warms what there is to warm. It stops early at the case's share of
// the time, but not before one round.
func (b *bench) rounds(list []contender, n int, share time.Duration, warm bool) ([]result, error) {
	results := make([]result, len(list))
	for i, c := range list {
		results[i] = result{name: c.name, limit: c.limit, why: c.why}
	}
	began := time.Now()
	if !warm {
		n-- // the first round counts
	}
	for round := 0; round <= n; round++ {
		if round > 1 && time.Since(began) > share || time.Now().After(b.deadline) {
			break
		}
		var ours time.Duration
		for i := range list {
			c, r := &list[i], &results[i]
			if r.why != "" || c.max > 0 && len(r.walls) >= c.max || c.slow && warm && round == 0 {
				continue
			}
			wall, err := b.turn(c, r)
			switch {
			case err != nil && i == 0:
				return results, fmt.Errorf("%s: %w", c.name, err)
			case err != nil:
				r.why = firstLine(err.Error())
				b.say("  without %s: %v", c.name, err)
				continue
			}
			if warm && round == 0 {
				continue
			}
			if i == 0 {
				ours = wall
			}
			r.walls = append(r.walls, wall)
			r.ratios = append(r.ratios, float64(wall)/float64(ours))
		}
	}
	return results, nil
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// tail is the end of what a program wrote, for an error.
func tail(s string) string {
	if len(s) > 1500 {
		s = "…" + s[len(s)-1500:]
	}
	return s
}
