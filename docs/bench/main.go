// Command bench measures airbuild against other tools; docs/bench/run builds
// and starts it. docs/performance.md says what is measured, and how.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A bench is one run of the measurements.
type bench struct {
	ctx      context.Context // ends at an interrupt
	repo     string          // airbuild's clone
	scratch  string          // projects, caches, peers
	peers    string          // where run put other tools, or why not
	goroot   string
	deadline time.Time
	edits    int // how many edits were made
	shrink   int // what the projects' sizes are divided by: 1 but for a quick run
}

func main() {
	if code, ok := limits(os.Args[1:]); ok {
		os.Exit(code)
	}
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{ctx: ctx, edits: int(time.Now().Unix() % 1e8 * 10)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&b.repo, "repo", "", "airbuild's clone")
	flags.StringVar(&b.scratch, "scratch", "", "folder for all that is made")
	flags.StringVar(&b.peers, "peers", "", "folder of the other tools")
	deadline := flags.Int64("deadline", 0, "Unix time by which all must have ended")
	rounds := flags.Int("rounds", 7, "rounds of each case; slow cases have fewer")
	only := flags.String("only", "", "cases to run, with commas")
	out := flags.String("out", "", "Markdown file to write or update")
	prepare := flags.Bool("prepare", false, "prepare everything, measure nothing")
	quick := flags.Bool("quick", false, "small projects, to try the script itself")
	project := flags.String("project", "", "make this project and end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b.deadline = time.Unix(*deadline, 0)
	b.shrink = 1
	if *quick {
		b.shrink = 20
	}
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("go env: %w", err)
	}
	b.goroot = strings.TrimSpace(string(root))
	projects, err := b.projects()
	if err != nil {
		return err
	}
	if *project != "" {
		if *project == "steps" {
			return makeSteps(b)
		}
		return projects[*project].prepare(b)
	}
	cases, err := choose(b.cases(projects), *only)
	if err != nil {
		return err
	}
	if *prepare {
		*rounds = 0
	}
	// The report's own needs (versions, a rename) take a few seconds.
	b.deadline = b.deadline.Add(-10 * time.Second)
	began := time.Now()
	for i := range cases {
		b.measure(&cases[i], *rounds)
		if ctx.Err() != nil {
			return errors.New("interrupted")
		}
	}
	if *prepare {
		return nil
	}
	text := b.report(cases, began)
	if *out == "" {
		_, err = os.Stdout.WriteString(text)
		return err
	}
	return update(*out, text)
}

func choose(cases []benchCase, only string) ([]benchCase, error) {
	if only == "" {
		return cases, nil
	}
	var list []benchCase
	for _, name := range strings.Split(only, ",") {
		i := slices.IndexFunc(cases, func(c benchCase) bool { return c.name == name })
		if i < 0 {
			return nil, fmt.Errorf("there is no case %q", name)
		}
		list = append(list, cases[i])
	}
	return list, nil
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// environ is what every program is given: this process's environment with
// caches of the bench's own, and nothing that turns on a tool's CI mode.
func (b *bench) environ(extra []string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "CI" || strings.HasSuffix(name, "_CI") || strings.HasPrefix(name, "AIRBUILD_")
	})
	env = append(env,
		"GOFLAGS=", "GOENV=off", "GOWORK=off", "GOTOOLCHAIN=local", "GOTELEMETRY=off",
		"GOCACHE="+filepath.Join(b.scratch, "gocache"),
		"AIRBUILD_CACHE="+filepath.Join(b.scratch, "cache"),
		"TURBO_TELEMETRY_DISABLED=1", "DO_NOT_TRACK=1", "TURBO_NO_UPDATE_NOTIFIER=1")
	return append(env, extra...)
}

// airbuild is the program that is measured.
func (b *bench) airbuild() string { return filepath.Join(b.scratch, "airbuild") }

func (b *bench) self() string { return filepath.Join(b.scratch, "bench") }

// makeProject prepares a project in a process of its own; see prepare.
func (b *bench) makeProject(p *project) error {
	cmd := exec.Command(b.self(), "--repo", b.repo, "--scratch", b.scratch, "--project", p.name, fmt.Sprintf("--quick=%t", b.shrink > 1))
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("prepare %s: %w", p.name, err)
	}
	return nil
}

// measure runs one case. What goes wrong is part of the report: the other
// cases are still worth their time.
func (b *bench) measure(c *benchCase, rounds int) {
	b.say("%s", c.name)
	if time.Now().After(b.deadline) {
		c.err = errTime
		return
	}
	list, err := c.contenders()
	if c.after != nil {
		defer c.after()
	}
	if err != nil {
		c.err = err
		b.say("  error: %v", err)
		return
	}
	prepare := rounds == 0
	for i := range list {
		if list[i].why == "" && list[i].check != nil && !c.cold && (!list[i].slow || prepare) {
			if list[i].why = b.fill(list[i]); list[i].why != "" {
				b.say("  without %s: %s", list[i].name, list[i].why)
				if i == 0 {
					c.err = errors.New(list[i].why)
					return
				}
			}
		}
		if i > 0 && list[i].patience == 0 && !c.cold {
			list[i].patience = time.Minute
		}
	}
	if prepare {
		return
	}
	if c.most > 0 {
		rounds = min(rounds, c.most)
	}
	c.results, c.err = b.rounds(list, rounds*max(1, c.times), c.share, !c.cold)
	if c.err != nil {
		b.say("  error: %v", c.err)
	}
}

// fill lets a contender do its work until there is nothing left to do, which
// its check sees. It says what is wrong, or "".
func (b *bench) fill(c contender) string {
	c.patience = 0 // the first time everything is compiled
	var last error
	for range 3 {
		if c.before != nil {
			if err := c.before(); err != nil {
				return firstLine(err.Error())
			}
		}
		_, _, _, out, err := b.once(&c)
		if err != nil {
			b.say("  %v", err)
			return firstLine(err.Error())
		}
		if last = c.check(out); last == nil {
			return ""
		}
		b.say("  fill %s", c.name)
	}
	return firstLine(last.Error())
}
