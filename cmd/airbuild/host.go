package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/hosts"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/host/binary"
)

func hostCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "host",
		Short: "Describe this host, and check its requirements",
	}
	c.AddCommand(hostFingerprintCommand(a), hostCheckCommand(a))
	return group(c)
}

// A hostFlags are the flags of the host commands.
type hostFlags struct {
	tools, env, ignore []string
	against, of        string
}

func hostFingerprintCommand(a *app) *cobra.Command {
	f := &hostFlags{}
	c := &cobra.Command{
		Use:   "fingerprint",
		Short: "Write what this host is as JSON",
		Long: "Write what this host is as canonical JSON, to compare another host with it by\n" +
			"airbuild host check --against. It holds the names of environment variables, and\n" +
			"values only of those that --env names; never secrets.",
		Example: "  airbuild host fingerprint > site.json\n  airbuild host fingerprint --tools go,git,gcc --env GOPROXY",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return hostFingerprint(c.Context(), a, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.tools, "tools", nil, "look for the programs `A,B` only, not for the usual ones")
	fl.StringSliceVar(&f.env, "env", nil, "write the values of the variables `A,B` too")
	return c
}

func hostCheckCommand(a *app) *cobra.Command {
	f := &hostFlags{}
	c := &cobra.Command{
		Use:   "check [BINARY…]",
		Short: "Check this host against the Airbuildfile or a fingerprint",
		Long: "Check this host against the host block of the Airbuildfile or, with --against,\n" +
			"against the fingerprint of a host on which the same work runs. With binaries:\n" +
			"whether each would run here or, with --against, on the host of the fingerprint.\n" +
			"Exits with code 3 if something does not fit.",
		Example: "  airbuild host check\n  airbuild host check --against site.json\n  airbuild host check --against site.json dist/app",
		RunE:    func(c *cobra.Command, args []string) error { return hostCheck(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "the fingerprint `FILE` to check against; - reads standard input")
	fl.StringVar(&f.of, "of", "", "check the host of the fingerprint `FILE`, not this one")
	fl.StringSliceVar(&f.ignore, "ignore", nil, "ignore the rows `A,B`, such as \"kernel\" or \"command\"")
	return c
}

func hostFingerprint(ctx context.Context, a *app, f *hostFlags) error {
	root, _, err := a.FindFile()
	if err != nil {
		root = "" // without a project the working directory stands for it
	}
	o := hosts.Options(&a.Options, root)
	o.Env = f.env
	if f.tools != nil {
		o.Tools = f.tools
	}
	fp, err := host.Take(ctx, o)
	if err != nil {
		return exit.UsageError("host fingerprint: %w", err)
	}
	b, err := fp.Encode()
	if err != nil {
		return err
	}
	_, err = a.out.Write(b)
	return err
}

// fingerprint is the one in the file that a flag names, or else this host's.
func fingerprint(ctx context.Context, a *app, flag, name string, o host.Options) (*host.Fingerprint, error) {
	if name != "" {
		return readFingerprint(a, flag, name)
	}
	return host.Take(ctx, o)
}

// readFingerprint reads a fingerprint; a file that is none is a mistake on the
// command line.
func readFingerprint(a *app, flag, name string) (*host.Fingerprint, error) {
	const limit = 2 << 20
	var in io.Reader = a.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, exit.UsageError("--%s: %w", flag, err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, limit))
	if err != nil {
		return nil, exit.UsageError("--%s: read %s: %w", flag, name, err)
	}
	fp, err := host.Decode(data)
	if err != nil {
		return nil, exit.UsageError("--%s %s: %w", flag, name, err)
	}
	return fp, nil
}

func hostCheck(ctx context.Context, a *app, args []string, f *hostFlags) error {
	if f.against == "-" && f.of == "-" {
		return exit.UsageError("--against and --of cannot both read standard input")
	}
	var rows []host.Row
	var err error
	switch {
	case len(args) > 0 && f.of != "":
		return exit.UsageError("--of is for hosts: a binary is checked against the fingerprint of --against")
	case len(args) > 0:
		rows, err = checkBinaries(ctx, a, args, f)
	case f.against != "":
		rows, err = compareHosts(ctx, a, f)
	default:
		rows, err = checkProjectHost(ctx, a, f)
	}
	if err != nil {
		return err
	}
	return showRows(a, slices.DeleteFunc(rows, f.ignores))
}

// ignores reports whether a row was not asked for: by its whole name, or by the
// first word of it.
func (f *hostFlags) ignores(r host.Row) bool {
	first, _, _ := strings.Cut(r.What, " ")
	return slices.Contains(f.ignore, r.What) || slices.Contains(f.ignore, first)
}

// checkProjectHost holds a host against the Airbuildfile.
func checkProjectHost(ctx context.Context, a *app, f *hostFlags) ([]host.Row, error) {
	p, err := a.load(ctx, nil)
	if err != nil {
		return nil, err
	}
	w := p.Plan.Host
	if w == nil || w.Empty() {
		return nil, exit.UsageError("%s has no host block with requirements.\nTo compare this host with another's fingerprint: airbuild host check --against FILE", p.File)
	}
	fp, err := fingerprint(ctx, a, "of", f.of, hosts.WantedBy(&a.Options, p.Root, w))
	if err != nil {
		return nil, err
	}
	return host.Check(w, fp), nil
}

// compareHosts holds one host against another.
func compareHosts(ctx context.Context, a *app, f *hostFlags) ([]host.Row, error) {
	there, err := readFingerprint(a, "against", f.against)
	if err != nil {
		return nil, err
	}
	root, _, err := a.FindFile()
	if err != nil {
		root = ""
	}
	here, err := fingerprint(ctx, a, "of", f.of, hosts.ComparedWith(&a.Options, root, there))
	if err != nil {
		return nil, err
	}
	return host.Compare(there, here), nil
}

// hostTarget is the host that binaries are held against.
func hostTarget(ctx context.Context, a *app, against string) (binary.Target, error) {
	fp, err := fingerprint(ctx, a, "against", against, host.Options{Tools: []string{}})
	if err != nil {
		return binary.Target{}, err
	}
	return fp.Target(), nil
}

// checkBinaries says whether each binary would run on the target.
func checkBinaries(ctx context.Context, a *app, names []string, f *hostFlags) ([]host.Row, error) {
	target, err := hostTarget(ctx, a, f.against)
	if err != nil {
		return nil, err
	}
	var rows []host.Row
	for _, name := range names {
		reports, err := hosts.OpenBinary(name)
		if err != nil {
			return nil, err
		}
		rows = append(rows, hosts.CheckBinary(name, reports, target, f.against == "")...)
	}
	return rows, nil
}

// showRows writes the table, and fails if something does not fit.
func showRows(a *app, rows []host.Row) error {
	fits := host.Fits(rows)
	if a.json() {
		if rows == nil {
			rows = []host.Row{}
		}
		if err := a.writeJSON(map[string]any{"version": 1, "fits": fits, "rows": rows}); err != nil {
			return err
		}
	} else if err := writeRows(a, rows); err != nil {
		return err
	}
	if fits {
		return nil
	}
	return exit.Silent(exit.Unverified)
}

func writeRows(a *app, rows []host.Row) error {
	err := a.writeTable(func(w io.Writer) {
		fmt.Fprintf(w, "WHAT\tEXPECTED\tFOUND\tSTATUS\n")
		for _, r := range rows {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", human.OneLine(r.What), human.OneLine(r.Expected), human.OneLine(r.Found), r.Status)
		}
	})
	if err != nil {
		return err
	}
	bad := 0
	for _, r := range rows {
		if r.Status != host.Mismatch {
			continue
		}
		bad++
		fmt.Fprintf(a.err, "%s: expected %s, found %s\n  fix: %s\n", human.OneLine(r.What), human.OneLine(r.Expected), human.OneLine(r.Found), human.OneLine(r.Fix))
	}
	if bad > 0 {
		fmt.Fprintf(a.err, "%s not fit\n", map[bool]string{true: "1 thing does", false: fmt.Sprintf("%d things do", bad)}[bad == 1])
		return nil
	}
	_, err = fmt.Fprintf(a.out, "all fits: %s\n", human.Count(len(rows), "thing"))
	return err
}
