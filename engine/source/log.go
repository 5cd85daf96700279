package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// A Commit is one entry of a Log.
type Commit struct {
	Hash    string // full, lower-case hexadecimal
	Parents int    // more than one: a merge
	Time    time.Time
	Author  string
	Email   string
	Subject string
	Body    string // without the subject; lines end in \n
}

// A Log is what happened between two revisions.
type Log struct {
	Since   string   // the tag or revision it begins behind; empty: the first commit
	Until   string   // full hash of its last commit
	Tag     string   // a tag of that commit; empty if there is none
	Commits []Commit // newest first
}

// ErrNoHistory says that a source tree has no git repository.
var ErrNoHistory = errors.New("the history of the source is not here")

// ErrShallow says that a repository has a part of its commits only.
var ErrShallow = errors.New("this is a shallow clone")

// logFields are the placeholders of git log's format, in the order of Commit.
const logFields = "%H%x00%P%x00%ct%x00%an%x00%ae%x00%s%x00%b%x00"

// ReadLog reads the commits of the repository that dir is in, that until has
// and since does not have. An empty until is HEAD. With an empty since, the
// commits are those that no tag before until has, and Log.Since is the nearest
// of these tags. Revisions are anything that git rev-parse takes. The answer
// depends on the repository alone: no mailmap, no replaced commits, no
// configuration. rules say which tags count.
func ReadLog(ctx context.Context, dir, since, until string, rules Rules) (*Log, error) {
	if !exists(filepath.Join(dir, ".git")) && (exists(filepath.Join(dir, FileName)) || !inRepository(dir)) {
		return nil, fmt.Errorf("read log: %w: there is no git repository", ErrNoHistory)
	}
	until = cmp.Or(until, "HEAD")
	r, err := OpenRevision(ctx, dir, until)
	if errors.Is(err, ErrNoRevision) && until == "HEAD" {
		err = fmt.Errorf("%w: the repository has none yet: make the first one", ErrNoRevision)
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	g := r.git
	if shallow, err := g.shallow(ctx); err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	} else if shallow {
		return nil, fmt.Errorf("read log: %w: run git fetch --unshallow --tags", ErrShallow)
	}
	l := &Log{Since: since, Until: r.Commit}
	at := git{dir: dir, rules: rules} // the directory says which tags count
	d, tags, err := at.nearest(ctx, r.Commit)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if d.distance == 0 {
		l.Tag = d.tag
	}
	var known []string // commits whose history is not part of the log
	if since == "" {
		l.Since, known, err = g.released(ctx, r.Commit, tags, d)
	} else {
		var from *Revision
		if from, err = OpenRevision(ctx, dir, since); err == nil {
			known = []string{from.Commit}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	revisions := r.Commit + "\n"
	for _, commit := range known {
		revisions += "^" + commit + "\n"
	}
	out, err := g.ask(ctx, revisions, "-c", "i18n.logOutputEncoding=UTF-8",
		"log", "--no-color", "--no-mailmap", "--no-notes", "--no-show-signature", "--topo-order", "--format=tformat:"+logFields, "--stdin")
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	l.Commits, err = parseLog(out)
	return l, err
}

// released returns the nearest tag of a series before a commit, and the commits
// of all tags of the series before it. With a tag on each side of a merge, the commits since the nearest
// one alone would include those that the other release already had. d describes
// the commit: before a release, pre-releases may not count.
func (g *git) released(ctx context.Context, until string, tags series, d description) (nearest string, commits []string, err error) {
	out, err := g.run(ctx, "for-each-ref", "--merged="+until, "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags")
	if err != nil {
		return "", nil, err
	}
	releases := tags.rules.SkipPrereleases && d.distance == 0 && semver.IsValid(tags.version(d.tag)) && semver.Prerelease(tags.version(d.tag)) == ""
	describe := append([]string{"describe", "--tags", "--abbrev=0"}, tags.arguments()...)
	for line := range strings.SplitSeq(out, "\n") {
		f := strings.Fields(line)
		switch {
		case len(f) < 2 || !tags.has(f[0]):
		case releases && semver.Prerelease(tags.version(f[0])) != "":
			describe = append(describe, "--exclude="+f[0])
		case f[len(f)-1] == until: // it names the commit itself; a tag's name is a pattern that matches nothing else
			describe = append(describe, "--exclude="+f[0])
		default:
			commits = append(commits, f[len(f)-1])
		}
	}
	if len(commits) == 0 {
		return "", nil, nil
	}
	nearest, err = g.answer(ctx, append(describe, until)...)
	if err == nil && nearest != "" {
		nearest, err = g.highest(ctx, nearest, tags)
	}
	return nearest, commits, err
}

// shallow reports whether the repository has a part of its commits only.
func (g *git) shallow(ctx context.Context) (bool, error) {
	out, err := g.run(ctx, "rev-parse", "--is-shallow-repository")
	return out == "true", err
}

// complete refuses a repository that has a part of its commits only, for an
// attribute that needs all of them.
func (g *git) complete(ctx context.Context, attr string) error {
	shallow, err := g.shallow(ctx)
	if shallow {
		return fmt.Errorf("%s needs every commit, and %w: run git fetch --unshallow --tags, or in CI make a full clone (GitHub: fetch-depth: 0, GitLab: GIT_DEPTH: 0)", attr, ErrShallow)
	}
	return err
}

// answer is run, but that git finds nothing is an empty answer.
func (g *git) answer(ctx context.Context, argv ...string) (string, error) {
	out, err := g.run(ctx, argv...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 128 {
		return "", nil
	}
	return out, err
}

// parseLog reads what git log prints in the format of logFields.
func parseLog(out string) (commits []Commit, err error) {
	const fields = 7
	parts := strings.Split(out, "\x00")
	if len(parts)%fields != 1 {
		return nil, fmt.Errorf("read log: git log gave %d fields", len(parts))
	}
	for ; len(parts) > fields; parts = parts[fields:] {
		c := Commit{Hash: strings.TrimPrefix(parts[0], "\n"), Parents: len(strings.Fields(parts[1])),
			Author: parts[3], Email: parts[4], Subject: parts[5], Body: parts[6]}
		seconds, err := strconv.ParseInt(parts[2], 10, 64)
		if err != nil || !isHash(c.Hash) {
			return nil, fmt.Errorf("read log: git log gave commit %q of time %q", c.Hash, parts[2])
		}
		c.Time = time.Unix(seconds, 0).UTC()
		commits = append(commits, c)
	}
	return commits, nil
}
