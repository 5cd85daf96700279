package rebuild

import (
	"maps"
	"math/rand/v2"
	"slices"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/workcopy"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A Hits makes some of a run's hits again and compares. Kills and flipped bits
// find faults of the store; only this finds a key that lacks something.
type Hits struct {
	Rate float64
	hits []engine.StepID
	Keys map[engine.StepID]action.Digest // of all results of the run
}

// See notes how a step ended. The engine calls it from one goroutine.
func (h *Hits) See(e engine.Event) {
	if e.Kind != engine.StepFinished || e.Key.IsZero() {
		return
	}
	switch e.Status {
	case engine.Hit:
		h.hits = append(h.hits, e.ID)
		h.Keys[e.ID] = e.Key
	case engine.Done:
		h.Keys[e.ID] = e.Key
	}
}

// sample chooses the hits to check: each with the probability of the rate, and at
// least one, so that a small project is checked too.
func (h *Hits) sample(suits func(engine.StepID) bool) map[engine.StepID]bool {
	var can []engine.StepID
	for _, id := range h.hits {
		if suits(id) {
			can = append(can, id)
		}
	}
	chosen := map[engine.StepID]bool{}
	for _, id := range can {
		if rand.Float64() < h.Rate {
			chosen[id] = true
		}
	}
	if len(chosen) == 0 && len(can) > 0 {
		chosen[can[rand.IntN(len(can))]] = true
	}
	return chosen
}

// Rebuild is one of a sample of the hits, made as verify does: in a copy of the
// source, with an empty store that holds only what the sampled steps take from
// others, and empty caches of the go command. It is nil if no hit can be made again.
func (h *Hits) Rebuild(o Options) *Rebuild {
	g := o.Session.Plan.Graph
	all := workcopy.Select(o.Session, h.hits, nil)
	only := h.sample(func(id engine.StepID) bool {
		_, left := all.Left[id]
		return !left && !g.Steps[id].Inner
	})
	if len(only) == 0 {
		return nil
	}
	v := &Rebuild{o: o, Selection: workcopy.Select(o.Session, slices.Collect(maps.Keys(only)), only)}
	v.Keys = h.Keys
	return v
}
