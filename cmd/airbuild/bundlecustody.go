package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bundling"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/sign"
)

// custodyKeyEnv names the key that signs what airbuild adds to custody logs,
// where no flag does.
const custodyKeyEnv = "AIRBUILD_CUSTODY_KEY"

// custodyKey is the key that signs events: of a flag, or of the environment.
// Nil: they are not signed.
func (a *app) custodyKey(ctx context.Context, flag string) (*sign.SecretKey, error) {
	name, from := flag, "--sign"
	if name == "" {
		name, _ = a.LookupEnv(custodyKeyEnv)
		from = custodyKeyEnv
	}
	if name == "" {
		return nil, nil
	}
	ring, err := a.keyring()
	if err != nil {
		return nil, err
	}
	key, err := ring.Secret(name, a.keyPassword(ctx, name))
	if errors.Is(err, sign.ErrNoKey) {
		return nil, exit.UsageError("%s: %w.\nTo make it: airbuild key new %s", from, err, name)
	}
	return key, err
}

// logCustody adds an event to a cache's custody log.
func logCustody(ctx context.Context, a *app, cache, kind, digest, name string, details map[string]string, key *sign.SecretKey) error {
	return custody.Append(ctx, custody.File(cache), custody.Event{
		Kind: kind, Subject: "sha256:" + digest, Name: name, Actor: actor(),
		Time: time.Now().UTC().Format(time.RFC3339), Details: details,
	}, key)
}

// logRebuilt records that steps of source that came with a bundle were made
// here. A run of hits made nothing, and is not recorded. That it cannot be
// recorded does not fail the run, which is done.
func logRebuilt(ctx context.Context, a *app, s *project.Session, sum *engine.Summary, ids []engine.StepID) {
	if s.Carried == nil || sum.Ran == 0 || !sum.OK() {
		return
	}
	err := appendRebuilt(ctx, a, s, sum, ids)
	if err != nil && !a.json() {
		fmt.Fprintf(a.err, "note: the custody log has no entry of this run: %v\n", err)
	}
}

func appendRebuilt(ctx context.Context, a *app, s *project.Session, sum *engine.Summary, ids []engine.StepID) error {
	all, err := install.List(s.Store.Dir())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(c install.Imported) bool { return c.Digest == s.Carried.Bundle })
	if i < 0 {
		return nil // imported into another cache
	}
	key, err := a.custodyKey(ctx, "")
	if err != nil {
		return err
	}
	return logCustody(ctx, a, s.Store.Dir(), custody.Rebuilt, s.Carried.Bundle, all[i].Root.Name, map[string]string{
		"targets": stepNames(s.Plan.Graph, ids), "steps": strconv.Itoa(sum.Steps),
		"hits": strconv.Itoa(sum.Hits), "ran": strconv.Itoa(sum.Ran),
	}, key)
}

func bundleCustodyCommand(a *app) *cobra.Command {
	trust, signed := &trustFlags{}, false
	c := &cobra.Command{
		Use:   "custody [FILE|PATH…]",
		Short: "Show and verify a bundle's chain of custody",
		Long: "Show a custody log and verify its chain: this cache's own, that of a FILE, or the one\n" +
			"that the bundle in PATH carries. Each entry holds the hash of the one before: none can be\n" +
			"changed, inserted or removed, except at the end. Exits with code 3 if the chain is broken.",
		Example: "  airbuild bundle custody\n  airbuild bundle custody /media/usb\n  airbuild bundle custody site.log --all-signed",
		RunE:    func(c *cobra.Command, args []string) error { return bundleCustody(c.Context(), a, trust, signed, args) },
	}
	c.Flags().BoolVar(&signed, "all-signed", false, "exit with code 3 if no trusted key signed an entry")
	trust.declare(c.Flags())
	return c
}

func bundleCustody(ctx context.Context, a *app, t *trustFlags, signed bool, args []string) error {
	events, err := readCustody(ctx, a, t, args)
	if err != nil {
		return bundling.Explain(err)
	}
	limits := custody.Limit(events, a.knownKeys())
	if err := showCustody(a, events); err != nil {
		return err
	}
	if !signed {
		return nil
	}
	for i, e := range events {
		if len(e.Signers) == 0 {
			err := fmt.Errorf("entry %d (%s, %s) is signed by no trusted key", i+1, e.Kind, e.Time)
			if limits[i] != nil {
				err = fmt.Errorf("%w: %w", err, limits[i])
			}
			return exit.With(exit.Unverified, err)
		}
	}
	return nil
}

// readCustody reads the log that the arguments name.
func readCustody(ctx context.Context, a *app, t *trustFlags, args []string) (_ []custody.Event, err error) {
	trust, err := a.trust(t)
	if err != nil {
		return nil, err
	}
	file := ""
	if len(args) == 0 {
		cache, err := a.CacheDir()
		if err != nil {
			return nil, err
		}
		file = custody.File(cache)
	} else if len(args) == 1 && !isBundlePath(args[0]) {
		file = args[0]
	}
	if file == "" {
		b, err := a.openBundle(ctx, t, args...)
		if err != nil {
			return nil, err
		}
		defer func() { err = exit.First(err, b.Close()) }()
		return b.Custody()
	}
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) && len(args) == 0 {
		return nil, nil // nothing has happened here
	}
	if err != nil {
		return nil, exit.UsageError("%w", err)
	}
	defer f.Close()
	events, err := custody.Read(f, trust.Keys...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return events, nil
}

// isBundlePath reports whether a path is that of a bundle, and not of a log.
func isBundlePath(name string) bool {
	fi, err := os.Stat(name)
	return err == nil && fi.IsDir() || strings.HasSuffix(name, ".tar")
}

// A custodyEvent is an event as JSON.
type custodyEvent struct {
	custody.Event
	Signers []string `json:"signers"` // key ids
}

func showCustody(a *app, events []custody.Event) error {
	ring := a.knownKeys()
	if a.json() {
		enc := json.NewEncoder(a.out)
		for _, e := range events {
			row := custodyEvent{e, []string{}}
			for _, key := range e.Signers {
				row.Signers = append(row.Signers, key.ID().String())
			}
			if err := enc.Encode(row); err != nil {
				return err
			}
		}
		return nil
	}
	return a.writeTable(func(w io.Writer) {
		for _, e := range events {
			names := []string{}
			for _, key := range e.Signers {
				names = append(names, ring.Name(key))
			}
			by := "not signed"
			if len(names) > 0 {
				by = "signed by " + strings.Join(names, ", ")
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time, e.Kind, e.Name, shortSubject(e.Subject), e.Actor, by, metadataText(e.Details))
		}
	})
}

func shortSubject(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	return s[:min(12, len(s))]
}
