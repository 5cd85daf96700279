package pipelines

import (
	"runtime"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/pipelines/internal/decode"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// Cells of a large stage are read and planned by several goroutines. The plan
// is the same as if one had done it: what a cell comes to does not depend on
// other cells, but for diagnostics and the ids of steps. So a part that meets
// with a mistake is thrown away and read again in order, and a step whose id
// turns out another is planned again.

// fewCells are so many that one goroutine is as fast.
const fewCells = 64

// cellsAhead are how many cells are planned before their steps are taken into
// the graph: it bounds what is held twice.
const cellsAhead = 8192

// atOnce cuts n things into parts for several goroutines and calls do for each,
// with its number. There are no more parts than it says.
func atOnce(n int, do func(part, from, to int)) (parts int) {
	workers := runtime.GOMAXPROCS(0)
	size := max(1, (n+4*workers-1)/(4*workers)) // one that is slow keeps nobody waiting
	p := pool.New().WithMaxGoroutines(workers)
	for from := 0; from < n; from += size {
		part, from := parts, from
		p.Go(func() { do(part, from, min(from+size, n)) })
		parts++
	}
	p.Wait()
	return parts
}

// readCells reads all cells; those that when drops are left out.
func (b *bodyReader) readCells(cells []*eval.Cell, bodies []decode.Body) []readyCell {
	if len(cells) < fewCells || b.eval.Unusable() {
		return b.readSome(cells, bodies)
	}
	ready := b.readSome(cells[:1], bodies) // finds what is the same for all
	if rest, ok := b.readAhead(cells[1:], bodies); ok {
		return append(ready, rest...)
	}
	return append(ready, b.readSome(cells[1:], bodies)...)
}

// readAhead is readSome by several goroutines. It is not ok, and nothing has
// happened, if there is anything to report.
func (b *bodyReader) readAhead(cells []*eval.Cell, bodies []decode.Body) ([]readyCell, bool) {
	if b.eval.Unusable() || runtime.GOMAXPROCS(0) == 1 {
		return nil, false
	}
	parts := make([][]readyCell, len(cells))
	twins := make([]*bodyReader, len(cells))
	n := atOnce(len(cells), func(part, from, to int) {
		t := b.twin()
		parts[part], twins[part] = t.readSome(cells[from:to], bodies), t
	})
	for _, t := range twins[:n] {
		if t.eval.Unusable() || !t.eval.Report.Empty() {
			return nil, false
		}
	}
	for _, t := range twins[:n] {
		b.decode.Suspects.Join(t.decode.Suspects)
	}
	return slices.Concat(parts[:n]...), true
}

// twin is a bodyReader that reads other cells at the same time.
func (b *bodyReader) twin() *bodyReader {
	t := *b
	t.eval = b.eval.Twin(&diag.Report{})
	t.decode = b.decode.Twin(t.eval, &decode.Suspects{})
	return &t
}

// planAhead lets the task plan cells, by several goroutines if there are many.
// How many steps each makes is guessed from the first.
func (b *bodyReader) planAhead(ready []readyCell, labels map[string][]string) []plannedCell {
	out := make([]plannedCell, len(ready))
	first := engine.StepID(len(b.planner.plan.Graph.Steps))
	each := 1
	if len(ready) > 0 {
		out[0] = b.planCell(&ready[0], labels, first)
		each = max(1, len(out[0].steps))
	}
	plan := func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = b.planCell(&ready[i], labels, first+engine.StepID(i*each))
		}
	}
	if len(ready) < fewCells {
		plan(1, len(ready))
	} else {
		atOnce(len(ready)-1, func(_, from, to int) { plan(from+1, to+1) })
	}
	return out
}
