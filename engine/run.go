package engine

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// Options are what a run needs beside the graph.
type Options struct {
	Store     Store
	Executor  Executor
	Workspace *tree.Workspace
	Jobs      int   // steps at once; zero means one a processor
	Memory    int64 // bytes that running steps may declare together; zero means any
	KeepGoing bool  // go on with what does not depend on a failure
	DryRun    bool  // look up, execute and write nothing
	Force     bool  // take nothing from the store
	// ForceSteps are steps that are run although the store has their results;
	// what they need is taken from it.
	ForceSteps map[StepID]bool
	// SecretSalt makes the hashes that stand for secrets in keys impossible to
	// guess for those who do not have it. Hosts that are to find each other's
	// results of steps with secrets need the same. Empty for none.
	SecretSalt []byte
	// Program identifies this very program: what another remembered of the
	// workspace is not relied on, because it may have looked otherwise. Empty
	// remembers nothing.
	Program string
	// ProgramFile is the executable of this very program, an absolute path with
	// slashes. What is found out about the inputs of steps goes into the store
	// for other hosts that have the same one. Empty for what stays here.
	ProgramFile string
	// CarryAnswers puts that into the store even if it was found out before,
	// and tells in Summary.Answers where it is.
	CarryAnswers bool
	// File is the name of the Airbuildfile in the workspace: what is stale is
	// so by file.
	File string
	// Pipeline is the name under which the run's outputs are recorded, so
	// that the next run of it knows what is stale. Empty for single targets.
	Pipeline string
	// Pipelines are the names of all that the file has: what others left goes.
	// Nil if that is not known.
	Pipelines []string
	// Tracked says which of some paths, and of the files below them, are under
	// version control: those are never removed. It returns nil where that
	// cannot be known, and may be nil.
	Tracked func(paths []string) map[string]bool
	OnEvent func(Event) // called in order, from one goroutine; may be nil

	hashes *secretHashes
}

// A Locker is a Store that lets one process at a time do an action. While it
// waits for another process it has called onWait once.
type Locker interface {
	Lock(ctx context.Context, key action.Digest, onWait func()) (unlock func(), err error)
}

// Damages is a Store that notices damage by itself; what it found since the
// last call is told to the user.
type Damages interface {
	TakeDamaged() []*action.Damaged
}

// A run is the state of one Run. All fields below "owner" are touched by the
// owner goroutine only; workers get what they need and send back a function
// for the owner to call. made is written by the owner before any worker that
// reads it starts.
type run struct {
	g    *Graph
	o    Options
	msgs chan func()
	// plainDirs are the output directories known to be there without a link.
	plainDirs   sync.Map
	outs        outputs
	owning      func() *owners
	made        []*made
	skippedData map[StepID]struct{}
	// whole: inputs are looked at even where they are remembered.
	whole   bool
	carried carrying

	// owner:
	steps    []StepID
	status   []Status
	waits    []int      // needed steps that are not final yet
	blocks   [][]StepID // who waits for this one
	prepared []*Prepared
	reason   []string    // why it is no hit
	past     [][]outcome // what history says of it; read by workers
	weight   []int64     // milliseconds to the end of the graph, by what is expected
	started  []time.Time
	toPrep   queue
	toExec   queue
	preps    int            // steps that are looked up
	looks    [][]StepID     // the same, by worker
	lookers  int            // workers that look up
	slots    int            // job slots in use
	memory   int64          // what the running steps declare, in bytes
	groups   map[string]int // how many of each group run
	flying   int            // workers of either kind
	open     int            // steps that are not final
	stopping bool
	// pretended: a dry run took a hit's outputs as there that are not on disk.
	pretended bool
	ended     func() bool // whether the run's context has
	hist      *history
	sum       Summary
	begin     time.Time
	noted     map[string]bool // notes on compiling that were told
}

