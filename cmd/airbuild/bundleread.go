package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bundling"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/lists"
)

func bundleInspectCommand(a *app) *cobra.Command {
	trust, files := &trustFlags{}, false
	c := &cobra.Command{
		Use:   "inspect PATH…",
		Short: "Show what is in a bundle, and who signed it",
		Long: "Show what is in a bundle, and who signed it. PATH is a directory, or volumes. Contents\n" +
			"are not read: for that, airbuild bundle verify.",
		Example: "  airbuild bundle inspect /media/usb\n  airbuild bundle inspect /media/usb --files",
		Args:    atLeastOne("the bundle"),
		RunE:    func(c *cobra.Command, args []string) error { return bundleInspect(c.Context(), a, trust, files, args) },
	}
	c.Flags().BoolVar(&files, "files", false, "list every file")
	trust.declare(c.Flags())
	return c
}

// atLeastOne wants arguments.
func atLeastOne(what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return exit.UsageError("%s needs %s.", c.CommandPath(), what)
		}
		return nil
	}
}

func bundleInspect(ctx context.Context, a *app, t *trustFlags, files bool, paths []string) (err error) {
	b, err := a.openBundle(ctx, t, paths...)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, b.Close()) }()
	if a.json() {
		return json.NewEncoder(a.out).Encode(bundling.Inspect(b, files))
	}
	return writeInspection(a, b, files)
}

func writeInspection(a *app, b *bundle.Bundle, files bool) error {
	root := b.Root()
	err := a.writeTable(func(w io.Writer) { inspectionHead(a, w, b) })
	if err != nil {
		return err
	}
	err = a.writeTable(func(w io.Writer) {
		fmt.Fprint(w, "\ncomponent\tfiles\tsize\tcarried\t\n")
		for _, c := range root.Components {
			fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", c.Name, c.Files, human.Bytes(c.Bytes), human.Bytes(c.Carried), metadataText(c.Metadata))
		}
	})
	if err != nil || !files {
		return err
	}
	for _, c := range root.Components {
		if _, err := fmt.Fprintf(a.out, "\n%s\n", c.Name); err != nil {
			return err
		}
		for f := range b.Files(c.Name) {
			if _, err := fmt.Fprintf(a.out, "  %s  %s\n", f.Digest.Hex(), f.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// inspectionHead writes what is true of the bundle as a whole.
func inspectionHead(a *app, w io.Writer, b *bundle.Bundle) {
	root := b.Root()
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	row("bundle", root.Name)
	row("digest", b.Digest())
	row("created", root.Created)
	row("signed by", a.signedBy(b))
	for _, name := range slices.Sorted(maps.Keys(root.Metadata)) {
		row(name, root.Metadata[name])
	}
	if root.Base != nil {
		row("needs", fmt.Sprintf("%d contents, %s, of %s", root.Base.Contents, human.Bytes(root.Base.Bytes), strings.Join(short(root.Base.Bundles), ", ")))
	}
	row("size", human.Bytes(root.Carried()))
}

func short(digests []string) []string {
	return lists.Map(digests, func(d string) string { return d[:min(12, len(d))] })
}

func metadataText(m map[string]string) string {
	return strings.Join(lists.Map(slices.Sorted(maps.Keys(m)), func(name string) string { return name + "=" + m[name] }), " ")
}

func bundleVerifyCommand(a *app) *cobra.Command {
	trust, deep, signer := &trustFlags{}, false, ""
	c := &cobra.Command{
		Use:   "verify PATH…",
		Short: "Check signatures and every byte of a bundle",
		Long: "Check signatures and every byte of a bundle. What is damaged is named by volume, offset\n" +
			"and digest. Exits with code 3 if something is wrong. Volumes may be checked one by one.",
		Example: "  airbuild bundle verify /media/usb\n  airbuild bundle verify site-002-of-003.tar",
		Args:    atLeastOne("the bundle"),
		RunE: func(c *cobra.Command, args []string) error {
			return bundleVerify(c.Context(), a, trust, deep, signer, args)
		},
	}
	c.Flags().StringVar(&signer, "sign", "", "sign the entry in the custody log with this `KEY` of the keyring")
	c.Flags().BoolVar(&deep, "deep", false, "unpack everything too, and hash every file")
	trust.declare(c.Flags())
	return c
}

func bundleVerify(ctx context.Context, a *app, t *trustFlags, deep bool, signer string, paths []string) (err error) {
	key, err := a.custodyKey(ctx, signer)
	if err != nil {
		return err
	}
	b, err := a.openBundle(ctx, t, paths...)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, b.Close()) }()
	m := a.newMeter()
	report, err := b.Verify(ctx, bundle.VerifyOptions{Deep: deep, Progress: m.Show})
	m.End()
	if err != nil {
		return bundling.Explain(err)
	}
	if a.json() {
		if err := json.NewEncoder(a.out).Encode(bundling.ReportOf(b, report)); err != nil {
			return err
		}
	} else {
		for _, d := range report.Damage {
			fmt.Fprintf(a.err, "%s\n", d)
		}
	}
	if report.OK() {
		logVerified(ctx, a, b, deep, key)
	} else {
		return exit.With(exit.Unverified, fmt.Errorf("bundle %s: %d parts are damaged or missing", b.Root().Name, len(report.Damage)+len(report.Missing)))
	}
	if a.json() {
		return nil
	}
	if report.Patched > 0 {
		fmt.Fprintf(a.out, "not verified here: %s (%s) patched against the receiver's base; import verifies them\n", human.Count(report.Patched, "file"), human.Bytes(report.PatchedBytes))
	}
	if ring, err := a.keyring(); err == nil {
		a.warnUnlimited(ring, b.Signers(), sign.Need{Purpose: sign.Bundle, Series: b.Root().Name})
	}
	_, err = fmt.Fprintf(a.out, "ok: %s, %d blobs, %s, signed by %s\n", b.Root().Name, report.Blobs, human.Bytes(report.Bytes), a.signedBy(b))
	return err
}

// logVerified records that a bundle was verified here. That it cannot be
// recorded makes the bundle no worse.
func logVerified(ctx context.Context, a *app, b *bundle.Bundle, deep bool, key *sign.SecretKey) {
	cache, err := a.CacheDir()
	if err == nil {
		err = os.MkdirAll(project.CarriedDir(cache), 0o777)
	}
	if err == nil {
		details := map[string]string{"media": b.Media().Name(), "deep": fmt.Sprint(deep)}
		err = logCustody(ctx, a, cache, custody.Verified, b.Digest(), b.Root().Name, details, key)
	}
	if err != nil && !a.json() {
		fmt.Fprintf(a.err, "note: the custody log has no entry of this: %v\n", err)
	}
}

func bundleDiffCommand(a *app) *cobra.Command {
	trust, files := &trustFlags{}, false
	c := &cobra.Command{
		Use:     "diff OLD NEW",
		Short:   "Show the differences between two bundles",
		Long:    "Show the differences between two bundles, by component and file. Exits with code 3\nif there are any.",
		Example: "  airbuild bundle diff /media/last /media/usb",
		Args:    exactArgs(2, "two bundles"),
		RunE:    func(c *cobra.Command, args []string) error { return bundleDiff(c.Context(), a, trust, files, args) },
	}
	c.Flags().BoolVar(&files, "files", false, "list every file, those of the store too")
	trust.declare(c.Flags())
	return c
}

func bundleDiff(ctx context.Context, a *app, t *trustFlags, files bool, paths []string) (err error) {
	before, err := a.openBundle(ctx, t, paths[0])
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, before.Close()) }()
	after, err := a.openBundle(ctx, t, paths[1])
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, after.Close()) }()
	d := bundle.Diff(before, after)
	if a.json() {
		if err := json.NewEncoder(a.out).Encode(bundling.DiffReport(d)); err != nil || len(d.Components) == 0 {
			return err
		}
		return exit.Silent(exit.Unverified)
	}
	if len(d.Components) == 0 {
		_, err := fmt.Fprintln(a.out, "no difference")
		return err
	}
	for _, c := range d.Components {
		if err := writeDifference(a, c, files); err != nil {
			return err
		}
	}
	return exit.Silent(exit.Unverified)
}

