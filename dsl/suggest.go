package dsl

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"

	"github.com/airbuild/airbuild/internal/lists"
)

// SuggestName returns the name of known that given was most likely meant to
// be, or "" if none is near. Ties go to the first in alphabetical order, so
// that the same mistake gives the same message.
func SuggestName(given string, known []string) string {
	best, bestDistance := "", allowedDistance(given)+1
	for _, name := range slices.Sorted(slices.Values(known)) {
		if name == given || name == "" {
			continue
		}
		d := levenshtein.Distance(strings.ToLower(given), strings.ToLower(name), nil)
		if swapped(strings.ToLower(given), strings.ToLower(name)) {
			d = 1
		}
		if d < bestDistance && d < len(name) {
			best, bestDistance = name, d
		}
	}
	return best
}

// swapped reports whether a and b differ by two letters beside each other that
// changed places: the commonest slip, which otherwise is two edits.
func swapped(a, b string) bool {
	if len(a) != len(b) || a == b {
		return false
	}
	i := 0
	for a[i] == b[i] {
		i++
	}
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// allowedDistance is how many edits still make a likely slip. A single letter is never near another.
func allowedDistance(name string) int {
	switch n := len(name); {
	case n < 2:
		return 0
	case n < 4:
		return 1
	case n < 8:
		return 2
	}
	return 3
}

// DidYouMean returns ` Did you mean "x"?` with a leading space, or "" if no
// known name is near.
func DidYouMean(given string, known []string) string {
	if s := SuggestName(given, known); s != "" {
		return fmt.Sprintf(" Did you mean %q?", s)
	}
	return ""
}

// nearOrAll is DidYouMean or, if no known name is near, a list of them.
func nearOrAll(given string, known []string) string {
	if s := DidYouMean(given, known); s != "" {
		return s
	}
	switch len(known) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf(" There is only %q.", known[0])
	}
	return " There are " + listNames(known) + "."
}

// listNames renders names for a message: sorted, quoted, at most eight.
func listNames(names []string) string {
	const most = 12
	sorted := slices.Sorted(slices.Values(names))
	quoted := lists.Map(sorted[:min(most, len(sorted))], func(n string) string { return fmt.Sprintf("%q", n) })
	list := strings.Join(quoted, ", ")
	if len(sorted) > most {
		list += fmt.Sprintf(" and %d more", len(sorted)-most)
	}
	return list
}
