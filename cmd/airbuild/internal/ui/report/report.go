// Package report writes a run as one HTML file that needs nothing else: no
// script, no font, no picture, no network.
package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
)

//go:embed report.html
var page string

// A row is a step in the page.
type row struct {
	Name, Type, Status, Took, Why, Key, Log, Compiled string
	// Cause and Fix are the diagnosis of a failure.
	Cause, Fix string
	// Left and Width place the bar on the time line, in percent.
	Left, Width string
	Outputs     []output
}

type output struct{ Path, Size, Change, Digest string }

type view struct {
	Title, Verdict, Started, Wall, Saved string
	OK                                   bool
	Summary                              engine.Summary
	Notices                              []string
	Rows                                 []row
}

// Write writes the report on run; title names the pipeline or the targets.
func Write(w io.Writer, title string, run *ui.Run) error {
	t, err := template.New("report").Parse(page)
	if err != nil {
		return fmt.Errorf("parse report template: %w", err)
	}
	return t.Execute(w, viewOf(title, run))
}

func viewOf(title string, run *ui.Run) view {
	v := view{Title: title, Verdict: "did not end", Started: run.Start.UTC().Format(time.RFC3339), Notices: run.Notices}
	if s := run.Summary; s != nil {
		v.Summary, v.OK = *s, s.OK() && !s.Interrupted
		v.Wall, v.Saved = human.Took(s.Wall), human.Took(s.Saved)
		switch {
		case s.Interrupted:
			v.Verdict = "interrupted"
		case v.OK:
			v.Verdict = "ok"
		default:
			v.Verdict = "failed"
		}
	}
	end := run.Start
	for _, r := range run.Steps {
		if e := r.Start.Add(r.Duration); e.After(end) {
			end = e
		}
	}
	whole := max(end.Sub(run.Start), time.Millisecond)
	for _, r := range run.Steps {
		v.Rows = append(v.Rows, rowOf(r, run.Start, whole))
	}
	return v
}

func rowOf(r *ui.Record, start time.Time, whole time.Duration) row {
	percent := func(d time.Duration) string {
		return fmt.Sprintf("%.2f%%", min(max(100*float64(d)/float64(whole), 0), 100))
	}
	out := row{
		Name: r.Step.Name, Type: r.Step.Type, Status: r.Status.String(), Took: human.Took(r.Duration),
		Why: r.Message(), Log: r.HumanLog(), Compiled: r.CompiledText(), Left: percent(r.Start.Sub(start)), Width: percent(r.Duration),
	}
	if !r.Key.IsZero() {
		out.Key = r.Key.Hex()
	}
	if r.Diagnosis != nil {
		out.Cause, out.Fix = r.Diagnosis.Cause, r.Diagnosis.Fix
	}
	if r.Step.Inner {
		return out
	}
	for _, o := range r.Outputs {
		change := ""
		if d := o.Size - o.Before; o.Before >= 0 && d != 0 {
			change = human.Bytes(d)
			if d > 0 {
				change = "+" + change
			}
		}
		out.Outputs = append(out.Outputs, output{o.Path, human.Bytes(o.Size), change, o.Digest.Hex()})
	}
	return out
}
