package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/pipelines"
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
		Short: "Make a bundle of what hosts without a network need",
		Long: "Run the targets, and write a bundle with all that hosts without a network need to make\n" +
			"them again, and to change them: source, modules with their proofs, Go, airbuild, compiled\n" +
			"packages, results. BUNDLE is a bundle block of the Airbuildfile; TARGETs are those of run.\n" +
			"The bundle is rehearsed: made from it alone, without a network and without what this host has.",
		Example: "  airbuild bundle create release --to /media/usb --sign site\n" +
			"  airbuild bundle create release --to /media/usb --sign site --since receipt.json",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return bundleCreate(c.Context(), a, args, f) },
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.to, "to", "", "write the bundle to `DIR`")
	fl.StringArrayVar(&f.sign, "sign", nil, "sign with this `KEY` of the keyring; may be repeated")
	fl.StringVar(&f.name, "name", "", "call the line of bundles `NAME` (default: the project's name and the bundle's)")
	fl.StringArrayVar(&f.hosts, "host", nil, "carry airbuild and Go for `OS/ARCH`; may be repeated (default: this host's)")
	fl.StringArrayVar(&f.programs, "airbuild", nil, "carry this airbuild for a host, `OS/ARCH=FILE`; may be repeated")
	fl.StringVar(&f.volumeSize, "volume-size", "", "write volumes of at most `SIZE`, or none for one directory (default 4 GiB - 1, for FAT32)")
	fl.StringVar(&f.since, "since", "", "carry only what the host that wrote this receipt `FILE` lacks")
	fl.StringVar(&f.assume, "assume", "", "carry only what this `BUNDLE` did not bring")
	fl.StringArrayVar(&f.extra, "extra", nil, "carry further files, `NAME=PATTERN`, below the project; may be repeated")
	fl.StringArrayVar(&f.exclude, "exclude", nil, "leave source files of this `PATTERN` behind; may be repeated")
	fl.BoolVar(&f.history, "history", false, "carry the whole history as a git bundle")
	fl.StringArrayVar(&f.without, "without", nil, "leave a `COMPONENT` out, such as toolchain or gocache; may be repeated")
	fl.BoolVar(&f.noRehearse, "no-rehearse", false, "do not prove that the bundle is complete; the bundle says so")
	fl.BoolVar(&f.noRebuild, "no-rebuild", false, "rehearse that all are hits, and do not make them once more")
	fl.BoolVar(&f.replace, "replace", false, "replace another bundle of that name in DIR")
	f.trust.declare(fl)
	return c
}

// A creation is a bundle create at work.
type creation struct {
	*project.Session
	app     *app
	f       *createFlags
	block   *pipelines.Bundle // nil: targets were named
	targets []string          // as run takes them
	ids     []engine.StepID
	keys    []*sign.SecretKey
	base    *create.Base
	volumes int64 // bytes; pipelines.NoVolumes: a directory
	line    string
	made    map[engine.StepID]carry.Made
	outputs []string
	answers []action.Digest // entries of the store, see engine.Summary
	heads   map[string][]byte
	hosts   []string
	program map[string]string // airbuild for a host
	extra   []carry.ExtraSpec
	given   *givenVariables
	named   map[string]sign.PublicKey // see namedKeys
	told    createdBundle             // for --output json
	// lacks are notes on files that are used and not carried; lackKnown: they are
	// all of them.
	lacks     []string
	lackKnown bool
}

