package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/signatures"
	"github.com/airbuild/airbuild/engine/sign"
)

func keyCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Create signing keys, and manage trusted keys",
		Long: "Create signing keys, and manage trusted keys. Keys are files in minisign's\n" +
			"format in $AIRBUILD_KEYS, or airbuild/keys in the user's configuration directory.",
	}
	c.AddCommand(keyNewCommand(a), keyListCommand(a), keyShowCommand(a), keyTrustCommand(a), keyUntrustCommand(a))
	return group(c)
}

func keyNewCommand(a *app) *cobra.Command {
	plain, force := false, false
	c := &cobra.Command{
		Use:   "new NAME",
		Short: "Create a signing key",
		Long: "Create a signing key: NAME.key, which is secret, and NAME.pub, which others need to\n" +
			"check its signatures. The secret key is encrypted with a password, which is asked for\n" +
			"twice, or taken from $AIRBUILD_KEY_PASSWORD.",
		Example: "  airbuild key new site\n  airbuild key new ci --no-password",
		Args:    exactArgs(1, "a name for the key"),
		RunE:    func(c *cobra.Command, args []string) error { return keyNew(a, c, args[0], plain, force) },
	}
	c.Flags().BoolVar(&plain, "no-password", false, "do not encrypt the secret key: anyone who reads the file can sign")
	c.Flags().BoolVar(&force, "force", false, "replace the key of that name; the old key is lost")
	return c
}

func keyListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List keys: your own, and those that are trusted",
		Long:  "List keys: your own, and those that are trusted. Exits with code 3 if one cannot be\nused.",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return keyList(a) },
	}
}

func keyShowCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show a public key, its id and its fingerprint",
		Long: "Show a public key, its id and its fingerprint: six groups of digits to compare over the\n" +
			"telephone. NAME is a key of the keyring, a key id, or a file.",
		Example:           "  airbuild key show site\n  airbuild key show /media/usb/site.pub",
		Args:              exactArgs(1, "the name of a key"),
		ValidArgsFunction: a.completeKeys(false),
		RunE:              func(_ *cobra.Command, args []string) error { return keyShow(a, args[0]) },
	}
}

// trustKeyFlags are the flags of key trust.
type trustKeyFlags struct {
	name             string
	purposes, series []string
	force            bool
}

func keyTrustCommand(a *app) *cobra.Command {
	f := &trustKeyFlags{}
	c := &cobra.Command{
		Use:   "trust FILE|NAME",
		Short: "Add a public key to the trusted keys",
		Long: "Trust a public key, or change what one is trusted for. Compare the fingerprint with the\n" +
			"one that `airbuild key show` shows the owner: a key that came with the data proves\n" +
			"nothing.\n\n" +
			"--for limits which signatures of the key count: bundle (bundles and custody logs),\n" +
			"custody (custody logs alone), approval (approval stages), release (verify-signature) and\n" +
			"provenance (verify-provenance). Without it a new key is trusted for any purpose, and one\n" +
			"that is trusted already keeps its purposes.\n\n" +
			"With --for bundle, results that bundles of the key bring count in every project. Otherwise\n" +
			"they count only in source trees that came with a bundle of the same series and signers.\n" +
			"--series limits which series of bundles the key may sign.",
		Example: "  airbuild key trust site.pub --for bundle --series greeter-release\n" +
			"  airbuild key trust alice.pub --for approval,release\n" +
			"  airbuild key trust alice --for any\n" +
			"  airbuild key trust minisign.pub --name factory",
		Args:              exactArgs(1, "the file of a public key, or the name of a trusted one"),
		ValidArgsFunction: a.completeKeys(true),
		RunE:              func(_ *cobra.Command, args []string) error { return keyTrust(a, args[0], f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringSliceVar(&f.purposes, "for", nil, "accept the key's signatures for these `PURPOSES` only: approval, bundle, custody, provenance, release; or any")
	fl.StringSliceVar(&f.series, "series", nil, "with --for bundle: accept bundles of the series `NAME` only; may be repeated")
	fl.StringVar(&f.name, "name", "", "call the key `NAME` (default: the file's name without .pub)")
	fl.BoolVar(&f.force, "force", false, "replace another key that is trusted under that name")
	return c
}

func keyUntrustCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "untrust NAME",
		Short:             "Remove a key from the trusted keys",
		Args:              exactArgs(1, "the name of a trusted key"),
		ValidArgsFunction: a.completeKeys(true),
		RunE:              func(_ *cobra.Command, args []string) error { return keyUntrust(a, args[0]) },
	}
}

// keyring is the user's keyring.
func (a *app) keyring() (*sign.Keyring, error) {
	dir, err := sign.KeyringDir(a.LookupEnv)
	if err != nil {
		return nil, err
	}
	return sign.OpenKeyring(dir), nil
}

// knownKeys is the keyring, for what can be done without one: it has no keys where
// nothing says where the keyring is, as without a home.
func (a *app) knownKeys() *sign.Keyring {
	ring, err := a.keyring()
	if err != nil {
		return sign.NoKeyring(err)
	}
	return ring
}

// completeKeys offers the names of keys.
func (a *app) completeKeys(trustedOnly bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, prefix string) (names []string, _ cobra.ShellCompDirective) {
		ring, err := a.keyring()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		entries, _ := ring.List()
		for _, e := range entries {
			if strings.HasPrefix(e.Name, prefix) && !(trustedOnly && e.Own) {
				names = append(names, e.Name)
			}
		}
		return names, cobra.ShellCompDirectiveDefault
	}
}

