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

func explainCommand(a *app) *cobra.Command {
	full := false
	c := &cobra.Command{
		Use:   "explain STEP",
		Short: "Show a step's key part by part, and what changed in it",
		Long: "Show a step's key part by part, and how it differs from the nearest earlier run's.\n" +
			"Inputs are only counted, unless --inputs is given.",
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
		return a.writeJSON(ui.ExplanationJSON(e))
	}
	pal := a.palette(a.out)
	_, err = fmt.Fprint(a.out, ui.ExplanationText(e, full, pal))
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
