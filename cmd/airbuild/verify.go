package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/verdict"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/atomicfile"
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
	if a.json() {
		err = a.writeJSON(report)
	} else {
		_, err = io.WriteString(a.out, verdict.Rebuild(report, a.palette(a.out)))
	}
	if err != nil {
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
	envelope, err := sign.NewEnvelope(sign.PayloadStatement, payload, keys...)
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	text, err := envelope.Encode()
	if err != nil {
		return fmt.Errorf("sign the statement: %w", err)
	}
	if err := atomicfile.Write(file, text, atomicfile.Options{Mkdir: 0o777}); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
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
