package bundling

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/pattern"
)

// contents reads what of flags and block says what is carried.
func (c *Builder) contents(root string) error {
	c.program = map[string]string{}
	if b := c.Block; b != nil {
		if len(c.o.Hosts) == 0 {
			c.o.Hosts = b.Hosts
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
	if len(c.o.Hosts) == 0 {
		c.o.Hosts = []string{carry.ThisHost()}
	}
	for _, host := range c.o.Hosts {
		if err := carry.CheckHost(host); err != nil {
			return exit.UsageError("--host: %w", err)
		}
	}
	for _, s := range c.o.Programs {
		host, file, ok := strings.Cut(s, "=")
		if !ok || file == "" {
			return exit.UsageError("--airbuild %q: want OS/ARCH=FILE", s)
		}
		if !slices.Contains(c.o.Hosts, host) {
			return exit.UsageError("--airbuild %q: the bundle is for %s: name that host too, with --host", s, strings.Join(c.o.Hosts, ", "))
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
	for _, s := range c.o.Extra {
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
	for _, p := range c.o.Exclude {
		if err := pattern.Check(p); err != nil {
			return exit.UsageError("the pattern %q of --exclude cannot be used: %s", p, err)
		}
	}
	return nil
}

// exclude are the patterns of source files that stay behind.
func (c *Builder) exclude() []string {
	if c.Block == nil {
		return c.o.Exclude
	}
	return slices.Concat(c.Block.Exclude, c.o.Exclude)
}

// contentSpec says what goes into the bundle.
func (c *Builder) contentSpec(scratch string) (carry.ContentSpec, error) {
	self, err := os.Executable()
	if err != nil {
		return carry.ContentSpec{}, fmt.Errorf("find airbuild's own program: %w", err)
	}
	g := carry.ContentSpec{
		Root: c.Root, Dist: c.Plan.Dist, Cache: c.Store.Dir(), Store: c.Store, Scratch: scratch,
		Made: c.madeSteps(), Inputs: c.inputs, Outputs: c.outputs, Hosts: c.o.Hosts, Programs: c.program, Self: self,
		Exclude: c.exclude(), History: c.o.History, Extra: c.extra, Without: c.o.Without, Heads: c.o.Heads,
		Identity: c.SourceInfo,
	}
	if carry.UsesGo(c.Plan.Graph, c.Plan.Graph.Closure(c.Steps)) {
		g.Go = c.Go
	}
	if b := c.Block; b != nil {
		g.History = g.History || b.History
	}
	if g.Heads == nil {
		g.Heads, err = carry.LastHeads(c.Store.Dir(), c.series)
	}
	return g, err
}
