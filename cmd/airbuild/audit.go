package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/audit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/verdict"
)

func auditCommand(a *app) *cobra.Command {
	write := false
	c := &cobra.Command{
		Use:   "audit [TARGET…]",
		Short: "Trace steps and report undeclared inputs, outputs and network access",
		Long: "Run the targets in a copy of the project, with nothing taken from the cache, and watch\n" +
			"which files their processes open. Reports files that were read but not declared, declared\n" +
			"but not read, or written but not declared, attempts to reach the network and variables that\n" +
			"scripts read, each with the edit of the Airbuildfile that fixes it. A step that cannot be\n" +
			"traced is reported as unaudited. Exits with code 3 unless every step that runs a process was\n" +
			"traced and nothing was found, or all of it was fixed with --write.",
		Example:           "  airbuild audit release\n  airbuild audit generate --write",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return runAudit(c.Context(), a, args, write) },
	}
	c.Flags().BoolVar(&write, "write", false, "fix inputs and outputs in the Airbuildfile")
	declareSandbox(&a.Sandbox, c.Flags())
	return c
}

func runAudit(ctx context.Context, a *app, args []string, write bool) (err error) {
	sink, js := a.sideSink()
	defer func() { err = endOutput(sink, err) }()
	s, ids, _, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	report, err := audit.Run(ctx, audit.Options{
		Session: s, Targets: ids, Write: write, Reload: a.opening(nil), OnEvent: sink.OnEvent,
		Started: func(steps int) {
			fmt.Fprintf(a.err, "watching %s in a copy of the project\n", human.Count(steps, "step"))
		},
		Watched: func() { sink.Close() },
		Replace: replaceFile,
	})
	if report == nil {
		return err
	}
	var shown error
	if a.json() {
		shown = a.writeJSON(report)
	} else {
		_, shown = io.WriteString(a.out, verdict.Audit(report, a.palette(a.out)))
	}
	if shown == nil && !report.OK {
		shown = exit.Silent(exit.Unverified)
	}
	return exit.First(shown, err)
}