// Run makes the targets and all that they need. The error is for what went
// wrong with airbuild itself; failed steps are in the Summary. The context
// ends the run: what runs is stopped, the rest is cancelled, and the store is
// left usable.
func Run(ctx context.Context, g *Graph, targets []StepID, o Options) (*Summary, error) {
	r := newRun(g, targets, o)
	r.tell(Event{Kind: RunStarted, Total: len(r.steps), Jobs: r.o.Jobs})
	if !o.DryRun {
		if err := r.sweepFirst(); err != nil {
			return &r.sum, err
		}
	}
	r.loop(ctx)
	err := r.finish(ctx)
	r.sum.Wall = time.Since(r.begin)
	r.tell(Event{Kind: RunFinished, Summary: &r.sum})
	return &r.sum, err
}

func newRun(g *Graph, targets []StepID, o Options) *run {
	o.hashes = &secretHashes{}
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	o.Workspace.Unpretend() // a dry run may have gone before in this workspace
	n := len(g.Steps)
	r := &run{
		g: g, o: o, msgs: make(chan func(), 64), begin: time.Now(),
		made: make([]*made, n), skippedData: map[StepID]struct{}{},
		steps: g.Closure(targets), status: make([]Status, n), waits: make([]int, n), blocks: make([][]StepID, n),
		prepared: make([]*Prepared, n), reason: make([]string, n), past: make([][]outcome, n), weight: make([]int64, n), started: make([]time.Time, n), groups: map[string]int{},
		hist: loadHistory(o.Workspace.State()), noted: map[string]bool{},
	}
	r.owning = sync.OnceValue(func() *owners { return ownersOf(g, o.Workspace.Dist()) })
	r.outs.rec = loadMade(o.Workspace.State())
	r.open = len(r.steps)
	r.sum.Steps = len(r.steps)
	for _, id := range r.steps {
		r.waits[id] = len(g.Needs(id))
		for _, need := range g.Needs(id) {
			r.blocks[need] = append(r.blocks[need], id)
		}
	}
	for _, id := range slices.Backward(r.steps) {
		r.past[id] = r.hist.steps[g.Steps[id].Name]
		for _, b := range r.blocks[id] {
			r.weight[id] = max(r.weight[id], r.weight[b])
		}
		r.weight[id] += r.expected(id)
	}
	r.toPrep.weight, r.toExec.weight = r.weight, r.weight
	for _, id := range r.steps {
		if r.waits[id] == 0 {
			r.set(id, Ready)
		}
	}
	return r
}

// expected is how long a step may take, in milliseconds: what its last run took,
// or what its type says.
func (r *run) expected(id StepID) int64 {
	if past := r.past[id]; len(past) > 0 {
		return max(1, past[len(past)-1].MS)
	}
	if estimate := r.g.Steps[id].Estimate; estimate > 0 {
		return max(1, estimate.Milliseconds())
	}
	return 100
}

// set is the only place where a step's status changes.
//
//	Waiting → Ready → Running → Done | Failed | Cancelled
//	                → Hit | WouldRun | Failed | Cancelled
//	Waiting → Skipped | Cancelled
func (r *run) set(id StepID, s Status) {
	if r.status[id].Final() {
		panic(fmt.Sprintf("engine: step %s is %v and cannot become %v", r.g.Steps[id].Name, r.status[id], s))
	}
	r.status[id] = s
	if s == Ready {
		heap.Push(&r.toPrep, id)
	}
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
		if r.flying == 0 && (r.stopping || r.open == 0) {
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
		r.sum.Interrupted, r.stopping = true, true
	}
}