func keyNew(a *app, c *cobra.Command, name string, plain, force bool) error {
	if err := sign.CheckKeyName(name); err != nil {
		return exit.UsageError("%w", err)
	}
	ring, err := a.keyring()
	if err != nil {
		return err
	}
	if err := ring.CheckFree(name, force); err != nil { // before a password is thought of
		return signatures.ExplainKey(err)
	}
	o := sign.NewOptions{Force: force}
	if !plain {
		if o.Password, err = a.newPassword(c.Context(), name); err != nil {
			return err
		}
	}
	key, err := ring.New(name, o)
	if err != nil {
		return signatures.ExplainKey(err)
	}
	e := sign.Entry{Name: name, Key: key, Own: true, Encrypted: !plain, Path: ring.PublicPath(name)}
	if err := writeKey(a, ring, e); err != nil || a.json() {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\nKeep %s secret, and keep a copy of it. Give %s\nto those who check its signatures; there: airbuild key trust %s\n",
		filepath.Base(ring.SecretPath(name)), filepath.Base(e.Path), filepath.Base(e.Path))
	return err
}

// writeKey shows one key.
func writeKey(a *app, ring *sign.Keyring, e sign.Entry) error { return writeTrusted(a, ring, e, nil) }

// writeTrusted shows one key, and what it was trusted for before if that is
// another grant.
func writeTrusted(a *app, ring *sign.Keyring, e sign.Entry, before *sign.Grant) error {
	k := signatures.ReportOfKey(ring, e)
	if before != nil {
		g := signatures.ReportOfGrant(*before)
		k.Before = &g
	}
	if a.json() {
		return a.writeJSON(k)
	}
	return a.writeTable(func(w io.Writer) {
		if k.Name != "" {
			fmt.Fprintf(w, "name\t%s\n", k.Name)
		}
		fmt.Fprintf(w, "id\t%s\nfingerprint\t%s\npublic key\t%s\nfile\t%s\n", k.ID, k.Fingerprint, k.PublicKey, human.OneLine(k.Path))
		if k.Own {
			fmt.Fprintf(w, "secret key\t%s (%s)\n", human.OneLine(k.SecretPath), signatures.Encryption(e))
		}
		if k.Purposes != nil {
			fmt.Fprintf(w, "trusted for\t%s\n", e.Grant)
		}
		if before != nil {
			fmt.Fprintf(w, "before\t%s\n", before)
		}
	})
}

