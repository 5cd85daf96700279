package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/deploy"
	deploytask "github.com/airbuild/airbuild/tasks/deploy"
)

func deployCommand(a *app) *cobra.Command {
	dryRun := false
	c := &cobra.Command{
		Use:   "deploy NAME",
		Short: "Install a version on this host, and roll back if it is not healthy",
		Long: "Make what the deploy stage NAME needs, install it as a version below the stage's root,\n" +
			"switch to it at once, and check it. If it is not healthy, deploy rolls back to the last\n" +
			"good version and exits with code 1.",
		Example: "  airbuild deploy site --environment prod\n  airbuild deploy status site --environment prod\n  airbuild deploy rollback site --environment prod",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return exactArgs(1, "the name of a deploy stage, or one of status, rollback and history")(c, args)
		},
		ValidArgsFunction: a.completeStages(deploytask.Type),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			a.DryDeploy = dryRun
			return runDeploy(c.Context(), a, args[0])
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "make what is needed and say what would be deployed; change nothing at the root")
	declareSandbox(&a.Sandbox, c.Flags())
	c.AddCommand(deployStatusCommand(a), deployRollbackCommand(a), deployHistoryCommand(a))
	return c
}

func deployStatusCommand(a *app) *cobra.Command {
	check := false
	c := &cobra.Command{
		Use:   "status NAME",
		Short: "Show which version serves, and which are installed",
		Long: "Show which version serves, and which are installed. A deploy that was cut off by a crash\n" +
			"is ended first: the version that it left serving is checked, or the one before serves\n" +
			"again.",
		Args:              exactArgs(1, "the name of a deploy stage"),
		ValidArgsFunction: a.completeStages(deploytask.Type),
		RunE: func(c *cobra.Command, args []string) error {
			return deployStatus(c.Context(), a, args[0], check)
		},
	}
	c.Flags().BoolVar(&check, "check", false, "run the health check of the version that serves; if it fails, exit with code 1")
	return c
}

func deployRollbackCommand(a *app) *cobra.Command {
	to := ""
	c := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Roll back to the previous good version",
		Long: "Roll back to the previous good version, with its own hooks and health check. If that\n" +
			"version is not healthy now, the current one stays.",
		Args:              exactArgs(1, "the name of a deploy stage"),
		ValidArgsFunction: a.completeStages(deploytask.Type),
		RunE: func(c *cobra.Command, args []string) error {
			return deployRollback(c.Context(), a, args[0], to)
		},
	}
	c.Flags().StringVar(&to, "to", "", "go to `RELEASE`, which status lists")
	return c
}

func deployHistoryCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "history NAME",
		Short: "Show what was deployed, by whom, and with what result",
		Long: "Show what was deployed, by whom, and with what result. Exits with code 3 if the audit\n" +
			"log was changed after it was written.",
		Args:              exactArgs(1, "the name of a deploy stage"),
		ValidArgsFunction: a.completeStages(deploytask.Type),
		RunE:              func(c *cobra.Command, args []string) error { return deployHistory(c.Context(), a, args[0]) },
	}
}

func runDeploy(ctx context.Context, a *app, name string) error {
	return runSteps(ctx, a, deploytask.Type, []string{name}, &runFlags{}, func(p *project.Project, ids []engine.StepID) {
		if a.json() {
			return
		}
		for _, id := range ids {
			step := p.Plan.Graph.Steps[id].Name
			out, ok := p.ExternalSettings.Deploy.Outcome(step)
			if !ok || out.Release == "" {
				continue
			}
			fmt.Fprintf(a.err, "%s: %s\n", step, deployText(out, a.DryDeploy))
		}
	})
}

func deployText(o deploy.Outcome, dry bool) string {
	switch {
	case dry && !o.Changed:
		return o.Release + " serves already"
	case dry && o.Serves == "":
		return o.Release + " would be the first version"
	case dry:
		return fmt.Sprintf("%s would follow %s", o.Release, o.Serves)
	case o.Back != "":
		return fmt.Sprintf("%s failed; %s serves again", o.Release, o.Back)
	case o.Serves == o.Release && o.Previous != "":
		return fmt.Sprintf("%s serves; before it was %s", o.Release, o.Previous)
	case o.Serves == "":
		return "nothing serves"
	}
	return o.Serves + " serves"
}

// deployTarget is the root of a deploy stage, with its commands' output on err.
func deployTarget(ctx context.Context, a *app, name string) (deploy.Target, error) {
	p, err := a.load(ctx, nil)
	if err != nil {
		return deploy.Target{}, err
	}
	step, err := oneStepOf(p, deploytask.Type, name)
	if err != nil {
		return deploy.Target{}, err
	}
	t, err := p.ExternalSettings.Deploy.TargetOf(step)
	t.Log = a.err
	return t, err
}

func deployStatus(ctx context.Context, a *app, name string, check bool) error {
	t, err := deployTarget(ctx, a, name)
	if err != nil {
		return err
	}
	rep, err := deploy.Status(ctx, t, check)
	if err != nil {
		return err
	}
	if a.json() {
		err = json.NewEncoder(a.out).Encode(rep)
	} else {
		err = showDeploy(a, rep)
	}
	return exit.First(err, rep.Healthy)
}

func showDeploy(a *app, rep *deploy.Report) error {
	if rep.Busy != "" {
		fmt.Fprintf(a.err, "%s\n", human.OneLine(rep.Busy))
	}
	return a.writeTable(func(w io.Writer) {
		fmt.Fprintf(w, "deploy\t%s\nroot\t%s\n", rep.Name, rep.Root)
		fmt.Fprintf(w, "serves\t%s\nbefore\t%s\n", orDash(rep.Serves), orDash(rep.Previous))
		if rep.Slot != "" {
			fmt.Fprintf(w, "slot\t%s\n", rep.Slot)
		}
		for _, r := range rep.Releases {
			state := "good"
			if !r.Good {
				state = "not good"
			}
			fmt.Fprintf(w, "installed\t%s\t%s\t%s\t%s\n", r.ID, r.Installed.UTC().Format(time.RFC3339), orDash(r.Environment), state)
		}
	})
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return human.OneLine(s)
}

func deployRollback(ctx context.Context, a *app, name, to string) error {
	t, err := deployTarget(ctx, a, name)
	if err != nil {
		return err
	}
	out, err := deploy.Rollback(ctx, t, to)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s serves\n", name, out.Serves)
	return err
}

func deployHistory(ctx context.Context, a *app, name string) error {
	t, err := deployTarget(ctx, a, name)
	if err != nil {
		return err
	}
	entries, err := deploy.History(t.Root)
	if errors.Is(err, deploy.ErrBroken) {
		return exit.With(exit.Unverified, err)
	}
	if err != nil {
		return err
	}
	if a.json() {
		e := json.NewEncoder(a.out)
		for _, entry := range entries {
			if err := e.Encode(entry); err != nil {
				return err
			}
		}
		return nil
	}
	return a.writeTable(func(w io.Writer) {
		for _, e := range entries {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.UTC().Format(time.RFC3339), e.Result, orDash(e.Release), orDash(e.Environment), human.OneLine(e.Who), human.OneLine(e.Detail))
		}
	})
}