// dispatch starts whatever may start now: look-ups freely, work while there
// are job slots.
func (r *run) dispatch(ctx context.Context, workers *pool.Pool) {
	for r.toPrep.Len() > 0 && r.lookers < 2*runtime.GOMAXPROCS(0) {
		if ids := r.nextLooks(); len(ids) > 0 {
			r.look(ctx, workers, ids)
		}
	}
	for r.toExec.Len() > 0 {
		id := r.next()
		if id < 0 {
			return
		}
		take := r.need(id)
		if r.slots+take.cpu > r.o.Jobs {
			return
		}
		r.toExec.remove(id)
		r.slots += take.cpu
		r.memory += take.memory
		group := r.g.Steps[id].Group
		r.groups[group]++
		r.prepared[id].Share = r.share()
		r.started[id] = time.Now()
		r.set(id, Running)
		r.tell(Event{Kind: StepStarted, ID: id, Status: Running, Key: r.prepared[id].Key, Reason: r.reason[id]})
		r.start(ctx, workers, id, r.execute, func() {
			r.slots -= take.cpu
			r.memory -= take.memory
			r.groups[group]--
		})
	}
}

// A need is what a step takes of the machine while it runs.
type need struct {
	cpu    int   // job slots
	memory int64 // bytes; what it declares
}

// need says what a step takes. One that needs more memory than there is takes
// all slots: it runs alone.
func (r *run) need(id StepID) need {
	s := &r.g.Steps[id]
	n := need{cpu: min(max(1, s.CPU), r.o.Jobs), memory: s.Memory}
	if r.o.Memory > 0 && n.memory > r.o.Memory {
		n.cpu = r.o.Jobs
	}
	return n
}

// fits reports whether the memory that the step declares is left over by what
// runs. It always is when nothing runs that declares any.
func (r *run) fits(id StepID) bool {
	m := r.g.Steps[id].Memory
	return m == 0 || r.memory == 0 || r.o.Memory <= 0 || r.memory+m <= r.o.Memory
}

// next chooses what to run: the step with the longest way to the end. While
// that has to wait for memory, one that declares none goes first: it does not
// keep the other waiting. -1 means to wait.
func (r *run) next() StepID {
	best := r.first(func(StepID) bool { return true })
	if best >= 0 && r.outweighed(best) {
		return -1
	}
	if best >= 0 && !r.fits(best) {
		return r.first(func(id StepID) bool { return r.g.Steps[id].Memory == 0 })
	}
	return best
}

// first is the first of those that may run, unless another of its group runs
// now and a step of another group is ready or may soon be.
func (r *run) first(may func(StepID) bool) StepID {
	best, grouped := StepID(-1), StepID(-1)
	for i, id := range r.toExec.ids {
		if !may(id) {
			continue
		}
		if group := r.g.Steps[id].Group; group != "" && r.groups[group] > 0 {
			if grouped < 0 || r.toExec.before(id, grouped) {
				grouped = id
			}
			continue
		}
		if best < 0 || r.toExec.before(id, best) {
			best = id
		}
		if i == 0 {
			break // the top of the heap
		}
	}
	if best < 0 && r.preps == 0 {
		return grouped
	}
	return best
}

// share divides the machine among what runs and what is about to.
func (r *run) share() Share {
	rivals := max(1, min(r.o.Jobs, r.slots+r.toExec.Len()+r.preps))
	return Share{CPU: max(1, runtime.GOMAXPROCS(0)/rivals)}
}

// start runs f on a worker and calls done, then what f returned, on the owner:
// the owner waits for exactly one message from every worker.
func (r *run) start(ctx context.Context, workers *pool.Pool, id StepID, f func(context.Context, StepID) func(), done func()) {
	r.flying++
	workers.Go(func() {
		then := r.caught(ctx, id, f)
		r.msgs <- func() {
			r.flying--
			done()
			then()
		}
	})
}

// caught calls f. A panic in f is the step's failure, told like any other.
func (r *run) caught(ctx context.Context, id StepID, f func(context.Context, StepID) func()) (then func()) {
	var caught panics.Catcher
	caught.Try(func() { then = f(ctx, id) })
	if p := caught.Recovered(); p != nil {
		err := p.AsError()
		return func() { r.fail(id, err, nil) }
	}
	return then
}

