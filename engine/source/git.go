package source

import (
	"context"
	"errors"
	"fmt"
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

	overrides []string        // arguments that keep the repository's filters from running, from guard
	shut      map[string]bool // the filters that do nothing by that
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
	if err := g.guard(ctx); err != nil {
		return err
	}
	out, err := g.run(ctx, "status", "--porcelain=v2", "--untracked-files=no", "--no-renames", "-z")
	if err != nil || out == "" {
		return err
	}
	g.info.Dirty, err = g.differs(ctx, strings.Split(strings.TrimSuffix(out, "\x00"), "\x00"))
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
