package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	publishtask "github.com/airbuild/airbuild/tasks/publish"
)

func publishCommand(a *app) *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "publish [NAME…]",
		Short: "Publish build outputs",
		Long: "Make what the publish stages NAME need, and publish it: into directories, to servers by\n" +
			"HTTP PUT, into a tree that serves as GOPROXY. Without a name: all publish stages. Files\n" +
			"that are already published are skipped, so an interrupted run can be repeated.",
		Example:           "  airbuild publish --dry-run\n  airbuild publish mirror --yes",
		ValidArgsFunction: a.completeStages(publishtask.Type),
		RunE: func(c *cobra.Command, args []string) error {
			a.DryPublish = dryRun
			return runPublish(c.Context(), a, args)
		},
	}
	fl := c.Flags()
	fl.BoolVar(&a.Yes, "yes", false, "send it, without this only in CI (where $CI is set)")
	fl.BoolVar(&dryRun, "dry-run", false, "make what is needed and say what would be published; publish nothing")
	declareSandbox(&a.Sandbox, fl)
	return c
}

func runPublish(ctx context.Context, a *app, names []string) error {
	if a.Offline {
		return refusePublish(ctx, a, names)
	}
	if !a.Confirmed() && !a.DryPublish {
		return exit.UsageError("publish sends files to others; say --yes. To look first: --dry-run")
	}
	return runSteps(ctx, a, publishtask.Type, names, &runFlags{}, nil)
}

// refusePublish publishes offline what needs no network, and nothing if one of
// the stages does.
func refusePublish(ctx context.Context, a *app, names []string) error {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	ids, err := stepsOf(p, publishtask.Type, names)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if s := &p.Plan.Graph.Steps[id]; s.Network {
			return exit.With(exit.Offline, fmt.Errorf("%s publishes over the network, and this run is offline; carry the files to a host that has one", s.Name))
		}
	}
	if !a.Confirmed() && !a.DryPublish {
		return exit.UsageError("publish sends files to others; say --yes. To look first: --dry-run")
	}
	return runSteps(ctx, a, publishtask.Type, names, &runFlags{}, nil)
}
