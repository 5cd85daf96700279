package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

func explainCommand(a *app) *cobra.Command {
	full := false
	c := &cobra.Command{
		Use:   "explain STEP",
		Short: "Show a step's key part by part, and what changed in it",
		Long: "Show a step's key part by part, and how it differs from the nearest earlier run's.\n" +
			"Of the inputs only their number is shown, unless --inputs is given.",
		Example:           "  airbuild explain vendor\n  airbuild explain 'bin[linux/amd64]' --inputs",
		Args:              exactArgs(1, "one step"),
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return runExplain(c.Context(), a, args[0], full) },
	}
	declareNoSandbox(&a.Sandbox, c.Flags())
	c.Flags().BoolVar(&full, "inputs", false, "list every input file with its digest")
	return c
}

func runExplain(ctx context.Context, a *app, target string, full bool) (err error) {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	id, err := oneStep(p, target)
	if err != nil {
		return err
	}
	if err := p.RefuseLacking([]engine.StepID{id}, p.Options.Show); err != nil {
		return err
	}
	s, err := p.Open(nil)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	e, err := engine.Explain(ctx, p.Plan.Graph, id, s.RunOptions())
	if err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(explanationJSON(e))
	}
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(a.color), Out: a.out, LookupEnv: a.LookupEnv}).Palette
	_, err = fmt.Fprint(a.out, explanationText(e, full, pal))
	return err
}

// oneStep is the one step that target names.
func oneStep(p *project.Project, target string) (engine.StepID, error) {
	if id, ok := p.Plan.Graph.Lookup(target); ok {
		return id, nil
	}
	ids, _, err := p.Targets([]string{target})
	if err != nil {
		return 0, err
	}
	if len(ids) != 1 {
		return 0, exit.UsageError("%s is %s. Name one of them:\n  %s", target, human.Count(len(ids), "step"),
			strings.ReplaceAll(stepNames(p.Plan.Graph, ids), ", ", "\n  "))
	}
	return ids[0], nil
}

func explanationText(e *engine.Explanation, full bool, p ui.Palette) string {
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
func writeLines(b *strings.Builder, all []action.Line, full bool, p ui.Palette) {
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

func writeChanges(b *strings.Builder, e *engine.Explanation, p ui.Palette) {
	if e.Previous == nil {
		b.WriteString("no earlier run with another key is known\n")
		return
	}
	fmt.Fprintf(b, "%s\n", p.Bold("since "+e.Previous.Time.UTC().Format(time.RFC3339)+", key "+e.Previous.Key.Hex()[:12]))
	writeChangeLines(b, inParts(e.Changes), p)
}

// writeChangeLines writes a line per change of a key.
func writeChangeLines(b *strings.Builder, changes []action.Change, p ui.Palette) {
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

// inParts takes long arguments apart, for people: of the settings of a stage
// only those that differ are shown.
func inParts(changes []action.Change) []action.Change {
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

func explanationJSON(e *engine.Explanation) any {
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
		Status: e.Status.String(), Reason: e.Reason, Waits: orEmpty(e.Waits), Notes: orEmpty(e.Notes), Lines: []line{},
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
