package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// askGit asks the git program, with one process for each kind of question
// and all at the same time. Most builds ask one or two.
func askGit(ctx context.Context, dir string, attrs []string) (*Info, error) {
	g := git{dir: dir, asked: attrs}
	queries := g.queries()
	errs := make([]error, len(queries))
	var wg sync.WaitGroup
	for i, query := range queries {
		wg.Go(func() { errs[i] = query(ctx) })
	}
	wg.Wait()
	for _, err := range errs { // one is enough: they fail for the same reason
		if err != nil {
			return nil, fmt.Errorf("read source identity from git: %w", err)
		}
	}
	if g.info.Dirty && g.info.Describe != "" {
		g.info.Describe += "-dirty"
	}
	return &g.info, nil
}

// A git is one look at a repository. Each query fills in fields of its own.
type git struct {
	dir   string
	asked []string
	info  Info
}

func (g *git) asks(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(g.asked, n) })
}

func (g *git) queries() (queries []func(context.Context) error) {
	described := g.asks("describe", "tag")
	if described {
		queries = append(queries, g.describe)
	}
	if g.asks("describe", "dirty") {
		queries = append(queries, g.dirty)
	}
	if g.asks("time") || g.asks("commit", "short") && !described {
		queries = append(queries, func(ctx context.Context) error { return g.commit(ctx, !described) })
	}
	if g.asks("branch") {
		queries = append(queries, g.branch)
	}
	return queries
}

// commit reads the commit's time and, if it is the one to do so, its hash.
func (g *git) commit(ctx context.Context, hash bool) error {
	out, err := g.run(ctx, "rev-list", "--max-count=1", "--timestamp", "HEAD", "--")
	if err != nil {
		return err
	}
	stamp, commit, ok := strings.Cut(out, " ")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if !ok || err != nil || !isHash(commit) {
		return fmt.Errorf("git rev-list gave %q", out)
	}
	g.info.Time = time.Unix(seconds, 0).UTC()
	if hash {
		g.info.Commit, g.info.Short = commit, commit[:shortDigits]
	}
	return nil
}

func (g *git) branch(ctx context.Context) error {
	out, err := g.run(ctx, "symbolic-ref", "--quiet", "HEAD")
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil // detached
	}
	g.info.Branch = strings.TrimPrefix(out, "refs/heads/")
	return err
}

// dirty reads whether tracked files differ from the commit. git describe
// --dirty would tell it as well, but it writes the index, under a lock that the
// user's own git commands then fail to get.
func (g *git) dirty(ctx context.Context) error {
	out, err := g.run(ctx, "status", "--porcelain", "--untracked-files=no", "--no-renames")
	g.info.Dirty = out != ""
	return err
}

// describe asks in the long form, which holds the tag, the distance and the
// whole hash, so that one process answers for commit, tag and describe.
func (g *git) describe(ctx context.Context) error {
	out, err := g.run(ctx, "describe", "--tags", "--always", "--long", "--abbrev=64")
	if err != nil {
		return err
	}
	d, err := parseDescription(out)
	if err != nil {
		return err
	}
	g.info.Commit, g.info.Short = d.commit, d.commit[:shortDigits]
	g.info.Describe = d.String()
	if d.distance == 0 {
		g.info.Tag = d.tag
	}
	return nil
}

// A description is what git describe --long says.
type description struct {
	tag      string // the nearest; empty if there is none
	distance int    // commits since tag
	commit   string // the whole hash
}

// parseDescription reads "v1.2-3-g<hash>" or "<hash>".
func parseDescription(s string) (d description, err error) {
	rest := s
	if isHash(rest) {
		d.commit = rest
		return d, nil
	}
	i := strings.LastIndex(rest, "-g")
	if i < 0 || !isHash(rest[i+2:]) {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	d.commit, rest = rest[i+2:], rest[:i]
	i = strings.LastIndexByte(rest, '-')
	if i <= 0 {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	d.tag = rest[:i]
	if d.distance, err = strconv.Atoi(rest[i+1:]); err != nil || d.distance < 0 {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	return d, nil
}

// String is the short form, as git describe --tags --always gives it.
func (d description) String() string {
	switch {
	case d.tag == "":
		return d.commit[:shortDigits]
	case d.distance > 0:
		return fmt.Sprintf("%s-%d-g%s", d.tag, d.distance, d.commit[:shortDigits])
	}
	return d.tag
}

// isHash reports whether s is a whole SHA-1 or SHA-256 in hexadecimal.
func isHash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

// run runs git and returns what it printed, without the line's end.
func (g *git) run(ctx context.Context, argv ...string) (string, error) {
	cmd := g.command(ctx, argv...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil:
		return strings.TrimSuffix(stdout.String(), "\n"), nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("there is a git repository here, and no git program on PATH: install git")
	}
	return "", explain(g.dir, argv[0], stderr.String(), err)
}

// command is git, to be run in the directory.
func (g *git) command(ctx context.Context, argv ...string) *exec.Cmd {
	// A repository's own configuration must not start programs.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "core.fsmonitor=false"}, argv...)...)
	cmd.Dir, cmd.Env, cmd.WaitDelay = g.dir, environ(os.Environ()), time.Second
	return cmd
}

// explain puts git's message on one line and says what to do where that is
// known.
func explain(dir, command, stderr string, err error) error {
	line, _, _ := strings.Cut(strings.TrimSpace(stderr), "\n")
	switch {
	case strings.Contains(stderr, "dubious ownership"):
		return fmt.Errorf("the repository belongs to another user; if you trust it: git config --global --add safe.directory %s", dir)
	case strings.Contains(stderr, "bad revision 'HEAD'"), strings.Contains(stderr, "Not a valid object name HEAD"):
		return fmt.Errorf("the repository at %s has no commit yet: make the first one", dir)
	case line != "":
		return fmt.Errorf("git %s: %s: %w", command, line, err)
	}
	return fmt.Errorf("git %s: %w", command, err)
}

// places are variables that point git at another repository. A hook of git
// that runs airbuild sets some of them.
var places = [...]string{
	"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE",
	"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_GRAFT_FILE", "GIT_SHALLOW_FILE",
}

// environ is the environment for git: English, no locks, no network, no
// replaced commits, no repository but the one at hand.
func environ(env []string) []string {
	out := []string{"LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_NO_LAZY_FETCH=1", "GIT_NO_REPLACE_OBJECTS=1", "GIT_TERMINAL_PROMPT=0"}
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		fixed := slices.ContainsFunc(out, func(o string) bool { return strings.HasPrefix(o, name+"=") })
		if !fixed && !slices.Contains(places[:], name) {
			out = append(out, v)
		}
	}
	return out
}
