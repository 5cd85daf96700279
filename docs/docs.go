// Package docs holds the pages of the documentation, for airbuild docs.
package docs

import (
	"embed"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// The pages are Markdown. docs/bench is a module of its own, without pages.
//
//go:embed *.md how-to/*.md reference/*.md
var pages embed.FS

// A Page is one page of the documentation.
type Page struct {
	Topic string // its path below docs without .md: "bundles", "reference/go_build"; of a README its folder
	Title string // its first heading, without marks
	Text  string // Markdown
}

// Pages returns all pages, sorted by topic: those of docs first, then folder by
// folder.
func Pages() []Page {
	var all []Page
	for _, pattern := range []string{"*.md", "how-to/*.md", "reference/*.md"} {
		names, err := fs.Glob(pages, pattern)
		if err != nil {
			panic(err) // a pattern above has a mistake
		}
		for _, name := range names {
			b, err := pages.ReadFile(name)
			if err != nil {
				panic(err) // an embedded file cannot be missing
			}
			all = append(all, Page{topic(name), title(string(b)), string(b)})
		}
	}
	return all
}

func topic(name string) string {
	name = strings.TrimSuffix(name, ".md")
	if path.Base(name) == "README" {
		return path.Dir(name)
	}
	return name
}

func title(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return strings.ReplaceAll(strings.TrimPrefix(line, "# "), "`", "")
}

// Find returns the page of a topic, which may be given without its folder, and
// the topics of other pages that have the same name in another folder.
func Find(name string) (page Page, others []string, ok bool) {
	name = strings.TrimSuffix(strings.TrimPrefix(name, "docs/"), ".md")
	for _, p := range Pages() {
		switch {
		case p.Topic != name && path.Base(p.Topic) != name:
		case !ok:
			page, ok = p, true
		default:
			others = append(others, p.Topic)
		}
	}
	return page, others, ok
}

// Names are the words that Find knows.
func Names() []string {
	var names []string
	for _, p := range Pages() {
		names = append(names, p.Topic, path.Base(p.Topic))
	}
	slices.Sort(names)
	return slices.Compact(names)
}
