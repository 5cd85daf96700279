package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/relay"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
)

// importFlags are the flags of bundle import.
type importFlags struct {
	sourceTo, artifactsTo         string
	force, older                  bool
	sign                          string
	tokenFile, tlsCA, fingerprint string
	trust                         trustFlags
}

func (a *app) bundleImportCommand() *cobra.Command {
	f := &importFlags{}
	c := &cobra.Command{
		Use:   "import PATH|URL…",
		Short: "Take a bundle in",
		Long: "Take a bundle in: verify its signatures and every byte, and put what it brings into the\n" +
			"cache. Nothing of it counts until all is there. An import that was interrupted goes on\n" +
			"where it was; the same bundle again is nothing to do. PATH is a directory, or volumes;\n" +
			"URL is a bundle of an airbuild relay.",
		Example: "  airbuild bundle import /media/usb --source-to ~/work\n" +
			"  airbuild bundle import http://relay:8099/bundles/site/",
		Args: atLeastOne("the bundle"),
		RunE: func(c *cobra.Command, args []string) error { return a.bundleImport(c.Context(), args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.sourceTo, "source-to", "", "unpack the source to `DIR`")
	fl.StringVar(&f.artifactsTo, "artifacts-to", "", "unpack what the targets made to `DIR`")
	fl.BoolVar(&f.force, "force", false, "replace files there that somebody changed: the changes are lost")
	fl.BoolVar(&f.older, "allow-older", false, "take a bundle although a newer one of the same name was imported")
	fl.StringVar(&f.sign, "sign", "", "sign the entry in the custody log with this `KEY` of the keyring")
	fl.StringVar(&f.tokenFile, "token-file", "", "the `FILE` with the token that the relay wants")
	fl.StringVar(&f.tlsCA, "tls-ca", "", "trust the certificates in this `FILE` (PEM) when fetching")
	fl.StringVar(&f.fingerprint, "tls-fingerprint", "", "trust the relay's certificate with this `SHA256`")
	f.trust.declare(fl)
	return c
}

func (a *app) bundleImport(ctx context.Context, args []string, f *importFlags) (err error) {
	var key *sign.SecretKey
	if f.sign != "" {
		ring, err := a.keyring()
		if err != nil {
			return err
		}
		if key, err = ring.Secret(f.sign, a.keyPassword(ctx, f.sign)); err != nil {
			return err
		}
	}
	cache, err := a.cacheDir()
	if err != nil {
		return err
	}
	m := a.newMeter()
	defer m.end()
	paths, done, err := a.fetchBundle(ctx, cache, args, f, m)
	if err != nil {
		return err
	}
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
	got, err := carry.Import(ctx, b, carry.Importing{Cache: cache, Store: s, Options: bundle.ImportOptions{
		AllowOlder: f.older, Jobs: a.jobs, Progress: m.tell, Key: key, Actor: actor(),
	}})
	m.end()
	if err != nil {
		return a.bundleError(err)
	}
	if err := a.reportImport(b, got); err != nil {
		return err
	}
	if err := done(); err != nil {
		return err
	}
	return a.checkOut(ctx, b, s, cache, f)
}

// reportImport says what came.
func (a *app) reportImport(b *bundle.Bundle, got *bundle.Imported) error {
	what := fmt.Sprintf("%d files, %s; %d were here", got.Files, ui.Bytes(got.Bytes), got.Kept)
	switch {
	case got.Already:
		what = "it was imported before"
	case got.Resumed:
		what += "; went on where it was interrupted"
	}
	_, err := fmt.Fprintf(a.out, "imported %s %s, signed by %s: %s\n", b.Root().Name, b.Digest()[:12], a.signedBy(b), what)
	return err
}

// checkOut unpacks what was asked for.
func (a *app) checkOut(ctx context.Context, b *bundle.Bundle, s *store.Disk, cache string, f *importFlags) error {
	for _, part := range []struct{ component, dir string }{{carry.Source, f.sourceTo}, {carry.Artifacts, f.artifactsTo}} {
		if part.dir == "" {
			continue
		}
		got, err := carry.CheckOut(ctx, b, carry.Checkout{Cache: cache, Store: s, Component: part.component, Dir: part.dir, Force: f.force})
		if err != nil {
			return a.bundleError(err)
		}
		for _, p := range got.Kept {
			fmt.Fprintf(a.err, "note: %s/%s is no longer part of it, and stays because it was changed\n", part.dir, p)
		}
		if _, err := fmt.Fprintf(a.out, "%s in %s: %d files, %d written, %d removed\n", part.component, part.dir, got.Files, got.Written, got.Removed); err != nil {
			return err
		}
	}
	if f.sourceTo == "" {
		return nil
	}
	_, err := fmt.Fprintf(a.out, "next: cd %s && airbuild run %s --offline\n", f.sourceTo, b.Root().Metadata["targets"])
	return err
}

// fetchBundle downloads a bundle if it is a URL. done removes what was
// downloaded, when it is imported.
func (a *app) fetchBundle(ctx context.Context, cache string, args []string, f *importFlags, m *meter) (paths []string, done func() error, err error) {
	none := func() error { return nil }
	if len(args) != 1 || !strings.HasPrefix(args[0], "http://") && !strings.HasPrefix(args[0], "https://") {
		return args, none, nil
	}
	if a.offline {
		return nil, none, &exitError{exitOffline, errors.New("import: a URL needs the network, and --offline forbids it")}
	}
	o := relay.FetchOptions{Fingerprint: f.fingerprint}
	if f.tokenFile != "" {
		b, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, none, usageError("--token-file: %w", err)
		}
		o.Token = strings.TrimSpace(string(b))
	}
	if f.tlsCA != "" {
		if o.CA, err = os.ReadFile(f.tlsCA); err != nil {
			return nil, none, usageError("--tls-ca: %w", err)
		}
	}
	o.Progress = func(p relay.Progress) {
		m.tell(bundle.Progress{Phase: "fetch", Bytes: p.Done, Total: p.Total})
	}
	sum := sha256.Sum256([]byte(args[0]))
	dir := carry.Carried(cache, "fetched", hex.EncodeToString(sum[:8]))
	_, err = relay.Fetch(ctx, args[0], dir, o)
	m.end()
	if errors.Is(err, relay.ErrChanged) || errors.Is(err, relay.ErrDamaged) {
		return nil, none, &exitError{exitUnverified, err}
	}
	if err != nil {
		return nil, none, err
	}
	return []string{dir}, func() error { return os.RemoveAll(dir) }, nil
}

// sha256File is a file's SHA-256 in hexadecimal.
func sha256File(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
