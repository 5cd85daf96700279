package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/graphview"
	"github.com/airbuild/airbuild/engine"
)

func graphCommand(a *app) *cobra.Command {
	format, cells := "", false
	c := &cobra.Command{
		Use:               "graph [TARGET…]",
		Short:             "Show the dependency graph",
		Long:              "Show the dependency graph of the targets, or of everything.",
		Example:           "  airbuild graph release\n  airbuild graph --format mermaid --cells\n  airbuild graph --format svg > graph.svg",
		ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			f, err := a.formatFlag(format, "text", "json", "dot", "mermaid", "svg")
			if err != nil {
				return err
			}
			return runGraph(c.Context(), a, args, f, cells)
		},
	}
	c.Flags().StringVar(&format, "format", "", "`text|json|dot|mermaid|svg` (default text)")
	c.Flags().BoolVar(&cells, "cells", false, "draw every cell rather than stages")
	return c
}

func runGraph(ctx context.Context, a *app, args []string, format string, cells bool) error {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	var ids []engine.StepID
	if len(args) == 0 {
		for _, s := range p.Plan.Stages {
			for _, cell := range s.Cells {
				ids = append(ids, cell.Step)
			}
		}
	} else if ids, _, err = p.Targets(args); err != nil {
		return err
	}
	v := graphview.New(p.Plan.Graph, ids, cells)
	switch format {
	case "json":
		return v.WriteJSON(a.out)
	case "dot":
		return v.WriteDOT(a.out)
	case "mermaid":
		return v.WriteMermaid(a.out)
	case "svg":
		return v.WriteSVG(a.out)
	}
	return v.WriteText(a.out)
}
