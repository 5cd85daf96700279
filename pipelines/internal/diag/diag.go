// Package diag makes the diagnostics of planning and collects them.
package diag

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/internal/lists"
)

// ErrorAt makes an error diagnostic: a terse summary, a detail that says what
// to do.
func ErrorAt(subject hcl.Range, summary, format string, args ...any) *hcl.Diagnostic {
	return &hcl.Diagnostic{
		Severity: hcl.DiagError,
		Summary:  summary,
		Detail:   fmt.Sprintf(format, args...),
		Subject:  &subject,
	}
}

// A Report collects diagnostics. The same mistake in several cells of a stage
// is kept once.
type Report struct {
	// Cell is the one being read, as a pointer; nil while there is none.
	Cell any

	diags hcl.Diagnostics
	seen  map[reportKey]reported
}

type reportKey struct {
	file       string
	start, end int
	summary    string
}

// reported are the details of one place and summary, all of one cell.
type reported struct {
	cell    any
	details []string
}

// Clone returns a Report that can be added to by itself.
func (r *Report) Clone() Report {
	return Report{diags: slices.Clone(r.diags), seen: maps.Clone(r.seen)}
}

// Add keeps what is not known already.
func (r *Report) Add(diags ...*hcl.Diagnostic) {
	for _, d := range diags {
		if d.Subject == nil || r.isNew(d) {
			r.diags = append(r.diags, d)
		}
	}
}

func (r *Report) isNew(d *hcl.Diagnostic) bool {
	key := reportKey{d.Subject.Filename, d.Subject.Start.Byte, d.Subject.End.Byte, d.Summary}
	first, ok := r.seen[key]
	if ok && (first.cell != r.Cell || slices.Contains(first.details, d.Detail)) {
		return false
	}
	if r.seen == nil {
		r.seen = map[reportKey]reported{}
	}
	r.seen[key] = reported{r.Cell, append(slices.Clip(first.details), d.Detail)}
	return true
}

// Failed reports whether there is an error.
func (r *Report) Failed() bool { return r.diags.HasErrors() }

// Empty reports whether there are no diagnostics at all.
func (r *Report) Empty() bool { return len(r.diags) == 0 }

// Sorted returns the diagnostics in the order of their places: files as first
// met, then lines. Those of no place come first.
func (r *Report) Sorted() hcl.Diagnostics {
	files := map[string]int{}
	for _, d := range r.diags {
		if d.Subject != nil {
			if _, ok := files[d.Subject.Filename]; !ok {
				files[d.Subject.Filename] = len(files)
			}
		}
	}
	place := func(d *hcl.Diagnostic) (int, int) {
		if d.Subject == nil {
			return -1, 0
		}
		return files[d.Subject.Filename], d.Subject.Start.Byte
	}
	out := slices.Clone(r.diags)
	slices.SortStableFunc(out, func(a, b *hcl.Diagnostic) int {
		af, ab := place(a)
		bf, bb := place(b)
		if af != bf {
			return af - bf
		}
		return ab - bb
	})
	return out
}

// Sentence makes an error's text a detail.
func Sentence(s string) string {
	s, near, hasNear := strings.Cut(strings.TrimRight(s, ".?"), "; did you mean ")
	if s == "" {
		return "It failed without a reason."
	}
	s = strings.ToUpper(s[:1]) + s[1:] + "."
	if hasNear {
		s += " Did you mean " + near + "?"
	}
	return s
}

// ListNames renders names for a message: quoted, at most eight.
func ListNames(names []string) string {
	const most = 8
	quoted := lists.Map(names[:min(most, len(names))], func(n string) string { return fmt.Sprintf("%q", n) })
	list := strings.Join(quoted, ", ")
	if len(names) > most {
		list += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return list
}

// LineOf renders a range's place as file:line.
func LineOf(r hcl.Range) string { return fmt.Sprintf("%s:%d", r.Filename, r.Start.Line) }

// Overlap reports whether two ranges have a byte in common.
func Overlap(a, b hcl.Range) bool {
	return a.Filename == b.Filename && a.Start.Byte < b.End.Byte && b.Start.Byte < a.End.Byte
}
