package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// This file is the way of one step, from its key to its result. What is marked as
// Worker runs on a worker and returns what the owner does next; that is marked as
// Owner.

// lookUp computes a step's key and takes its result from the store, if it is
// there whole. Worker.
func (r *run) lookUp(ctx context.Context, id StepID) func() {
	p, err := r.keys.prepare(ctx, id)
	if err != nil {
		return func() { r.prepareFailed(ctx, id, err) }
	}
	hit, why, err := r.restoreHit(ctx, p)
	if hit == nil && err == nil {
		same, ferr := r.keys.fill(ctx, p)
		if ferr != nil {
			return func() { r.prepareFailed(ctx, id, ferr) }
		}
		if !same {
			hit, why, err = r.restoreHit(ctx, p)
		}
	}
	switch {
	case err != nil:
		return func() { r.fail(id, err, nil) }
	case hit != nil:
		return func() { r.hit(p, hit) }
	}
	why = whyMissed(ctx, r.o.Store, p, r.past[id], why)
	return func() { r.missed(p, why) }
}

// restoreHit takes a prepared step's result from the store and restores its
// outputs. Without a hit it says why, if there is a reason to give. Worker.
func (r *run) restoreHit(ctx context.Context, p *Prepared) (*hit, string, error) {
	switch {
	case p.Step.NoCache:
		return nil, "it is never cached", nil
	case p.Uncached != "":
		return nil, "it is not cached: " + p.Uncached, nil
	case r.o.forces(p.ID):
		return nil, "forced", nil
	}
	h, why, err := r.results.find(ctx, p)
	if h == nil || r.o.DryRun {
		return h, why, err
	}
	if err = r.results.repair(ctx, p, h.result, r.keys.fill); err == nil && !p.Step.Inner {
		err = r.restore(ctx, p, h.produced, nil)
	}
	if err != nil {
		why, err := missReason(err)
		return nil, why, err
	}
	return h, "", nil
}

// hit ends a step whose result was in the store. Owner.
func (r *run) hit(p *Prepared, h *hit) {
	if !r.o.DryRun { // then Explain wants them
		p.Inputs, p.discovery = nil, Discovery{} // much, for ten thousand steps
	}
	r.keys.prepared[p.ID] = p
	r.setProduced(p, h.produced)
	if r.o.DryRun && !p.Step.Inner {
		r.pretended = r.pretended || slices.ContainsFunc(h.Files, func(f tree.File) bool { return !r.project.UpToDate(f) })
		r.o.Workspace.Pretend(h.Files)
	}
	saved := h.result.Metadata.ExecutionCompleted.Sub(h.result.Metadata.ExecutionStart)
	r.finishStep(p.ID, Hit, &Event{Key: p.Key, Saved: saved, Log: h.log, Outputs: h.tops})
}

// missed goes on with a step that has no result. Owner.
func (r *run) missed(p *Prepared, why string) {
	r.keys.prepared[p.ID], r.reason[p.ID] = p, why
	switch {
	case r.o.DryRun:
		r.finishStep(p.ID, WouldRun, &Event{Key: p.Key, Reason: why})
	case !r.stopping:
		r.sched.Enqueue(p.ID)
	}
}

// prepareFailed ends a step whose key could not be computed. Owner.
func (r *run) prepareFailed(ctx context.Context, id StepID, err error) {
	switch {
	case ctx.Err() != nil:
		r.finishStep(id, Cancelled, &Event{})
	case r.o.DryRun && slices.ContainsFunc(r.g.Needs(id), func(n StepID) bool { return r.status[n] == WouldRun }):
		r.finishStep(id, WouldRun, &Event{Reason: "its inputs depend on steps that have not run"})
	case r.o.DryRun && r.pretended && r.g.Steps[id].Discoverer != nil:
		// The InputDiscoverer may have asked a program that reads the disk.
		r.finishStep(id, WouldRun, &Event{Reason: "its inputs are known only when what it waits for is restored"})
	default:
		r.fail(id, err, nil)
	}
}

