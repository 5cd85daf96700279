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
func askGit(ctx context.Context, dir string, attrs []string, o Options) (*Info, error) {
	g := git{dir: dir, asked: attrs, rules: o.Rules}
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
	rules Rules
	info  Info

	overrides []string        // arguments that keep the repository's filters from running, from guard
	shut      map[string]bool // the filters that do nothing by that
}

func (g *git) asks(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return slices.Contains(g.asked, n) })
}

func (g *git) queries() (queries []func(context.Context) error) {
	if g.asks("describe", "tag") {
		queries = append(queries, g.describe)
	}
	if g.asks("describe", "dirty") {
		queries = append(queries, g.dirty)
	}
	if g.asks("commit", "short", "time") {
		queries = append(queries, g.commit)
	}
	if g.asks("branch") {
		queries = append(queries, g.branch)
	}
	if g.asks("previous_tag") {
		queries = append(queries, g.previous)
	}
	if g.asks("commit_count") {
		queries = append(queries, g.count)
	}
	if g.asks("url") {
		queries = append(queries, g.url)
	}
	if g.asks("go") {
		queries = append(queries, g.build)
	}
	return queries
}

// commit reads the commit's hash and time.
func (g *git) commit(ctx context.Context) error {
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
	g.info.Commit, g.info.Short = commit, commit[:shortDigits]
	return nil
}

func (g *git) branch(ctx context.Context) error {
	out, err := g.run(ctx, "symbolic-ref", "--quiet", "HEAD")
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 1 {
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