// A createdBundle is what bundle create tells at the end as JSON.
type createdBundle struct {
	Event string `json:"event"` // "bundle"
	inspection
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

func bundleCreate(ctx context.Context, a *app, args []string, f *createFlags) (err error) {
	if f.to == "" {
		return exit.UsageError("where to? Name a directory with --to DIR.")
	}
	for _, kind := range f.without {
		if !slices.Contains(carry.Kinds(), kind) {
			return exit.UsageError("--without %q: want one of %s", kind, strings.Join(carry.Kinds(), ", "))
		}
	}
	c := &creation{app: a, f: f, made: map[engine.StepID]carry.Made{}}
	sink, js := a.sink()
	defer func() {
		// After the run's own events, which the sink may still hold.
		if err = endOutput(sink, err); err == nil && a.json() {
			err = json.NewEncoder(a.out).Encode(c.told)
		}
	}()
	p, err := a.load(ctx, js)
	if err != nil {
		return err
	}
	if err := c.choose(p, args); err != nil {
		return err
	}
	// What can be wrong is found before the long work.
	if err := prepareCreation(ctx, a, c); err != nil {
		return err
	}
	if err := c.contents(p.Root); err != nil {
		return err
	}
	if c.given, err = givenVariablesOf(a, p, c.ids); err != nil {
		return err
	}
	if err := p.RefuseLacking(c.ids, a.opening(nil).Show); err != nil {
		return err
	}
	if c.Session, err = p.Open(nil); err != nil {
		return err
	}
	defer func() { err = exit.First(err, c.Close()) }()
	c.ownResults()
	if c.Options.Offline {
		if err := c.RefuseOffline(ctx, c.ids); err != nil {
			return err
		}
	}
	if err := c.RefuseOpenHost(ctx); err != nil {
		return err
	}
	if err := c.lack(ctx); err != nil {
		return err
	}
	if err := c.make(ctx, sink); err != nil {
		return err
	}
	if err := c.lack(ctx); err != nil {
		return err
	}
	return c.write(ctx)
}

// ownResults leaves out results that count only for the source that they came
// with: whoever signs the new bundle would vouch for them to others. Steps that
// have no other result run again.
func (c *creation) ownResults() {
	if c.Store.Scope.IsZero() {
		return
	}
	c.Store.Scope = store.Scope{}
	fmt.Fprintf(c.app.err, "note: results that came with bundle %s are not carried on, and those steps run again here. To vouch for them, trust its signer with airbuild key trust NAME --for bundle, and import it again\n", c.Carried.Bundle[:12])
}

// choose finds what the bundle is for: a bundle block, or targets.
func (c *creation) choose(p *project.Project, args []string) (err error) {
	switch {
	case len(args) == 1 && p.Plan.Bundle(args[0]) != nil:
		c.block = p.Plan.Bundle(args[0])
	case len(args) == 0 && len(p.Plan.Bundles) == 1:
		c.block = p.Plan.Bundles[0]
	}
	name := ""
	if c.block != nil {
		c.ids, name = c.block.Steps, c.block.Name
		for _, id := range c.ids {
			c.targets = append(c.targets, p.Plan.Graph.Steps[id].Name)
		}
	} else {
		var names []string
		if c.ids, names, err = p.Plan.Select(args); err != nil {
			return exit.UsageError("%w", err)
		}
		c.targets, name = names, strings.Join(names, "-")
	}
	if len(c.ids) == 0 {
		return exit.UsageError("the bundle is for no step: name a pipeline or a stage.")
	}
	c.line = c.f.name
	if c.line == "" {
		c.line = lineName(filepath.Base(p.Root) + "-" + name)
	}
	return nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// lineName makes a plain name.
func lineName(s string) string {
	s = strings.Trim(notInName.ReplaceAllString(s, "-"), ".-_")
	if len(s) > 80 {
		s = strings.Trim(s[:80], ".-_")
	}
	if s == "" {
		return "bundle"
	}
	return s
}

// prepareCreation reads keys, receipts and sizes.
func prepareCreation(ctx context.Context, a *app, c *creation) error {
	names := c.f.sign
	if len(names) == 0 && c.block != nil {
		names = c.block.Sign
	}
	var err error
	ring := a.knownKeys()
	for _, name := range names {
		key, err := ring.Secret(name, a.keyPassword(ctx, name))
		if errors.Is(err, sign.ErrNoKey) {
			return exit.UsageError("--sign: %w.\nTo make it: airbuild key new %s", err, name)
		}
		if err != nil {
			return err
		}
		c.keys = append(c.keys, key)
	}
	if c.volumes, err = c.volumeSize(); err != nil {
		return err
	}
	if c.f.since != "" && c.f.assume != "" {
		return exit.UsageError("--since and --assume say the same in two ways: use one.")
	}
	return readBase(ctx, a, c)
}

func (c *creation) volumeSize() (int64, error) {
	switch text := c.f.volumeSize; {
	case text == "none":
		return pipelines.NoVolumes, nil
	case text != "":
		n, err := pipelines.ParseSize(text)
		if err != nil {
			return 0, exit.UsageError("--volume-size: %w", err)
		}
		if n < 1<<20 {
			return 0, exit.UsageError("--volume-size %s: volumes have at least 1 MiB.", text)
		}
		return n, nil
	case c.block != nil && c.block.VolumeSize != 0:
		return c.block.VolumeSize, nil
	}
	return bundle.DefaultVolumeSize, nil
}

// readBase reads what the receiver has.
func readBase(ctx context.Context, a *app, c *creation) error {
	if c.f.since != "" {
		file, err := os.Open(c.f.since)
		if err != nil {
			return exit.UsageError("--since: %w", err)
		}
		defer file.Close()
		r, err := bundle.ReadReceipt(file)
		if err != nil {
			return a.bundleError(fmt.Errorf("--since %s: %w", c.f.since, err))
		}
		c.base = create.BaseOfReceipt(r)
	}
	if c.f.assume == "" {
		return nil
	}
	b, err := a.openBundle(ctx, &c.f.trust, c.f.assume)
	if err != nil {
		return err
	}
	c.base = create.BaseOfBundle(b)
	c.heads, err = carry.HeadsOf(ctx, b)
	return exit.First(err, b.Close())
}

// make runs the targets, and what must run again to be carried.
func (c *creation) make(ctx context.Context, sink ui.Sink) error {
	o := c.RunOptions()
	o.CarryAnswers = true
	var err error
	if o.Executor, err = c.Executor(); err != nil {
		return err
	}
	show := sink.OnEvent
	o.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepFinished && (e.Status == engine.Hit || e.Status == engine.Done) {
			c.made[e.ID] = carry.Made{ID: e.ID, Step: e.Step, Key: e.Key}
			if !e.Step.Inner {
				for _, out := range e.Outputs {
					c.outputs = append(c.outputs, out.Path)
				}
			}
		}
		show(e)
	}
	compiled, err := c.app.WantsCompileCache()
	if err != nil {
		return err
	}
	for {
		sum, err := engine.Run(ctx, c.Plan.Graph, c.ids, o)
		if err != nil {
			return err
		}
		if err := project.Outcome(sum); err != nil {
			return err
		}
		c.answers = sum.Answers
		if len(o.ForceSteps) > 0 || slices.Contains(c.f.without, carry.GoCache) || !compiled {
			return nil
		}
		again, err := carry.Unrecorded(ctx, c.Store, c.steps())
		if err != nil || len(again) == 0 {
			return err
		}
		fmt.Fprintf(c.app.err, "%d steps run once more: what they compile is to be carried, and was not recorded\n", len(again))
		o.ForceSteps = map[engine.StepID]bool{}
		for _, id := range again {
			o.ForceSteps[id] = true
		}
		c.outputs = nil
	}
}

// steps are those that were made, in graph order.
func (c *creation) steps() []carry.Made {
	var out []carry.Made
	for _, id := range slices.Sorted(maps.Keys(c.made)) {
		out = append(out, c.made[id])
	}
	return out
}

// contents reads what of flags and block says what is carried.
func (c *creation) contents(root string) error {
	c.hosts, c.program = c.f.hosts, map[string]string{}
	if b := c.block; b != nil {
		if len(c.hosts) == 0 {
			c.hosts = b.Hosts
		}
		maps.Copy(c.program, b.Airbuild)
		for _, e := range b.Extra {
			dir := filepath.FromSlash(e.Dir)
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(root, dir)
			}
			c.extra = append(c.extra, carry.ExtraSpec{Name: e.Name, Dir: dir, Patterns: e.Patterns})
		}
	}
	if len(c.hosts) == 0 {
		c.hosts = []string{carry.ThisHost()}
	}
	for _, host := range c.hosts {
		if err := carry.CheckHost(host); err != nil {
			return exit.UsageError("--host: %w", err)
		}
	}
	for _, s := range c.f.programs {
		host, file, ok := strings.Cut(s, "=")
		if !ok || file == "" {
			return exit.UsageError("--airbuild %q: want OS/ARCH=FILE", s)
		}
		if !slices.Contains(c.hosts, host) {
			return exit.UsageError("--airbuild %q: the bundle is for %s: name that host too, with --host", s, strings.Join(c.hosts, ", "))
		}
		abs, err := filepath.Abs(file)
		if err != nil {
			return err
		}
		if !project.Exists(abs) {
			return exit.UsageError("--airbuild %s: there is no %s", host, file)
		}
		c.program[host] = abs
	}
	for _, s := range c.f.extra {
		name, pattern, ok := strings.Cut(s, "=")
		if !ok || pattern == "" {
			return exit.UsageError("--extra %q: want NAME=PATTERN", s)
		}
		if err := bundle.CheckComponentName(carry.Extra + "/" + name); err != nil {
			return exit.UsageError("--extra %q: %w", s, err)
		}
		i := slices.IndexFunc(c.extra, func(e carry.ExtraSpec) bool { return e.Name == name })
		if i < 0 {
			i = len(c.extra)
			c.extra = append(c.extra, carry.ExtraSpec{Name: name, Dir: root})
		}
		c.extra[i].Patterns = append(c.extra[i].Patterns, pattern)
	}
	for _, p := range c.f.exclude {
		if err := pattern.Check(p); err != nil {
			return exit.UsageError("the pattern %q of --exclude cannot be used: %s", p, err)
		}
	}
	return nil
}

