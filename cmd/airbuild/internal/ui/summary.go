package ui

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

// A tally collects what the summary tells beside the engine's own Summary:
// what became of the outputs. It is cheap, so that it costs nothing in a run
// of thousands of hits.
type tally struct {
	places  map[string]*place
	sizes   []sized
	written int
}

// A place is a folder that got outputs: "dist", or "." for the project itself.
type place struct {
	outputs, written int
	bytes            int64
}

// A sized is an output whose size matters to those who ship it.
type sized struct {
	path   string
	size   int64
	before int64
}

// add takes the outputs of a step that ended.
func (t *tally) add(e engine.Event) {
	if e.Step == nil || e.Step.Inner {
		return
	}
	for _, o := range e.Outputs {
		t.place(o)
		if e.Step.Traits.Shipped && !o.Dir {
			t.sizes = append(t.sizes, sized{o.Path, o.Size, o.Before})
		}
	}
}

func (t *tally) place(o engine.Output) {
	top, _, nested := strings.Cut(o.Path, "/")
	if !nested && !o.Dir {
		top = "."
	}
	if t.places == nil {
		t.places = map[string]*place{}
	}
	p := t.places[top]
	if p == nil {
		p = &place{}
		t.places[top] = p
	}
	p.outputs++
	p.bytes += o.Size
	if o.Written {
		p.written++
		t.written++
	}
}

// summaryText is the end of the report on a run, without the root cause.
func summaryText(s *engine.Summary, t *tally, p Palette) string {
	var b strings.Builder
	if s.Ran > 0 || t.written > 0 {
		t.writeSizes(&b, p)
	}
	for _, name := range slices.Sorted(maps.Keys(t.places)) {
		pl := t.places[name]
		fmt.Fprintf(&b, "%s: %s, %s, %d written\n", placeName(name), human.Count(pl.outputs, "output"), human.Bytes(pl.bytes), pl.written)
	}
	if n := len(s.Removed); n > 0 {
		shown := s.Removed[:min(n, 5)]
		fmt.Fprintf(&b, "removed %s: %s", human.Count(n, "stale output"), human.OneLine(strings.Join(shown, ", ")))
		if n > len(shown) {
			fmt.Fprintf(&b, " and %d more", n-len(shown))
		}
		b.WriteString("\n")
	}
	if s.Damaged > 0 {
		fmt.Fprintf(&b, "%s\n", p.Yellow(fmt.Sprintf("%s in the cache discarded and rebuilt", human.Count(s.Damaged, "damaged part"))))
	}
	if s.CompileHits+s.CompileMisses > 0 {
		fmt.Fprintf(&b, "%s\n", compiledText(s.CompileHits, s.CompileMisses))
	}
	b.WriteString(verdict(s, p))
	b.WriteString("\n")
	return b.String()
}

// compiledText tells how many compiled packages there were and how many were
// not.
func compiledText(hits, misses int) string {
	word := "misses"
	if misses == 1 {
		word = "miss"
	}
	return fmt.Sprintf("compile cache: %s, %d %s", human.Count(hits, "hit"), misses, word)
}

func placeName(top string) string {
	if top == "." {
		return "project"
	}
	return human.Clean(top, false) + "/"
}

// verdict is the last line of the summary: "25 steps: 20 hits, 5 ran in 3.2s".
func verdict(s *engine.Summary, p Palette) string {
	parts := []string{human.Count(s.Hits, "hit")}
	add := func(n int, what string, paint func(string) string) {
		if n > 0 {
			parts = append(parts, paint(fmt.Sprintf("%d %s", n, what)))
		}
	}
	plain := func(s string) string { return s }
	if s.WouldRun == 0 {
		parts = append(parts, fmt.Sprintf("%d ran", s.Ran))
	}
	add(s.WouldRun, "would run", plain)
	add(s.Failed, "failed", p.Red)
	add(s.Skipped, "skipped", p.Yellow)
	add(s.Cancelled, "cancelled", p.Yellow)
	line := fmt.Sprintf("%s: %s in %s", human.Count(s.Steps, "step"), strings.Join(parts, ", "), human.Took(s.Wall))
	if s.Saved > 0 {
		line += fmt.Sprintf(", saved %s", human.Took(s.Saved))
	}
	switch {
	case s.Interrupted:
		return p.Yellow("interrupted") + ": " + line
	case !s.OK():
		return p.Red("failed") + ": " + line
	}
	return p.Green("ok") + ": " + line
}

// writeSizes writes the table of what is shipped: name, size, change since the
// last recorded run that made it.
func (t *tally) writeSizes(b *strings.Builder, p Palette) {
	if len(t.sizes) == 0 {
		return
	}
	slices.SortStableFunc(t.sizes, func(x, y sized) int { return strings.Compare(x.path, y.path) })
	width := 0
	for _, s := range t.sizes {
		width = max(width, human.Columns(human.Clean(s.path, false)))
	}
	for _, s := range t.sizes {
		name := human.Clean(s.path, false)
		change, grew := sizeChange(s)
		paint := p.Dim
		if grew {
			paint = p.Yellow
		}
		line := fmt.Sprintf("  %s%s  %10s", name, strings.Repeat(" ", width-human.Columns(name)), human.Bytes(s.size))
		if change != "" {
			line += "  " + paint(change)
		}
		b.WriteString(line + "\n")
	}
}

// sizeChange says how an output's size moved; grew is set from 1 % on.
func sizeChange(s sized) (text string, grew bool) {
	switch d := s.size - s.before; {
	case s.before < 0:
		return "new", false
	case d == 0:
		return "same size", false
	case s.before == 0:
		return "+" + human.Bytes(d), true
	default:
		sign := ""
		if d > 0 {
			sign = "+"
		}
		pct := 100 * float64(d) / float64(s.before)
		return fmt.Sprintf("%s%s (%+.1f %%)", sign, human.Bytes(d), pct), pct >= 1
	}
}

// rootCause is the text that goes to Err last: the first failure, its place,
// the end of its log and, where it is known, what it means.
func rootCause(s *engine.Summary, d diagnoser, p Palette) string {
	if len(s.Failures) == 0 {
		return ""
	}
	f := s.Failures[0]
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s failed", p.Red("error:"), p.Bold(human.Clean(f.Step.Name, false)))
	if f.Err != nil {
		fmt.Fprintf(&b, ": %s", strings.TrimSpace(human.Clean(f.Err.Error(), false)))
	}
	if file, line := origin(f.Step.Origin); file != "" {
		fmt.Fprintf(&b, "\n  stage %s %q, %s:%d", f.Step.Type, f.Step.Stage, human.Clean(path.Clean(file), false), line)
	}
	b.WriteString("\n")
	last, before := tail(lines(human.Clean(humanLog(f.Step.LogFormat, f.Log), p.On())), 10)
	if before > 0 {
		b.WriteString(p.Dim(fmt.Sprintf("  … %s before", human.Count(before, "line"))) + "\n")
	}
	for _, l := range last {
		b.WriteString("  " + l + "\n")
	}
	for _, l := range diagnosisLines(d.of(f.Step, f.Err, f.Log), p) {
		b.WriteString("  " + l + "\n")
	}
	if n := len(s.Failures) - 1; n > 0 {
		fmt.Fprintf(&b, "%s failed too\n", human.Count(n, "further step"))
	}
	return b.String()
}

// origin splits a Step.Origin, "file:line" or "file:line,column-column".
func origin(s string) (file string, line int) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", 0
	}
	if _, err := fmt.Sscanf(s[i+1:], "%d", &line); err != nil {
		return "", 0
	}
	return s[:i], line
}
