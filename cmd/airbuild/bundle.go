package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bundling"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/progress"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/lists"
)

func bundleCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "bundle",
		Short: "Carry a project to hosts without a network",
		Long: "Carry a project to hosts without a network: its source, modules, Go, airbuild, compiled\n" +
			"packages and results, on media, signed and verified.",
	}
	c.AddCommand(bundleCreateCommand(a), bundleInspectCommand(a), bundleVerifyCommand(a),
		bundleImportCommand(a), bundleDiffCommand(a), bundleReceiptCommand(a), bundleListCommand(a), bundleCustodyCommand(a))
	return group(c)
}

// trustFlags say whose bundles are taken.
type trustFlags struct {
	keys     []string
	signers  int
	unsigned bool
}

func (t *trustFlags) declare(f *pflag.FlagSet) {
	f.StringArrayVar(&t.keys, "trust", nil, "take only what this `KEY` signed: a key of the keyring, or a file; may be repeated (default: every trusted key)")
	f.IntVar(&t.signers, "signers", 1, "want signatures of at least `N` of the keys")
	f.BoolVar(&t.unsigned, "allow-unsigned", false, "accept an unsigned bundle: its origin is then unknown")
}

// trust turns the flags into keys.
func (a *app) trust(t *trustFlags) (bundle.Trust, error) {
	out := bundle.Trust{Threshold: t.signers, AllowUnsigned: t.unsigned}
	if t.signers < 1 {
		return out, exit.UsageError("--signers %d: want a number from 1", t.signers)
	}
	ring := a.knownKeys()
	out.Admit = func(key sign.PublicKey, series string) error {
		return ring.Check(key, sign.Need{Purpose: sign.Bundle, Series: series})
	}
	if len(t.keys) == 0 {
		var err error
		out.Keys, err = ring.Known()
		return out, err
	}
	for _, name := range t.keys {
		key, err := findKey(ring, name)
		if err != nil {
			return out, exit.UsageError("--trust: %w", err)
		}
		out.Keys = append(out.Keys, key)
	}
	return out, nil
}

// findKey is a public key by name, id or file.
func findKey(ring *sign.Keyring, name string) (sign.PublicKey, error) {
	e, err := ring.Find(name)
	if err == nil {
		return e.Key, e.Err
	}
	if !errors.Is(err, sign.ErrNoKey) || !project.Exists(name) {
		return sign.PublicKey{}, err
	}
	return sign.ReadPublicKey(name)
}

// openBundle opens a bundle whose signatures are as the flags demand. What
// nobody signed is said.
func (a *app) openBundle(ctx context.Context, t *trustFlags, paths ...string) (*bundle.Bundle, error) {
	trust, err := a.trust(t)
	if err != nil {
		return nil, err
	}
	b, err := bundle.Open(ctx, trust, paths...)
	return b, bundling.Explain(err)
}

// warnUnlimited says which of the keys whose signatures were accepted are trusted
// for any purpose, as all keys were before there were purposes.
func (a *app) warnUnlimited(ring *sign.Keyring, keys []sign.PublicKey, need sign.Need) {
	if a.json() {
		return
	}
	for _, key := range keys {
		entries, err := ring.Entries(key)
		if err != nil || len(entries) == 0 || slices.ContainsFunc(entries, func(e sign.Entry) bool { return e.Own || !e.Grant.Any() }) {
			continue
		}
		grant := sign.Grant{Purposes: []sign.Purpose{need.Purpose}}
		if need.Series != "" {
			grant.Series = []string{need.Series}
		}
		fmt.Fprintf(a.err, "warning: key %s is trusted for any purpose; to limit it to this one: %s\n", entries[0].Name, grant.Command(entries[0].Name))
	}
}

// signedBy says who of the keyring signed a bundle.
func (a *app) signedBy(b *bundle.Bundle) string {
	if len(b.Signers()) == 0 {
		return "nobody"
	}
	ring := a.knownKeys()
	return strings.Join(lists.Map(b.Signers(), ring.Name), ", ")
}

// actor is who airbuild says that it is, in a custody log.
func actor() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "unknown host"
	}
	return "airbuild " + readVersion().Version + " on " + host
}

// newMeter shows progress on err, if that is a terminal; elsewhere a line a
// phase. JSON output has none.
func (a *app) newMeter() *progress.Meter {
	m := &progress.Meter{Out: a.err, Quiet: a.json()}
	if f, ok := a.err.(*os.File); ok && a.output != string(ui.Plain) {
		m.Live = term.IsTerminal(int(f.Fd()))
	}
	return m
}
