package bundling

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/pipelines"
)

// write makes the bundle, rehearses it, signs it, and brings it to where it was
// asked for. Of two that make bundles of one line the second waits.
func (c *Builder) write(ctx context.Context) (err error) {
	unlock, err := carry.LockSeries(ctx, c.Store.Dir(), c.series)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	place := carry.MadeDir(c.Store.Dir(), c.series)
	scratch := filepath.Join(place, "scratch")
	// Of a process that was killed.
	if err := carry.Clear(scratch); err != nil {
		return err
	}
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		return fmt.Errorf("make bundle: %w", err)
	}
	defer func() { err = errors.Join(err, carry.Clear(scratch)) }()
	spec, err := c.contentSpec(scratch)
	if err != nil {
		return err
	}
	if c.named, err = c.namedKeys(); err != nil {
		return err
	}
	g, err := carry.Collect(ctx, spec)
	defer func() { err = errors.Join(err, g.Close()) }()
	if err != nil {
		return err
	}
	if len(c.o.Keys) == 0 {
		g.Notes = append(g.Notes, "this bundle is not signed, so the receiver needs --allow-unsigned; to sign it: --sign KEY")
	}
	g.Notes = append(g.Notes, c.lacks...)
	c.out.Notes = append([]string{}, g.Notes...)
	for _, note := range g.Notes {
		c.o.Note(note)
	}
	to, err := filepath.Abs(c.o.To)
	if err != nil {
		return err
	}
	dir := to
	if c.o.VolumeSize != pipelines.NoVolumes {
		dir = filepath.Join(place, "layout")
	}
	for _, d := range []string{to, dir} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := c.assemble(ctx, dir, dir != to, g); err != nil {
		return err
	}
	return c.deliver(ctx, dir, to)
}