// writeDifference lists the files of a component that differ. Those of the
// store have hashes for names, and are counted unless asked for.
func writeDifference(a *app, c bundle.ComponentDifference, files bool) error {
	what := "differs"
	switch {
	case c.Added:
		what = "is new"
	case c.Removed:
		what = "is gone"
	}
	var added, removed, changed int
	for _, f := range c.Files {
		switch {
		case f.Old == nil:
			added++
		case f.New == nil:
			removed++
		default:
			changed++
		}
	}
	if _, err := fmt.Fprintf(a.out, "%s %s: %d added, %d removed, %d changed\n", c.Name, what, added, removed, changed); err != nil {
		return err
	}
	kind, _, _ := strings.Cut(c.Name, "/")
	if !files && (kind == carry.Actions || kind == carry.GoCache || kind == carry.SumDB || c.Added || c.Removed) {
		return nil
	}
	for _, f := range c.Files {
		sign, path := "~", ""
		switch {
		case f.Old == nil:
			sign, path = "+", f.New.Path
		case f.New == nil:
			sign, path = "-", f.Old.Path
		default:
			path = f.New.Path
		}
		if _, err := fmt.Fprintf(a.out, "  %s %s\n", sign, path); err != nil {
			return err
		}
	}
	return nil
}

func bundleReceiptCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "receipt",
		Short: "Write a receipt of this host's contents, for the next delta bundle",
		Long: "Write to standard output what this host has of the bundles that it imported. On the\n" +
			"connected side, bundle create --since FILE then carries only what is missing here.",
		Example: "  airbuild bundle receipt > receipt.json",
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(func(s *store.Disk) error { return bundleReceipt(c.Context(), a, s) })
		},
	}
}

func bundleReceipt(ctx context.Context, a *app, s *store.Disk) error {
	r, err := carry.MakeReceipt(ctx, s.Dir(), s)
	if err != nil {
		return bundling.Explain(err)
	}
	if len(r.Bundles()) == 0 {
		fmt.Fprintln(a.err, "note: nothing was imported here: a bundle for this receipt is a full one")
	}
	_, err = r.WriteTo(a.out)
	return err
}

func bundleListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the bundles that were imported here",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return bundleList(a) },
	}
}

func bundleList(a *app) error {
	dir, err := a.CacheDir()
	if err != nil {
		return err
	}
	all, err := install.List(dir)
	if err != nil {
		return bundling.Explain(err)
	}
	if a.json() {
		out := []bundling.Inspection{}
		for _, c := range all {
			in := bundling.Inspection{Digest: c.Digest, Root: c.Root, Signers: []string{}, Components: []bundling.InspectedComponent{}}
			for _, rc := range c.Root.Components {
				in.Components = append(in.Components, bundling.InspectedComponent{Name: rc.Name, Files: rc.Files, Bytes: rc.Bytes, Carried: rc.Carried, Metadata: rc.Metadata})
			}
			out = append(out, in)
		}
		return json.NewEncoder(a.out).Encode(out)
	}
	return a.writeTable(func(w io.Writer) {
		for _, c := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", c.Root.Name, c.Digest[:12], c.Root.Created, c.Root.Metadata["version"])
		}
	})
}