// unknown says why a dry run cannot look a step up, or "".
func (r *run) unknown(id StepID) string {
	if !r.o.DryRun {
		return ""
	}
	for _, i := range r.g.Steps[id].Inputs {
		if i.Kind == FromStep && r.status[i.Step] == WouldRun {
			return "needs " + r.g.Steps[i.Step].Name + ", which would run"
		}
	}
	return ""
}

// lookUp computes a step's key and takes its result from the store, if it is
// there whole. Worker.
func (r *run) lookUp(ctx context.Context, id StepID) func() {
	p, err := r.prepare(ctx, id)
	if err != nil {
		return func() { r.prepareFailed(ctx, id, err) }
	}
	hit, why, err := r.take(ctx, p)
	if hit == nil && err == nil {
		same, ferr := r.fill(ctx, p)
		if ferr != nil {
			return func() { r.prepareFailed(ctx, id, ferr) }
		}
		if !same {
			hit, why, err = r.take(ctx, p)
		}
	}
	switch {
	case err != nil:
		return func() { r.fail(id, err, nil) }
	case hit != nil:
		return func() { r.hit(p, hit) }
	case r.o.DryRun:
		why = r.why(ctx, p, why)
		return func() {
			r.prepared[id] = p
			r.finishStep(id, WouldRun, &Event{Key: p.Key, Reason: why})
		}
	}
	why = r.why(ctx, p, why)
	return func() {
		r.prepared[id], r.reason[id] = p, why
		if !r.stopping {
			heap.Push(&r.toExec, id)
		}
	}
}

func (r *run) prepareFailed(ctx context.Context, id StepID, err error) {
	switch {
	case ctx.Err() != nil:
		r.finishStep(id, Cancelled, &Event{})
	case r.o.DryRun && r.afterWouldRun(id):
		r.finishStep(id, WouldRun, &Event{Reason: "its inputs depend on steps that have not run"})
	case r.o.DryRun && r.pretended && r.g.Steps[id].Lister != nil:
		// The Lister may have asked a program that reads the disk.
		r.finishStep(id, WouldRun, &Event{Reason: "its inputs are known only when what it waits for is restored"})
	default:
		r.fail(id, err, nil)
	}
}

// afterWouldRun reports whether anything that the step waits for would run.
func (r *run) afterWouldRun(id StepID) bool {
	return slices.ContainsFunc(r.g.Needs(id), func(n StepID) bool { return r.status[n] == WouldRun })
}

// A hit is a result taken from the store and restored.
type hit struct {
	made *made
	log  []byte
}

// forces reports whether a step is run whatever the store has.
func (o *Options) forces(id StepID) bool { return o.Force || o.ForceSteps[id] }

// take looks a prepared step up and restores its outputs. Without a hit it
// says why, if the store gave a reason.
func (r *run) take(ctx context.Context, p *Prepared) (*hit, string, error) {
	switch {
	case p.Step.NoCache:
		return nil, "it is never cached", nil
	case p.Uncached != "":
		return nil, "it is not cached: " + p.Uncached, nil
	case r.o.forces(p.ID):
		return nil, "forced", nil
	}
	res, err := r.o.Store.Result(ctx, p.Key)
	if why, err := damaged(err); err != nil || why != "" {
		return nil, why, err
	}
	if res == nil {
		why := ""
		if w, ok := r.o.Store.(Withholder); ok {
			why = w.Withheld(ctx, p.Key)
		}
		return nil, why, nil
	}
	err = checkOutputs(p.Step, p.Key, res)
	var m *made
	if err == nil {
		m, err = r.expand(ctx, p.Step, res)
	}
	if err != nil {
		why, err := missed(err)
		return nil, why, err
	}
	missing, err := r.o.Store.Missing(ctx, m.refs)
	if err != nil {
		return nil, "", err
	}
	if len(missing) > 0 {
		return nil, fmt.Sprintf("blobs missing or damaged in the store: %d", len(missing)), nil
	}
	log, err := resultLog(ctx, r.o.Store, res)
	if err == nil && !r.o.DryRun {
		err = r.mend(ctx, p, res)
	}
	if err == nil && !r.o.DryRun && !p.Step.Inner {
		err = r.restore(ctx, p.Step, m, nil)
	}
	if err != nil {
		why, err := missed(err)
		return nil, why, err
	}
	return &hit{made: m, log: maskLog(log, p.Step)}, "", nil
}

