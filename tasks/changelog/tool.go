package changelog

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/lists"
)

// runTool writes the changelog of a spec.
func runTool(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	b, err := fs.ReadFile(call.In, commitsFile)
	if err != nil {
		return fmt.Errorf("read commits: %w", err)
	}
	var log source.Log
	if err := json.Unmarshal(b, &log); err != nil {
		return fmt.Errorf("read commits: %w", err)
	}
	text, err := render(sp, &log)
	if err != nil {
		return fmt.Errorf("write changelog %s: %w", sp.Output, err)
	}
	name := filepath.Join(call.Dir, filepath.FromSlash(sp.Output))
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("write changelog %s: %w", sp.Output, err)
	}
	if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
		return fmt.Errorf("write changelog %s: %w", sp.Output, err)
	}
	return nil
}

// A section is a group with its commits.
type section struct {
	title   string
	commits []source.Commit
}

// render is pure: the same spec and log give the same text.
func render(sp *spec, log *source.Log) (string, error) {
	commits, err := choose(sp, log.Commits)
	if err != nil {
		return "", err
	}
	order(sp.Sort, commits)
	sections, err := divide(sp.Groups, commits)
	if err != nil {
		return "", err
	}
	if sp.Format == chglog {
		return renderChglog(sp, log, sections)
	}
	return renderText(sp, log, sections), nil
}

// choose leaves out merges and what the filters do not want.
func choose(sp *spec, commits []source.Commit) ([]source.Commit, error) {
	include, err := compile(sp.Only)
	if err != nil {
		return nil, err
	}
	exclude, err := compile(sp.Skip)
	if err != nil {
		return nil, err
	}
	var out []source.Commit
	for _, c := range commits {
		matches := func(r *regexp.Regexp) bool { return r.MatchString(c.Subject) }
		if c.Parents > 1 && !sp.Merges || len(include) > 0 && !slices.ContainsFunc(include, matches) || slices.ContainsFunc(exclude, matches) {
			continue
		}
		out = append(out, c)
	}
	return out, nil
}

func compile(exprs []string) (list []*regexp.Regexp, err error) {
	for _, e := range exprs {
		r, err := regexp.Compile(e)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// order sorts commits, which come newest first.
func order(by string, commits []source.Commit) {
	switch by {
	case "oldest":
		slices.Reverse(commits)
	case "subject":
		slices.SortStableFunc(commits, func(a, b source.Commit) int {
			return cmp.Or(strings.Compare(strings.ToLower(a.Subject), strings.ToLower(b.Subject)), strings.Compare(a.Hash, b.Hash))
		})
	}
}

// divide puts each commit into the first group that it matches; the last
// section is of the rest. Empty ones are left out.
func divide(groups []group, commits []source.Commit) ([]section, error) {
	sections := make([]section, len(groups)+1)
	subjects, bodies := make([]*regexp.Regexp, len(groups)), make([]*regexp.Regexp, len(groups))
	for i, g := range groups {
		sections[i].title = g.Title
		var err error
		if subjects[i], err = regexp.Compile(g.Match); err != nil {
			return nil, err
		}
		if g.Body == "" {
			continue
		}
		if bodies[i], err = regexp.Compile(g.Body); err != nil {
			return nil, err
		}
	}
	if len(groups) > 0 {
		sections[len(groups)].title = "Others"
	}
	for _, c := range commits {
		at := len(groups)
		for i := range groups {
			if subjects[i].MatchString(c.Subject) || bodies[i] != nil && bodies[i].MatchString(c.Body) {
				at = i
				break
			}
		}
		sections[at].commits = append(sections[at].commits, c)
	}
	return slices.DeleteFunc(sections, func(s section) bool { return len(s.commits) == 0 }), nil
}

func renderText(sp *spec, log *source.Log, sections []section) string {
	var parts []string
	heading := func(level int, text string) {
		switch {
		case text == "":
		case sp.Format == markdown:
			parts = append(parts, strings.Repeat("#", level)+" "+escape(text))
		default:
			parts = append(parts, text+"\n"+strings.Repeat(map[bool]string{true: "=", false: "-"}[level == 1], len([]rune(text))))
		}
	}
	heading(1, sp.Title)
	heading(2, cmp.Or(sp.Version, log.Tag))
	for _, s := range sections {
		heading(3, s.title)
		lines := lists.Map(s.commits, func(c source.Commit) string { return line(sp, c) })
		parts = append(parts, strings.Join(lines, "\n"))
	}
	if len(sections) == 0 {
		parts = append(parts, "No changes.")
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// line is one commit in a list.
func line(sp *spec, c source.Commit) string {
	subject := c.Subject
	if sp.Format == markdown {
		subject = escape(subject)
	}
	text := "- " + subject
	if hash := c.Hash[:min(sp.Abbrev, len(c.Hash))]; hash != "" {
		if sp.Link != "" {
			hash = "[" + hash + "](" + strings.ReplaceAll(sp.Link, "{commit}", c.Hash) + ")"
		}
		text += " (" + hash + ")"
	}
	if sp.Authors {
		text += ", " + c.Author
	}
	return text
}

// escape keeps a subject from being read as markup. Code in backquotes stays.
func escape(s string) string {
	return strings.NewReplacer("\\", "\\\\", "<", "&lt;", "[", "\\[", "]", "\\]", "*", "\\*", "_", "\\_").Replace(s)
}

// renderChglog writes the YAML that nfpm reads: one entry, for the version.
// Strings are written as JSON has them, which is YAML too.
func renderChglog(sp *spec, log *source.Log, sections []section) (string, error) {
	version := cmp.Or(sp.Version, log.Tag)
	if version == "" {
		return "", errors.New("the last commit has no tag that would be the version; set version")
	}
	var when time.Time
	packager := ""
	var notes []string
	for _, s := range sections {
		for _, c := range s.commits {
			if c.Time.After(when) {
				when, packager = c.Time, fmt.Sprintf("%s <%s>", c.Author, c.Email)
			}
			notes = append(notes, strings.TrimPrefix(line(sp, c), "- "))
		}
	}
	if len(notes) == 0 {
		return "", errors.New("there are no commits to list: look at since, only and skip")
	}
	var b strings.Builder
	fmt.Fprintf(&b, "- semver: %s\n  date: %s\n  packager: %s\n  changes:\n", strconv.QuoteToASCII(strings.TrimPrefix(version, "v")), when.UTC().Format(time.RFC3339), quote(packager))
	for _, n := range notes {
		fmt.Fprintf(&b, "    - note: %s\n", quote(n))
	}
	return b.String(), nil
}

func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // never for a string
		return `""`
	}
	return string(b)
}
