package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	against, attest string
	provenance      string
	sign            []string
	keep            bool
	trust           trustFlags
}

func verifyCommand(a *app) *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify [TARGET…]",
		Short: "Rebuild in a different environment and compare every byte",
		Long: "Rebuild the targets from a copy of the source: in another directory, at another\n" +
			"time, with another umask, user, host name, home, locale and environment, with nothing taken\n" +
			"from the cache. Then compare every output of every step with what is recorded, or with the\n" +
			"files of --against. Each difference is reported with its location and its likely cause, the\n" +
			"step that caused it before those that follow from it. Exits with code 3 if anything differs.\n" +
			"With --provenance nothing is built: it does what verify-provenance does for the files.",
		Example: "  airbuild verify release\n" +
			"  airbuild verify release --against /media/usb\n" +
			"  airbuild verify release --against dist --attest rebuilt.dsse.json --sign site\n" +
			"  airbuild verify --provenance provenance.intoto.jsonl app.tar.gz",
		ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			if f.provenance != "" {
				return verifyStated(a, c, args, f)
			}
			return runVerify(c.Context(), a, args, f)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "compare with the files in `DIR|BUNDLE`, which were carried here")
	fl.StringVar(&f.provenance, "provenance", "", "build nothing: check that files were made as the statement in `FILE` says")
	fl.StringVar(&f.attest, "attest", "", "write a signed statement of what came out the same to `FILE`")
	fl.StringArrayVar(&f.sign, "sign", nil, "sign the statement with this `KEY` of the keyring; may be repeated")
	fl.BoolVar(&f.keep, "keep", false, "keep the directory of the second build, and say where it is")
	declareSandbox(&a.Sandbox, fl)
	f.trust.declare(fl)
	return c
}

func runVerify(ctx context.Context, a *app, args []string, f *verifyFlags) (err error) {
	if f.attest != "" && len(f.sign) == 0 {
		return exit.UsageError("--attest requires a key to sign with: --sign KEY. To make one: airbuild key new NAME")
	}
	if len(f.sign) > 0 && f.attest == "" {
		return exit.UsageError("--sign signs a statement: say where it goes with --attest FILE")
	}
	sink, js := a.sideSink()
	defer func() { err = endOutput(sink, err) }()
	keys, err := a.signingKeys(ctx, f.sign)
	if err != nil {
		return err
	}
	s, ids, _, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	v := rebuild.New(rebuild.Options{
		Session: s, Targets: ids, Against: f.against, OnEvent: sink.OnEvent, Keyring: a.keyringDir(),
		OpenBundle: func(ctx context.Context, path string) (*bundle.Bundle, error) {
			return a.openBundle(ctx, &f.trust, path)
		},
		Started: func(steps int) {
			sink.Close()
			showRebuild(a, steps)
		},
	})
	defer func() {
		kept, cerr := v.Close(f.keep)
		if kept != "" {
			fmt.Fprintf(a.err, "the second build is in %s\n", kept)
		}
		err = exit.First(err, cerr)
	}()
	report, err := v.Run(ctx)
	if err != nil {
		return err
	}
	if err := writeStatement(ctx, a, report, f.attest, keys); err != nil {
		return err
	}
	if err := writeVerifyReport(a, report); err != nil {
		return err
	}
	return verifyOutcome(report)
}

// showRebuild says that steps are made again.
func showRebuild(a *app, steps int) {
	fmt.Fprintf(a.err, "building again elsewhere: %s\n", human.Count(steps, "step"))
}

// keyringDir is the keyring's directory, or "".
func (a *app) keyringDir() string {
	ring, err := a.keyring()
	if err != nil {
		return ""
	}
	return ring.Dir()
}

