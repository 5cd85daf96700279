package ui

import (
	"fmt"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func ExplanationText(e *engine.Explanation, full bool, p Palette) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s\n", p.Bold(e.Step.Name), e.Step.Type)
	if e.Key.IsZero() {
		fmt.Fprintf(&b, "key     known only when these have run: %s\n", strings.Join(e.Waits, ", "))
	} else {
		fmt.Fprintf(&b, "key     %s\n", e.Key.Hex())
	}
	status := e.Status.String()
	if e.Reason != "" {
		status += ": " + human.OneLine(e.Reason)
	}
	fmt.Fprintf(&b, "status  %s\n", status)
	writeLines(&b, e.Lines, full, p)
	if len(e.Notes) > 0 {
		fmt.Fprintf(&b, "%s\n", p.Bold("notes"))
		for _, n := range e.Notes {
			fmt.Fprintf(&b, "  %s\n", human.OneLine(n))
		}
	}
	writeChanges(&b, e, p)
	return b.String()
}

// writeLines writes the parts of the key by kind; inputs in full or counted.
func writeLines(b *strings.Builder, all []action.Line, full bool, p Palette) {
	kind, inputs := "", 0
	for _, l := range all {
		if l.Kind == action.KindInput && !full {
			inputs++
			continue
		}
		if l.Kind != kind {
			kind = l.Kind
			fmt.Fprintf(b, "%s\n", p.Bold(kind))
		}
		fmt.Fprintf(b, "  %s\n", lineText(l.Name, l.Value))
	}
	if inputs > 0 {
		fmt.Fprintf(b, "%s\n  %s; --inputs lists them\n", p.Bold(action.KindInput), human.Count(inputs, "file"))
	}
}

// lineText is a part of the key on one line; spaces in it count, so they stay.
func lineText(name, value string) string {
	text := strings.TrimSpace(name + "  " + value)
	return human.Clean(strings.NewReplacer("\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(text), false)
}

func writeChanges(b *strings.Builder, e *engine.Explanation, p Palette) {
	if e.Previous == nil {
		b.WriteString("no earlier run with another key is known\n")
		return
	}
	fmt.Fprintf(b, "%s\n", p.Bold("since "+e.Previous.Time.UTC().Format(time.RFC3339)+", key "+e.Previous.Key.Hex()[:12]))
	WriteChanges(b, InParts(e.Changes), p)
}

// WriteChanges writes a line per change of a key.
func WriteChanges(b *strings.Builder, changes []action.Change, p Palette) {
	for _, c := range changes {
		what := strings.TrimSpace(c.Kind + " " + c.Name)
		switch {
		case c.Added:
			fmt.Fprintf(b, "  %s %s\n", p.Green("+"), lineText(what, c.New))
		case c.Removed:
			fmt.Fprintf(b, "  %s %s\n", p.Red("-"), lineText(what, c.Old))
		default:
			fmt.Fprintf(b, "  %s %s\n", p.Yellow("~"), lineText(what, c.Old+" → "+c.New))
		}
	}
}

// InParts takes long arguments apart, for people: of the settings of a stage
// only those that differ are shown.
func InParts(changes []action.Change) []action.Change {
	var out []action.Change
	for _, c := range changes {
		if parts := c.Parts(); parts != nil {
			out = append(out, parts...)
		} else {
			out = append(out, c)
		}
	}
	return out
}

func ExplanationJSON(e *engine.Explanation) any {
	type line struct {
		Kind  string `json:"kind"`
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type change struct {
		Kind string  `json:"kind"`
		Name string  `json:"name"`
		Old  *string `json:"old"` // null: added
		New  *string `json:"new"` // null: removed
	}
	type previous struct {
		Key     string   `json:"key"`
		Time    string   `json:"time"`
		Changes []change `json:"changes"`
	}
	out := struct {
		Step     string    `json:"step"`
		Stage    string    `json:"stage"`
		Cell     string    `json:"cell"`
		Type     string    `json:"type"`
		Key      string    `json:"key"`
		Status   string    `json:"status"`
		Reason   string    `json:"reason"`
		Waits    []string  `json:"waits"`
		Lines    []line    `json:"lines"`
		Notes    []string  `json:"notes"`
		Previous *previous `json:"previous"`
	}{
		Step: e.Step.Name, Stage: e.Step.Stage, Cell: e.Step.Cell, Type: e.Step.Type,
		Status: e.Status.String(), Reason: e.Reason, Waits: append([]string{}, e.Waits...), Notes: append([]string{}, e.Notes...), Lines: []line{},
	}
	if !e.Key.IsZero() {
		out.Key = e.Key.Hex()
	}
	for _, l := range e.Lines {
		out.Lines = append(out.Lines, line{l.Kind, l.Name, l.Value})
	}
	if e.Previous != nil {
		out.Previous = &previous{e.Previous.Key.Hex(), e.Previous.Time.UTC().Format(time.RFC3339), []change{}}
		for _, c := range e.Changes {
			x := change{Kind: c.Kind, Name: c.Name, Old: &c.Old, New: &c.New}
			if c.Added {
				x.Old = nil
			}
			if c.Removed {
				x.New = nil
			}
			out.Previous.Changes = append(out.Previous.Changes, x)
		}
	}
	return out
}
