package engine

import (
	"cmp"
	"path"
	"slices"

	"github.com/airbuild/airbuild/engine/internal/outputs"
)

// indexOutputs says what the steps of a graph declare. The outputs of an Inner step
// do not appear in the project.
func indexOutputs(g *Graph, dist string) *outputs.Index {
	steps := make([]outputs.Step, len(g.Steps))
	for id := range g.Steps {
		s := &g.Steps[id]
		if s.Inner {
			continue
		}
		list := make([]outputs.Declared, len(s.Command.OutputPaths))
		for i, out := range s.Command.OutputPaths {
			p := path.Join(s.Command.WorkingDirectory, out)
			list[i] = outputs.Declared{Path: p, Dir: slices.Contains(s.Command.OutputDirectories, out), InPlace: inPlace(s, p)}
		}
		steps[id] = outputs.Step{Name: s.Name, WorkDir: s.Command.WorkingDirectory, Outputs: list, OwnsDirs: s.OwnsDirs}
	}
	return outputs.NewIndex(dist, steps)
}

// Stale lists what earlier runs of the Airbuildfile made outside dist, what is
// still as they made it, and what the graph no longer makes: the next run
// removes it before anything else. Options are those of that run; of them only
// File and Tracked count. A plan must not look at what is listed, so it is made
// again if it was made before.
func Stale(root, state, dist string, g *Graph, o Options) []string {
	index := func() *outputs.Index { return indexOutputs(g, dist) }
	return outputs.Stale(outputs.Place{Root: root, State: state, Dist: dist}, o.File, index, o.Tracked)
}

// inPlace reports whether a step reads the file that it writes: its work is to
// change it, and the file is a source.
func inPlace(s *Step, output string) bool {
	return slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromFile && cmp.Or(i.File, i.Path) == output })
}
