// Package changelog holds the stage type changelog: what happened between two
// tags, from git.
//
// Which commits there are is found when the step is looked up, and becomes an
// input of the step: so the key hangs on the commits, and on nothing else of
// the repository. The tool sorts them into groups and writes them down.
package changelog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/tasks"
)

// toolName and toolVersion begin the command. The version changes when the
// bytes that the tool writes for a spec change.
const (
	toolName    = "changelog"
	toolVersion = "1"
)

// Forms of a changelog, as users write them.
const (
	markdown = "markdown"
	plain    = "plain"
	chglog   = "chglog"
)

// commitsFile is where the commits are in the step's input root.
const commitsFile = ".airbuild/commits.json"

// Tasks returns the stage types of this package.
func Tasks() []tasks.Task { return []tasks.Task{task{}} }

// Tools returns its in-process tools by name, without the "airbuild:" prefix.
func Tools() map[string]engine.Tool {
	return map[string]engine.Tool{toolName: tasks.Tool[spec](runTool)}
}

type task struct{}

func (task) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type: "changelog",
		Doc:  "Writes a changelog of the commits between two tags.",
		Attrs: []tasks.Attr{
			{Name: "since", Kind: tasks.String, Default: "all earlier tags", Doc: "Tag or commit to start after: its commits are omitted."},
			{Name: "until", Kind: tasks.String, Default: "HEAD", Doc: "Tag or commit to end at."},
			{Name: "format", Kind: tasks.String, Enum: []string{markdown, plain, chglog}, Default: markdown, Doc: "`chglog` is the YAML format that a `package` stage accepts as its changelog."},
			{Name: "output", Kind: tasks.Output, Default: "CHANGELOG.md, changelog.txt or changelog.yml, by format", Doc: "File to write."},
			{Name: "title", Kind: tasks.String, Default: "Changelog", Doc: "Title; empty for none."},
			{Name: "version", Kind: tasks.String, Default: "the tag of `until`", Doc: "Version of the changes; required for `chglog`."},
			{Name: "only", Kind: tasks.Strings, Doc: "Regular expressions: only commits whose subject matches one are listed."},
			{Name: "skip", Kind: tasks.Strings, Doc: "Regular expressions: commits whose subject matches one are omitted."},
			{Name: "merges", Kind: tasks.Bool, Default: "false", Doc: "Includes merge commits."},
			{Name: "groups", Kind: tasks.String, Enum: []string{"none", "conventional"}, Default: "none", Doc: "`conventional` groups by the types of Conventional Commits: breaking changes, features, fixes, performance, others. Use `group` blocks for custom groups."},
			{Name: "sort", Kind: tasks.String, Enum: []string{"newest", "oldest", "subject"}, Default: "newest", Doc: "Order within a group."},
			{Name: "abbrev", Kind: tasks.Number, Default: "7", Doc: "Number of digits of the commit hash: 0 for none, 40 or more for all."},
			{Name: "authors", Kind: tasks.Bool, Default: "false", Doc: "Shows the author of each commit."},
			{Name: "link", Kind: tasks.String, Doc: "URL of a commit, with `{commit}` as the placeholder for its hash; markdown."},
		},
		Blocks: []tasks.Nested{{Type: "group", Labels: []string{"title"}, Doc: "A group of commits. Each commit is listed in the first group that matches; the others come last.", Attrs: []tasks.Attr{
			{Name: "match", Kind: tasks.String, Required: true, Doc: "Regular expression for commit subjects."},
		}}},
	}
}

// A spec is what the tool is told, in the order of its JSON.
type spec struct {
	Format  string   `json:"format"`
	Output  string   `json:"output"`
	Title   string   `json:"title,omitempty"`
	Version string   `json:"version,omitempty"`
	Only    []string `json:"only,omitempty"`
	Skip    []string `json:"skip,omitempty"`
	Merges  bool     `json:"merges,omitempty"`
	Groups  []group  `json:"groups,omitempty"`
	Sort    string   `json:"sort"`
	Abbrev  int      `json:"abbrev"`
	Authors bool     `json:"authors,omitempty"`
	Link    string   `json:"link,omitempty"`
}

// A group is a heading and what is below it. Body looks into the bodies too.
type group struct {
	Title string `json:"title"`
	Match string `json:"match"`
	Body  string `json:"body,omitempty"`
}

// conventional are the groups of Conventional Commits.
var conventional = [...]group{
	{Title: "Breaking changes", Match: `^[a-zA-Z]+(\([^)]*\))?!:`, Body: `(?m)^BREAKING[ -]CHANGE:`},
	{Title: "Features", Match: `(?i)^feat(\([^)]*\))?:`},
	{Title: "Fixes", Match: `(?i)^fix(\([^)]*\))?:`},
	{Title: "Performance", Match: `(?i)^perf(\([^)]*\))?:`},
}

