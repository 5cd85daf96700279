package changelog

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

func log() *source.Log {
	l := &source.Log{Since: "v1.0.0", Until: strings.Repeat("a", 40), Tag: "v1.1.0"}
	for i, s := range []string{"docs: a_b", "Merge x", "fix(ui): two", "feat!: away", "feat: one", "chore: tidy"} {
		c := source.Commit{Hash: strings.Repeat(string(rune('a'+i)), 40), Parents: 1, Subject: s, Author: "Ann \"A\"", Email: "ann@example.com",
			Time: time.Unix(1700000000-int64(i), 0).UTC()}
		if s == "Merge x" {
			c.Parents = 2
		}
		if s == "chore: tidy" {
			c.Body = "so\n\nBREAKING CHANGE: all\n"
		}
		l.Commits = append(l.Commits, c)
	}
	return l
}

func block() *tasks.Block { return tasktest.Block("changelog", "changes", fstest.MapFS{}) }

// run plans a block and runs its tool on the log above.
func run(t *testing.T, b *tasks.Block) (string, error) {
	t.Helper()
	s := tasktest.Step(t, task{}, b)
	text, err := json.Marshal(log())
	if err != nil {
		t.Fatal(err)
	}
	dir, _, err := tasktest.Run(t, Tools(), s, fstest.MapFS{commitsFile: {Data: text}})
	if err != nil {
		return "", err
	}
	out, err := os.ReadFile(filepath.Join(dir, s.Command.OutputPaths[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(out), nil
}

func TestForms(t *testing.T) {
	for name, tt := range map[string]struct {
		attrs map[string]any
		want  string
	}{
		"markdown": {nil, "# Changelog\n\n## v1.1.0\n\n- docs: a\\_b (aaaaaaa)\n- fix(ui): two (ccccccc)\n- feat!: away (ddddddd)\n- feat: one (eeeeeee)\n- chore: tidy (fffffff)\n"},
		"conventional": {map[string]any{"groups": "conventional", "abbrev": 0, "skip": []string{"^docs:"}, "title": "News"},
			"# News\n\n## v1.1.0\n\n### Breaking changes\n\n- feat!: away\n- chore: tidy\n\n### Features\n\n- feat: one\n\n### Fixes\n\n- fix(ui): two\n"},
		"plain": {map[string]any{"format": "plain", "only": []string{"^fix", "^Merge"}, "merges": true, "sort": "oldest", "authors": true, "version": "2"},
			"Changelog\n=========\n\n2\n-\n\n- fix(ui): two (ccccccc), Ann \"A\"\n- Merge x (bbbbbbb), Ann \"A\"\n"},
		"link": {map[string]any{"only": []string{"one"}, "abbrev": 3, "link": "https://example.com/{commit}", "title": ""},
			"## v1.1.0\n\n- feat: one ([eee](https://example.com/" + strings.Repeat("e", 40) + "))\n"},
		"nothing": {map[string]any{"only": []string{"none"}, "title": ""}, "## v1.1.0\n\nNo changes.\n"},
		"chglog": {map[string]any{"format": "chglog", "only": []string{"one", "two"}, "sort": "subject", "abbrev": 0},
			"- semver: \"1.1.0\"\n  date: 2023-11-14T22:13:18Z\n  packager: \"Ann \\\"A\\\" \\u003cann@example.com\\u003e\"\n  changes:\n    - note: \"feat: one\"\n    - note: \"fix(ui): two\"\n"},
	} {
		b := block()
		for attr, value := range tt.attrs {
			tasktest.Set(b, attr, value)
		}
		if got, err := run(t, b); got != tt.want || err != nil {
			t.Errorf("%s: %v\n%s\nwant\n%s", name, err, got, tt.want)
		}
	}
	b := block()
	tasktest.Set(b, "group.Mine.match", "^feat")
	b.Labels = map[string][]string{"group": {"Mine"}}
	if got, err := run(t, b); err != nil || !strings.Contains(got, "### Mine\n\n- feat!: away (ddddddd)\n- feat: one (eeeeeee)\n\n### Others\n\n- docs") {
		t.Errorf("%v\n%s", err, got)
	}
	tasktest.Set(b, "format", "chglog")
	tasktest.Set(b, "only", []string{"none"})
	if got, err := run(t, b); err == nil {
		t.Errorf("an empty changelog: %s", got)
	}
}

func TestMistakes(t *testing.T) {
	for attr, tt := range map[string]struct {
		value any
		want  string
	}{
		"only":   {[]string{"("}, "Not a regular expression"},
		"skip":   {[]string{"a", "["}, "Not a regular expression"},
		"since":  {"--all", "Not a tag"},
		"until":  {"", "Not a tag"},
		"title":  {"a\nb", "More than one line"},
		"abbrev": {-1, "Not a number of digits"},
		"link":   {"https://example.com", "Not the link of a commit"},
	} {
		b := block()
		tasktest.Set(b, attr, tt.value)
		tasktest.WantError(t, task{}, b, tt.want)
	}
	b := block()
	tasktest.Set(b, "groups", "conventional")
	tasktest.Set(b, "group.Mine.match", "(")
	b.Labels = map[string][]string{"group": {"Mine"}}
	tasktest.WantError(t, task{}, b, "Two kinds of groups")
	tasktest.WantError(t, task{}, b, "Not a regular expression")
}
