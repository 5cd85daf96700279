package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/doctor"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/hosts"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

func doctorCommand(a *app) *cobra.Command {
	f := &doctorFlags{}
	c := &cobra.Command{
		Use:   "doctor [BINARY…]",
		Short: "Diagnose this machine or a binary, and suggest fixes",
		Long: "Without arguments: check what builds depend on here (Go and its settings, cache,\n" +
			"clock, disks, limits, git, namespaces, permissions), and suggest a fix for each\n" +
			"problem. Exits with code 1 if there is one.\n\n" +
			"With binaries of any platform: what each is, what it needs of a host, where the\n" +
			"dynamic loader would find its libraries, and its modules. Nothing is\n" +
			"executed. Exits with code 3 if one would not start, or does not fit the host\n" +
			"of --against.",
		Example: "  airbuild doctor\n  airbuild doctor dist/app --against site.json\n  airbuild doctor --root /srv/sysroot dist/app",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return doctorBinaries(c.Context(), a, args, f)
			}
			if f.root != "" || f.against != "" {
				return exit.UsageError("--root and --against are for binaries: airbuild doctor --against FILE BINARY")
			}
			return doctorHost(c.Context(), a)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "check the binaries against the fingerprint `FILE`")
	fl.StringVar(&f.root, "root", "", "look for libraries as if `DIR` were /")
	return c
}

type doctorFlags struct{ against, root string }

func doctorBinaries(ctx context.Context, a *app, names []string, f *doctorFlags) error {
	target, err := hostTarget(ctx, a, f.against)
	if err != nil {
		return err
	}
	var all []hosts.Binary
	ok := true
	for _, name := range names {
		reports, err := hosts.OpenBinary(name)
		if err != nil {
			return err
		}
		for _, r := range reports {
			b := hosts.ExamineBinary(r, target, f.root, f.against != "")
			ok = ok && b.Fits
			all = append(all, b)
		}
	}
	if a.json() {
		err = a.writeJSON(map[string]any{"version": 1, "fits": ok, "binaries": all})
	} else {
		for i, b := range all {
			if i > 0 {
				fmt.Fprintln(a.out)
			}
			if _, err = io.WriteString(a.out, ui.BinaryText(b.Report, b.Findings, hosts.LibrariesFix)); err != nil {
				break
			}
		}
	}
	if err == nil && !ok {
		err = exit.Silent(exit.Unverified)
	}
	return err
}

// doctorHost looks at this host.
func doctorHost(ctx context.Context, a *app) error {
	findings, err := doctor.Run(ctx, doctor.Options{Project: a.quietly(), BuildTime: readVersion().Time})
	if err != nil {
		return err
	}
	bad, warned := 0, 0
	for _, f := range findings {
		switch f.Status {
		case doctor.Error:
			bad++
		case doctor.Warning:
			warned++
		}
	}
	if a.json() {
		if err := a.writeJSON(map[string]any{"version": 1, "ok": bad == 0, "findings": findings}); err != nil {
			return err
		}
	} else if err := writeFindings(a, findings, bad, warned); err != nil {
		return err
	}
	if bad > 0 {
		return exit.Silent(exit.Failed)
	}
	return nil
}

func writeFindings(a *app, findings []doctor.Finding, bad, warned int) error {
	var s strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&s, "%-8s %-12s %s\n", f.Status, f.Check, human.OneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(&s, "%-8s %-12s fix: %s\n", "", "", human.OneLine(f.Fix))
		}
	}
	switch {
	case bad > 0:
		fmt.Fprintf(&s, "%s, %s\n", human.Count(bad, "error"), human.Count(warned, "warning"))
	case warned > 0:
		fmt.Fprintf(&s, "no problems found; %s\n", human.Count(warned, "warning"))
	default:
		s.WriteString("no problems found\n")
	}
	_, err := io.WriteString(a.out, s.String())
	return err
}
