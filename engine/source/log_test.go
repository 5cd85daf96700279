package source_test

import (
	"context"
	"errors"
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
		l, err := source.ReadLog(t.Context(), dir, tt.since, tt.until)
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
	if _, err := source.ReadLog(t.Context(), dir, "v9", ""); !errors.Is(err, source.ErrNoRevision) {
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
		if l, err := source.ReadLog(context.Background(), without, "", ""); !errors.Is(err, want) {
			t.Errorf("%+v, %v, want %v", l, err, want)
		}
	}
}
