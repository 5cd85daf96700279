package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
)

func planCommand(a *app) *cobra.Command {
	since := ""
	c := &cobra.Command{
		Use:               "plan [TARGET…]",
		Short:             "Say what a run would do, and why",
		Long:              "Show for each step whether it is in the cache or would run, and why. Nothing is run\nand nothing is written.",
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
	s.Notices = append(s.Notices, assumed(s.Plan.Graph, ids)...)
	o := s.RunOptions()
	o.DryRun, o.KeepGoing = true, true
	table := &ui.PlanTable{Ended: map[engine.StepID]engine.Event{}}
	o.OnEvent = table.Add
	if js != nil {
		o.OnEvent = withNotices(s.Notices, js.OnEvent)
	}
	check := s.CheckDryRun(ctx, &o)
	sum, err := engine.Run(ctx, s.Plan.Graph, ids, o)
	if err != nil {
		return err
	}
	if js == nil {
		pal := a.palette(a.out)
		for _, text := range s.Notices {
			fmt.Fprintf(a.err, "notice: %s\n", text)
		}
		if _, err := fmt.Fprint(a.out, table.Text(s.Plan.Graph.Closure(ids), sum, pal)); err != nil {
			return err
		}
	}
	if err := check.Err(); err != nil {
		return err
	}
	return project.Outcome(sum)
}

// assumed says once each how what stages leave open was decided.
func assumed(g *engine.Graph, ids []engine.StepID) []string {
	var texts []string
	for _, id := range g.Closure(ids) {
		for _, text := range g.Steps[id].Assumed {
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	return texts
}