func (task) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	sp := spec{
		Format: b.StringOr("format", markdown), Title: b.StringOr("title", "Changelog"), Version: b.String("version"),
		Only: b.Strings("only"), Skip: b.Strings("skip"), Merges: b.Bool("merges", false),
		Sort: b.StringOr("sort", "newest"), Abbrev: b.Int("abbrev", 7), Authors: b.Bool("authors", false), Link: b.String("link"),
	}
	sp.Output = b.DistPath(b.StringOr("output", map[string]string{markdown: "CHANGELOG.md", plain: "changelog.txt", chglog: "changelog.yml"}[sp.Format]))
	diags := planGroups(b, &sp)
	diags = append(diags, check(b, &sp)...)
	if diags.HasErrors() {
		return nil, diags
	}
	s := b.NewStep(engine.InProcess)
	b.AddRefs(&s)
	s.Discoverer = discoverer{place: place(b.Range), since: b.String("since"), until: b.String("until"), rules: source.Rules(b.Project.Tags)}
	tasks.SetOutputs(&s, []string{sp.Output}, nil)
	return b.ToolStep(s, toolName, toolVersion, sp, diags)
}

func planGroups(b *tasks.Block, sp *spec) (diags hcl.Diagnostics) {
	if b.String("groups") == "conventional" {
		sp.Groups = slices.Clone(conventional[:])
	}
	for _, label := range b.Labels["group"] {
		attr := "group." + label + ".match"
		if b.String("groups") == "conventional" {
			diags = append(diags, b.Error(attr, "Two kinds of groups", "groups has groups of its own. Remove groups, or the blocks."))
		}
		sp.Groups = append(sp.Groups, group{Title: label, Match: b.String(attr)})
		diags = append(diags, compiles(b, attr, b.String(attr))...)
	}
	return diags
}

func compiles(b *tasks.Block, attr, expr string) hcl.Diagnostics {
	if _, err := regexp.Compile(expr); err != nil {
		return hcl.Diagnostics{b.Error(attr, "Not a regular expression", fmt.Sprintf("%v.", err))}
	}
	return nil
}

func check(b *tasks.Block, sp *spec) (diags hcl.Diagnostics) {
	for _, attr := range []string{"only", "skip"} {
		for _, expr := range b.Strings(attr) {
			diags = append(diags, compiles(b, attr, expr)...)
		}
	}
	for _, attr := range []string{"since", "until"} {
		if v := b.String(attr); b.Has(attr) && (v == "" || strings.HasPrefix(v, "-") || strings.ContainsAny(v, " \t\n\x00")) {
			diags = append(diags, b.Error(attr, "Not a tag", fmt.Sprintf("%q is neither a tag nor a commit.", v)))
		}
	}
	for _, attr := range []string{"title", "version", "link"} {
		if strings.ContainsAny(b.String(attr), "\r\n") {
			diags = append(diags, b.Error(attr, "More than one line", attr+" is one line."))
		}
	}
	if b.Has("abbrev") && sp.Abbrev < 0 {
		diags = append(diags, b.Error("abbrev", "Not a number of digits", "abbrev is 0 or more."))
	}
	if sp.Link != "" && (!strings.Contains(sp.Link, "{commit}") || sp.Format != markdown) {
		diags = append(diags, b.Error("link", "Not the link of a commit", `Want a URL with {commit} in it, and format = "markdown".`))
	}
	return diags
}

func place(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// A discoverer asks git for the commits.
type discoverer struct {
	place, since, until string
	rules               source.Rules
}

// Discover implements engine.InputDiscoverer.
func (l discoverer) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	log, err := source.ReadLog(ctx, files.Root(), l.since, l.until, l.rules)
	switch {
	case errors.Is(err, source.ErrNoHistory):
		return engine.Discovery{}, fmt.Errorf("%s: %w; a changelog needs commits: run it in a git clone; to have them in a bundle, set history = true; to skip the stage, set when", l.place, err)
	case errors.Is(err, source.ErrShallow):
		return engine.Discovery{}, fmt.Errorf("%s: %w; in CI, make a full clone (GitHub: fetch-depth: 0, GitLab: GIT_DEPTH: 0): a changelog needs every commit back to its starting point", l.place, err)
	case errors.Is(err, source.ErrNoRevision) && l.since+l.until != "":
		return engine.Discovery{}, fmt.Errorf("%s: %w; since and until want tags or commits of this clone: a tag may have to be fetched with git fetch --tags", l.place, err)
	case err != nil:
		return engine.Discovery{}, fmt.Errorf("%s: %w", l.place, err)
	}
	b, err := json.Marshal(log)
	if err != nil {
		return engine.Discovery{}, fmt.Errorf("%s: %w", l.place, err)
	}
	return engine.Discovery{
		Inputs: []engine.Input{engine.TextInput(commitsFile, b)},
		Notes:  []string{fmt.Sprintf("listed by git: %d commits since %s", len(log.Commits), orBeginning(log.Since))},
	}, nil
}

func orBeginning(since string) string {
	if since == "" {
		return "the beginning"
	}
	return since
}
