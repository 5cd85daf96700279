// Package anchor makes the fragments of headings.
package anchor

import (
	"regexp"
	"strings"
	"unicode"
)

var link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)

// Of returns the fragment of a heading, as GitHub and GitLab make it.
func Of(heading string) string {
	heading = link.ReplaceAllString(heading, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
			return r
		}
		return -1
	}, strings.ToLower(heading))
}
