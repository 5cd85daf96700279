package carry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// A ContentSpec is what Collect goes by.
type ContentSpec struct {
	Root, Dist, Cache string
	Store             *store.Disk
	Go                *gocmd.Config   // nil: the project has no Go stages
	Made              []StepResult    // every step that the bundle is for, with all that it needs
	Inputs            []action.Digest // see engine.Summary.ExportedInputs
	Outputs           []string        // project-relative: what the user takes away
	Hosts             []string        // "linux/amd64"
	Programs          map[string]string
	Self              string // this program's own file
	Exclude           []string
	History           bool
	Identity          func(context.Context) (*source.Info, error) // as of SourceSpec
	Extra             []ExtraSpec
	// Without names components to leave out, by their kind.
	Without []string
	// Heads are the signed heads of checksum databases that the receiver has.
	Heads map[string][]byte
	// Scratch is a directory for temporary files, which are large.
	Scratch string
	Log     io.Writer
}

// An ExtraSpec is a component of further files. Dir is absolute.
type ExtraSpec struct {
	Name, Dir string
	Patterns  []string
}

// A Contents is all that goes into a bundle. Close removes what was made for
// it, and is called when the bundle is made.
type Contents struct {
	Components []create.Component
	Source     *SourceTree  // nil if it is left out
	Info       *source.Info // of the source, carried or not
	// Heads are those of the carried databases, for the next bundle.
	Heads map[string][]byte
	// Toolchain is the Go that is carried; empty for none.
	Toolchain string
	Notes     []string // for the user
	temp      []string
}

// Close removes temporary files.
func (g *Contents) Close() error {
	if g.Source != nil {
		g.Source.Close()
	}
	return errors.Join(lists.Map(g.temp, removeTree)...)
}

// Collect makes the components of a bundle. The Contents must be closed, also
// if there is an error.
func Collect(ctx context.Context, g ContentSpec) (*Contents, error) {
	out := &collector{ContentSpec: g}
	if slices.Contains(g.Without, Source) {
		// Without it the bundle would count as older than any other.
		info, err := SourceSpec{Root: g.Root, Identity: g.Identity}.identity(ctx)
		if err != nil {
			return &out.Contents, err
		}
		out.Info = info
	}
	for _, part := range []struct {
		kind string
		do   func(context.Context) error
	}{
		{Airbuild, out.programs},
		{Source, out.source},
		{Actions, out.results},
		{GoCache, out.compiled},
		{Modules, out.modules},
		{Artifacts, out.artifacts},
		{SBOM, out.bills},
		{Extra, out.extra},
	} {
		if err := ctx.Err(); err != nil {
			return &out.Contents, err
		}
		if slices.Contains(g.Without, part.kind) {
			continue
		}
		if err := part.do(ctx); err != nil {
			return &out.Contents, err
		}
	}
	sortedComponents(out.Components)
	return &out.Contents, nil
}

// Kinds are the components that can be left out.
func Kinds() []string {
	return []string{Airbuild, Source, Modules, SumDB, Toolchain, GoCache, Actions, Artifacts, SBOM, Extra}
}

type collector struct {
	ContentSpec
	Contents
}

func (g *collector) note(format string, args ...any) {
	g.Notes = append(g.Notes, fmt.Sprintf(format, args...))
}

func (g *collector) programs(context.Context) error {
	cs, missing, err := Programs(g.Hosts, g.ContentSpec.Programs, g.Root, g.Self)
	if err != nil {
		return err
	}
	for _, host := range missing {
		g.note("no airbuild for %s is carried: name one with --airbuild %s=FILE", host, host)
	}
	for _, c := range cs {
		for _, f := range c.Files {
			if why, err := needsLibraries(f); err != nil {
				return err
			} else if why != "" {
				g.note("%s %s; build it with CGO_ENABLED=0", c.Name, why)
			}
		}
	}
	g.Components = append(g.Components, cs...)
	for _, host := range g.Hosts {
		for _, note := range Unfit(host, g.Made) {
			g.note("%s", note)
		}
	}
	return nil
}

func (g *collector) source(ctx context.Context) error {
	t, err := SourceFiles(ctx, SourceSpec{Root: g.Root, Dist: g.Dist, Cache: g.Cache, Exclude: g.Exclude, History: g.History, Identity: g.Identity})
	if err != nil {
		return err
	}
	g.Source, g.Info = t, t.Info
	g.Components = append(g.Components, t.Component)
	if t.Info.Dirty {
		g.note("the source has changes that are not committed; they are carried, and it says so")
	}
	if n := len(t.Untracked); n > 0 {
		g.note("git does not know %s%s: not carried", strings.Join(t.Untracked[:min(n, 3)], ", "), more(n-3))
	}
	return nil
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf(" and %d more files", n)
}

func (g *collector) results(ctx context.Context) error {
	c, err := Results(ctx, g.Store, g.Made, g.Inputs)
	g.Components = append(g.Components, c)
	return err
}

func (g *collector) compiled(ctx context.Context) error {
	cs, err := Compiled(ctx, g.Store, g.Made)
	g.Components = append(g.Components, cs...)
	return err
}

