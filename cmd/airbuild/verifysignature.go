package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/signatures"
	"github.com/airbuild/airbuild/engine/sign"
)

// A signatureFlags are the flags of verify-signature alone.
type signatureFlags struct {
	signature string
	keys      []string
	threshold int
}

func verifySignatureCommand(a *app) *cobra.Command {
	f := &signatureFlags{}
	c := &cobra.Command{
		Use:   "verify-signature FILE…",
		Short: "Check the signatures of files",
		Long: "Check the signatures of files: FILE.minisig and FILE.dsse.json next to each; at least\n" +
			"one must exist. Without --key they must be by a key of the keyring, one\n" +
			"that is trusted or your own. Exits with code 3 if one does not verify.",
		Example: "  airbuild verify-signature dist/*.tar.gz\n  airbuild verify-signature app.zip --key site.pub",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exit.UsageError("%s requires files: %s", c.CommandPath(), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return runVerifySignature(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.signature, "signature", "", "the signature is in `FILE`; for one file only")
	fl.StringArrayVar(&f.keys, "key", nil, "a public `KEY`: a file, a key's text, or a name or id of the keyring; may be repeated")
	fl.IntVar(&f.threshold, "threshold", 1, "want signatures by `N` keys; more than one is for DSSE only")
	return c
}

func runVerifySignature(ctx context.Context, a *app, files []string, f *signatureFlags) error {
	if f.signature != "" && len(files) > 1 {
		return exit.UsageError("--signature is for one file, and there are %d", len(files))
	}
	if f.threshold < 1 {
		return exit.UsageError("--threshold %d: want a number from 1", f.threshold)
	}
	var err error
	ring := a.knownKeys()
	v := &signatures.Verifier{Ring: ring, Threshold: f.threshold}
	if v.Keys, err = signatures.KeysOf(ring, f.keys); err != nil {
		return err
	}
	var first error
	good := []signatures.Verified{}
	for _, file := range files {
		found, err := v.File(ctx, file, f.signature)
		good = append(good, found...)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		fmt.Fprintf(a.err, "%s: %s\n", human.OneLine(file), human.OneLine(err.Error()))
		if code := signatures.ExitCode(err); first == nil || code == exit.Unverified {
			first = exit.Silent(code)
		}
	}
	a.warnUnlimited(ring, signatures.Distinct(v.Accepted), sign.Need{Purpose: sign.Release})
	if a.json() {
		err = a.writeJSON(map[string]any{"ok": first == nil, "signatures": good})
	} else {
		err = writeVerified(a, good)
	}
	return exit.First(first, err)
}

func writeVerified(a *app, good []signatures.Verified) error {
	for _, g := range good {
		text := fmt.Sprintf("%s: signed by %s (%s)", g.File, strings.Join(g.Names, ", "), g.Format)
		if g.Comment != "" {
			text += ": " + strings.ReplaceAll(g.Comment, "\t", " ")
		}
		if _, err := fmt.Fprintln(a.out, human.OneLine(text)); err != nil {
			return err
		}
	}
	return nil
}