// execute does a step's work, unless another process did it meanwhile. Worker.
func (r *run) execute(ctx context.Context, id StepID) func() {
	p := r.keys.prepared[id]
	if l, ok := r.o.Store.(Locker); ok && !p.Step.NoCache && p.Uncached == "" {
		unlock, err := l.Lock(ctx, p.Key, func() {
			r.post(Event{Kind: StepWaiting, ID: id, Key: p.Key, Status: Running})
		})
		if err != nil {
			return func() { r.fail(id, err, nil) }
		}
		defer unlock()
		if !r.o.forces(id) {
			if h, _, err := r.restoreHit(ctx, p); err == nil && h != nil {
				return func() { r.hit(p, h) }
			}
		}
	}
	var log bytes.Buffer
	out := &stepLog{keep: &log, send: func(b []byte) {
		r.post(Event{Kind: StepOutput, ID: id, Status: Running, Key: p.Key, Output: b})
	}}
	p.Log = out
	p.Blocked = func(a Attempt) {
		r.post(Event{Kind: StepBlocked, ID: id, Status: Running, Key: p.Key, Blocked: &a})
	}
	p.Notice = func(text string) { r.post(Event{Kind: Notice, Reason: text}) }
	for try := 0; ; try++ {
		if p.Step.Mode == Workspace && !p.Step.Inner {
			var err error
			if p.before, err = r.project.ReadyInPlace(int(p.ID)); err != nil {
				return func() { r.fail(id, err, log.Bytes()) }
			}
		}
		res, err := attempt(ctx, r.o.Executor, p)
		out.end()
		if err == nil {
			return r.executed(ctx, p, res)
		}
		if try >= p.Step.Retries || ctx.Err() != nil {
			return func() { r.fail(id, err, log.Bytes()) }
		}
		r.post(Event{Kind: StepRetry, ID: id, Status: Running, Key: p.Key, Err: err})
		out.again()
	}
}

// attempt runs the step once. A non-zero exit is an *ExitError.
func attempt(ctx context.Context, e Executor, p *Prepared) (*action.Result, error) {
	if p.Step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.Step.Timeout, fmt.Errorf("timed out after %v", p.Step.Timeout))
		defer cancel()
	}
	res, err := e.Execute(ctx, p)
	if cause := context.Cause(ctx); err != nil && cause != nil && ctx.Err() == context.DeadlineExceeded {
		return nil, cause
	}
	if err == nil && res.ExitCode != 0 {
		err = &ExitError{Program: strings.TrimPrefix(p.Command.Arguments[0], "airbuild:"), Code: int(res.ExitCode)}
	}
	return res, err
}

// executed records a success: outputs appear in the project, blobs are in the
// store, then the entry. If an input changed while the step ran, the result
// may be of neither state: it is used, and not recorded.
func (r *run) executed(ctx context.Context, p *Prepared, res *action.Result) func() {
	notice := ""
	record := !p.Step.NoCache && p.Uncached == ""
	if p.Step.Mode == Workspace {
		if changed := r.keys.changed(ctx, p); changed != "" {
			notice = fmt.Sprintf("%s: %s changed while the step ran; its result is not kept", p.Step.Name, changed)
			record = false
		}
	}
	if record {
		if err := r.results.record(ctx, p, res); err != nil {
			return func() { r.fail(p.ID, err, nil) }
		}
	}
	m, err := r.results.expand(ctx, p.Step, res)
	if err == nil && !p.Step.Inner {
		if p.Step.Mode == Workspace { // it may have written in place
			for _, f := range m.Files {
				r.o.Workspace.Forget(f.Path)
			}
		}
		err = r.restore(ctx, p, m, p.before)
	}
	if err != nil {
		return func() { r.fail(p.ID, err, nil) }
	}
	log, err := r.results.log(ctx, res)
	if err != nil {
		return func() { r.fail(p.ID, err, nil) }
	}
	return func() {
		if notice != "" {
			r.report.notice(notice)
		}
		r.setProduced(p, m)
		r.finishStep(p.ID, Done, &Event{Key: p.Key, Log: log, Reason: r.reason[p.ID], Outputs: m.tops})
	}
}

// restore makes the project hold what a step made, and notes which of the declared
// outputs were written. Worker.
func (r *run) restore(ctx context.Context, p *Prepared, m *produced, before map[string]bool) error {
	written, err := r.project.Restore(ctx, int(p.ID), &m.Set, before)
	for i := range m.tops {
		top := &m.tops[i]
		top.Written = slices.ContainsFunc(written, func(w string) bool {
			return w == top.Path || top.Dir && strings.HasPrefix(w, top.Path+"/")
		})
	}
	return err
}

// setProduced makes what a step made known to those that depend on it, with the sizes of
// an earlier outcome to compare with. Owner.
func (r *run) setProduced(p *Prepared, m *produced) {
	if last, ok := otherKey(r.past[p.ID], p.Key); ok {
		for i := range m.tops {
			if i < len(last.Sizes) && len(last.Sizes) == len(m.tops) {
				m.tops[i].Before = last.Sizes[i]
			}
		}
	}
	r.keys.produced[p.ID] = m
}
