// Package bundling makes a bundle of a project: it makes the targets, refuses what
// would not be complete, gathers contents, rehearses and writes.
package bundling

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines"
)

// A Target is what a bundle is for: a bundle block, or targets as run takes them.
type Target struct {
	Block  *pipelines.Bundle // nil: targets were named
	names  []string          // as run takes them
	Steps  []engine.StepID
	series string // of the bundles
}

// Options say what a bundle carries, and where it is written.
type Options struct {
	Target     *Target
	To         string
	Keys       []*sign.SecretKey // that sign
	Keyring    *sign.Keyring     // nil: there is none
	VolumeSize int64             // bytes; pipelines.NoVolumes: a directory
	Base       *create.Base      // what the receiver has; nil: nothing
	Heads      map[string][]byte // of the base, see carry.HeadsOf; nil: of the last bundle
	Hosts      []string          // "OS/ARCH"
	Programs   []string          // "OS/ARCH=FILE"
	Extra      []string          // "NAME=PATTERN"
	Exclude    []string
	Without    []string // components
	History    bool
	NoRehearse bool
	NoRebuild  bool
	Replace    bool   // another bundle of the series
	Version    string // airbuild's
	Actor      string
	OnEvent    func(engine.Event) // gets the events of making the targets
	// Progress begins to show how far a long operation is.
	Progress func() (show bundle.ProgressFunc, end func())
	Log      io.Writer // gets what the rehearsal writes
	// Note shows a line about the bundle, and Say one about what goes on.
	Note, Say func(line string)
	// Missed shows a step that was no hit in the rehearsal, or failed.
	Missed func(carry.Missing)
	// Done is called with the bundle when all is written.
	Done func(*bundle.Bundle, *Written) error
}

// Written is what was written for a bundle.
type Written struct {
	To        string
	Volumes   []string          // files; none for a directory
	Bootstrap map[string]string // names of scripts in to, and their SHA-256
	Notes     []string
}

// A Builder makes a bundle.
type Builder struct {
	*project.Session
	o Options
	*Target
	made    map[engine.StepID]carry.StepResult
	outputs []string
	inputs  []action.Digest   // see engine.Summary.ExportedInputs
	program map[string]string // airbuild for a host
	extra   []carry.ExtraSpec
	vars    *variables
	named   map[string]sign.PublicKey // see namedKeys
	out     Written
	// lacks are notes on files that are used and not carried; lackKnown: they are
	// all of them.
	lacks     []string
	lackKnown bool
}

// New checks what can be wrong with the options, before the long work.
func New(p *project.Project, o Options) (*Builder, error) {
	c := &Builder{o: o, Target: o.Target, made: map[engine.StepID]carry.StepResult{}}
	if err := c.contents(p.Root); err != nil {
		return nil, err
	}
	var err error
	c.vars, err = variablesOf(p, c.Steps)
	return c, err
}