// mend stores again what explains the key, if the store has lost it: a hit
// does not need it, and its bytes are at hand.
func (r *run) mend(ctx context.Context, p *Prepared, res *action.Result) error {
	parts := []action.Digest{p.Key, p.Action.Command}
	if !res.Metadata.Inputs.IsZero() {
		parts = append(parts, res.Metadata.Inputs)
	}
	missing, err := r.o.Store.Missing(ctx, parts)
	if err != nil || len(missing) == 0 {
		return err
	}
	if !slices.Contains(missing, res.Metadata.Inputs) {
		return r.putKey(ctx, p)
	}
	whole := *p
	if same, err := r.fill(ctx, &whole); err != nil || !same {
		return nil // what explains the key is gone, and so are its inputs
	}
	_, err = r.putParts(ctx, &whole)
	return err
}

// putParts stores what explains the key and returns the digest of the inputs.
func (r *run) putParts(ctx context.Context, p *Prepared) (inputs action.Digest, err error) {
	msg, err := p.Inputs.Message()
	if err != nil {
		return inputs, err
	}
	if err := r.putKey(ctx, p); err != nil {
		return inputs, err
	}
	if inputs, err = r.o.Store.Put(ctx, bytes.NewReader(msg.Marshal())); err != nil {
		return inputs, fmt.Errorf("store action: %w", err)
	}
	return inputs, nil
}

// putKey stores the key's own bytes and the command.
func (r *run) putKey(ctx context.Context, p *Prepared) error {
	for _, b := range [][]byte{p.Action.Marshal(), p.Command.Marshal()} {
		if _, err := r.o.Store.Put(ctx, bytes.NewReader(b)); err != nil {
			return fmt.Errorf("store action: %w", err)
		}
	}
	return nil
}

// damaged turns the error of a damaged entry into the reason of a miss.
func damaged(err error) (string, error) {
	var d *action.Damaged
	if errors.As(err, &d) {
		return d.Error(), nil
	}
	return "", err
}

// missed turns an error about a blob that is gone or damaged into the reason
// of a miss; other errors (a full disk, no permission) stay errors.
func missed(err error) (string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return "a blob is missing in the store", nil
	}
	return damaged(err)
}

// hit ends a step whose result was in the store. Owner.
func (r *run) hit(p *Prepared, h *hit) {
	if !r.o.DryRun { // then Explain wants them
		p.Inputs, p.listing = nil, Listing{} // much, for ten thousand steps
	}
	r.prepared[p.ID] = p
	r.setMade(p, h.made)
	if r.o.DryRun && !p.Step.Inner {
		r.pretended = r.pretended || slices.ContainsFunc(h.made.files, func(f tree.File) bool { return !r.upToDate(f) })
		r.o.Workspace.Pretend(h.made.files)
	}
	saved := h.made.result.Metadata.ExecutionCompleted.Sub(h.made.result.Metadata.ExecutionStart)
	r.sum.Saved += saved
	r.finishStep(p.ID, Hit, &Event{Key: p.Key, Saved: saved, Log: h.log, Outputs: h.made.tops})
}

func (r *run) setMade(p *Prepared, m *made) {
	if last, ok := otherKey(r.past[p.ID], p.Key); ok {
		for i := range m.tops {
			if i < len(last.Sizes) && len(last.Sizes) == len(m.tops) {
				m.tops[i].Before = last.Sizes[i]
			}
		}
	}
	r.made[p.ID] = m
}