func keyList(a *app) error {
	ring, err := a.keyring()
	if err != nil {
		return err
	}
	entries, err := ring.List()
	if err != nil {
		return err
	}
	keys, bad := []signatures.KeyReport{}, 0
	for _, e := range entries {
		keys = append(keys, signatures.ReportOfKey(ring, e))
		if e.Err != nil {
			bad++
			fmt.Fprintf(a.err, "%s: %s\n", e.Name, human.OneLine(e.Err.Error()))
		}
	}
	if a.json() {
		err = a.writeJSON(map[string]any{"dir": ring.Dir(), "keys": keys})
	} else {
		err = a.writeTable(func(w io.Writer) {
			for _, e := range entries {
				writeKeyRow(w, e)
			}
		})
	}
	if err == nil && bad > 0 {
		err = exit.Silent(exit.Unverified)
	}
	return err
}

func writeKeyRow(w io.Writer, e sign.Entry) {
	id, what := "?", "trusted for "+e.Grant.String()
	if e.Err != nil {
		what = "cannot be used"
	}
	if !e.Key.IsZero() {
		id = e.Key.ID().String()
	}
	if e.Own {
		what = "your own, " + signatures.Encryption(e)
	}
	fmt.Fprintf(w, "%s\t%s\t%s\n", e.Name, id, what)
}

func keyShow(a *app, name string) error {
	ring, err := a.keyring()
	if err != nil {
		return err
	}
	if signatures.IsKeyFile(name) {
		key, err := sign.ReadPublicKey(name)
		if err != nil {
			return exit.UsageError("%w", err)
		}
		return writeKey(a, ring, sign.Entry{Key: key, Path: name})
	}
	e, err := ring.Find(name)
	if err != nil {
		return signatures.ExplainKey(err)
	}
	if e.Key.IsZero() {
		return exit.With(exit.Unverified, fmt.Errorf("show key %s: %w", name, e.Err))
	}
	return writeKey(a, ring, e)
}

func keyTrust(a *app, arg string, f *trustKeyFlags) error {
	ring, err := a.keyring()
	if err != nil {
		return err
	}
	key, name, err := signatures.KeyToTrust(ring, arg, f.name)
	if err != nil {
		return err
	}
	old, found, err := signatures.TrustedEntry(ring, name)
	if err != nil {
		return err
	}
	grant, err := signatures.GrantOf(f.purposes, f.series, old)
	if err != nil {
		return exit.UsageError("key trust %s: %w", name, err)
	}
	if err := ring.TrustFor(name, key, grant, f.force); err != nil {
		return signatures.ExplainKey(err)
	}
	now, err := ring.Find(name)
	if err != nil {
		return err
	}
	var before *sign.Grant
	if found && old.Err == nil && !old.Grant.Equal(now.Grant) {
		before = &old.Grant
	}
	if err := writeTrusted(a, ring, now, before); err != nil || a.json() {
		return err
	}
	if now.Grant.Any() {
		fmt.Fprintf(a.err, "note: %s is trusted for any purpose. To limit it, for example to bundles: airbuild key trust %s --for bundle\n", name, name)
	}
	return noteOtherNames(a, ring, now)
}

// noteOtherNames says under which other names a key is trusted for something
// else: each of them counts.
func noteOtherNames(a *app, ring *sign.Keyring, e sign.Entry) error {
	all, err := ring.Entries(e.Key)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.Name != e.Name && !other.Own && !other.Grant.Equal(e.Grant) {
			fmt.Fprintf(a.err, "note: the same key is trusted as %s for %s, which counts too\n", other.Name, other.Grant)
		}
	}
	return nil
}

func keyUntrust(a *app, name string) error {
	if err := sign.CheckKeyName(name); err != nil {
		return exit.UsageError("%w", err)
	}
	ring, err := a.keyring()
	if err != nil {
		return err
	}
	err = ring.Untrust(name)
	if errors.Is(err, sign.ErrNoKey) {
		if e, ferr := ring.Find(name); ferr == nil && e.Own {
			return exit.UsageError("the key %s is your own. To sign and trust with it no longer, delete %s and %s", name, ring.SecretPath(name), e.Path)
		}
	}
	return signatures.ExplainKey(err)
}
