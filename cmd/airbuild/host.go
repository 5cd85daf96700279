package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/host/binary"
	"github.com/airbuild/airbuild/engine/host/want"
)

func (a *app) hostCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "host",
		Short: "Say what this host is, and whether it fits",
	}
	c.AddCommand(a.hostFingerprintCommand(), a.hostCheckCommand())
	return group(c)
}

// A hostFlags are the flags of the host commands.
type hostFlags struct {
	tools, env, ignore []string
	against, of        string
}

func (a *app) hostFingerprintCommand() *cobra.Command {
	f := &hostFlags{}
	c := &cobra.Command{
		Use:   "fingerprint",
		Short: "Write what this host is as JSON",
		Long: "Write what this host is as canonical JSON, to be held against another host by\n" +
			"airbuild host check --against. It holds the names of environment variables, and\n" +
			"values only of those that --env names; never secrets.",
		Example: "  airbuild host fingerprint > site.json\n  airbuild host fingerprint --tools go,git,gcc --env GOPROXY",
		Args:    noArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.hostFingerprint(c.Context(), f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.tools, "tools", nil, "look for the programs `A,B` only, not for the usual ones")
	fl.StringSliceVar(&f.env, "env", nil, "write the values of the variables `A,B` too")
	return c
}

func (a *app) hostCheckCommand() *cobra.Command {
	f := &hostFlags{}
	c := &cobra.Command{
		Use:   "check [BINARY…]",
		Short: "Hold this host against the Airbuildfile or a fingerprint",
		Long: "Hold this host against the host block of the Airbuildfile or, with --against,\n" +
			"against the fingerprint of a host on which the same work runs. With binaries:\n" +
			"whether each would run here or, with --against, on the host of the fingerprint.\n" +
			"Ends with exit code 3 if something does not fit.",
		Example: "  airbuild host check\n  airbuild host check --against site.json\n  airbuild host check --against site.json dist/app",
		RunE:    func(c *cobra.Command, args []string) error { return a.hostCheck(c.Context(), args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "the fingerprint `FILE` to hold against; - reads standard input")
	fl.StringVar(&f.of, "of", "", "check the host of the fingerprint `FILE`, not this one")
	fl.StringSliceVar(&f.ignore, "ignore", nil, "leave out the rows `A,B`, such as \"kernel\" or \"command\"")
	return c
}

// hostOptions are those of a fingerprint of this host and, if there is one, the
// project.
func (a *app) hostOptions(root string) host.Options {
	o := host.Options{Airbuild: readVersion().Version, Disks: map[string]string{"tmp": os.TempDir()}}
	if cache, err := a.CacheDir(); err == nil {
		o.Disks["cache"] = cache
	}
	if root == "" {
		root = "."
	}
	o.Disks["project"] = root
	return o
}

func (a *app) hostFingerprint(ctx context.Context, f *hostFlags) error {
	root, _, err := a.FindFile()
	if err != nil {
		root = "" // without a project the working directory stands for it
	}
	o := a.hostOptions(root)
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

// readFingerprint reads a fingerprint; a file that is none is a mistake on the
// command line.
func (a *app) readFingerprint(flag, name string) (*host.Fingerprint, error) {
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

func (a *app) hostCheck(ctx context.Context, args []string, f *hostFlags) error {
	if f.against == "-" && f.of == "-" {
		return exit.UsageError("--against and --of cannot both read standard input")
	}
	var rows []host.Row
	var err error
	switch {
	case len(args) > 0 && f.of != "":
		return exit.UsageError("--of is for hosts: a binary is checked against the fingerprint of --against")
	case len(args) > 0:
		rows, err = a.checkBinaries(ctx, args, f)
	case f.against != "":
		rows, err = a.compareHosts(ctx, f)
	default:
		rows, err = a.checkProjectHost(ctx, f)
	}
	if err != nil {
		return err
	}
	return a.showRows(slices.DeleteFunc(rows, f.ignores))
}

// ignores reports whether a row was not asked for: by its whole name, or by the
// first word of it.
func (f *hostFlags) ignores(r host.Row) bool {
	first, _, _ := strings.Cut(r.What, " ")
	return slices.Contains(f.ignore, r.What) || slices.Contains(f.ignore, first)
}

// checkProjectHost holds a host against the Airbuildfile.
func (a *app) checkProjectHost(ctx context.Context, f *hostFlags) ([]host.Row, error) {
	p, err := a.load(ctx, nil)
	if err != nil {
		return nil, err
	}
	w := p.Plan.Host
	if w == nil || w.Empty() {
		return nil, exit.UsageError("%s has no host block that wants anything.\nTo hold this host against another's fingerprint: airbuild host check --against FILE", p.File)
	}
	if f.of != "" {
		fp, err := a.readFingerprint("of", f.of)
		if err != nil {
			return nil, err
		}
		return host.Check(w, fp), nil
	}
	fp, err := host.Take(ctx, a.wantedOptions(p.Root, w))
	if err != nil {
		return nil, err
	}
	return host.Check(w, fp), nil
}

// wantedOptions are those of a fingerprint that holds what w asks about. Of an
// environment variable the value is looked at only if one is wanted; a value
// that has the name of a secret is compared here and shown nowhere.
func (a *app) wantedOptions(root string, w *want.Host) host.Options {
	o := a.hostOptions(root)
	o.Tools = []string{}
	for _, c := range w.Commands {
		o.Tools = append(o.Tools, c.Name)
	}
	for _, v := range w.Env {
		if v.Exact && !host.IsSecretName(v.Name) {
			o.Env = append(o.Env, v.Name)
		}
	}
	o.Environ = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasSuffix(v, "=") }) // empty is not set
	return o
}

// compareHosts holds one host against another.
func (a *app) compareHosts(ctx context.Context, f *hostFlags) ([]host.Row, error) {
	there, err := a.readFingerprint("against", f.against)
	if err != nil {
		return nil, err
	}
	if f.of != "" {
		here, err := a.readFingerprint("of", f.of)
		if err != nil {
			return nil, err
		}
		return host.Compare(there, here), nil
	}
	root, _, err := a.FindFile()
	if err != nil {
		root = ""
	}
	o := a.hostOptions(root)
	o.Tools = []string{}
	for name, t := range there.Tools {
		if t.Found {
			o.Tools = append(o.Tools, name)
		}
	}
	slices.Sort(o.Tools)
	for _, name := range slices.Sorted(maps.Keys(there.Env.Values)) {
		if !host.IsSecretName(name) {
			o.Env = append(o.Env, name)
		}
	}
	here, err := host.Take(ctx, o)
	if err != nil {
		return nil, err
	}
	return host.Compare(there, here), nil
}

// target is the host that binaries are held against.
func (a *app) target(ctx context.Context, against string) (binary.Target, error) {
	if against != "" {
		fp, err := a.readFingerprint("against", against)
		if err != nil {
			return binary.Target{}, err
		}
		return fp.Target(), nil
	}
	fp, err := host.Take(ctx, host.Options{Tools: []string{}})
	if err != nil {
		return binary.Target{}, err
	}
	return fp.Target(), nil
}

func (a *app) checkBinaries(ctx context.Context, names []string, f *hostFlags) ([]host.Row, error) {
	target, err := a.target(ctx, f.against)
	if err != nil {
		return nil, err
	}
	var rows []host.Row
	for _, name := range names {
		reports, err := openBinary(name)
		if err != nil {
			return nil, err
		}
		report := fitting(reports, target)
		var libraries []host.Row
		if f.against == "" && report.OS == target.OS && report.Arch == target.Arch {
			libraries = libraryRows(name, report)
		}
		for _, finding := range binary.Fits(report, target) {
			r := host.Row{What: finding.What + " " + name, Expected: finding.Expected, Found: finding.Found, Status: host.OK}
			if !finding.OK {
				r.Status, r.Fix = host.Mismatch, finding.Fix
			}
			rows = append(rows, r)
		}
		rows = append(rows, libraries...)
	}
	return rows, nil
}

// librariesFix is what to do where the dynamic loader does not find something.
const librariesFix = "install the package that has it; or ship it beside the binary, linked with -Wl,-rpath,'$ORIGIN'; or link statically (Go: CGO_ENABLED=0)"

// libraryRows say whether this host's dynamic loader finds all that a binary
// needs. What libraries beside it need is the binary's need from then on.
func libraryRows(name string, r *binary.Report) (rows []host.Row) {
	binary.Resolve(r, "")
	row := host.Row{What: "libraries " + name, Expected: "all found", Found: "all found", Status: host.OK}
	switch {
	case !r.Resolved || r.Static:
		return nil
	case len(r.Problems) == 0:
		return []host.Row{row}
	}
	for _, p := range r.Problems {
		row.Found, row.Status, row.Fix = p, host.Mismatch, librariesFix
		rows = append(rows, row)
	}
	return rows
}

// fitting is the part of a universal file that the target would run, or the
// first.
func fitting(reports []*binary.Report, t binary.Target) *binary.Report {
	for _, r := range reports {
		if r.Arch == t.Arch {
			return r
		}
	}
	return reports[0]
}

// openBinary reads a binary; one that is not there or is none is a mistake on
// the command line.
func openBinary(name string) ([]*binary.Report, error) {
	reports, err := binary.Open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, binary.ErrFormat):
		return nil, exit.UsageError("%w", err)
	}
	return reports, err
}

// showRows writes the table, and fails if something does not fit.
func (a *app) showRows(rows []host.Row) error {
	fits := host.Fits(rows)
	if a.json() {
		if rows == nil {
			rows = []host.Row{}
		}
		if err := a.writeJSON(map[string]any{"version": 1, "fits": fits, "rows": rows}); err != nil {
			return err
		}
	} else if err := a.writeRows(rows); err != nil {
		return err
	}
	if fits {
		return nil
	}
	return exit.Silent(exit.Unverified)
}

func (a *app) writeRows(rows []host.Row) error {
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
