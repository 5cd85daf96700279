package shard

import (
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
)

// sample is vendor → bin[0..4] → pack[0..4] → sums, and lint on its own.
func sample(t *testing.T) (*engine.Graph, []engine.StepID) {
	t.Helper()
	g := &engine.Graph{}
	add := func(stage, cell string, after ...engine.StepID) engine.StepID {
		name := stage
		if cell != "" {
			name += "[" + cell + "]"
		}
		id, err := g.Add(engine.Step{Name: name, Stage: stage, Cell: cell, After: after})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	vendor := add("vendor", "")
	var packs []engine.StepID
	for _, c := range []string{"0", "1", "2", "3", "4"} {
		bin := add("bin", c, vendor)
		packs = append(packs, add("pack", c, bin))
	}
	sums := add("sums", "", packs...)
	lint := add("lint", "")
	return g, []engine.StepID{sums, lint}
}

func names(g *engine.Graph, ids []engine.StepID) string {
	var out []string
	for _, id := range ids {
		out = append(out, g.Steps[id].Name)
	}
	return strings.Join(out, " ")
}

func TestSelect(t *testing.T) {
	g, targets := sample(t)
	for s, want := range map[Shard]string{
		{1, 2}: "bin[0] pack[0] bin[2] pack[2] bin[4] pack[4] lint",
		{2, 2}: "bin[1] pack[1] bin[3] pack[3]",
		{1, 1}: "sums lint",
	} {
		mine, left := s.Select(g, targets)
		if got := names(g, mine); got != want {
			t.Errorf("%v makes %q, want %q", s, got, want)
		}
		if got := names(g, left); got != "sums" && s.Of > 1 {
			t.Errorf("%v leaves %q", s, got)
		}
	}
}

func TestEveryStepIsMadeSomewhere(t *testing.T) {
	g, targets := sample(t)
	for of := 1; of <= 8; of++ {
		made := map[engine.StepID]bool{}
		var left []engine.StepID
		for i := 1; i <= of; i++ {
			var mine []engine.StepID
			mine, left = Shard{i, of}.Select(g, targets)
			for _, id := range g.Closure(mine) {
				made[id] = true
			}
		}
		for _, id := range left {
			if made[id] {
				t.Errorf("of %d: %s is left and made", of, g.Steps[id].Name)
			}
			made[id] = true
		}
		if len(made) != len(g.Steps) {
			t.Errorf("of %d: %d of %d steps made", of, len(made), len(g.Steps))
		}
	}
}

func TestParse(t *testing.T) {
	for in, want := range map[string]Shard{"1/1": {1, 1}, "2/5": {2, 5}, "0/5": {}, "6/5": {}, "a/b": {}, "3": {}, "1/2/3": {}, "": {}} {
		got, err := Parse(in)
		if got != want || (err == nil) != (want != Shard{}) {
			t.Errorf("Parse(%q) = %v, %v", in, got, err)
		}
	}
}
