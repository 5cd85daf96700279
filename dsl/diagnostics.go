package dsl

import (
	"bufio"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// A Style colours parts of a diagnostic. A nil function leaves its part plain.
type Style struct {
	Bold, Error, Warning, Dim func(string) string
}

// WriteDiagnostics writes diagnostics for people to read, in the order of
// their places, those without a place first; one that is there twice is
// written once. The first line of each has its place in the form that editors
// find: file:line:column, the column in characters from 1.
//
// Sources are as in Module.Sources; without its source, a place is written
// without the excerpt.
func WriteDiagnostics(w io.Writer, diags hcl.Diagnostics, sources map[string][]byte, style Style) error {
	out := &diagnosticWriter{w: bufio.NewWriter(w), sources: map[string]*source{}, style: style}
	for name, text := range sources {
		out.sources[name] = &source{name: name, text: text}
	}
	for i, d := range sortDiagnostics(diags) {
		if i > 0 {
			out.line("")
		}
		out.diagnostic(d)
	}
	if err := out.w.Flush(); err != nil {
		return fmt.Errorf("write diagnostics: %w", err)
	}
	return nil
}

// sortDiagnostics returns the diagnostics by place, without duplicates.
func sortDiagnostics(diags hcl.Diagnostics) hcl.Diagnostics {
	sorted := slices.Clone(diags)
	slices.SortStableFunc(sorted, func(a, b *hcl.Diagnostic) int {
		return cmp.Or(
			compareRanges(subjectOf(a), subjectOf(b)),
			cmp.Compare(a.Summary, b.Summary),
			cmp.Compare(a.Detail, b.Detail),
		)
	})
	return slices.CompactFunc(sorted, func(a, b *hcl.Diagnostic) bool {
		return subjectOf(a) == subjectOf(b) && a.Severity == b.Severity && a.Summary == b.Summary && a.Detail == b.Detail
	})
}

func subjectOf(d *hcl.Diagnostic) hcl.Range {
	if d.Subject == nil {
		return hcl.Range{}
	}
	return *d.Subject
}

type diagnosticWriter struct {
	w       *bufio.Writer
	sources map[string]*source
	style   Style
}

func (o *diagnosticWriter) diagnostic(d *hcl.Diagnostic) {
	word, paint := "Error", o.style.Error
	if d.Severity == hcl.DiagWarning {
		word, paint = "Warning", o.style.Warning
	}
	header := visible(d.Summary)
	if d.Subject != nil {
		start := d.Subject.Start
		header = fmt.Sprintf("%s:%d:%d: %s", visible(d.Subject.Filename), start.Line, start.Column, header)
	}
	o.line(painted(paint, word+":") + " " + painted(o.style.Bold, header))
	o.line("")
	if d.Subject != nil {
		o.place("on", *d.Subject, paint)
	}
	related, _ := hcl.DiagnosticExtra[Related](d)
	for _, place := range related {
		o.place(place.Note+" on", place.Range, o.style.Dim)
	}
	if d.Detail != "" {
		o.line(visible(d.Detail))
	}
}

// place writes where something is, and the excerpt with carets below.
func (o *diagnosticWriter) place(note string, at hcl.Range, paint func(string) string) {
	if at == (hcl.Range{}) {
		return
	}
	where := fmt.Sprintf("  %s %s line %d", note, visible(at.Filename), at.Start.Line)
	src, ok := o.sources[at.Filename]
	if !ok {
		o.line(painted(o.style.Dim, where+"."))
		return
	}
	if block := src.blockAt(at.Start.Byte); block != "" {
		where += ", in " + visible(block)
	}
	cut, ok := src.excerpt(at)
	if !ok {
		o.line(painted(o.style.Dim, where+"."))
		return
	}
	o.line(painted(o.style.Dim, where+":"))
	number := fmt.Sprintf("  %d: ", at.Start.Line)
	o.line(painted(o.style.Dim, number) + cut.text)
	o.line(strings.Repeat(" ", len(number)) + cut.indent + painted(paint, strings.Repeat("^", cut.carets)))
}

// line writes a line. The buffer keeps the first error for Flush.
func (o *diagnosticWriter) line(text string) { fmt.Fprintln(o.w, text) }

func painted(paint func(string) string, text string) string {
	if paint == nil {
		return text
	}
	return paint(text)
}

// visible replaces what a terminal would act on: an Airbuildfile must not be
// able to move the cursor.
func visible(text string) string {
	return strings.Map(func(r rune) rune {
		if isControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// isControl also counts the marks that change the direction of writing: they
// make an excerpt show something else than what is there.
func isControl(r rune) bool {
	return r < ' ' || 0x7F <= r && r < 0xA0 ||
		0x200E <= r && r <= 0x200F || 0x202A <= r && r <= 0x202E || 0x2066 <= r && r <= 0x2069 ||
		0x2028 <= r && r <= 0x2029
}

// A source is a file's text; it is parsed only to say what block a place is in.
type source struct {
	name   string
	text   []byte
	parsed bool
	body   *hclsyntax.Body
}

// blockAt is the header of the outermost block at a byte offset, or "". A
// file that is not HCL, such as a .json, has none.
func (s *source) blockAt(offset int) string {
	if !s.parsed {
		s.parsed = true
		s.body, _ = parse(s.text, s.name)
	}
	for _, block := range s.body.Blocks {
		header, end := block.DefRange(), block.CloseBraceRange.End.Byte
		if header.Start.Byte <= offset && offset < end {
			return string(bytes.TrimSpace(s.text[header.Start.Byte:min(header.End.Byte, len(s.text))]))
		}
	}
	return ""
}

// Related is the Extra of a diagnostic that has more than one place, such as
// both of two declarations. WriteDiagnostics shows them all.
type Related []Place

// A Place is one of them.
type Place struct {
	Range hcl.Range
	Note  string // what is there: "declared first"
}
