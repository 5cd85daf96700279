package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/store"
)

func cacheCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "cache",
		Short: "Inspect, verify and prune the cache",
	}
	c.AddCommand(cachePathCommand(a), cacheInfoCommand(a), cacheVerifyCommand(a), cachePruneCommand(a),
		cachePinCommand(a), cacheUnpinCommand(a), cachePinsCommand(a))
	return group(c)
}

func cachePathCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "path",
		Short: "Print the cache's directory",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := a.CacheDir()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(a.out, dir)
			return err
		},
	}
}

func cacheInfoCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "info",
		Short: "Show what is in the cache",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(func(s *store.Disk) error { return cacheInfo(c.Context(), a, s) })
		},
	}
}

func cacheVerifyCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Check every byte in the cache and discard damaged results",
		Long:  "Check every byte in the cache and discard damaged results: they are rebuilt when\nneeded. Exits with code 3 if anything was damaged.",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(func(s *store.Disk) error { return cacheVerify(c.Context(), a, s) })
		},
	}
}

func cachePruneCommand(a *app) *cobra.Command {
	size, age, dry := "", time.Duration(0), false
	c := &cobra.Command{
		Use:   "prune",
		Short: "Remove old results, or shrink the cache to a size limit",
		Long: "Remove results that were not used for longer than --max-age, then the least recently\n" +
			"used ones until the rest fits --max-size, then blobs that no result refers to. Without\n" +
			"flags, only such blobs are removed. Pinned results are kept.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			limit, err := parseSize(size)
			if err != nil {
				return err
			}
			if age < 0 {
				return exit.UsageError("--max-age %v: want a duration such as 720h", age)
			}
			o := store.PruneOptions{MaxBytes: limit, MaxAge: age, DryRun: dry}
			return a.withStore(func(s *store.Disk) error { return cachePrune(c.Context(), a, s, o) })
		},
	}
	c.Flags().StringVar(&size, "max-size", "", "keep at most `SIZE`, such as 10GiB")
	c.Flags().DurationVar(&age, "max-age", 0, "keep what was used in the last `DURATION`, such as 720h")
	c.Flags().BoolVar(&dry, "dry-run", false, "show what would be removed, and remove nothing")
	return c
}

func (a *app) withStore(f func(*store.Disk) error) (err error) {
	dir, err := a.CacheDir()
	if err != nil {
		return err
	}
	s, err := store.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	return f(s)
}

func cacheInfo(ctx context.Context, a *app, s *store.Disk) error {
	n, err := s.Info(ctx)
	if err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(map[string]any{
			"dir": n.Dir, "version": n.Version, "entries": n.Entries, "entry_bytes": n.EntryBytes,
			"blobs": n.Blobs, "blob_bytes": n.BlobBytes, "temps": n.Temps, "temp_bytes": n.TempBytes,
			"oldest": timeText(n.Oldest), "newest": timeText(n.Newest),
		})
	}
	return a.writeTable(func(w io.Writer) {
		fmt.Fprintf(w, "path\t%s\n", n.Dir)
		fmt.Fprintf(w, "format\t%s\n", n.Version)
		fmt.Fprintf(w, "results\t%d\t%s\n", n.Entries, human.Bytes(n.EntryBytes))
		fmt.Fprintf(w, "blobs\t%d\t%s\n", n.Blobs, human.Bytes(n.BlobBytes))
		if n.Temps > 0 {
			fmt.Fprintf(w, "unfinished\t%d\t%s\n", n.Temps, human.Bytes(n.TempBytes))
		}
		if !n.Oldest.IsZero() {
			fmt.Fprintf(w, "last used\t%s to %s\n", timeText(n.Oldest), timeText(n.Newest))
		}
	})
}

func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func cacheVerify(ctx context.Context, a *app, s *store.Disk) error {
	r, err := s.Verify(ctx, nil)
	if err != nil {
		return err
	}
	for _, d := range r.Damaged {
		fmt.Fprintf(a.err, "%s; %s\n", d, d.Fate())
	}
	for _, d := range r.Dangling {
		fmt.Fprintf(a.err, "entry %.12s: it names blob %.12s, which is missing; %s\n", d.Key.Hex(), d.Blob.Hex(), d.Fate())
	}
	for _, d := range r.DamagedPins {
		fmt.Fprintf(a.err, "%v; pin it again, or: airbuild cache unpin %s\n", d, human.OneLine(d.Name))
	}
	for _, l := range r.LostPins {
		fmt.Fprintf(a.err, "pin %s: %s: %s; run it and pin it again, or: airbuild cache unpin %s\n", l.Pin, human.OneLine(l.Step), l.Why, l.Pin)
	}
	if a.json() {
		err = a.writeJSON(map[string]any{
			"ok": r.OK(), "entries": r.Entries, "blobs": r.Blobs, "blob_bytes": r.Bytes,
			"damaged": len(r.Damaged), "dangling": len(r.Dangling),
			"damaged_pins": len(r.DamagedPins), "lost_pins": len(r.LostPins),
		})
	} else {
		_, err = fmt.Fprintf(a.out, "%s and %s (%s) checked: %d damaged, %d incomplete\n",
			human.Count(r.Entries, "result"), human.Count(r.Blobs, "blob"), human.Bytes(r.Bytes), len(r.Damaged), len(r.Dangling))
	}
	if err == nil && !r.OK() {
		err = exit.Silent(exit.Unverified)
	}
	return err
}

func cachePrune(ctx context.Context, a *app, s *store.Disk, o store.PruneOptions) error {
	r, err := s.Prune(ctx, o)
	var pin *store.DamagedPin
	if errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("%w; wait until it has ended", err)
	}
	if errors.As(err, &pin) {
		return exit.With(exit.Unverified, fmt.Errorf("%w.\nNothing was removed. To take the pin away: airbuild cache unpin %s", err, human.OneLine(pin.Name)))
	}
	if err != nil {
		return err
	}
	if a.json() {
		return a.writeJSON(map[string]any{
			"dry_run": o.DryRun, "entries": r.Entries, "blobs": r.Blobs, "temps": r.Temps, "bytes": r.Bytes,
			"kept_entries": r.KeptEntries, "kept_blobs": r.KeptBlobs, "kept_bytes": r.KeptBytes,
		})
	}
	word := "removed"
	if o.DryRun {
		word = "would remove"
	}
	_, err = fmt.Fprintf(a.out, "%s %s and %s (%s); kept %s and %s (%s)\n", word,
		human.Count(r.Entries, "result"), human.Count(r.Blobs, "blob"), human.Bytes(r.Bytes),
		human.Count(r.KeptEntries, "result"), human.Count(r.KeptBlobs, "blob"), human.Bytes(r.KeptBytes))
	return err
}

// parseSize reads "10GiB", "500MB", "1024"; "" is 0, no limit.
func parseSize(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	digits := strings.TrimRight(s, "KMGTiB kmgtb")
	unit := strings.ToUpper(strings.TrimSpace(s[len(digits):]))
	factor := map[string]float64{
		"": 1, "B": 1,
		"K": 1 << 10, "KIB": 1 << 10, "KB": 1e3,
		"M": 1 << 20, "MIB": 1 << 20, "MB": 1e6,
		"G": 1 << 30, "GIB": 1 << 30, "GB": 1e9,
		"T": 1 << 40, "TIB": 1 << 40, "TB": 1e12,
	}[unit]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || factor == 0 || n <= 0 || n*factor > 1<<62 {
		return 0, exit.UsageError("--max-size %q: want a size such as 10GiB or 500MB", s)
	}
	return int64(n * factor), nil
}