// exclude are the patterns of source files that stay behind.
func (c *creation) exclude() []string {
	if c.block == nil {
		return c.f.exclude
	}
	return slices.Concat(c.block.Exclude, c.f.exclude)
}

// gathering says what goes into the bundle.
func (c *creation) gathering(scratch string) (carry.Gathering, error) {
	self, err := os.Executable()
	if err != nil {
		return carry.Gathering{}, fmt.Errorf("find airbuild's own program: %w", err)
	}
	g := carry.Gathering{
		Root: c.Root, Dist: c.Plan.Dist, Cache: c.Store.Dir(), Store: c.Store, Scratch: scratch,
		Made: c.steps(), Answers: c.answers, Outputs: c.outputs, Hosts: c.hosts, Programs: c.program, Self: self,
		Exclude: c.exclude(), History: c.f.history, Extra: c.extra, Without: c.f.without, Heads: c.heads,
	}
	if carry.UsesGo(c.Plan.Graph, c.Plan.Graph.Closure(c.ids)) {
		g.Go = c.Go
	}
	if b := c.block; b != nil {
		g.History = g.History || b.History
	}
	if g.Heads == nil {
		g.Heads, err = carry.LastHeads(c.Store.Dir(), c.line)
	}
	return g, err
}

// write makes the bundle, rehearses it, signs it, and brings it to where it was
// asked for. Of two that make bundles of one line the second waits.
func (c *creation) write(ctx context.Context) (err error) {
	unlock, err := carry.LockLine(ctx, c.Store.Dir(), c.line)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	place := carry.MadeDir(c.Store.Dir(), c.line)
	scratch := filepath.Join(place, "scratch")
	// Of a process that was killed.
	if err := carry.Clear(scratch); err != nil {
		return err
	}
	if err := os.MkdirAll(scratch, 0o777); err != nil {
		return fmt.Errorf("make bundle: %w", err)
	}
	defer func() { err = errors.Join(err, carry.Clear(scratch)) }()
	spec, err := c.gathering(scratch)
	if err != nil {
		return err
	}
	if c.named, err = c.namedKeys(); err != nil {
		return err
	}
	g, err := carry.Gather(ctx, spec)
	defer func() { err = errors.Join(err, g.Close()) }()
	if err != nil {
		return err
	}
	if len(c.keys) == 0 {
		g.Notes = append(g.Notes, "nobody signs this bundle; the other side has to allow that: --sign KEY")
	}
	g.Notes = append(g.Notes, c.lacks...)
	c.told.Notes = append([]string{}, g.Notes...)
	for _, note := range g.Notes {
		fmt.Fprintf(c.app.err, "note: %s\n", note)
	}
	to, err := filepath.Abs(c.f.to)
	if err != nil {
		return err
	}
	dir := to
	if c.volumes != pipelines.NoVolumes {
		dir = filepath.Join(place, "layout")
	}
	for _, d := range []string{to, dir} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	if err := c.seal(ctx, dir, dir != to, g); err != nil {
		return err
	}
	return c.deliver(ctx, dir, to)
}

