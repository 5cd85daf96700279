package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bundling"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
)

// createFlags are the flags of bundle create.
type createFlags struct {
	to, name, volumeSize, since string
	assume                      string
	sign, hosts                 []string
	programs, extra, without    []string
	exclude                     []string
	history, noRehearse         bool
	noRebuild, replace          bool
	trust                       trustFlags
}

func bundleCreateCommand(a *app) *cobra.Command {
	f := &createFlags{}
	c := &cobra.Command{
		Use:   "create [BUNDLE|TARGET…] --to DIR",
		Short: "Create a bundle for hosts without a network",
		Long: "Run the targets, and write a bundle with everything that hosts without a network need to\n" +
			"rebuild and change them: source, modules with their proofs, Go, airbuild, compiled\n" +
			"packages, results. BUNDLE is a bundle block of the Airbuildfile; TARGETs are those of run.\n" +
			"The bundle is rehearsed: the targets are rebuilt from it alone, without a network.",
		Example: "  airbuild bundle create release --to /media/usb --sign site\n" +
			"  airbuild bundle create release --to /media/usb --sign site --since receipt.json",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return bundleCreate(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.to, "to", "", "write the bundle to `DIR`")
	fl.StringArrayVar(&f.sign, "sign", nil, "sign with this `KEY` of the keyring; may be repeated")
	fl.StringVar(&f.name, "name", "", "`NAME` of the bundle series (default: the project's name and the bundle's)")
	fl.StringArrayVar(&f.hosts, "host", nil, "carry airbuild and Go for `OS/ARCH`; may be repeated (default: this host's)")
	fl.StringArrayVar(&f.programs, "airbuild", nil, "carry this airbuild for a host, `OS/ARCH=FILE`; may be repeated")
	fl.StringVar(&f.volumeSize, "volume-size", "", "write volumes of at most `SIZE`, or none for one directory (default 4 GiB - 1, for FAT32)")
	fl.StringVar(&f.since, "since", "", "carry only what the host that wrote this receipt `FILE` lacks")
	fl.StringVar(&f.assume, "assume", "", "carry only what this `BUNDLE` did not bring")
	fl.StringArrayVar(&f.extra, "extra", nil, "carry further files, `NAME=PATTERN`, below the project; may be repeated")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "exclude source files that match `PATTERN`; may be repeated")
	fl.BoolVar(&f.history, "history", false, "carry the whole history as a git bundle")
	fl.StringArrayVar(&f.without, "without", nil, "exclude a `COMPONENT`, such as toolchain or gocache; may be repeated")
	fl.BoolVar(&f.noRehearse, "no-rehearse", false, "do not prove that the bundle is complete; the bundle records that")
	fl.BoolVar(&f.noRebuild, "no-rebuild", false, "rehearse cache hits only; do not rebuild anything")
	fl.BoolVar(&f.replace, "replace", false, "replace another bundle of that name in DIR")
	f.trust.declare(fl)
	return c
}

// A createdBundle is what bundle create writes at the end as JSON.
type createdBundle struct {
	Event string `json:"event"` // "bundle"
	bundling.Inspection
	To        string   `json:"to"`
	Volumes   []string `json:"volumes"` // names in To; none for a directory
	Bootstrap string   `json:"bootstrap"`
	// BootstrapSHA256 is what people tell each other.
	BootstrapSHA256 string `json:"bootstrap_sha256"`
	// The script for Windows, if the bundle has an airbuild for it.
	BootstrapWindows       string   `json:"bootstrap_windows,omitempty"`
	BootstrapWindowsSHA256 string   `json:"bootstrap_windows_sha256,omitempty"`
	Bytes                  int64    `json:"bytes"` // of the bundle's blobs
	Notes                  []string `json:"notes"`
}

// set takes in what was written.
func (c *createdBundle) set(a *app, b *bundle.Bundle, w *bundling.Written) {
	c.Event, c.Inspection = "bundle", bundling.Inspect(b, false)
	c.To, c.Bytes, c.Volumes, c.Notes = w.To, b.Root().Carried(), []string{}, w.Notes
	for _, f := range w.Volumes {
		c.Volumes = append(c.Volumes, filepath.Base(f))
	}
	for script, sum := range w.Bootstrap {
		if script == carry.BootstrapWindowsName {
			c.BootstrapWindows, c.BootstrapWindowsSHA256 = script, sum
		} else {
			c.Bootstrap, c.BootstrapSHA256 = script, sum
		}
	}
}

func bundleCreate(ctx context.Context, a *app, args []string, f *createFlags) (err error) {
	if f.to == "" {
		return exit.UsageError("--to is required: name the directory to write the bundle to")
	}
	for _, kind := range f.without {
		if !slices.Contains(carry.Kinds(), kind) {
			return exit.UsageError("--without %q: want one of %s", kind, strings.Join(carry.Kinds(), ", "))
		}
	}
	created := &createdBundle{}
	sink, js := a.sink()
	defer func() {
		// After the run's own events, which the sink may still hold.
		if err = endOutput(sink, err); err == nil && a.json() {
			err = json.NewEncoder(a.out).Encode(created)
		}
	}()
	p, err := a.load(ctx, js)
	if err != nil {
		return err
	}
	target, err := bundling.Choose(p, args, f.name)
	if err != nil {
		return err
	}
	// What can be wrong is found before the long work.
	o, err := createOptions(ctx, a, f, target)
	if err != nil {
		return err
	}
	o.OnEvent = sink.OnEvent
	o.Done = func(b *bundle.Bundle, w *bundling.Written) error {
		created.set(a, b, w)
		if !a.json() {
			if err := writeInspection(a, b, false); err != nil {
				return err
			}
		}
		cache, err := a.CacheDir()
		if err != nil {
			return err
		}
		details := map[string]string{"to": w.To, "rehearsal": b.Root().Metadata["rehearsal"]}
		return logCustody(ctx, a, cache, custody.Written, b.Digest(), b.Root().Name, details, first(o.Keys))
	}
	c, err := bundling.New(p, *o)
	if err != nil {
		return err
	}
	if err := p.RefuseLacking(target.Steps, a.opening(nil).Show); err != nil {
		return err
	}
	s, err := p.Open(nil)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	if err := c.Run(ctx, s); err != nil || a.json() {
		return err
	}
	return created.report(a)
}

