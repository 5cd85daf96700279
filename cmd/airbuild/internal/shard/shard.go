// Package shard divides a run among machines that share a cache.
package shard

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// A Shard is one of Of parts, counted from 1. The zero Shard is the whole.
type Shard struct{ Index, Of int }

// Parse reads "2/5".
func Parse(s string) (Shard, error) {
	i, n, ok := strings.Cut(s, "/")
	index, err1 := strconv.Atoi(i)
	of, err2 := strconv.Atoi(n)
	if !ok || err1 != nil || err2 != nil || index < 1 || of < index {
		return Shard{}, fmt.Errorf("shard %q: want a part and their number, such as 2/5", s)
	}
	return Shard{index, of}, nil
}

const (
	shared = -1 // needed by cells of any shard
	whole  = -2 // needs cells of several shards
)

// Select returns what the shard has to make of the targets. The cells of a
// stage are dealt out in turn; what hangs on cells of one shard goes with them;
// what needs cells of several shards is left to a run without shards, which
// then finds all the rest in the cache, and is returned as left. A step that
// hangs on no cell is made by every shard that needs it; if none does, it is
// dealt out too. Every step that is not left is made by some shard.
func (s Shard) Select(g *engine.Graph, targets []engine.StepID) (mine, left []engine.StepID) {
	if s.Of <= 1 {
		return targets, nil
	}
	all := g.Closure(targets)
	owner := make(map[engine.StepID]int, len(all))
	dealt := map[string]int{} // stage → cells dealt out
	needed := map[engine.StepID]bool{}
	for _, id := range all {
		owner[id] = ownerOf(g, id, owner, dealt, s.Of)
		if owner[id] == whole {
			continue
		}
		for _, n := range g.Needs(id) {
			needed[n] = true
		}
	}
	alone := 0
	for _, id := range all {
		switch o := owner[id]; {
		case o == whole:
			left = append(left, id)
		case o == shared && !needed[id]:
			if alone%s.Of == s.Index-1 {
				mine = append(mine, id)
			}
			alone++
		case o == s.Index-1:
			mine = append(mine, id)
		}
	}
	return mine, left
}

func ownerOf(g *engine.Graph, id engine.StepID, owner map[engine.StepID]int, dealt map[string]int, of int) int {
	o := shared
	for _, n := range g.Needs(id) {
		switch has := owner[n]; {
		case has == whole, o >= 0 && has >= 0 && has != o:
			return whole
		case has >= 0:
			o = has
		}
	}
	step := &g.Steps[id]
	if o == shared && step.Cell != "" && !step.Inner {
		o = dealt[step.Stage] % of
		dealt[step.Stage]++
	}
	return o
}
