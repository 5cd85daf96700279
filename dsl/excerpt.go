package dsl

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/apparentlymart/go-textseg/v15/textseg"
	"github.com/hashicorp/hcl/v2"
	"golang.org/x/text/width"
)

// An excerpt is a line of a source with what to print below it.
type excerpt struct {
	text   string
	indent string // as wide as the text before the subject, with its tabs
	carets int    // at least 1
}

// The longest line, in columns, that is shown whole, and how much of a longer
// one stands before the subject.
const (
	excerptColumns = 160
	leadColumns    = 40
)

// excerpt cuts the line out that a range starts on. A range of several lines
// is marked to the end of the first.
func (s *source) excerpt(at hcl.Range) (excerpt, bool) {
	start, end := at.Start.Byte, at.End.Byte
	if start < 0 || start > len(s.text) {
		return excerpt{}, false
	}
	from := bytes.LastIndexByte(s.text[:start], '\n') + 1
	to := len(s.text)
	if i := bytes.IndexByte(s.text[start:], '\n'); i >= 0 {
		to = start + i
	}
	line := bytes.TrimSuffix(s.text[from:to], []byte("\r"))
	start = min(start-from, len(line))
	end = max(start, min(end-from, len(line)))
	if at.End.Line > at.Start.Line {
		end = max(start, len(bytes.TrimRight(line, " \t")))
	}
	before, subject, after := cells(line[:start]), cells(line[start:end]), cells(line[end:])
	if columns(before)+columns(subject)+columns(after) > excerptColumns {
		before, subject, after = clip(before, subject, after)
	}
	return excerpt{
		text:   text(before) + text(subject) + text(after),
		indent: blank(before),
		carets: max(1, columns(subject)),
	}, true
}

// A cell is what a terminal shows as one character.
type cell struct {
	text  string
	width int
	bytes int // in the source
}

// cells splits text into characters as people see them, and makes what a
// terminal would act on visible.
func cells(line []byte) []cell {
	var cs []cell
	for len(line) > 0 {
		n, cluster, err := textseg.ScanGraphemeClusters(line, true)
		if err != nil || n == 0 {
			break // cannot happen: the scanner takes any bytes
		}
		line = line[n:]
		cs = append(cs, cell{text: visible(string(cluster)), width: clusterWidth(cluster), bytes: n})
	}
	return cs
}

// clusterWidth is the number of columns that a character takes; a tab counts
// as one and is handled by blank.
func clusterWidth(cluster []byte) int {
	first, size := utf8.DecodeRune(cluster)
	switch kind := width.LookupRune(first).Kind(); {
	case kind == width.EastAsianWide || kind == width.EastAsianFullwidth:
		return 2
	case bytes.ContainsRune(cluster[size:], '\uFE0F'): // shown as a picture
		return 2
	case unicode.In(first, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	return 1
}

func columns(cs []cell) int {
	n := 0
	for _, c := range cs {
		n += c.width
	}
	return n
}

func text(cs []cell) string {
	var b strings.Builder
	for _, c := range cs {
		b.WriteString(c.text)
	}
	return b.String()
}

// blank is white space as wide as the cells. Tabs stay tabs, so that they are
// as wide as in the line above, wherever the terminal's stops are.
func blank(cs []cell) string {
	var b strings.Builder
	for _, c := range cs {
		if c.text == "\t" {
			b.WriteByte('\t')
		} else {
			b.WriteString(strings.Repeat(" ", c.width))
		}
	}
	return b.String()
}

// clip shortens a long line round its subject.
func clip(before, subject, after []cell) (b, s, a []cell) {
	gap := []cell{{text: "…", width: 1}}
	if columns(before) > leadColumns {
		before = append(gap, lastColumns(before, leadColumns)...)
	}
	room := excerptColumns - columns(before)
	if columns(subject) > room {
		return before, append(firstColumns(subject, room), gap...), nil
	}
	if room -= columns(subject); columns(after) > room {
		after = append(firstColumns(after, room), gap...)
	}
	return before, subject, after
}

func firstColumns(cs []cell, n int) []cell {
	for i, c := range cs {
		if n -= c.width; n < 0 {
			return cs[:i:i]
		}
	}
	return cs
}

func lastColumns(cs []cell, n int) []cell {
	for i := len(cs) - 1; i >= 0; i-- {
		if n -= cs[i].width; n < 0 {
			return cs[i+1:]
		}
	}
	return cs
}
