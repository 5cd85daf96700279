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
	"github.com/airbuild/airbuild/tasks/provenance"
)

// A provenanceFlags are the flags of verify-provenance alone.
type provenanceFlags struct {
	keys      []string
	threshold int
	unsigned  bool
	builder   string
	source    string
	commit    string
}

func verifyProvenanceCommand(a *app) *cobra.Command {
	f := &provenanceFlags{}
	c := &cobra.Command{
		Use:   "verify-provenance STATEMENT FILE…",
		Short: "Check how files were made",
		Long: "Check that a statement of provenance is genuine and about each of the files, by their\n" +
			"content; an image may be a directory in OCI layout. Without --key it must be signed by a\n" +
			"key of the keyring. Exits with code 3 if something does not verify.",
		Example: "  airbuild verify-provenance provenance.intoto.jsonl app.tar.gz\n  airbuild verify-provenance provenance.intoto.jsonl app.tar.gz --key site.pub --commit 0123abc",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) < 2 {
				return exit.UsageError("%s requires a statement and files: %s", c.CommandPath(), c.UseLine())
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runVerifyProvenance(c.Context(), a, args[0], args[1:], f)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringArrayVar(&f.keys, "key", nil, "a public `KEY`: a file, a key's text, or a name or id of the keyring; may be repeated")
	fl.IntVar(&f.threshold, "threshold", 1, "want signatures by `N` keys")
	fl.BoolVar(&f.unsigned, "allow-unsigned", false, "accept an unsigned statement: it proves only that the files match it")
	fl.StringVar(&f.builder, "builder", "", "want this builder, a `URI`")
	fl.StringVar(&f.source, "source", "", "want this repository, a `URI`")
	fl.StringVar(&f.commit, "commit", "", "require this `COMMIT` (full hash or prefix); the source must have been clean")
	return c
}

func runVerifyProvenance(ctx context.Context, a *app, statement string, files []string, f *provenanceFlags) error {
	if f.threshold < 1 {
		return exit.UsageError("%d signatures: want a number from 1", f.threshold)
	}
	if f.commit != "" && len(f.commit) < 7 {
		return exit.UsageError("--commit %s: want at least 7 digits of it", f.commit)
	}
	var err error
	ring := a.knownKeys()
	policy := provenance.Policy{Threshold: f.threshold, Unsigned: f.unsigned, Builder: f.builder, Source: f.source, Commit: f.commit}
	need := sign.Need{Purpose: sign.Provenance}
	policy.Admit = func(key sign.PublicKey) error { return ring.Check(key, need) }
	if !f.unsigned || len(f.keys) > 0 {
		if policy.Keys, err = signatures.KeysOf(ring, f.keys); err != nil {
			return err
		}
	}
	s, err := signatures.OpenStatement(statement, policy)
	if err != nil {
		return exit.With(signatures.ExitCode(err), fmt.Errorf("%s: %w", statement, err))
	}
	a.warnUnlimited(ring, s.SignedBy, need)
	out := signatures.ReportOf(s, ring)
	var first error
	for _, name := range files {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := s.Covers(name); err != nil {
			fmt.Fprintf(a.err, "%s: %s\n", human.OneLine(name), human.OneLine(err.Error()))
			if code := signatures.ExitCode(err); first == nil || code == exit.Unverified {
				first = exit.Silent(code)
			}
			continue
		}
		out.Files = append(out.Files, name)
	}
	out.OK = first == nil
	if a.json() {
		err = a.writeJSON(out)
	} else {
		err = writeStated(a, out)
	}
	return exit.First(first, err)
}

// verifyStated is verify --provenance: verify-provenance with verify's flags.
func verifyStated(a *app, c *cobra.Command, files []string, f *verifyFlags) error {
	for _, name := range []string{"against", "attest", "sign", "keep", "strict", "no-sandbox"} {
		if c.Flags().Changed(name) {
			return exit.UsageError("--%s says how to build again, and with --provenance nothing is built", name)
		}
	}
	if len(files) == 0 {
		return exit.UsageError("--provenance requires the files that the statement is about: airbuild verify --provenance FILE FILE…")
	}
	return runVerifyProvenance(c.Context(), a, f.provenance, files,
		&provenanceFlags{keys: f.trust.keys, threshold: f.trust.signers, unsigned: f.trust.unsigned})
}

func writeStated(a *app, s *signatures.Stated) error {
	by := "nobody signed it"
	if len(s.Names) > 0 {
		by = "signed by " + strings.Join(s.Names, ", ")
	}
	from := "of an unknown commit"
	if s.Commit != "" {
		from = "of commit " + s.Commit
	}
	if s.Dirty {
		from += " with changes"
	}
	for _, name := range s.Files {
		if _, err := fmt.Fprintln(a.out, human.OneLine(fmt.Sprintf("%s: built by %s %s in %d steps (%s)", name, s.Builder, from, s.Actions, by))); err != nil {
			return err
		}
	}
	return nil
}
