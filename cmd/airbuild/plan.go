package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
)

func planCommand(a *app) *cobra.Command {
	since := ""
	c := &cobra.Command{
		Use:               "plan [TARGET…]",
		Short:             "Say what a run would do, and why",
		Long:              "Say for each step whether it is in the cache or would run, and why. Nothing is run\nand nothing is written.",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return runPlan(c.Context(), a, args, since) },
	}
	declareNoSandbox(&a.Sandbox, c.Flags())
	c.Flags().StringVar(&since, "affected", "", affectedUsage)
	return c
}

func runPlan(ctx context.Context, a *app, args []string, since string) (err error) {
	var js *ui.JSONSink
	if a.json() {
		var sink ui.Sink
		sink, js = a.sink()
		defer func() { err = endOutput(sink, err) }()
	}
	s, ids, _, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	if since != "" {
		if ids, err = affectedSince(ctx, a.err, s, since, ids); err != nil {
			return err
		}
	}
	o := s.RunOptions()
	o.DryRun, o.KeepGoing = true, true
	table := &planTable{ended: map[engine.StepID]engine.Event{}}
	o.OnEvent = table.add
	if js != nil {
		o.OnEvent = withNotices(s.Notices, js.OnEvent)
	}
	check := s.CheckDryRun(ctx, &o)
	sum, err := engine.Run(ctx, s.Plan.Graph, ids, o)
	if err != nil {
		return err
	}
	if js == nil {
		pal := ui.Detect(ui.Config{Color: ui.ColorMode(a.color), Out: a.out, LookupEnv: a.LookupEnv}).Palette
		for _, text := range s.Notices {
			fmt.Fprintf(a.err, "notice: %s\n", text)
		}
		if _, err := fmt.Fprint(a.out, table.text(s.Plan.Graph.Closure(ids), sum, pal)); err != nil {
			return err
		}
	}
	if err := check.Err(); err != nil {
		return err
	}
	return project.Outcome(sum)
}

// A planTable gathers how a dry run ended each step.
type planTable struct {
	ended map[engine.StepID]engine.Event
}

func (t *planTable) add(e engine.Event) {
	if e.Kind == engine.StepFinished {
		t.ended[e.ID] = e
	}
}

// text is one line a step, in graph order, and the counts.
func (t *planTable) text(ids []engine.StepID, sum *engine.Summary, p ui.Palette) string {
	width := 0
	for _, id := range ids {
		if e, ok := t.ended[id]; ok {
			width = max(width, len([]rune(e.Step.Name)))
		}
	}
	var b strings.Builder
	for _, id := range ids {
		e, ok := t.ended[id]
		if !ok {
			continue
		}
		word, why := p.Dim("hit   "), e.Reason
		switch e.Status {
		case engine.WouldRun:
			word = p.Cyan("run   ")
		case engine.Failed:
			word, why = p.Red("failed"), e.Err.Error()
		case engine.Skipped, engine.Cancelled:
			word = p.Yellow("skip  ")
		}
		line := fmt.Sprintf("%s  %s%s  %s", word, e.Step.Name, strings.Repeat(" ", width-len([]rune(e.Step.Name))), human.OneLine(why))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "%s: %s, %d would run", human.Count(sum.Steps, "step"), human.Count(sum.Hits, "hit"), sum.WouldRun)
	if sum.Failed > 0 {
		fmt.Fprintf(&b, ", %d cannot", sum.Failed)
	}
	return b.String() + "\n"
}
