package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

func validateCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "validate",
		Short: "Check the Airbuildfile",
		Long:  "Check the Airbuildfile and its includes, and report every mistake.",
		Args:  noArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return runValidate(c.Context(), a) },
	}
}

func runValidate(ctx context.Context, a *app) (err error) {
	var js *ui.JSONSink
	if a.json() {
		var sink ui.Sink
		sink, js = a.sink()
		defer func() { err = endOutput(sink, err) }()
	}
	p, err := a.load(ctx, js)
	if err != nil || js != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s is right: %s, %s, %s\n", p.File, human.Count(len(p.Plan.Pipelines), "pipeline"),
		human.Count(len(p.Plan.Stages), "stage"), human.Count(len(p.Plan.Graph.Steps), "step"))
	return err
}