// execute does a step's work, unless another process did it meanwhile. Worker.
func (r *run) execute(ctx context.Context, id StepID) func() {
	p := r.prepared[id]
	if l, ok := r.o.Store.(Locker); ok && !p.Step.NoCache && p.Uncached == "" {
		unlock, err := l.Lock(ctx, p.Key, func() {
			r.msgs <- func() { r.tell(Event{Kind: StepWaiting, ID: id, Key: p.Key, Status: Running}) }
		})
		if err != nil {
			return func() { r.fail(id, err, nil) }
		}
		defer unlock()
		if !r.o.forces(id) {
			if h, _, err := r.take(ctx, p); err == nil && h != nil {
				return func() { r.hit(p, h) }
			}
		}
	}
	var log bytes.Buffer
	out := &stepLog{keep: &log, send: func(b []byte) {
		r.msgs <- func() { r.tell(Event{Kind: StepOutput, ID: id, Status: Running, Key: p.Key, Output: b}) }
	}}
	p.Log = out
	p.Blocked = func(a Attempt) {
		r.msgs <- func() { r.tell(Event{Kind: StepBlocked, ID: id, Status: Running, Key: p.Key, Blocked: &a}) }
	}
	p.Notice = func(text string) {
		r.msgs <- func() { r.tell(Event{Kind: Notice, Reason: text}) }
	}
	for try := 0; ; try++ {
		if p.Step.Mode == Workspace && !p.Step.Inner {
			var err error
			if p.before, err = r.readyInPlace(p.Step); err != nil {
				return func() { r.fail(id, err, log.Bytes()) }
			}
		}
		res, err := r.attempt(ctx, p)
		out.end()
		if err == nil {
			return r.executed(ctx, p, res)
		}
		if try >= p.Step.Retries || ctx.Err() != nil {
			return func() { r.fail(id, err, log.Bytes()) }
		}
		r.msgs <- func() { r.tell(Event{Kind: StepRetry, ID: id, Status: Running, Key: p.Key, Err: err}) }
		out.again()
	}
}

// attempt runs the step once. A non-zero exit is an *ExitError.
func (r *run) attempt(ctx context.Context, p *Prepared) (*action.Result, error) {
	if p.Step.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, p.Step.Timeout, fmt.Errorf("timed out after %v", p.Step.Timeout))
		defer cancel()
	}
	res, err := r.o.Executor.Execute(ctx, p)
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
		if changed := r.changedMeanwhile(ctx, p); changed != "" {
			notice = fmt.Sprintf("%s: %s changed while the step ran; its result is not kept", p.Step.Name, changed)
			record = false
		}
	}
	if record {
		if err := r.record(ctx, p, res); err != nil {
			return func() { r.fail(p.ID, err, nil) }
		}
	}
	m, err := r.expand(ctx, p.Step, res)
	if err == nil && !p.Step.Inner {
		if p.Step.Mode == Workspace { // it may have written in place
			for _, f := range m.files {
				r.o.Workspace.Forget(f.Path)
			}
		}
		err = r.restore(ctx, p.Step, m, p.before)
	}
	if err != nil {
		return func() { r.fail(p.ID, err, nil) }
	}
	log, err := resultLog(ctx, r.o.Store, res)
	if err != nil {
		return func() { r.fail(p.ID, err, nil) }
	}
	return func() {
		if notice != "" {
			r.tell(Event{Kind: Notice, Reason: notice})
		}
		r.setMade(p, m)
		r.finishStep(p.ID, Done, &Event{Key: p.Key, Log: log, Reason: r.reason[p.ID], Outputs: m.tops})
	}
}

// changedMeanwhile names an input that is no longer what the step's key says,
// or that the step did not have before: a file that came into a package while
// it was built. "" if there is none.
func (r *run) changedMeanwhile(ctx context.Context, p *Prepared) string {
	if p.Altered != "" {
		return p.Altered
	}
	if changed := r.o.Workspace.Changed(p.Inputs); changed != "" || p.Step.Lister == nil {
		return changed
	}
	now, err := p.Step.Lister.List(ctx, stepFiles{workspaceFiles{r.o.Workspace.Fresh()}, r, p.ID})
	if err != nil {
		return "its input list"
	}
	if !reflect.DeepEqual(now.Inputs, p.listing.Inputs) || !reflect.DeepEqual(now.Facts, p.listing.Facts) {
		return "its input list"
	}
	return ""
}

