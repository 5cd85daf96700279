package engine

import (
	"container/heap"
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/sourcegraph/conc/pool"
)

// Steps that are quickly looked up go to a worker by the dozen: waking it and
// the owner once for each of ten thousand took longer than many a look-up.

// looksAtOnce are at most so many.
const looksAtOnce = 32

// lookTime is how long a worker goes on with them. What is left then, because
// one of them had much to restore, is looked up by others.
const lookTime = 2 * time.Millisecond

// nextLooks takes steps off the queue for one worker, no more than leaves some
// for the others. Of a dry run some end here: then there may be none.
func (r *run) nextLooks() []StepID {
	n := min(looksAtOnce, 1+r.toPrep.Len()/(4*runtime.GOMAXPROCS(0)))
	var ids []StepID
	for r.toPrep.Len() > 0 && len(ids) < n {
		id := heap.Pop(&r.toPrep).(StepID)
		if why := r.unknown(id); why != "" {
			r.finishStep(id, WouldRun, &Event{Reason: why})
			continue
		}
		ids = append(ids, id)
		if !quick(&r.g.Steps[id]) {
			break
		}
	}
	return ids
}

// quick reports whether a step's key takes next to no time: it names a few
// files, and its Lister is as quick.
func quick(s *Step) bool {
	if s.Lister != nil {
		if asker, ok := s.Lister.(Asker); !ok || asker.Costly() {
			return false
		}
	}
	return len(s.Inputs) <= fewInputs && !slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromGlob })
}

// look has a worker look steps up.
func (r *run) look(ctx context.Context, workers *pool.Pool, ids []StepID) {
	r.flying++
	r.lookers++
	r.preps += len(ids)
	r.looks = append(r.looks, ids)
	workers.Go(func() {
		begin := time.Now()
		then := make([]func(), 0, len(ids))
		for _, id := range ids {
			if len(then) > 0 && time.Since(begin) > lookTime {
				break
			}
			then = append(then, r.caught(ctx, id, r.lookUp))
		}
		r.msgs <- func() {
			r.flying--
			r.lookers--
			r.preps -= len(ids)
			r.looks = slices.DeleteFunc(r.looks, func(other []StepID) bool { return &other[0] == &ids[0] })
			for _, id := range ids[len(then):] {
				heap.Push(&r.toPrep, id)
			}
			for _, f := range then {
				f()
			}
		}
	})
}

// outweighed reports whether a step that is looked up now takes so much longer
// than this one that it is to have the free slot, should it be no hit.
func (r *run) outweighed(id StepID) bool {
	for _, ids := range r.looks {
		for _, other := range ids {
			if r.weight[other] > 2*r.weight[id] {
				return true
			}
		}
	}
	return false
}
