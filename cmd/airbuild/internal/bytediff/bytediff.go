// Package bytediff says where two files that should be the same differ, and
// what may have made them differ: a member of an archive and its time, a section
// of a program, a line of a text, a value of a JSON document.
//
// It looks into archives in archives. Everything it decodes is bounded; what it
// cannot decode it compares as bytes, so that it never says less than where the
// first difference is.
package bytediff

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// A Difference is one place.
type Difference struct {
	// Where leads to the place from the outside in: "member bin/tool",
	// "section .rodata", "line 3, column 7", "at $.builds[2].time".
	Where []string
	// What differs there: "mtime", "mode", "owner", "order", "content",
	// "only in the first" …
	What     string
	Old, New string // as text, shortened; may be empty
	// Offset is the first differing byte in the innermost thing that could be
	// named; -1 if bytes are not what differs.
	Offset int64
	// Cause is a guess in plain words; empty if there is none.
	Cause string
}

// Known are texts that differed between the two builds by intention, by what
// they are: "a path of the project" to the one and the other. Where a difference
// holds one, that is the cause.
type Known struct {
	Cause    string
	Old, New []string
}

// Limits of what is decoded.
const (
	maxDepth       = 4
	maxUnpacked    = 1 << 30 // bytes of one archive or stream
	maxDifferences = 20      // of one file
	shownText      = 80      // bytes
)

// Compare finds the differences of two files. There is none if they are equal.
func Compare(a, b []byte, known []Known) []Difference {
	c := &comparer{known: known}
	c.compare(a, b, nil, 0)
	return c.out
}

type comparer struct {
	known []Known
	out   []Difference
}

// add keeps a difference, unless there are enough.
func (c *comparer) add(where []string, what, was, is string, offset int64, cause string) {
	if len(c.out) < maxDifferences {
		c.out = append(c.out, Difference{append([]string{}, where...), what, short(was), short(is), offset, cause})
	}
}

func deeper(where []string, format string, args ...any) []string {
	return append(append([]string{}, where...), fmt.Sprintf(format, args...))
}

// compare tries what the two may be, the most telling first.
func (c *comparer) compare(a, b []byte, where []string, depth int) {
	if bytes.Equal(a, b) || len(c.out) >= maxDifferences {
		return
	}
	before := len(c.out)
	if depth < maxDepth {
		for _, try := range [...]func(a, b []byte, where []string, depth int) bool{c.compressed, c.archives, c.programs} {
			if try(a, b, where, depth) && len(c.out) > before {
				return
			}
		}
	}
	if c.json(a, b, where) || c.text(a, b, where) {
		return
	}
	c.bytes(a, b, where)
}

// bytes says where the first difference of two byte strings is.
func (c *comparer) bytes(a, b []byte, where []string) {
	at := firstDifference(a, b)
	was, is := around(a, at), around(b, at)
	cause := c.cause(was, is)
	if cause == "" {
		cause = c.cause(window(a, at), window(b, at))
	}
	what := "content"
	if len(a) != len(b) {
		what = fmt.Sprintf("content (%d bytes, and %d)", len(a), len(b))
	}
	c.add(where, what, was, is, int64(at), cause)
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// window is what is near a place, in bytes.
func window(b []byte, at int) string {
	const half = 256
	return string(b[max(0, min(at, len(b))-half):min(len(b), at+half)])
}

// around is the printable text at a place, to its ends on both sides.
func around(b []byte, at int) string {
	at = min(at, len(b))
	printable := func(c byte) bool { return c >= ' ' && c < 0x7f }
	from, to := at, at
	for from > 0 && at-from < shownText/2 && printable(b[from-1]) {
		from--
	}
	for to < len(b) && to-at < shownText && printable(b[to]) {
		to++
	}
	if to-from < 4 { // no text
		return fmt.Sprintf("% x", b[at:min(len(b), at+8)])
	}
	return string(b[from:to])
}

// short is a text cut to what a line can show.
func short(s string) string {
	if len(s) <= shownText {
		return s
	}
	for i := shownText; i > 0; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i] + "…"
		}
	}
	return ""
}