// record stores what explains the key, then the entry.
func (r *run) record(ctx context.Context, p *Prepared, res *action.Result) error {
	inputs, err := r.putParts(ctx, p)
	if err != nil {
		return err
	}
	res.Metadata.Inputs = inputs
	if err := r.o.Store.PutResult(ctx, p.Key, res); err != nil {
		return fmt.Errorf("store result: %w", err)
	}
	return nil
}

// fail ends a step that could not be done, and whatever hangs on it. Owner.
func (r *run) fail(id StepID, err error, log []byte) {
	r.checkEnd()
	if r.stopping && (errors.Is(err, context.Canceled) || r.sum.Interrupted) {
		r.finishStep(id, Cancelled, &Event{Log: log})
		return
	}
	ev := &Event{Err: err, Log: log, Reason: r.reason[id]}
	if p := r.prepared[id]; p != nil {
		ev.Key = p.Key
	}
	r.sum.Failures = append(r.sum.Failures, Failure{ID: id, Step: &r.g.Steps[id], Err: err, Log: log})
	r.finishStep(id, Failed, ev)
	if !r.o.KeepGoing && !r.o.DryRun {
		r.stopping = true
	}
}

// finishStep makes a step final, tells so, and frees or skips what waits for it.
func (r *run) finishStep(id StepID, s Status, ev *Event) {
	if s == Done || s == Failed {
		ev.Duration = time.Since(r.started[id])
		if r.started[id].IsZero() {
			ev.Duration = 0
		}
	}
	r.set(id, s)
	r.tellDamage()
	if p := r.prepared[id]; p != nil {
		ev.Compiled = p.Compiled
		r.tellCompiled(&p.Compiled)
	}
	ev.Kind, ev.ID, ev.Status = StepFinished, id, s
	r.count(s)
	r.remember(id, s, ev)
	r.tell(*ev)
	for _, b := range r.blocks[id] {
		if r.status[b].Final() {
			continue
		}
		if s == Failed || s == Skipped {
			r.finishStep(b, Skipped, &Event{Reason: "needs " + r.g.Steps[id].Name + ", which " + map[Status]string{Failed: "failed", Skipped: "was skipped"}[s]})
			continue
		}
		if r.waits[b]--; r.waits[b] == 0 && s != Cancelled {
			r.set(b, Ready)
		}
	}
}

func (r *run) count(s Status) {
	switch s {
	case Hit:
		r.sum.Hits++
	case Done:
		r.sum.Ran++
	case Failed:
		r.sum.Failed++
	case Skipped:
		r.sum.Skipped++
	case Cancelled:
		r.sum.Cancelled++
	case WouldRun:
		r.sum.WouldRun++
	}
}

// remember puts a success into the history.
func (r *run) remember(id StepID, s Status, ev *Event) {
	if r.o.DryRun || (s != Hit && s != Done) {
		return
	}
	o := outcome{Step: r.g.Steps[id].Name, Key: ev.Key.String(), Time: time.Now().UTC(), MS: max(ev.Duration, ev.Saved).Milliseconds()}
	for _, out := range ev.Outputs {
		o.Sizes = append(o.Sizes, out.Size)
	}
	r.hist.note(o)
}

// cancelRest ends what was not started when the run was stopped.
func (r *run) cancelRest() {
	for _, id := range r.steps {
		if !r.status[id].Final() {
			r.finishStep(id, Cancelled, &Event{})
		}
	}
}

