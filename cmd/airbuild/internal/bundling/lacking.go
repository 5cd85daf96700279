package bundling

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// usesOf are the files that planning read, as seen from the project.
func usesOf(p *project.Project) []carry.Use {
	return lists.Map(p.Files.Files(p.Root), func(name string) carry.Use { return carry.Use{File: name} })
}

// lack refuses a bundle whose steps, or whose Airbuildfile, use files that it
// would not carry: the other side would plan and build something else. It is
// called before the long work, and again after it if some inputs were not known
// then. With --no-rehearse they are notes.
func (c *Builder) lack(ctx context.Context) error {
	if c.lackKnown || slices.Contains(c.o.Without, carry.Source) {
		return nil
	}
	readings, complete, err := engine.Readings(ctx, c.Plan.Graph, c.Steps, c.RunOptions())
	if err != nil {
		return err
	}
	c.lackKnown = complete
	spec := carry.SourceSpec{Root: c.Root, Dist: c.Plan.Dist, Cache: c.Store.Dir(), Exclude: c.exclude()}
	uses := append(usesOf(c.Project), carry.Uses(c.Plan.Graph, readings)...)
	closure := c.Plan.Graph.Closure(c.Steps)
	made := carry.MadeBy(c.Plan.Graph, closure)
	lacks, err := carry.Lacking(ctx, spec, append(uses, c.ownPrograms(closure)...), made)
	if err != nil {
		return err
	}
	if len(lacks) > 0 && !c.o.NoRehearse {
		return lackError(lacks)
	}
	files, err := carry.Lacking(ctx, spec, c.variableFiles(), nil)
	if err != nil {
		return err
	}
	c.lacks = nil
	for _, l := range append(lacks, files...) {
		c.lacks = append(c.lacks, "not carried: "+l.String())
	}
	return nil
}

// ownPrograms are the programs that steps run and that lie in the project. Others
// are the host's.
func (c *Builder) ownPrograms(ids []engine.StepID) []carry.Use {
	var uses []carry.Use
	for _, id := range ids {
		step := &c.Plan.Graph.Steps[id]
		for _, p := range tasks.ProgramsOf(step) {
			if rel, err := filepath.Rel(c.Root, p.Path); err == nil && filepath.IsLocal(rel) {
				uses = append(uses, carry.Use{File: p.Path, By: step.Name})
			}
		}
	}
	return uses
}

// variableFiles are the files of --var-file. The rehearsal gets what is in them,
// and so must the other side, by another way if they are not carried.
func (c *Builder) variableFiles() []carry.Use {
	var uses []carry.Use
	for _, name := range c.Options.VarFiles {
		if abs, err := filepath.Abs(name); err == nil {
			uses = append(uses, carry.Use{File: abs, By: "--var-file"})
		}
	}
	return uses
}

// mostLacks are shown at once.
const mostLacks = 8

func lackError(lacks []carry.Lack) error {
	var b strings.Builder
	b.WriteString("the bundle would not be complete: it does not carry")
	for _, l := range lacks[:min(len(lacks), mostLacks)] {
		fmt.Fprintf(&b, "\n  %s", &l)
		for _, line := range l.Advice() {
			fmt.Fprintf(&b, "\n    %s", line)
		}
	}
	if n := len(lacks) - mostLacks; n > 0 {
		fmt.Fprintf(&b, "\n  and %d more", n)
	}
	b.WriteString("\nTo write the bundle without them, marked as not rehearsed: --no-rehearse")
	return exit.UsageError("%s", b.String())
}
