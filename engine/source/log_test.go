package source_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine/source"
)

// history makes a repository with two tags and a merge.
func history(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("this host has no git")
	}
	dir := t.TempDir()
	for i, argv := range [][]string{
		{"init", "-q", "-b", "main"},
		{"commit", "-q", "--allow-empty", "-m", "chore: begin"}, {"tag", "v0.1.0"},
		{"commit", "-q", "--allow-empty", "-m", "feat: say hello\n\nTo all.\n\nCloses #1"},
		{"checkout", "-q", "-b", "side"}, {"commit", "-q", "--allow-empty", "-m", "fix(cli): stop"}, {"checkout", "-q", "main"},
		{"merge", "-q", "--no-ff", "-m", "Merge side", "side"}, {"tag", "-a", "-m", "two", "v0.2.0"},
		{"commit", "-q", "--allow-empty", "-m", "docs: write"},
	} {
		cmd := exec.Command("git", argv...)
		cmd.Dir = dir
		date := "2026-01-31T12:00:0" + string(rune('0'+i%10)) + "Z"
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann",
			"GIT_COMMITTER_EMAIL=ann@example.com", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", argv, err, out)
		}
	}
	return dir
}

func TestReadLog(t *testing.T) {
	dir := history(t)
	for _, tt := range []struct{ since, until, from, tag, subjects string }{
		{"", "", "v0.2.0", "", "docs: write"},
		{"", "v0.2.0", "v0.1.0", "v0.2.0", "Merge side|fix(cli): stop|feat: say hello"},
		{"", "v0.1.0", "", "v0.1.0", "chore: begin"},
		{"v0.1.0", "", "v0.1.0", "", "docs: write|Merge side|fix(cli): stop|feat: say hello"},
	} {
		l, err := source.ReadLog(t.Context(), dir, tt.since, tt.until, source.Rules{})
		if err != nil {
			t.Errorf("%s..%s: %v", tt.since, tt.until, err)
			continue
		}
		var subjects []string
		for _, c := range l.Commits {
			subjects = append(subjects, c.Subject)
			if c.Author != "Ann" || c.Email != "ann@example.com" || c.Time.Year() != 2026 || (c.Parents > 1) != strings.HasPrefix(c.Subject, "Merge") {
				t.Errorf("%+v", c)
			}
		}
		if got := strings.Join(subjects, "|"); got != tt.subjects || l.Since != tt.from || l.Tag != tt.tag {
			t.Errorf("%s..%s: since %q, tag %q: %s", tt.since, tt.until, l.Since, l.Tag, got)
		}
	}
	if _, err := source.ReadLog(t.Context(), dir, "v9", "", source.Rules{}); !errors.Is(err, source.ErrNoRevision) {
		t.Errorf("unknown tag: %v", err)
	}
	clone := filepath.Join(t.TempDir(), "clone")
	if out, err := exec.Command("git", "clone", "-q", "--depth=1", "file://"+dir, clone).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	empty := filepath.Join(t.TempDir(), "empty")
	if out, err := exec.Command("git", "init", "-q", empty).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for without, want := range map[string]error{clone: source.ErrShallow, t.TempDir(): source.ErrNoHistory, empty: source.ErrNoRevision} {
		if l, err := source.ReadLog(context.Background(), without, "", "", source.Rules{}); !errors.Is(err, want) {
			t.Errorf("%+v, %v, want %v", l, err, want)
		}
	}
}

// TestReadLogMerged: what any earlier release had is not listed again, on
// whichever side of a merge its tag is.
func TestReadLogMerged(t *testing.T) {
	begin := []string{"commit one", "tag v1.0.0", "branch hotfix", "commit feature"}
	for _, tt := range []struct {
		name             string
		steps            []string
		since, want, tag string
	}{
		{"tag on the merged branch", []string{"checkout hotfix", "commit fix", "tag v1.0.1", "checkout main", "merge hotfix", "tag v1.1.0"}, "v1.0.1", "merge hotfix|feature", "v1.1.0"},
		{"not tagged", []string{"checkout hotfix", "commit fix", "tag v1.0.1", "checkout main", "merge hotfix", "commit more"}, "v1.0.1", "more|merge hotfix|feature", ""},
		{"tag on both sides", []string{"tag v1.1.0", "checkout hotfix", "commit fix", "tag v1.0.1", "checkout main", "merge hotfix", "commit more", "tag v1.2.0"}, "v1.0.1", "more|merge hotfix", "v1.2.0"},
		{"two tags of one commit", []string{"tag v1.1.0", "tag latest"}, "v1.0.0", "feature", "v1.1.0"},
		{"merge of a branch without a tag", []string{"checkout hotfix", "commit fix", "checkout main", "merge hotfix"}, "v1.0.0", "merge hotfix|fix|feature", ""},
		{"two branches with tags", []string{"checkout hotfix", "commit fix", "tag v1.0.1", "branch next", "checkout next", "commit fix2", "tag v1.0.2", "checkout main", "merge hotfix", "merge next"}, "v1.0.2", "merge next|merge hotfix|feature", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := commits(t, append(begin, tt.steps...))
			l, err := source.ReadLog(t.Context(), dir, "", "", source.Rules{})
			if err != nil {
				t.Fatal(err)
			}
			var subjects []string
			for _, c := range l.Commits {
				subjects = append(subjects, c.Subject)
			}
			if got := strings.Join(subjects, "|"); got != tt.want || l.Since != tt.since || tt.tag != "" && l.Tag == "" {
				t.Errorf("since %q, tag %q: %s\nwant since %q: %s", l.Since, l.Tag, got, tt.since, tt.want)
			}
		})
	}
}

// commits makes a repository by steps: commit SUBJECT, tag NAME (with a message),
// branch NAME, checkout NAME, merge NAME. Each is a second later.
func commits(t *testing.T, steps []string) string {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("this host has no git")
	}
	dir := t.TempDir()
	run := func(second int, argv ...string) {
		cmd := exec.Command("git", argv...)
		cmd.Dir = dir
		date := fmt.Sprintf("2026-01-31T12:00:%02dZ", second)
		cmd.Env = append(os.Environ(), "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com", "GIT_COMMITTER_NAME=Ann",
			"GIT_COMMITTER_EMAIL=ann@example.com", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date, "GIT_CONFIG_GLOBAL=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", argv, err, out)
		}
	}
	run(0, "init", "-q", "-b", "main")
	for i, step := range steps {
		verb, name, _ := strings.Cut(step, " ")
		switch verb {
		case "commit":
			run(i, "commit", "-q", "--allow-empty", "-m", name)
		case "tag":
			run(i, "tag", "-a", "-m", name, name)
		case "merge":
			run(i, "merge", "-q", "--no-ff", "-m", step, name)
		default:
			run(i, verb, name)
		}
	}
	return dir
}
