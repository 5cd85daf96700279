package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bundling"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/progress"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/relay"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// importFlags are the flags of bundle import.
type importFlags struct {
	sourceTo, artifactsTo         string
	force, older, strictHost      bool
	sign                          string
	tokenFile, tlsCA, fingerprint string
	trust                         trustFlags
}

func bundleImportCommand(a *app) *cobra.Command {
	f := &importFlags{}
	c := &cobra.Command{
		Use:   "import PATH|URL…",
		Short: "Import a bundle into the cache",
		Long: "Import a bundle: verify its signatures and every byte, and add its contents to the cache.\n" +
			"Nothing takes effect until the whole bundle is verified. An interrupted import resumes\n" +
			"where it stopped. Importing the same bundle again is a no-op. PATH is a directory or volumes;\n" +
			"URL is a bundle of an airbuild relay.",
		Example: "  airbuild bundle import /media/usb --source-to ~/work\n" +
			"  airbuild bundle import http://relay:8099/bundles/site/",
		Args: atLeastOne("the bundle"),
		RunE: func(c *cobra.Command, args []string) error { return bundleImport(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.sourceTo, "source-to", "", "unpack the source to `DIR`")
	fl.StringVar(&f.artifactsTo, "artifacts-to", "", "unpack the targets' outputs to `DIR`")
	fl.BoolVar(&f.force, "force", false, "overwrite locally modified files: the changes are lost")
	fl.BoolVar(&f.older, "allow-older", false, "import a bundle even if a newer one of the same name was imported")
	fl.BoolVar(&f.strictHost, "strict-host", false, "with --source-to: exit with code 3 if this host does not meet the Airbuildfile's host block")
	fl.StringVar(&f.sign, "sign", "", "sign the entry in the custody log with this `KEY` of the keyring")
	fl.StringVar(&f.tokenFile, "token-file", "", "the `FILE` with the token that the relay requires")
	fl.StringVar(&f.tlsCA, "tls-ca", "", "trust the certificates in this `FILE` (PEM) when fetching")
	fl.StringVar(&f.fingerprint, "tls-fingerprint", "", "trust the relay's certificate with this `SHA256`")
	f.trust.declare(fl)
	return c
}

func bundleImport(ctx context.Context, a *app, args []string, f *importFlags) (err error) {
	if f.strictHost && f.sourceTo == "" {
		return exit.UsageError("--strict-host looks into the Airbuildfile: name a directory for the source with --source-to DIR.")
	}
	key, err := a.custodyKey(ctx, f.sign)
	if err != nil {
		return err
	}
	cache, err := a.CacheDir()
	if err != nil {
		return err
	}
	m := a.newMeter()
	defer m.End()
	paths, done, unlock, err := fetchBundle(ctx, a, cache, args, f, m)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	b, err := a.openBundle(ctx, &f.trust, paths...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	s, err := store.Open(cache)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	scope, err := bundling.ResultScope(a.knownKeys(), b, f.trust.signers)
	if err != nil {
		return err
	}
	got, err := carry.Import(ctx, b, carry.Importing{Cache: cache, Store: s, Scope: scope, Options: install.Options{
		AllowOlder: f.older, Jobs: a.Jobs, Progress: m.Show, Key: key, Actor: actor(),
	}})
	m.End()
	if err != nil {
		return bundling.Explain(err)
	}
	if err := reportImport(a, b, got, scope); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	report := bundling.ImportReport{
		Event: "imported", Digest: b.Digest(), Name: b.Root().Name, Signers: bundling.SignerIDs(b),
		Already: got.Already, Resumed: got.Resumed, Files: got.Files, Bytes: got.Bytes, Kept: got.Kept,
		Unpacked: []bundling.UnpackedComponent{}, Host: []host.Row{}, Results: "everywhere",
	}
	if !scope.IsZero() {
		report.Results = "series"
	}
	if err := checkOut(ctx, a, b, s, cache, f, &report); err != nil {
		return err
	}
	if err := checkCarriedHost(ctx, a, b, f, &report); err != nil {
		return err
	}
	return writeNext(a, b, f, &report)
}

// checkCarriedHost holds this host against the host block of the Airbuildfile
// that came. What does not fit is a warning, or with --strict-host a refusal.
func checkCarriedHost(ctx context.Context, a *app, b *bundle.Bundle, f *importFlags, report *bundling.ImportReport) error {
	if f.sourceTo == "" {
		return nil
	}
	// What is wrong with the file, or which variables it lacks, its own run
	// says.
	rows, err := bundling.HostMisfits(ctx, a.quietly(), b, f.sourceTo, f.strictHost)
	if err != nil {
		return err
	}
	report.Host = append(report.Host, rows...)
	for _, r := range rows {
		if !a.json() {
			fmt.Fprintf(a.err, "warning: this host does not fit: %s: wanted %s, found %s\n", r.What, r.Expected, r.Found)
		}
	}
	if f.strictHost && len(rows) > 0 {
		return exit.With(exit.Unverified, fmt.Errorf("the bundle is imported, but this host does not meet its Airbuildfile's requirements; run airbuild host check in %s", f.sourceTo))
	}
	return nil
}

// writeNext says what can be done now.
func writeNext(a *app, b *bundle.Bundle, f *importFlags, report *bundling.ImportReport) error {
	report.Run, report.Needs = bundling.RunLine(b.Root().Metadata)
	if ring, err := a.keyring(); err == nil {
		report.Needs = append(report.Needs, bundling.LackingKeys(ring, b.Root().Metadata["keys"])...)
	}
	if a.json() {
		return json.NewEncoder(a.out).Encode(report)
	}
	if f.sourceTo == "" {
		return nil
	}
	for _, need := range report.Needs {
		fmt.Fprintf(a.err, "note: %s\n", need)
	}
	_, err := fmt.Fprintf(a.out, "next: cd %s && %s\n", bundling.ShellWord(f.sourceTo), report.Run)
	return err
}

// reportImport says what came, and where its results count.
func reportImport(a *app, b *bundle.Bundle, got *install.Report, scope store.Scope) error {
	if a.json() {
		return nil
	}
	what := fmt.Sprintf("%d files, %s; %d already present", got.Files, human.Bytes(got.Bytes), got.Kept)
	switch {
	case got.Already:
		what = "it was imported before"
	case got.Resumed:
		what += "; resumed"
	}
	_, err := fmt.Fprintf(a.out, "imported %s %s, signed by %s: %s\n", b.Root().Name, b.Digest()[:12], a.signedBy(b), what)
	if err != nil {
		return err
	}
	ring := a.knownKeys()
	a.warnUnlimited(ring, b.Signers(), sign.Need{Purpose: sign.Bundle, Series: b.Root().Name})
	if !scope.IsZero() && !got.Already && carry.HasResults(b) {
		noteScope(a, ring, b)
	}
	return nil
}

// noteScope says where the results of a bundle count, and what makes them count
// in every project.
func noteScope(a *app, ring *sign.Keyring, b *bundle.Bundle) {
	who, how := "that nobody signed", "have it signed"
	if len(b.Signers()) > 0 {
		who, how = "signed by "+a.signedBy(b), "airbuild key trust FILE --for bundle"
		if entries, err := ring.Entries(b.Signers()[0]); err == nil && len(entries) > 0 {
			grant := sign.Grant{Purposes: slices.Clone(entries[0].Grant.Purposes)}
			if !slices.Contains(grant.Purposes, sign.Bundle) {
				grant.Purposes = append(grant.Purposes, sign.Bundle)
			}
			how = grant.Command(entries[0].Name)
		}
	}
	fmt.Fprintf(a.err, "note: its results count in source that came with bundles of the series %s %s; for them to count in every project: %s, and import it again\n", b.Root().Name, who, how)
}

// checkOut unpacks what was asked for.
func checkOut(ctx context.Context, a *app, b *bundle.Bundle, s *store.Disk, cache string, f *importFlags, report *bundling.ImportReport) error {
	for _, part := range []struct{ component, dir string }{{carry.Source, f.sourceTo}, {carry.Artifacts, f.artifactsTo}} {
		if part.dir == "" {
			continue
		}
		got, err := carry.CheckOut(ctx, b, carry.Checkout{Cache: cache, Store: s, Component: part.component, Dir: part.dir, Force: f.force})
		if err != nil {
			return bundling.Explain(err)
		}
		report.Unpacked = append(report.Unpacked, bundling.UnpackedComponent{Component: part.component, Dir: part.dir, Files: got.Files, Written: got.Written, Removed: got.Removed, Left: append([]string{}, got.Kept...)})
		if a.json() {
			continue
		}
		for _, p := range got.Kept {
			fmt.Fprintf(a.err, "note: kept %s/%s: the bundle no longer contains it, but it was modified locally\n", part.dir, p)
		}
		if _, err := fmt.Fprintf(a.out, "%s in %s: %d files, %d written, %d removed\n", part.component, part.dir, got.Files, got.Written, got.Removed); err != nil {
			return err
		}
	}
	return nil
}

// isURL reports whether an argument is a relay's.
func isURL(arg string) bool {
	return strings.HasPrefix(arg, "http://") || strings.HasPrefix(arg, "https://")
}

// fetchBundle downloads a bundle if it is a URL. done removes what was
// downloaded, when it is imported; unlock lets others at it.
func fetchBundle(ctx context.Context, a *app, cache string, args []string, f *importFlags, m *progress.Meter) (paths []string, done, unlock func() error, err error) {
	none := func() error { return nil }
	if !slices.ContainsFunc(args, isURL) {
		return args, none, none, nil
	}
	if len(args) > 1 {
		return nil, none, none, exit.UsageError("import takes paths, or one URL.")
	}
	if a.Offline {
		return nil, none, none, exit.With(exit.Offline, errors.New("import: a URL needs the network, and --offline forbids it"))
	}
	o, err := fetchOptions(a, f, m)
	if err != nil {
		return nil, none, none, err
	}
	sum := sha256.Sum256([]byte(args[0]))
	dir := carry.Carried(cache, "fetched", hex.EncodeToString(sum[:8]))
	if unlock, err = carry.LockFetch(ctx, dir); err != nil {
		return nil, none, none, err
	}
	_, err = relay.Fetch(ctx, args[0], dir, o)
	m.End()
	if errors.Is(err, relay.ErrChanged) || errors.Is(err, relay.ErrDamaged) {
		err = exit.With(exit.Unverified, err)
	}
	if err != nil {
		return nil, none, none, errors.Join(err, unlock())
	}
	return []string{dir}, func() error { return os.RemoveAll(dir) }, unlock, nil
}

// fetchOptions are the flags' and the host's.
func fetchOptions(a *app, f *importFlags, m *progress.Meter) (o relay.FetchOptions, err error) {
	o.Fingerprint = f.fingerprint
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return o, exit.UsageError("--token-file: %w", err)
		}
		o.Token = strings.TrimSpace(string(b))
	}
	if f.tlsCA != "" {
		if o.CA, err = os.ReadFile(f.tlsCA); err != nil {
			return o, exit.UsageError("--tls-ca: %w", err)
		}
	}
	o.Progress = func(p relay.Progress) {
		m.Show(bundle.Progress{Phase: progress.Fetch, Bytes: p.Done, Total: p.Total})
	}
	o.Retry = func(err error, after time.Duration) {
		m.End()
		if !a.json() {
			fmt.Fprintf(a.err, "%v; trying again in %s\n", err, after.Round(100*time.Millisecond))
		}
	}
	o.Free = func(dir string) (int64, error) {
		d := host.TakeDisk(dir)
		if d.Total == 0 {
			return math.MaxInt64, nil // this system does not tell
		}
		return d.Free, nil
	}
	return o, nil
}