// createOptions are what the flags say, with keys and receipts read.
func createOptions(ctx context.Context, a *app, f *createFlags, target *bundling.Target) (*bundling.Options, error) {
	o := &bundling.Options{
		Target: target, To: f.to, Hosts: f.hosts, Programs: f.programs, Extra: f.extra, Exclude: f.exclude, Without: f.without,
		History: f.history, NoRehearse: f.noRehearse, NoRebuild: f.noRebuild, Replace: f.replace,
		Version: a.Version, Actor: actor(), Log: a.err,
		Note:     func(line string) { fmt.Fprintf(a.err, "note: %s\n", line) },
		Progress: func() (bundle.ProgressFunc, func()) { m := a.newMeter(); return m.Show, m.End },
		Missed:   func(m carry.Missing) { writeMissed(a.err, m) },
	}
	o.Say = func(line string) {
		if !a.json() {
			fmt.Fprintln(a.err, line)
		}
	}
	names := f.sign
	if len(names) == 0 && target.Block != nil {
		names = target.Block.Sign
	}
	var err error
	if o.Keys, err = a.signingKeys(ctx, names); err != nil {
		return nil, err
	}
	if ring, err := a.keyring(); err == nil {
		o.Keyring = ring
	}
	if o.VolumeSize, err = f.volumeBytes(target.Block); err != nil {
		return nil, err
	}
	if f.since != "" && f.assume != "" {
		return nil, exit.UsageError("--since and --assume say the same in two ways: use one.")
	}
	return o, readBase(ctx, a, f, o)
}

// volumeBytes is how large volumes are to be.
func (f *createFlags) volumeBytes(block *pipelines.Bundle) (int64, error) {
	switch text := f.volumeSize; {
	case text == "none":
		return pipelines.NoVolumes, nil
	case text != "":
		n, err := tasks.ParseSize(text)
		if err != nil {
			return 0, exit.UsageError("--volume-size: %w", err)
		}
		if n < 1<<20 {
			return 0, exit.UsageError("--volume-size %s: volumes have at least 1 MiB.", text)
		}
		return n, nil
	case block != nil && block.VolumeSize != 0:
		return block.VolumeSize, nil
	}
	return bundle.DefaultVolumeSize, nil
}

// readBase reads what the receiver has.
func readBase(ctx context.Context, a *app, f *createFlags, o *bundling.Options) error {
	if f.since != "" {
		file, err := os.Open(f.since)
		if err != nil {
			return exit.UsageError("--since: %w", err)
		}
		defer file.Close()
		r, err := bundle.ReadReceipt(file)
		if err != nil {
			return bundling.Explain(fmt.Errorf("--since %s: %w", f.since, err))
		}
		o.Base = create.BaseOfReceipt(r)
	}
	if f.assume == "" {
		return nil
	}
	b, err := a.openBundle(ctx, &f.trust, f.assume)
	if err != nil {
		return err
	}
	o.Base = create.BaseOfBundle(b)
	o.Heads, err = carry.HeadsOf(ctx, b)
	return exit.First(err, b.Close())
}

// mostChanges of a key are shown.
const mostChanges = 12

// writeMissed shows why a step was no hit in the rehearsal, and how its key there
// differs from the one here, as explain does.
func writeMissed(w io.Writer, m carry.Missing) {
	fmt.Fprintf(w, "%s: %s\n", m.Step, m.Reason)
	if len(m.Changes) == 0 {
		return
	}
	changes := ui.InParts(m.Changes)
	var b strings.Builder
	b.WriteString("  its key here → in the rehearsal:\n")
	ui.WriteChanges(&b, changes[:min(len(changes), mostChanges)], ui.Palette{})
	if n := len(changes) - mostChanges; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	fmt.Fprint(w, b.String())
}

func first(keys []*sign.SecretKey) *sign.SecretKey {
	if len(keys) == 0 {
		return nil
	}
	return keys[0]
}

// report says what was written.
func (c *createdBundle) report(a *app) error {
	fmt.Fprintf(a.out, "\nwritten to %s:\n", c.To)
	for _, f := range c.Volumes {
		fmt.Fprintf(a.out, "  %s\n", f)
	}
	fmt.Fprintf(a.out, "  %s, SHA-256 %s\n", c.Bootstrap, c.BootstrapSHA256)
	start := "sh " + c.Bootstrap
	if script := c.BootstrapWindows; script != "" {
		fmt.Fprintf(a.out, "  %s, SHA-256 %s\n", script, c.BootstrapWindowsSHA256)
		start += ", on Windows powershell -ExecutionPolicy Bypass -File " + script
	}
	_, err := fmt.Fprintf(a.out, "\non the other side: %s, or airbuild bundle import DIR\n", start)
	return err
}
