package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/internal/outputs"
	"github.com/airbuild/airbuild/engine/internal/sched"
)

// A run ties the parts of one Run together: the scheduler chooses a step, a
// worker looks it up, executes it if there is no result, and records the new one,
// and the owner reports what became of it.
//
// All fields below "owner" are touched by the owner goroutine only, except that
// workers read what the owner wrote before it started them. Workers send back a
// function for the owner to call.
type run struct {
	g       *Graph
	o       Options
	msgs    chan func()
	keys    *preparer
	results results
	project *outputs.Project

	// owner:
	steps    []StepID
	status   []Status
	reason   []string    // why a step is not a hit
	past     [][]outcome // what the history says about a step
	started  []time.Time
	sched    *sched.Scheduler[StepID]
	report   reporter
	open     int // steps that are not final
	stopping bool
	// pretended: a dry run took a hit's outputs as there that are not on disk.
	pretended bool
	ended     func() bool // whether the run's context has
}

// Run makes the targets and all that they need. The error is for what went
// wrong with airbuild itself; failed steps are in the Summary. The context
// ends the run: what runs is stopped, the rest is cancelled, and the store is
// left usable.
func Run(ctx context.Context, g *Graph, targets []StepID, o Options) (*Summary, error) {
	begin := time.Now()
	r := newRun(g, targets, o)
	sum := &r.report.sum
	r.report.emit(Event{Kind: RunStarted, Total: len(r.steps), Jobs: r.o.Jobs})
	if !o.DryRun {
		if err := r.project.RemoveStale(); err != nil {
			return sum, err
		}
	}
	r.loop(ctx)
	err := r.finish(ctx)
	sum.Wall = time.Since(begin)
	r.report.emit(Event{Kind: RunFinished, Summary: sum})
	return sum, err
}

func newRun(g *Graph, targets []StepID, o Options) *run {
	o.hashes = &secretHashes{}
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	o.Workspace.Unpretend() // a dry run may have gone before in this workspace
	n := len(g.Steps)
	r := &run{
		g: g, o: o, msgs: make(chan func(), 64), results: results{o.Store},
		steps: g.Closure(targets), status: make([]Status, n),
		reason: make([]string, n), past: make([][]outcome, n), started: make([]time.Time, n),
		report: newReporter(g, &o),
	}
	r.keys = newPreparer(g, &r.o)
	r.project = outputs.Open(outputs.Options{
		Workspace: o.Workspace, Blobs: o.Store, Index: r.keys.index,
		File: o.File, Pipeline: o.Pipeline, Pipelines: o.Pipelines, Tracked: o.Tracked,
	})
	r.open = len(r.steps)
	r.report.sum.Steps = len(r.steps)
	for _, id := range r.steps {
		r.past[id] = r.report.hist.steps[g.Steps[id].Name]
	}
	r.sched = sched.New(r.steps, r.task, sched.Limits{Jobs: o.Jobs, Memory: o.Memory})
	return r
}

// task says what the scheduler has to know about a step.
func (r *run) task(id StepID) sched.Task[StepID] {
	s := &r.g.Steps[id]
	return sched.Task[StepID]{
		Needs: r.g.Needs(id), Expected: expected(s, r.past[id]).Milliseconds(), Quick: quick(s),
		CPU: s.CPU, Memory: s.Memory, Group: s.Group,
	}
}

// expected is how long a step may take: what its last run took, or what its type
// says.
func expected(s *Step, past []outcome) time.Duration {
	switch {
	case len(past) > 0:
		return max(1, time.Duration(past[len(past)-1].MS)) * time.Millisecond
	case s.Estimate > 0:
		return max(time.Millisecond, s.Estimate)
	}
	return 100 * time.Millisecond
}

// quick reports whether a step's key takes next to no time: it names a few
// files, and its InputDiscoverer is as quick.
func quick(s *Step) bool {
	if s.Discoverer != nil {
		if discoverer, ok := s.Discoverer.(Memoizable); !ok || discoverer.Costly() {
			return false
		}
	}
	return len(s.Inputs) <= fewInputs && !hasPattern(s)
}

// setStatus is the only place where a step's status changes.
//
//	Waiting → Running → Done | Failed | Cancelled
//	        → Hit | WouldRun | Failed | Skipped | Cancelled
func (r *run) setStatus(id StepID, s Status) {
	if r.status[id].Final() {
		panic(fmt.Sprintf("engine: step %s is %v and cannot become %v", r.g.Steps[id].Name, r.status[id], s))
	}
	r.status[id] = s
	if s.Final() {
		r.open--
	}
}

// loop is the owner: it hands out work and takes in what comes back.
func (r *run) loop(ctx context.Context) {
	work, stop := context.WithCancel(ctx)
	defer stop()
	workers := pool.New()
	ended := ctx.Done()
	r.ended = func() bool { return ctx.Err() != nil }
	for {
		r.checkEnd()
		if !r.stopping {
			r.dispatch(work, workers)
		}
		if r.sched.Idle() && (r.stopping || r.open == 0) {
			break
		}
		select {
		case f := <-r.msgs:
			f()
			if r.stopping {
				stop()
			}
		case <-ended:
			ended = nil // checkEnd sees it
		}
	}
	workers.Wait()
	r.cancelRest()
}

// checkEnd stops the run if its context has ended, whichever way the owner
// came to know.
func (r *run) checkEnd() {
	if r.ended() {
		r.report.sum.Interrupted, r.stopping = true, true
	}
}