// signingKeys opens secret keys of the keyring by name.
func (a *app) signingKeys(ctx context.Context, names []string) ([]*sign.SecretKey, error) {
	ring := a.knownKeys()
	var keys []*sign.SecretKey
	for _, name := range names {
		key, err := ring.Secret(name, a.keyPassword(ctx, name))
		if errors.Is(err, sign.ErrNoKey) {
			return nil, exit.UsageError("--sign: %w.\nTo make it: airbuild key new %s", err, name)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// verifyOutcome is the exit code.
func verifyOutcome(r *rebuild.Report) error {
	switch {
	case r.Failed > 0:
		return exit.Silent(exit.Failed)
	case r.Differing > 0 || r.Missing > 0:
		return exit.Silent(exit.Unverified)
	case r.Same == 0:
		return exit.With(exit.Unverified, errors.New("nothing was compared, so nothing is verified: "+nothingCompared(r)))
	}
	return nil
}

func nothingCompared(r *rebuild.Report) string {
	if r.Path != "" {
		return "none of the files in " + r.Path + " is an output of these targets"
	}
	return "every step is left out, or has no outputs"
}

// writeVerifyReport writes the report: what was varied, what was left out, and what differs,
// the steps that made it first.
func writeVerifyReport(a *app, r *rebuild.Report) error {
	if a.json() {
		return a.writeJSON(r)
	}
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(a.color), Out: a.out, LookupEnv: a.LookupEnv}).Palette
	var b strings.Builder
	for _, x := range r.Varied {
		fmt.Fprintf(&b, "varied      %s: %s; %s\n", x.What, human.OneLine(x.Was), human.OneLine(x.Is))
	}
	for _, x := range r.Constant {
		fmt.Fprintf(&b, "not varied  %s: %s\n", x.What, human.OneLine(x.Why))
	}
	if len(r.First) > 0 {
		fmt.Fprintf(&b, "made first  %s: there was no recorded result\n", strings.Join(r.First, ", "))
	}
	for _, s := range r.Steps {
		if s.Status == rebuild.LeftOut || s.Status == rebuild.Absent && r.Path == "" {
			fmt.Fprintf(&b, "left out    %s: %s\n", s.Step, human.OneLine(s.Reason))
		}
	}
	for _, p := range r.Unknown {
		fmt.Fprintf(&b, "not made    %s: no step of these targets makes it, so it was not checked\n", human.OneLine(p))
	}
	for _, status := range []string{rebuild.Same, rebuild.Follows, rebuild.Failed, rebuild.Differs} {
		for _, s := range r.Steps {
			if s.Status == status {
				writeVerdict(&b, pal, s)
			}
		}
	}
	b.WriteString(verifySummary(r, pal))
	_, err := io.WriteString(a.out, b.String())
	return err
}

func writeVerdict(b *strings.Builder, pal ui.Palette, s rebuild.StepReport) {
	switch s.Status {
	case rebuild.Same:
		fmt.Fprintf(b, "%s        %s: %s\n", pal.Green("same"), s.Step, human.Count(len(s.Outputs), "file"))
		return
	case rebuild.Failed:
		fmt.Fprintf(b, "%s      %s: the second build failed: %s\n", pal.Red("failed"), s.Step, human.OneLine(s.Reason))
		return
	case rebuild.Follows:
		fmt.Fprintf(b, "%s     %s: %s\n", pal.Yellow("follows"), s.Step, human.OneLine(s.Reason))
	default:
		fmt.Fprintf(b, "%s     %s: %s\n", pal.Red("differs"), s.Step, human.OneLine(s.Reason))
	}
	for _, o := range s.Outputs {
		if o.Same {
			continue
		}
		fmt.Fprintf(b, "  %s\n", human.OneLine(o.Path))
		for _, d := range o.Differences {
			if s.Status == rebuild.Follows && len(o.Differences) > 0 {
				fmt.Fprintf(b, "    %s\n", human.OneLine(placeText(d)))
				break // the cause is reported where it was made
			}
			fmt.Fprintf(b, "    %s\n", human.OneLine(placeText(d)))
			if d.Old != "" || d.New != "" {
				fmt.Fprintf(b, "      first   %s\n      second  %s\n", cmp.Or(human.OneLine(d.Old), "(nothing)"), cmp.Or(human.OneLine(d.New), "(nothing)"))
			}
			if d.Cause != "" {
				fmt.Fprintf(b, "      likely  %s\n", d.Cause)
			}
		}
	}
}

func placeText(d rebuild.Difference) string {
	text := strings.Join(append(append([]string{}, d.Where...), d.What), ": ")
	if d.Offset != nil {
		text += fmt.Sprintf(", from byte %d", *d.Offset)
	}
	return text
}

func verifySummary(r *rebuild.Report, pal ui.Palette) string {
	var roots []string
	for _, s := range r.Steps {
		if s.Status == rebuild.Differs {
			roots = append(roots, s.Step)
		}
	}
	switch {
	case r.OK:
		return fmt.Sprintf("%s: %s built again, byte for byte\n", pal.Green("verified"), human.Count(r.Same, "file"))
	case len(roots) > 0:
		return fmt.Sprintf("%s: %d of %s; it begins with %s\n", pal.Red("not the same"), r.Differing, human.Count(r.Same+r.Differing, "file"), strings.Join(roots, ", "))
	case r.Failed > 0:
		return fmt.Sprintf("%s: %s\n", pal.Red("not built again"), human.Count(r.Failed, "step"))
	}
	return pal.Red("not verified") + "\n"
}

// writeStatement writes the statement of what came out the same, signed. Without any
// such file there is nothing to state, and no file is written.
func writeStatement(ctx context.Context, a *app, r *rebuild.Report, file string, keys []*sign.SecretKey) error {
	if file == "" {
		return nil
	}
	payload, err := rebuild.Statement(ctx, r, a.Version, actor())
	if err != nil {
		return err
	}
	if payload == nil {
		fmt.Fprintf(a.err, "nothing came out the same, so %s is not written\n", file)
		return nil
	}
	envelope, err := sign.Seal(sign.PayloadStatement, payload, keys...)
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	text, err := envelope.Encode()
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	return ui.WriteFile(file, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// rebuildElsewhere is the process that builds again.
func rebuildElsewhere(s streams) int {
	fail := func(err error) int {
		code, _ := exit.Code(err)
		fmt.Fprintln(s.err, "airbuild:", err)
		return code
	}
	w, err := rebuild.Enter(s.in)
	if err != nil {
		return fail(err)
	}
	s.in = strings.NewReader("")
	a := newApp(s)
	a.Vary, a.Source = w.Vary, w.Source
	if a.Tracer, err = w.Tracer(); err != nil {
		return fail(err)
	}
	return a.main(w.Args)
}
