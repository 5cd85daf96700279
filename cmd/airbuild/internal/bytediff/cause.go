package bytediff

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// patterns are what tells a cause by its looks. They are compiled when the
// first difference is found.
var patterns = sync.OnceValue(func() []pattern {
	return []pattern{
		{regexp.MustCompile(`\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2})?|\d{1,2}:\d{2}:\d{2}|(Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +\w{3,} +\w+|(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]* +\d{1,2}`), "a time of day: take source.time instead (SOURCE_DATE_EPOCH for programs that know it)"},
		{regexp.MustCompile(`\b1[5-9]\d{8}(\d{3}|\d{6}|\d{9})?\b`), "a time of day, as seconds since 1970: take source.epoch instead"},
		{regexp.MustCompile(`(^|[^\w.])/(home|root|tmp|var|Users|private|build|builds|work)/[\w./-]+`), "an absolute path: give the program relative ones, or -trimpath and -ffile-prefix-map"},
		{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "a random identifier (UUID)"},
		{regexp.MustCompile(`0x[0-9a-f]{6,16}\b`), "a memory address"},
		{regexp.MustCompile(`(?i)build ?id`), "a build ID, which follows from other differences"},
		{regexp.MustCompile(`\b[0-9a-f]{32,128}\b`), "a random number, or a hash of something that differs"},
	}
})

type pattern struct {
	looks *regexp.Regexp
	cause string
}

// cause guesses what made two texts differ.
func (c *comparer) cause(was, is string) string {
	if was == is {
		return ""
	}
	for _, k := range c.known {
		if holds(was, k.Old) && !holds(was, k.New) && !holds(is, k.Old) || holds(is, k.New) && !holds(was, k.New) {
			return k.Cause
		}
	}
	for _, p := range patterns() {
		a, b := p.looks.FindAllString(was, -1), p.looks.FindAllString(is, -1)
		if len(a) > 0 && len(b) > 0 && !slices.Equal(a, b) {
			return p.cause
		}
	}
	if permuted(strings.Fields(was), strings.Fields(is)) {
		return unordered
	}
	return ""
}

// unordered is the cause of the same things in another order.
const unordered = "the order is not fixed: a map that is walked, a directory that is not sorted, or work done at the same time; sort before writing"

func holds(text string, any []string) bool {
	return slices.ContainsFunc(any, func(s string) bool { return s != "" && strings.Contains(text, s) })
}

// permuted reports whether two lists hold the same in another order.
func permuted(a, b []string) bool {
	if len(a) != len(b) || len(a) < 2 || slices.Equal(a, b) {
		return false
	}
	x, y := slices.Clone(a), slices.Clone(b)
	slices.Sort(x)
	slices.Sort(y)
	return slices.Equal(x, y)
}