// Run makes the targets and the bundle.
func (c *Builder) Run(ctx context.Context, s *project.Session) error {
	c.Session = s
	c.ownResults()
	if c.Options.Offline {
		if err := c.RefuseOffline(ctx, c.Steps); err != nil {
			return err
		}
	}
	if err := c.RefuseOpenHost(ctx); err != nil {
		return err
	}
	if err := c.lack(ctx); err != nil {
		return err
	}
	if err := c.make(ctx); err != nil {
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
func (c *Builder) ownResults() {
	if c.Store.Scope.IsZero() {
		return
	}
	c.Store.Scope = store.Scope{}
	c.o.Note(fmt.Sprintf("results that came with bundle %s are not carried on, and those steps run again here. To vouch for them, trust its signer with airbuild key trust NAME --for bundle, and import it again", c.Carried.Bundle[:12]))
}

// Choose finds what the bundle is for: a bundle block, or targets. The series
// has the name of the project and of what it is for, unless it is given.
func Choose(p *project.Project, args []string, series string) (_ *Target, err error) {
	c := &Target{series: series}
	switch {
	case len(args) == 1 && p.Plan.Bundle(args[0]) != nil:
		c.Block = p.Plan.Bundle(args[0])
	case len(args) == 0 && len(p.Plan.Bundles) == 1:
		c.Block = p.Plan.Bundles[0]
	}
	name := ""
	if c.Block != nil {
		c.Steps, name = c.Block.Steps, c.Block.Name
		for _, id := range c.Steps {
			c.names = append(c.names, p.Plan.Graph.Steps[id].Name)
		}
	} else {
		var names []string
		if c.Steps, names, err = p.Plan.Select(args); err != nil {
			return nil, exit.UsageError("%w", err)
		}
		c.names, name = names, strings.Join(names, "-")
	}
	if len(c.Steps) == 0 {
		return nil, exit.UsageError("nothing to bundle: name a pipeline or a stage")
	}
	if c.series == "" {
		c.series = seriesName(filepath.Base(p.Root) + "-" + name)
	}
	return c, nil
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// seriesName makes a plain name.
func seriesName(s string) string {
	s = strings.Trim(notInName.ReplaceAllString(s, "-"), ".-_")
	if len(s) > 80 {
		s = strings.Trim(s[:80], ".-_")
	}
	if s == "" {
		return "bundle"
	}
	return s
}

// make runs the targets, and what must run again to be carried.
func (c *Builder) make(ctx context.Context) error {
	o := c.RunOptions()
	o.ExportInputs = true
	var err error
	if o.Executor, err = c.Executor(); err != nil {
		return err
	}
	o.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepFinished && (e.Status == engine.Hit || e.Status == engine.Done) {
			c.made[e.ID] = carry.StepResult{ID: e.ID, Step: e.Step, Key: e.Key}
			if !e.Step.Inner {
				for _, out := range e.Outputs {
					c.outputs = append(c.outputs, out.Path)
				}
			}
		}
		c.o.OnEvent(e)
	}
	compiled, err := c.Options.WantsCompileCache()
	if err != nil {
		return err
	}
	for {
		sum, err := engine.Run(ctx, c.Plan.Graph, c.Steps, o)
		if err != nil {
			return err
		}
		if err := project.Outcome(sum); err != nil {
			return err
		}
		c.inputs = sum.ExportedInputs
		if len(o.ForceSteps) > 0 || slices.Contains(c.o.Without, carry.GoCache) || !compiled {
			return nil
		}
		again, err := carry.Unrecorded(ctx, c.Store, c.madeSteps())
		if err != nil || len(again) == 0 {
			return err
		}
		c.Options.Notify(fmt.Sprintf("re-running steps to capture their compiled packages for the bundle: %d", len(again)))
		o.ForceSteps = map[engine.StepID]bool{}
		for _, id := range again {
			o.ForceSteps[id] = true
		}
		c.outputs = nil
	}
}

// madeSteps are those that were made, in graph order.
func (c *Builder) madeSteps() []carry.StepResult {
	return lists.Map(slices.Sorted(maps.Keys(c.made)), func(id engine.StepID) carry.StepResult { return c.made[id] })
}

// deliver writes volumes if they are wanted, and the bootstrap script.
func (c *Builder) deliver(ctx context.Context, dir, to string) (err error) {
	trust := bundle.Trust{AllowUnsigned: true}
	for _, key := range c.o.Keys {
		trust.Keys = append(trust.Keys, key.Public())
	}
	b, err := bundle.Open(ctx, trust, dir)
	if err != nil {
		return Explain(err)
	}
	err = errors.Join(c.copyOut(ctx, b, dir, to), b.Close())
	if err == nil && dir != to {
		err = carry.Clear(dir) // the volumes have it all
	}
	return err
}

// copyOut writes what goes to the media.
func (c *Builder) copyOut(ctx context.Context, b *bundle.Bundle, dir, to string) (err error) {
	c.out.To, c.out.Bootstrap = to, map[string]string{}
	if dir != to {
		if err := c.makeRoom(ctx, b, to); err != nil {
			return err
		}
		show, end := c.o.Progress()
		c.out.Volumes, err = create.Volumes(ctx, b, to, create.VolumeOptions{Size: c.o.VolumeSize, Progress: show})
		end()
		if err != nil {
			return Explain(err)
		}
	}
	scripts, err := carry.WriteBootstrap(b, to)
	if err != nil {
		return err
	}
	for _, script := range scripts {
		d, err := action.OfFile(os.Open(filepath.Join(to, script)))
		if err != nil {
			return err
		}
		c.out.Bootstrap[script] = d.Hex()
	}
	return c.o.Done(b, &c.out)
}

// makeRoom removes the volumes of another bundle of the line, if that is wanted:
// a reader could not tell two sets apart.
func (c *Builder) makeRoom(ctx context.Context, b *bundle.Bundle, to string) error {
	others, err := carry.OtherVolumes(ctx, b, to)
	if err != nil || len(others) == 0 {
		return err
	}
	if !c.o.Replace {
		return fmt.Errorf("write volumes: %s is of another bundle of %s.\nTo replace it: --replace", others[0], c.series)
	}
	for _, name := range others {
		if err := os.Remove(name); err != nil {
			return fmt.Errorf("replace volumes: %w", err)
		}
	}
	return nil
}
