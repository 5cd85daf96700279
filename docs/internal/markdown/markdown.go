// Package markdown reads the few forms of Markdown that the pages use.
package markdown

import (
	"regexp"
	"strings"
)

var (
	comment = regexp.MustCompile(`(?s)<!--.*?-->\n?`)
	link    = regexp.MustCompile(`\[([^]\n]*(?:\n[^]\n]*)?)\]\([^)\s]*\)`)
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	rule    = regexp.MustCompile(`^\|[-:| ]+\|$`)
)

// WithoutComments returns a page without its comments.
func WithoutComments(page string) string { return comment.ReplaceAllString(page, "") }

// Words returns a page without its comments, in which links outside blocks of
// code are their words.
func Words(page string) string {
	page = WithoutComments(page)
	out, from := "", 0
	for _, at := range fence.FindAllStringIndex(page, -1) {
		out += link.ReplaceAllString(page[from:at[0]], "$1") + page[at[0]:at[1]]
		from = at[1]
	}
	return out + link.ReplaceAllString(page[from:], "$1")
}

// IsRule reports whether a line is the one below the header of a table.
func IsRule(line string) bool { return rule.MatchString(line) }

// Cells returns the cells of a table's row. A \| is part of a cell.
func Cells(row string) []string {
	row = strings.ReplaceAll(strings.Trim(row, "|"), `\|`, "\x00")
	var cells []string
	for _, c := range strings.Split(row, "|") {
		cells = append(cells, strings.NewReplacer("\x00", "|", "**", "").Replace(strings.TrimSpace(c)))
	}
	return cells
}
