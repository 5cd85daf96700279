package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/tasks"
)

// verifyFlags are the flags of verify.
type verifyFlags struct {
	against, attest string
	provenance      string
	sign            []string
	keep            bool
	trust           trustFlags
}

func (a *app) verifyCommand() *cobra.Command {
	f := &verifyFlags{}
	c := &cobra.Command{
		Use:   "verify [TARGET…]",
		Short: "Build again under other circumstances, and compare every byte",
		Long: "Build the targets once more from a copy of the source: in another directory, at another\n" +
			"time, with another umask, user, host name, home, locale and environment, with nothing taken\n" +
			"from the cache. Then compare every output of every step with what is recorded, or with the\n" +
			"files of --against. What differs is told with its place and its likely cause, the step that\n" +
			"made it first before those that follow from it. Ends with exit code 3 if anything differs.\n" +
			"With --provenance nothing is built: it does what verify-provenance does for the files.",
		Example: "  airbuild verify release\n" +
			"  airbuild verify release --against /media/usb\n" +
			"  airbuild verify release --against dist --attest rebuilt.dsse.json --sign site\n" +
			"  airbuild verify --provenance provenance.intoto.jsonl app.tar.gz",
		ValidArgsFunction: a.completeTargets,
		RunE: func(c *cobra.Command, args []string) error {
			if f.provenance != "" {
				return a.verifyStated(c, args, f)
			}
			return a.verify(c.Context(), args, f)
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.against, "against", "", "compare with the files in `DIR|BUNDLE`, which were carried here")
	fl.StringVar(&f.provenance, "provenance", "", "build nothing: check that files were made as the statement in `FILE` says")
	fl.StringVar(&f.attest, "attest", "", "write a signed statement of what came out the same to `FILE`")
	fl.StringArrayVar(&f.sign, "sign", nil, "sign the statement with this `KEY` of the keyring; may be repeated")
	fl.BoolVar(&f.keep, "keep", false, "keep the directory of the second build, and say where it is")
	declareSandbox(&a.Sandbox, fl)
	f.trust.declare(fl)
	return c
}

// A verification is a verify at work.
type verification struct {
	*project.Session
	app   *app
	f     *verifyFlags
	ids   []engine.StepID // all that the targets need, in graph order
	left  map[engine.StepID]string
	only  map[engine.StepID]bool          // nil: all of ids are made again
	keys  map[engine.StepID]action.Digest // of the recorded results
	place *elsewhere
	again *store.Disk // of the second build
	made  map[string]rebuilt
	world *world

	carried map[string]carriedFile // of --against; nil without
	bundle  *bundle.Bundle         // of --against, if it is one
	against string                 // the bundle, in words
	report  verifyReport
}

// A rebuilt is what the second build told of a step.
type rebuilt struct {
	status string
	key    action.Digest
	err    string
	log    string
}

func (a *app) verify(ctx context.Context, args []string, f *verifyFlags) (err error) {
	if f.attest != "" && len(f.sign) == 0 {
		return exit.UsageError("--attest wants a key to sign with: --sign KEY. To make one: airbuild key new NAME")
	}
	if len(f.sign) > 0 && f.attest == "" {
		return exit.UsageError("--sign signs a statement: say where it goes with --attest FILE")
	}
	sink, js := a.sideSink()
	defer func() { err = endOutput(sink, err) }()
	keys, err := a.signingKeys(ctx, f.sign)
	if err != nil {
		return err
	}
	s, ids, _, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	v := &verification{Session: s, app: a, f: f, ids: s.Plan.Graph.Closure(ids), left: map[engine.StepID]string{}, keys: map[engine.StepID]action.Digest{}}
	defer func() { err = exit.First(err, v.end()) }()
	if err := v.openAgainst(ctx); err != nil {
		return err
	}
	v.leaveOut()
	if err := v.reference(ctx, sink); err != nil {
		return err
	}
	sink.Close()
	if err := v.rebuild(ctx); err != nil {
		return err
	}
	if err := v.compare(ctx); err != nil {
		return err
	}
	if err := v.attest(ctx, keys); err != nil {
		return err
	}
	if err := v.tell(); err != nil {
		return err
	}
	return v.outcome()
}

// sideSink shows a run beside the command's own output: on err. JSON output has
// none of it.
func (a *app) sideSink() (ui.Sink, *ui.JSONSink) {
	c := ui.Config{Mode: ui.Mode(a.output), Color: ui.ColorMode(a.color), Out: a.err, Err: a.err, LookupEnv: a.LookupEnv, Offline: a.Offline}
	if a.json() {
		c.Mode, c.Out, c.Err = ui.Plain, io.Discard, a.err
	}
	s := ui.New(c)
	a.shown.Store(&s)
	return s, nil
}

// signingKeys opens secret keys of the keyring by name.
func (a *app) signingKeys(ctx context.Context, names []string) ([]*sign.SecretKey, error) {
	ring := a.knownKeys()
	var keys []*sign.SecretKey
	for _, name := range names {
		key, err := ring.Secret(name, a.keyPassword(ctx, name))
		if errors.Is(err, sign.ErrNoKey) {
			return nil, exit.UsageError("--sign: %w.\nTo make it: airbuild key new %s", err, name)
		}
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// leaveOut finds the steps that are not built again, and says why.
func (v *verification) leaveOut() {
	g := v.Plan.Graph
	for _, id := range v.ids {
		s := &g.Steps[id]
		switch {
		case v.only != nil && !v.only[id] && !s.Inner:
			v.left[id] = notSampled
		case s.Traits.SideEffects:
			v.left[id] = "it changes something outside the project"
		case s.NoCache:
			v.left[id] = "it is never cached (cache = false)"
		case s.Network:
			v.left[id] = "it may use the network; its recorded result is taken"
		default:
			if secret := tasks.LackingSecret(s); secret != "" {
				v.left[id] = "this host does not have the secret of " + secret + "; its recorded result is taken where what it signs is the same"
			}
		}
		if v.taken(id) {
			continue
		}
		for _, need := range g.Needs(id) {
			if _, ok := v.left[need]; ok && !v.taken(need) && v.left[id] == "" {
				v.left[id] = "it needs " + g.Steps[need].Name + ", which is left out"
			}
		}
	}
}

// taken reports whether the second build takes a step's recorded result.
func (v *verification) taken(id engine.StepID) bool {
	s := &v.Plan.Graph.Steps[id]
	if v.only != nil && !v.only[id] {
		return !s.NoCache
	}
	return (s.Network || tasks.LackingSecret(s) != "") && !s.NoCache && !s.Traits.SideEffects
}

// reference makes sure that there is something to compare with: what is not
// recorded is made first, as run would. With --against that is only what the
// second build takes as recorded.
func (v *verification) reference(ctx context.Context, sink ui.Sink) error {
	var want []engine.StepID
	for _, id := range v.ids {
		_, left := v.left[id]
		if v.taken(id) || !left && v.carried == nil {
			want = append(want, id)
		}
	}
	if v.Options.Offline {
		if err := v.RefuseOffline(ctx, want); err != nil {
			return err
		}
	}
	if err := v.RefuseOpenHost(ctx); err != nil {
		return err
	}
	o := v.RunOptions()
	var err error
	if o.Executor, err = v.Executor(); err != nil {
		return err
	}
	o.OnEvent = func(e engine.Event) {
		v.remember(e)
		sink.OnEvent(e)
	}
	if len(want) > 0 {
		sum, err := engine.Run(ctx, v.Plan.Graph, want, o)
		if err != nil {
			return err
		}
		if err := outcome(sum); err != nil {
			return err
		}
	}
	if v.carried == nil {
		return nil
	}
	o.DryRun, o.OnEvent = true, v.remember
	_, err = engine.Run(ctx, v.Plan.Graph, v.ids, o)
	return err
}

// remember keeps the keys of recorded results.
func (v *verification) remember(e engine.Event) {
	if e.Kind == engine.StepFinished && (e.Status == engine.Hit || e.Status == engine.Done) && !e.Key.IsZero() {
		v.keys[e.ID] = e.Key
		if e.Status == engine.Done {
			v.report.First = append(v.report.First, e.Step.Name)
		}
	}
}

// openAgain opens the store of the second build. What was carried is there too, so
// that its results have the same scope as here.
func (v *verification) openAgain() (*store.Disk, error) {
	s, err := store.Open(v.place.cache)
	if err == nil {
		s.Scope = v.Store.Scope
	}
	return s, err
}

// seed puts the results that the second build takes as they are into its store.
func (v *verification) seed(ctx context.Context) error {
	for _, id := range v.ids {
		key, ok := v.keys[id]
		if !ok || !v.taken(id) {
			continue
		}
		res, err := v.Store.Result(ctx, key)
		if err != nil {
			return err
		}
		if res == nil {
			continue
		}
		if err := copyResult(ctx, v.Store, v.again, key, res); err != nil {
			return fmt.Errorf("take the result of %s: %w", v.Plan.Graph.Steps[id].Name, err)
		}
	}
	return nil
}

// copyResult copies a result with all blobs from one store to another.
func copyResult(ctx context.Context, from, to *store.Disk, key action.Digest, res *action.Result) error {
	refs, err := from.References(ctx, res)
	if err != nil {
		return err
	}
	for _, d := range append(refs, key) {
		r, err := from.Open(ctx, d)
		if errors.Is(err, os.ErrNotExist) && d == key {
			continue // what explains the key is not needed for a hit
		}
		if err != nil {
			return err
		}
		_, err = to.Put(ctx, r)
		if err = errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return to.PutResult(ctx, key, res)
}

// rebuild builds once more, elsewhere.
func (v *verification) rebuild(ctx context.Context) (err error) {
	if v.place, err = v.newPlace(ctx); err != nil {
		return err
	}
	if v.again, err = v.openAgain(); err != nil {
		return err
	}
	if err := v.seed(ctx); err != nil {
		return err
	}
	// The second build has the store to itself, and its locks.
	if err := v.again.Close(); err != nil {
		return err
	}
	v.again = nil
	if v.world, err = v.otherWorld(ctx); err != nil {
		return err
	}
	fmt.Fprintf(v.app.err, "building again elsewhere: %s\n", human.Count(len(v.targets()), "step"))
	if v.made, err = v.runElsewhere(ctx); err != nil {
		return err
	}
	v.again, err = v.openAgain()
	return err
}

// targets are the names of the steps to build again.
func (v *verification) targets() []string {
	var names []string
	for _, id := range v.ids {
		s := &v.Plan.Graph.Steps[id]
		if _, left := v.left[id]; !left && !s.Inner {
			names = append(names, s.Name)
		}
	}
	return names
}

// end removes the place of the second build.
func (v *verification) end() error {
	var errs []error
	if v.again != nil {
		errs = append(errs, v.again.Close())
		v.again = nil
	}
	if v.bundle != nil {
		errs = append(errs, v.bundle.Close())
		v.bundle = nil
	}
	if v.place == nil {
		return errors.Join(errs...)
	}
	if v.f.keep {
		fmt.Fprintf(v.app.err, "the second build is in %s\n", v.place.top)
	} else {
		errs = append(errs, v.place.remove())
	}
	v.place = nil
	return errors.Join(errs...)
}

// outcome is the exit code.
func (v *verification) outcome() error {
	switch {
	case v.report.Failed > 0:
		return exit.Silent(exit.Failed)
	case v.report.Differing > 0 || v.report.Missing > 0:
		return exit.Silent(exit.Unverified)
	case v.report.Same == 0:
		return exit.With(exit.Unverified, errors.New("nothing was compared, so nothing is verified: "+v.nothing()))
	}
	return nil
}

func (v *verification) nothing() string {
	if v.carried != nil {
		return "none of the files in " + v.f.against + " is an output of these targets"
	}
	return "every step is left out, or has no outputs"
}

// An elsewhere is where the second build happens.
type elsewhere struct {
	top, project, cache, home, tmp, gocache string
}

// newPlace makes a directory for the second build, in it a copy of the project
// at another depth and with a path of another length.
func (v *verification) newPlace(ctx context.Context) (_ *elsewhere, err error) {
	top, err := os.MkdirTemp("", "airbuild-verify-")
	if err != nil {
		return nil, fmt.Errorf("make a place to build in: %w", err)
	}
	if top, err = filepath.EvalSymlinks(top); err != nil {
		return nil, fmt.Errorf("make a place to build in: %w", err)
	}
	p := &elsewhere{top: top, cache: filepath.Join(top, "store"), home: filepath.Join(top, "home-of-another"), tmp: filepath.Join(top, "t"), gocache: filepath.Join(top, "gocache")}
	v.place = p
	p.project = filepath.Join(top, "elsewhere")
	depth := func(s string) int { return strings.Count(s, string(filepath.Separator)) }
	for depth(p.project) == depth(v.Root) || len(p.project) == len(v.Root) {
		p.project = filepath.Join(p.project, "deeper")
	}
	for _, d := range []string{p.project, p.cache, p.home, p.tmp, p.gocache} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("make a place to build in: %w", err), p.remove())
		}
	}
	if err := v.copyProject(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the project: %w", err), p.remove())
	}
	if from := project.CarriedDir(v.Store.Dir()); project.Exists(from) {
		if err := os.Symlink(from, project.CarriedDir(p.cache)); err != nil {
			return nil, errors.Join(err, p.remove())
		}
	}
	return p, nil
}

func (p *elsewhere) remove() error {
	filepath.WalkDir(p.top, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			os.Chmod(name, 0o700) // module caches are read-only
		}
		return nil
	})
	if err := os.RemoveAll(p.top); err != nil {
		return fmt.Errorf("remove the second build: %w", err)
	}
	return nil
}

// sortedKeys are the keys of a map, sorted.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