// tellDamage passes on what the store found damaged and threw away.
func (r *run) tellDamage() {
	d, ok := r.o.Store.(Damages)
	if !ok {
		return
	}
	for _, x := range d.TakeDamaged() {
		r.sum.Damaged++
		r.tell(Event{Kind: Notice, Reason: "store: " + x.Error() + "; " + x.Fate(), Key: x.Digest})
	}
}

// tellCompiled counts what a step compiled and passes on what was noted, each
// text once a run.
func (r *run) tellCompiled(c *Compiled) {
	r.sum.CompileHits += c.Hits
	r.sum.CompileMisses += c.Misses
	for _, text := range c.Damaged {
		r.sum.Damaged++
		r.tell(Event{Kind: Notice, Reason: "store: " + text})
	}
	for _, text := range c.Notes {
		if !r.noted[text] {
			r.noted[text] = true
			r.tell(Event{Kind: Notice, Reason: "compile cache: " + text})
		}
	}
}

func (r *run) tell(e Event) {
	if r.o.OnEvent == nil {
		return
	}
	e.Time = time.Now()
	switch e.Kind {
	case StepStarted, StepOutput, StepFinished, StepWaiting, StepRetry, StepBlocked:
		e.Step = &r.g.Steps[e.ID]
	}
	r.o.OnEvent(e)
}

// finish tidies up and writes the records of the run.
func (r *run) finish(ctx context.Context) error {
	r.tellDamage()
	if r.o.DryRun {
		return nil
	}
	err := r.sweep()
	for _, p := range r.outs.kept {
		r.tell(Event{Kind: Notice, Reason: p + " is no longer an output, and stays: it was edited after airbuild made it"})
	}
	slices.Sort(r.outs.removed)
	r.sum.Removed = slices.Compact(r.outs.removed)
	return errors.Join(err, r.hist.save(), r.carry(ctx), r.o.Workspace.Save())
}

// A queue is a heap of steps, the one with the longest way to the end first.
type queue struct {
	ids    []StepID
	weight []int64
}

func (q *queue) Len() int           { return len(q.ids) }
func (q *queue) Less(i, j int) bool { return q.before(q.ids[i], q.ids[j]) }
func (q *queue) before(a, b StepID) bool {
	if q.weight[a] != q.weight[b] {
		return q.weight[a] > q.weight[b]
	}
	return a < b
}
func (q *queue) Swap(i, j int) { q.ids[i], q.ids[j] = q.ids[j], q.ids[i] }
func (q *queue) Push(x any)    { q.ids = append(q.ids, x.(StepID)) }
func (q *queue) Pop() any {
	id := q.ids[len(q.ids)-1]
	q.ids = q.ids[:len(q.ids)-1]
	return id
}

// maxLine is how much of a line, in bytes, waits for its end.
const maxLine = 64 << 10

// A stepLog keeps a step's output and sends it on in whole lines; a very long
// line is sent in parts.
type stepLog struct {
	mu   sync.Mutex
	keep *bytes.Buffer
	part []byte
	send func([]byte)
}

var _ io.Writer = (*stepLog)(nil)

func (l *stepLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep.Write(b)
	if extra := l.keep.Len() - maxLog; extra > maxLog {
		l.keep.Next(extra) // the store has it whole
	}
	end := bytes.LastIndexByte(b, '\n') + 1
	if end == 0 && len(l.part)+len(b) > maxLine {
		end = len(b)
	}
	if end > 0 {
		l.send(slices.Concat(l.part, b[:end]))
		l.part = l.part[:0]
	}
	l.part = append(l.part, b[end:]...)
	return len(b), nil
}

// end sends what is left of a try: a last line without an end.
func (l *stepLog) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.part) > 0 {
		l.send(l.part)
		l.part = nil
	}
}

// again forgets the log of a try, because another follows.
func (l *stepLog) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keep.Reset()
}

// remove takes a step out of the queue, wherever it stands.
func (q *queue) remove(id StepID) { heap.Remove(q, slices.Index(q.ids, id)) }