// assemble makes the bundle in a directory, rehearses it and signs it.
func (c *Builder) assemble(ctx context.Context, dir string, ours bool, g *carry.Contents) error {
	show, end := c.o.Progress()
	spec := c.spec(g)
	if c.o.Base != nil && c.o.Base.ReadsPatches() {
		var err error
		if spec.Old, err = carry.Old(ctx, c.Store, c.o.Base); err != nil {
			return err
		}
	}
	_, err := create.Bundle(ctx, dir, spec, create.Options{
		PackSize: packSize(c.o.VolumeSize), Jobs: c.Options.Jobs, Progress: show, Replace: c.o.Replace || ours,
	})
	end()
	if err != nil {
		return Explain(err)
	}
	meta, err := c.rehearse(ctx, dir, g)
	if err != nil {
		// What failed its rehearsal must not look like a bundle. The blobs stay,
		// for the next attempt.
		if rerr := os.Remove(filepath.Join(dir, "index.json")); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	// The time is the bundle's own, and not now: the same inputs give the same
	// bytes. When it was written the log of this host tells.
	_, err = create.Finish(ctx, dir, create.FinishOptions{Metadata: meta, Keys: c.o.Keys, Actor: c.o.Actor})
	if err != nil {
		return Explain(err)
	}
	return carry.KeepHeads(c.Store.Dir(), c.series, g.Heads)
}

// packSize is such that several packs fit into a volume.
func packSize(volume int64) int64 {
	if volume == pipelines.NoVolumes || volume/4 > bundle.DefaultPackSize {
		return bundle.DefaultPackSize
	}
	return max(volume/4, 256<<10)
}

// spec is what create.Bundle takes.
func (c *Builder) spec(g *carry.Contents) create.Spec {
	meta := map[string]string{"targets": strings.Join(c.names, " "), "airbuild": c.o.Version}
	maps.Copy(meta, c.vars.metadata(c.Options.Environment))
	if c.File != project.FileName {
		meta["file"] = c.File
	}
	created := g.Info.Time.UTC()
	if g.Info.Describe != "" {
		meta["version"] = g.Info.Describe
	}
	if g.Info.Commit != "" {
		meta["commit"] = g.Info.Commit
	}
	if g.Toolchain != "" {
		meta["go"] = g.Toolchain
	}
	if c.Block != nil && c.Block.Description != "" {
		meta["description"] = c.Block.Description
	}
	if text := keysText(c.named); text != "" {
		meta["keys"] = text
	}
	if len(c.o.Without) > 0 {
		meta["without"] = strings.Join(c.o.Without, " ")
	}
	return create.Spec{
		Name: c.series, Sequence: created.Unix(), Created: created, Metadata: meta,
		Components: g.Components, Base: c.o.Base,
	}
}

// rehearse proves the bundle, and returns what it says of that.
func (c *Builder) rehearse(ctx context.Context, dir string, g *carry.Contents) (_ map[string]string, err error) {
	none := func(why string) map[string]string { return map[string]string{"rehearsal": "none: " + why} }
	switch {
	case c.o.NoRehearse:
		return none("--no-rehearse"), nil
	case c.o.Base != nil:
		// A delta is complete with its base only, which is at the receiver.
		return none("a delta"), nil
	case slices.Contains(c.o.Without, carry.Source):
		return none("without source"), nil
	case slices.Contains(c.o.Without, carry.Actions):
		return none("without actions"), nil
	}
	hits, never := carry.Hits(c.Plan.Graph, c.names, c.Steps)
	if len(hits) == 0 {
		return none("no step is ever stored"), nil
	}
	b, err := bundle.Open(ctx, bundle.Trust{AllowUnsigned: true}, dir)
	if err != nil {
		return nil, Explain(err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	r := carry.Rehearsal{
		Bundle: b, Targets: hits, Dist: c.Plan.Dist, File: c.File, Environment: c.Options.Environment,
		Vars: c.vars.files, Env: c.vars.env, Keys: c.named, Log: c.o.Log,
		Place: filepath.Join(carry.MadeDir(c.Store.Dir(), c.series), "rehearsal"),
		Here:  c.keyParts,
	}
	if r.Self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find airbuild's own program: %w", err)
	}
	if carry.UsesGo(c.Plan.Graph, c.Plan.Graph.Closure(c.Steps)) {
		tc, err := c.Go.Toolchain()
		if err != nil {
			return nil, err
		}
		r.GoRoot = tc.Root
	}
	if !c.o.NoRebuild {
		r.Rebuild = carry.Rebuildable(c.madeSteps())
	}
	c.o.Say("rehearsing: from the bundle alone, without a network")
	got, err := carry.Rehearse(ctx, r)
	if err != nil {
		return nil, Explain(err)
	}
	if !got.OK() {
		for _, m := range got.Missing {
			c.o.Missed(m)
		}
		return nil, exit.With(exit.Failed, fmt.Errorf("the bundle is not complete: from it alone %d of %d steps were hits, and %d failed or had to run.\nTo write it anyway, marked as not rehearsed: --no-rehearse", got.Hits, got.Steps, len(got.Missing)))
	}
	text := fmt.Sprintf("ok: %d of %d steps hit, %d made again", got.Hits, got.Steps, got.Rebuilt)
	if never > 0 {
		text += fmt.Sprintf(", %d never stored", never)
	}
	if n := len(got.Taken); n > 0 {
		text += fmt.Sprintf(", %d not made again (network)", n)
	}
	meta := map[string]string{"rehearsal": text, "rehearsal-isolation": got.Isolation}
	if got.Lent != "" {
		meta["rehearsal-lent"] = got.Lent // of the host that made the bundle
	}
	c.o.Say(fmt.Sprintf("rehearsed: %d steps, all hits; %d made again", got.Steps, got.Rebuilt))
	for _, name := range got.Taken {
		c.o.Say(fmt.Sprintf("note: %s was not made again, because it needs the network: its carried result was used", name))
	}
	return meta, nil
}

// keyParts are the parts of the key that a step had here.
func (c *Builder) keyParts(ctx context.Context, step string) []action.Line {
	for _, m := range c.made {
		if m.Step.Name != step {
			continue
		}
		if lines, err := engine.KeyParts(ctx, c.Store, m.Key); err == nil {
			return lines
		}
	}
	return nil
}
