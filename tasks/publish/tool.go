package publish

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	publishing "github.com/airbuild/airbuild/engine/publish"
	"github.com/airbuild/airbuild/tasks"
)

// A Config is what publishing needs in addition to its stages.
type Config struct {
	DryRun bool // say what would be published, and publish nothing
}

// found is what a step's look-up tells its tool.
type found struct {
	state  string // the workspace's private directory
	module *moduleSource
}

// A discoverer finds where the module comes from.
type discoverer struct {
	dist   string
	module *mod
}

// Discover implements engine.InputDiscoverer.
func (l *discoverer) Discover(ctx context.Context, files engine.Files) (engine.Discovery, error) {
	f := found{state: files.State()}
	var out engine.Discovery
	if l.module != nil {
		m, err := findModule(ctx, files.Root(), f.state, l.module, l.dist)
		if err != nil {
			return out, fmt.Errorf("find the files of module %s: %w", l.module.Path, err)
		}
		f.module = m
		for _, name := range m.inputs() {
			out.Inputs = append(out.Inputs, engine.FileInput(name))
		}
	}
	out.Private = f
	return out, nil
}

// A tool publishes.
type tool struct{ cfg *Config }

func (t tool) run(ctx context.Context, call *engine.ToolCall, sp *spec) error {
	if !sp.Confirmed && !t.cfg.DryRun {
		return fmt.Errorf("publish: this would send files to %s, which was not confirmed; run airbuild publish %s --yes (not needed in CI), or check first with --dry-run", strings.Join(sp.places(), ", "), sp.Step)
	}
	f, err := tasks.Private[found](call)
	if err != nil {
		return err
	}
	ledger, err := publishing.OpenLedger(filepath.Join(f.state, "published.jsonl"))
	if err != nil {
		return err
	}
	targets, err := sp.targets(call, t.cfg.DryRun, ledger)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	items, err := sp.items(ctx, call.In)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for _, target := range targets {
		for _, item := range items {
			r, err := target.Publish(ctx, item)
			if err != nil {
				return err
			}
			if err := tell(call.Log, r); err != nil {
				return err
			}
			if _, local := target.(*publishing.Directory); local && !t.cfg.DryRun {
				if err := ledger.Note(item, r.Place); err != nil {
					return err
				}
			}
		}
	}
	if sp.Module == nil {
		return nil
	}
	return sp.Module.publish(ctx, call, f.module, t.cfg.DryRun)
}

func tell(w io.Writer, r publishing.Result) error {
	_, err := fmt.Fprintf(w, "%s %s\n", r.Status, r.Place)
	return err
}

// places are where things go, for people.
func (sp *spec) places() (places []string) {
	for _, p := range []string{sp.Directory, sp.URL} {
		if p != "" {
			places = append(places, p)
		}
	}
	if sp.Module != nil {
		places = append(places, sp.Module.Directory)
	}
	return places
}

func (sp *spec) targets(call *engine.ToolCall, dry bool, ledger *publishing.Ledger) (targets []publishing.Target, err error) {
	o := publishing.Options{Overwrite: sp.Overwrite, DryRun: dry}
	if sp.Directory != "" {
		if err := tasks.CheckHostDirectory(sp.Directory); err != nil {
			return nil, err
		}
		targets = append(targets, &publishing.Directory{Path: sp.Directory, Options: o})
	}
	if sp.URL == "" {
		return targets, nil
	}
	h := &publishing.HTTP{URL: sp.URL, Blind: sp.Blind, Known: ledger.Known, Note: ledger.Note, Options: o}
	if h.Header, err = sp.header(call.Env); err != nil {
		return nil, err
	}
	if sp.CA != "" {
		if h.Roots, err = fs.ReadFile(call.In, sp.CA); err != nil {
			return nil, err
		}
	}
	return append(targets, h), nil
}

// header is what shows the server who publishes.
func (sp *spec) header(env []string) (map[string][]string, error) {
	value := func(name string) (string, error) {
		for _, e := range env {
			if v, ok := strings.CutPrefix(e, name+"="); ok && v != "" {
				return v, nil
			}
		}
		return "", fmt.Errorf("the variable %s is not set; it holds the credentials for %s", name, sp.URL)
	}
	switch {
	case sp.TokenEnv != "":
		token, err := value(sp.TokenEnv)
		if err != nil {
			return nil, err
		}
		if textproto.CanonicalMIMEHeaderKey(sp.Header) == "Authorization" {
			token = "Bearer " + token
		}
		return map[string][]string{textproto.CanonicalMIMEHeaderKey(sp.Header): {token}}, nil
	case sp.PasswordEnv != "":
		password, err := value(sp.PasswordEnv)
		if err != nil {
			return nil, err
		}
		basic := base64.StdEncoding.EncodeToString([]byte(sp.Username + ":" + password))
		return map[string][]string{"Authorization": {"Basic " + basic}}, nil
	}
	return nil, nil
}

// items are all files, those of directories too, sorted by their names at the
// target.
func (sp *spec) items(ctx context.Context, in fs.FS) (items []publishing.Item, err error) {
	for _, file := range sp.Files {
		err := fs.WalkDir(in, file, func(name string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir():
				return nil
			case d.Type()&fs.ModeSymlink != 0:
				return fmt.Errorf("%s is a link, which cannot be published; put what it points to in its place", name)
			}
			item, err := publishing.NewItem(ctx, targetName(sp.Dist, file)+strings.TrimPrefix(name, file), func() (io.ReadCloser, error) { return in.Open(name) })
			items = append(items, item)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(items, func(a, b publishing.Item) int { return strings.Compare(a.Name, b.Name) })
	return items, nil
}

func (m *mod) publish(ctx context.Context, call *engine.ToolCall, from *moduleSource, dry bool) error {
	if err := tasks.CheckHostDirectory(m.Directory); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	version, done, err := from.version(ctx, m, call.In)
	if err != nil {
		return fmt.Errorf("publish module %s@%s: %w", m.Path, m.Version, err)
	}
	defer done()
	if m.Time != 0 {
		version.Time = time.Unix(m.Time, 0)
	}
	// Other content under the version is the first thing to say.
	results, err := publishing.PublishModule(ctx, publishing.Directory{Path: m.Directory, Options: publishing.Options{DryRun: dry || from.other != nil}}, version)
	if err == nil && from.other != nil {
		return fmt.Errorf("publish module %s@%s: %w", m.Path, m.Version, from.other)
	}
	for _, r := range results {
		err = errors.Join(err, tell(call.Log, r))
	}
	return err
}
