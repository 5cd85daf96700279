package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/audit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
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
	return exit.First(writeAuditReport(a, report), err)
}

// writeAuditReport writes the report, and ends as it says.
func writeAuditReport(a *app, r *audit.Report) error {
	if a.json() {
		if err := a.writeJSON(r); err != nil {
			return err
		}
		return auditOutcome(r)
	}
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(a.color), Out: a.out, LookupEnv: a.LookupEnv}).Palette
	var b strings.Builder
	for _, v := range r.Steps {
		writeAudited(&b, pal, v)
	}
	for _, name := range r.Written {
		fmt.Fprintf(&b, "changed %s\n", name)
	}
	fmt.Fprintf(&b, "not seen: %s\n", r.Limits)
	b.WriteString(auditSummary(r, pal))
	if _, err := io.WriteString(a.out, b.String()); err != nil {
		return err
	}
	return auditOutcome(r)
}

func writeAudited(b *strings.Builder, pal ui.Palette, v audit.StepReport) {
	switch v.Status {
	case audit.LeftOut, audit.InAirbuild:
		fmt.Fprintf(b, "%s  %s: %s\n", v.Status, v.Step, human.OneLine(v.Reason))
		return
	case audit.Unaudited:
		fmt.Fprintf(b, "%s  %s: %s\n", pal.Yellow("unaudited"), v.Step, human.OneLine(v.Reason))
	case audit.Clean:
		fmt.Fprintf(b, "%s  %s: it opened %d of %s that it declares, and no other file of the project\n", pal.Green("clean"), v.Step, v.Opened, human.Count(v.Declared, "file"))
	default:
		fmt.Fprintf(b, "%s  %s\n", pal.Red("findings"), v.Step)
	}
	for _, f := range v.Findings {
		fmt.Fprintf(b, "  %s: %s\n", f.Kind, human.OneLine(f.Text))
		if f.Edit != "" && !f.Corrected {
			fmt.Fprintf(b, "    %s\n", human.OneLine(f.Edit))
		}
		if f.Corrected {
			fmt.Fprintf(b, "    fixed: %s\n", human.OneLine(f.Edit))
		}
	}
	for _, n := range v.Notes {
		fmt.Fprintf(b, "  note: %s\n", human.OneLine(n))
	}
}

func auditSummary(r *audit.Report, pal ui.Palette) string {
	found, open, dark := 0, 0, 0
	for _, v := range r.Steps {
		found += len(v.Findings)
		open += len(slices.DeleteFunc(slices.Clone(v.Findings), func(f audit.Finding) bool { return f.Corrected }))
		if v.Status == audit.Unaudited {
			dark++
		}
	}
	switch {
	case dark > 0:
		return fmt.Sprintf("%s: %s unaudited, %s\n", pal.Red("not clean"), human.Count(dark, "step"), human.Count(found, "finding"))
	case open > 0:
		return fmt.Sprintf("%s: %s\n", pal.Red("not clean"), human.Count(open, "finding"))
	case found > 0:
		return fmt.Sprintf("%s: %s; run audit again to confirm\n", pal.Green("fixed"), human.Count(found, "finding"))
	}
	return pal.Green("clean") + "\n"
}

// auditOutcome is the exit code of an audit.
func auditOutcome(r *audit.Report) error {
	if !r.OK {
		return exit.Silent(exit.Unverified)
	}
	return nil
}