// dispatch starts whatever may start now: look-ups first, so that the scheduler
// knows which steps to run.
func (r *run) dispatch(ctx context.Context, workers *pool.Pool) {
	for b := r.sched.NextBatch(); b != nil; b = r.sched.NextBatch() {
		r.startLookUps(ctx, workers, b)
	}
	for id, cpus, ok := r.sched.Start(); ok; id, cpus, ok = r.sched.Start() {
		p := r.keys.prepared[id]
		p.Share = Share{CPU: cpus}
		r.started[id] = time.Now()
		r.setStatus(id, Running)
		r.report.emit(Event{Kind: StepStarted, ID: id, Status: Running, Key: p.Key, Reason: r.reason[id]})
		workers.Go(func() {
			then := r.caught(ctx, id, r.execute)
			r.msgs <- func() {
				r.sched.Finished(id)
				then()
			}
		})
	}
}

// lookUpTime is how long a worker goes on with a batch. What is left then,
// because one of its steps had much to restore, is looked up by others.
const lookUpTime = 2 * time.Millisecond

// startLookUps has a worker look steps up. Of a dry run some end here.
func (r *run) startLookUps(ctx context.Context, workers *pool.Pool, b *sched.Batch[StepID]) {
	ids := b.Tasks
	if r.o.DryRun {
		ids = slices.DeleteFunc(slices.Clone(ids), r.endUnknown)
	}
	if len(ids) == 0 {
		r.sched.LookedUp(b, nil)
		return
	}
	workers.Go(func() {
		begin := time.Now()
		then := make([]func(), 0, len(ids))
		for _, id := range ids {
			if len(then) > 0 && time.Since(begin) > lookUpTime {
				break
			}
			then = append(then, r.caught(ctx, id, r.lookUp))
		}
		r.msgs <- func() {
			r.sched.LookedUp(b, ids[len(then):])
			for _, f := range then {
				f()
			}
		}
	})
}

// endUnknown ends a step of a dry run that takes an output which would be made
// first, and reports whether it did: its key is not known.
func (r *run) endUnknown(id StepID) bool {
	for _, i := range r.g.Steps[id].Inputs {
		if i.Kind == FromStep && r.status[i.Step] == WouldRun {
			r.finishStep(id, WouldRun, &Event{Reason: "needs " + r.g.Steps[i.Step].Name + ", which would run"})
			return true
		}
	}
	return false
}

// caught calls f on a worker: the owner waits for exactly one message from every
// worker, so a panic in f is the step's failure, reported like any other.
func (r *run) caught(ctx context.Context, id StepID, f func(context.Context, StepID) func()) (then func()) {
	var caught panics.Catcher
	caught.Try(func() { then = f(ctx, id) })
	if p := caught.Recovered(); p != nil {
		err := p.AsError()
		return func() { r.fail(id, err, nil) }
	}
	return then
}

// post has the owner report an event. Worker.
func (r *run) post(e Event) {
	r.msgs <- func() { r.report.emit(e) }
}

// fail ends a step that could not be done, and those that depend on it. Owner.
func (r *run) fail(id StepID, err error, log []byte) {
	r.checkEnd()
	if r.stopping && (errors.Is(err, context.Canceled) || r.report.sum.Interrupted) {
		r.finishStep(id, Cancelled, &Event{Log: log})
		return
	}
	ev := &Event{Err: err, Log: log, Reason: r.reason[id]}
	if p := r.keys.prepared[id]; p != nil {
		ev.Key = p.Key
	}
	r.finishStep(id, Failed, ev)
	if !r.o.KeepGoing && !r.o.DryRun {
		r.stopping = true
	}
}

// finishStep makes a step final, reports it, and releases or skips its
// dependents. Owner.
func (r *run) finishStep(id StepID, s Status, ev *Event) {
	if (s == Done || s == Failed) && !r.started[id].IsZero() {
		ev.Duration = time.Since(r.started[id])
	}
	if p := r.keys.prepared[id]; p != nil {
		ev.Compiled = p.Compiled
	}
	r.setStatus(id, s)
	ev.ID, ev.Status = id, s
	r.report.finished(ev)
	switch s {
	case Failed, Skipped:
		reason := "needs " + r.g.Steps[id].Name + ", which " + map[Status]string{Failed: "failed", Skipped: "was skipped"}[s]
		for _, d := range r.sched.Dependents(id) {
			if !r.status[d].Final() {
				r.finishStep(d, Skipped, &Event{Reason: reason})
			}
		}
	case Cancelled:
	default:
		r.sched.Release(id)
	}
}

// cancelRest ends what was not started when the run was stopped.
func (r *run) cancelRest() {
	for _, id := range r.steps {
		if !r.status[id].Final() {
			r.finishStep(id, Cancelled, &Event{})
		}
	}
}

// finish tidies up and writes the records of the run.
func (r *run) finish(ctx context.Context) error {
	r.report.damage()
	if r.o.DryRun {
		return nil
	}
	var list []outputs.Result
	for _, id := range r.steps {
		if r.g.Steps[id].Inner {
			continue
		}
		one := outputs.Result{Step: int(id)}
		if m := r.keys.produced[id]; m != nil {
			one.Set = &m.Set
		}
		list = append(list, one)
	}
	swept, err := r.project.Sweep(list)
	for _, p := range swept.Edited {
		r.report.notice(p + " is no longer an output, and stays: it was edited after airbuild made it")
	}
	r.report.sum.Removed = swept.Removed
	exported, merr := r.keys.inputs.save(ctx, func(id StepID) bool { return r.status[id] == Hit || r.status[id] == Done })
	r.report.sum.ExportedInputs = exported
	return errors.Join(err, r.report.hist.save(), merr, r.o.Workspace.Save())
}