// seal makes the bundle in a directory, rehearses it and signs it.
func (c *creation) seal(ctx context.Context, dir string, ours bool, g *carry.Gathered) error {
	m := c.app.newMeter()
	spec := c.spec(g)
	if c.base != nil && c.base.ReadsPatches() {
		var err error
		if spec.Old, err = carry.Old(ctx, c.Store, c.base); err != nil {
			return err
		}
	}
	_, err := create.Bundle(ctx, dir, spec, create.Options{
		PackSize: packSize(c.volumes), Jobs: c.app.Jobs, Progress: m.tell, Replace: c.f.replace || ours,
	})
	m.end()
	if err != nil {
		return c.app.bundleError(err)
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
	_, err = create.Finish(ctx, dir, create.FinishOptions{Metadata: meta, Keys: c.keys, Actor: actor()})
	if err != nil {
		return c.app.bundleError(err)
	}
	return carry.KeepHeads(c.Store.Dir(), c.line, g.Heads)
}

// packSize is such that several packs fit into a volume.
func packSize(volume int64) int64 {
	if volume == pipelines.NoVolumes || volume/4 > bundle.DefaultPackSize {
		return bundle.DefaultPackSize
	}
	return max(volume/4, 256<<10)
}

// spec is what create.Bundle takes.
func (c *creation) spec(g *carry.Gathered) create.Spec {
	meta := map[string]string{"targets": strings.Join(c.targets, " "), "airbuild": readVersion().Version}
	maps.Copy(meta, c.given.metadata(c.app.Environment))
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
	if c.block != nil && c.block.Description != "" {
		meta["description"] = c.block.Description
	}
	if told := toldKeys(c.named); told != "" {
		meta["keys"] = told
	}
	if len(c.f.without) > 0 {
		meta["without"] = strings.Join(c.f.without, " ")
	}
	return create.Spec{
		Name: c.line, Sequence: created.Unix(), Created: created, Metadata: meta,
		Components: g.Components, Base: c.base,
	}
}

// rehearse proves the bundle, and returns what it says of that.
func (c *creation) rehearse(ctx context.Context, dir string, g *carry.Gathered) (_ map[string]string, err error) {
	none := func(why string) map[string]string { return map[string]string{"rehearsal": "none: " + why} }
	switch {
	case c.f.noRehearse:
		return none("--no-rehearse"), nil
	case c.base != nil:
		// A delta is complete with its base only, which is at the receiver.
		return none("a delta"), nil
	case slices.Contains(c.f.without, carry.Source):
		return none("without source"), nil
	case slices.Contains(c.f.without, carry.Actions):
		return none("without actions"), nil
	}
	hits, never := carry.Hits(c.Plan.Graph, c.targets, c.ids)
	if len(hits) == 0 {
		return none("no step is ever stored"), nil
	}
	b, err := bundle.Open(ctx, bundle.Trust{AllowUnsigned: true}, dir)
	if err != nil {
		return nil, c.app.bundleError(err)
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	r := carry.Rehearsal{
		Bundle: b, Targets: hits, Dist: c.Plan.Dist, File: c.File, Environment: c.app.Environment,
		Vars: c.given.files, Env: c.given.env, Keys: c.named, Tell: c.app.err,
		Place: filepath.Join(carry.MadeDir(c.Store.Dir(), c.line), "rehearsal"),
		Here:  c.keyParts,
	}
	if r.Self, err = os.Executable(); err != nil {
		return nil, fmt.Errorf("find airbuild's own program: %w", err)
	}
	if carry.UsesGo(c.Plan.Graph, c.Plan.Graph.Closure(c.ids)) {
		tc, err := c.Go.Toolchain()
		if err != nil {
			return nil, err
		}
		r.GoRoot = tc.Root
	}
	if !c.f.noRebuild {
		r.Rebuild = carry.Rebuildable(c.steps())
	}
	if !c.app.json() {
		fmt.Fprintln(c.app.err, "rehearsing: from the bundle alone, without a network")
	}
	got, err := carry.Rehearse(ctx, r)
	if err != nil {
		return nil, c.app.bundleError(err)
	}
	if !got.OK() {
		for _, m := range got.Missing {
			fmt.Fprintf(c.app.err, "%s: %s\n", m.Step, m.Reason)
			c.writeDifference(m.Changes)
		}
		return nil, exit.With(exit.Failed, fmt.Errorf("the bundle is not complete: from it alone %d of %d steps were hits, and %d failed or had to run.\nTo write it all the same, marked as not rehearsed: --no-rehearse", got.Hits, got.Steps, len(got.Missing)))
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
	if !c.app.json() {
		fmt.Fprintf(c.app.err, "rehearsed: %d steps, all hits; %d made again\n", got.Steps, got.Rebuilt)
		for _, name := range got.Taken {
			fmt.Fprintf(c.app.err, "note: %s was not made again, because it needs the network: its carried result was used\n", name)
		}
	}
	return meta, nil
}

// keyParts are the parts of the key that a step had here.
func (c *creation) keyParts(ctx context.Context, step string) []action.Line {
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

// mostChanges of a key are shown.
const mostChanges = 12

// writeDifference shows how a step's key in the rehearsal differs from the one
// here, as explain does.
func (c *creation) writeDifference(changes []action.Change) {
	if len(changes) == 0 {
		return
	}
	changes = inParts(changes)
	var b strings.Builder
	b.WriteString("  its key here → in the rehearsal:\n")
	writeChangeLines(&b, changes[:min(len(changes), mostChanges)], ui.Palette{})
	if n := len(changes) - mostChanges; n > 0 {
		fmt.Fprintf(&b, "  and %d more\n", n)
	}
	fmt.Fprint(c.app.err, b.String())
}

// deliver writes volumes if they are wanted, the bootstrap script, and says
// what to do next.
func (c *creation) deliver(ctx context.Context, dir, to string) (err error) {
	trust := bundle.Trust{AllowUnsigned: true}
	for _, key := range c.keys {
		trust.Keys = append(trust.Keys, key.Public())
	}
	b, err := bundle.Open(ctx, trust, dir)
	if err != nil {
		return c.app.bundleError(err)
	}
	files, err := c.copyOut(ctx, b, dir, to)
	err = errors.Join(err, b.Close())
	if err != nil {
		return err
	}
	if err := c.report(to, files); err != nil {
		return err
	}
	if dir != to {
		return carry.Clear(dir) // the volumes have it all
	}
	return nil
}

// copyOut writes what goes to the media.
func (c *creation) copyOut(ctx context.Context, b *bundle.Bundle, dir, to string) (files []string, err error) {
	if dir != to {
		if err := c.makeRoom(ctx, b, to); err != nil {
			return nil, err
		}
		m := c.app.newMeter()
		files, err = create.Volumes(ctx, b, to, create.VolumeOptions{Size: c.volumes, Progress: m.tell})
		m.end()
		if err != nil {
			return nil, c.app.bundleError(err)
		}
	}
	scripts, err := carry.WriteBootstrap(b, to)
	if err != nil {
		return nil, err
	}
	c.told.Event, c.told.inspection = "bundle", inspectionOf(c.app, b, false)
	c.told.To, c.told.Bytes, c.told.Volumes = to, b.Root().Carried(), []string{}
	for _, f := range files {
		c.told.Volumes = append(c.told.Volumes, filepath.Base(f))
	}
	for _, script := range scripts {
		sum, err := sha256File(filepath.Join(to, script))
		if err != nil {
			return nil, err
		}
		if script == carry.BootstrapWindowsName {
			c.told.BootstrapWindows, c.told.BootstrapWindowsSHA256 = script, sum
		} else {
			c.told.Bootstrap, c.told.BootstrapSHA256 = script, sum
		}
	}
	if !c.app.json() {
		if err := writeInspection(c.app, b, false); err != nil {
			return nil, err
		}
	}
	details := map[string]string{"to": to, "rehearsal": b.Root().Metadata["rehearsal"]}
	return files, logCustody(ctx, c.app, c.Store.Dir(), custody.Written, b.Digest(), b.Root().Name, details, first(c.keys))
}

// makeRoom removes the volumes of another bundle of the line, if that is wanted:
// a reader could not tell two sets apart.
func (c *creation) makeRoom(ctx context.Context, b *bundle.Bundle, to string) error {
	others, err := carry.OtherVolumes(ctx, b, to)
	if err != nil || len(others) == 0 {
		return err
	}
	if !c.f.replace {
		return fmt.Errorf("write volumes: %s is of another bundle of %s.\nTo replace it: --replace", others[0], c.line)
	}
	for _, name := range others {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("replace volumes: %w", err)
		}
	}
	return nil
}

func first(keys []*sign.SecretKey) *sign.SecretKey {
	if len(keys) == 0 {
		return nil
	}
	return keys[0]
}

// report says what was written.
func (c *creation) report(to string, files []string) error {
	if c.app.json() {
		return nil
	}
	fmt.Fprintf(c.app.out, "\nwritten to %s:\n", to)
	for _, f := range files {
		fmt.Fprintf(c.app.out, "  %s\n", filepath.Base(f))
	}
	fmt.Fprintf(c.app.out, "  %s, SHA-256 %s\n", c.told.Bootstrap, c.told.BootstrapSHA256)
	start := "sh " + c.told.Bootstrap
	if script := c.told.BootstrapWindows; script != "" {
		fmt.Fprintf(c.app.out, "  %s, SHA-256 %s\n", script, c.told.BootstrapWindowsSHA256)
		start += ", on Windows powershell -ExecutionPolicy Bypass -File " + script
	}
	_, err := fmt.Fprintf(c.app.out, "\non the other side: %s, or airbuild bundle import DIR\n", start)
	return err
}