// modules collects modules, proofs and toolchains: one tree, taken apart.
func (g *collector) modules(ctx context.Context) error {
	if g.Go == nil {
		return nil
	}
	o := golang.Collection{Heads: g.ContentSpec.Heads, Scratch: g.Scratch, Log: g.Log}
	if !slices.Contains(g.Without, Toolchain) {
		tc, err := g.Go.Toolchain()
		if err != nil {
			return err
		}
		if !tc.Release {
			return fmt.Errorf("carry Go: %s in %s is a development build, which nothing can verify on the other side; use a release, or leave it out with --without toolchain", tc.Version, tc.Root)
		}
		g.Toolchain = tc.Version
		for _, host := range g.Hosts {
			goos, goarch := splitHost(host)
			o.Toolchains = append(o.Toolchains, goproxy.Toolchain{Version: tc.Version, Host: HostName(goos, goarch)})
		}
	}
	got, err := g.collect(ctx, o)
	if err != nil {
		return err
	}
	g.Notes = append(g.Notes, got.Notes...)
	g.Contents.Heads = got.Heads
	cs := goParts(got.files)
	for i := range cs {
		kind, _, _ := strings.Cut(cs[i].Name, "/")
		if slices.Contains(g.Without, kind) {
			continue
		}
		if kind == Modules {
			cs[i].Metadata = got.Evidence
		}
		g.Components = append(g.Components, cs[i])
	}
	return nil
}

// tempDir makes a directory that goes when the bundle is made.
func (g *collector) tempDir(pattern string) (string, error) {
	dir, err := os.MkdirTemp(g.Scratch, pattern)
	if err == nil {
		g.temp = append(g.temp, dir)
	}
	return dir, err
}

// evidence says by what the modules were verified.
func evidence(r *goproxy.Report) map[string]string {
	m := map[string]string{}
	for name, e := range map[string]goproxy.Evidence{
		"proven": goproxy.ByProof, "recorded": goproxy.ByRecord, "by-sum": goproxy.BySum, "unverified": goproxy.Unverified,
	} {
		if n := r.Count(e); n > 0 {
			m[name] = fmt.Sprint(n)
		}
	}
	if r.Database != "" {
		m["database"] = r.Database
	}
	return m
}

// heads reads the signed heads of a tree's databases.
func heads(tree string) (map[string][]byte, error) {
	names, err := goproxy.Databases(tree)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range names {
		b, err := readBounded(filepath.Join(tree, goproxy.SumDBName, name, "latest"), 64<<10)
		if err != nil {
			return nil, fmt.Errorf("read the head of %s: %w", name, err)
		}
		out[name] = b
	}
	return out, nil
}

func (g *collector) artifacts(context.Context) error {
	c, err := OutputFiles(g.Root, g.Dist, g.Outputs)
	if len(c.Files) > 0 {
		g.Components = append(g.Components, c)
	}
	return err
}

// bills are the bills of materials that sbom stages wrote: apart from the other
// artifacts, for who looks at media and asks no more than what is on them.
func (g *collector) bills(context.Context) error {
	var outputs []string
	for _, m := range g.Made {
		if !m.Step.Traits.Bill {
			continue
		}
		for _, o := range m.Step.Command.OutputPaths {
			outputs = append(outputs, path.Join(m.Step.Command.WorkingDirectory, o))
		}
	}
	c, err := OutputFiles(g.Root, g.Dist, outputs)
	if c.Name = SBOM; len(c.Files) > 0 {
		g.Components = append(g.Components, c)
	}
	return err
}

func (g *collector) extra(context.Context) error {
	for _, e := range g.ContentSpec.Extra {
		c, err := ExtraFiles(e.Name, e.Dir, e.Patterns)
		if err != nil {
			return err
		}
		g.Components = append(g.Components, c)
	}
	return nil
}

// Rebuildable are the steps that a rehearsal makes once more: those that
// compile what is shipped. Tests were run where the bundle is made.
func Rebuildable(made []StepResult) []string {
	var names []string
	for _, m := range made {
		if m.Step.Inner || m.Step.NoCache {
			continue // a deploy, for one, must not run in a rehearsal
		}
		if m.Step.Traits.Rebuilt {
			names = append(names, m.Step.Name)
		}
	}
	return names
}

// Hits are those of targets' steps that a rehearsal can find in the store, as
// targets of run. They are targets themselves unless some steps are never
// stored: those, and what needs them, are left out, and counted.
func Hits(g *engine.Graph, targets []string, ids []engine.StepID) (hits []string, never int) {
	unstored := map[engine.StepID]bool{}
	closure := g.Closure(ids) // needs come first
	for _, id := range closure {
		unstored[id] = g.Steps[id].NoCache || slices.ContainsFunc(g.Needs(id), func(n engine.StepID) bool { return unstored[n] })
		if unstored[id] {
			never++
		}
	}
	if never == 0 {
		return targets, 0
	}
	for _, id := range closure {
		if !unstored[id] && !g.Steps[id].Inner {
			hits = append(hits, g.Steps[id].Name)
		}
	}
	return hits, never
}

// UsesGo reports whether one of the steps runs the go command.
func UsesGo(g *engine.Graph, ids []engine.StepID) bool {
	return slices.ContainsFunc(ids, func(id engine.StepID) bool { return g.Steps[id].Traits.Go })
}
