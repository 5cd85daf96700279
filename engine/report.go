package engine

import "time"

// A reporter reports what happens in a run: to Options.OnEvent, in the Summary,
// and in the history of the workspace. Only the owner of the run calls its
// methods.
type reporter struct {
	g       *Graph
	onEvent func(Event)    // may be nil
	damaged DamageReporter // nil if the store is none
	dry     bool
	hist    *history
	sum     Summary
	noted   map[string]bool // notes on compiling that were reported
}

func newReporter(g *Graph, o *Options) reporter {
	p := reporter{g: g, onEvent: o.OnEvent, dry: o.DryRun, hist: loadHistory(o.Workspace.State()), noted: map[string]bool{}}
	p.damaged, _ = o.Store.(DamageReporter)
	return p
}

// emit passes an event on.
func (p *reporter) emit(e Event) {
	if p.onEvent == nil {
		return
	}
	e.Time = time.Now()
	switch e.Kind {
	case StepStarted, StepOutput, StepFinished, StepWaiting, StepRetry, StepBlocked:
		e.Step = &p.g.Steps[e.ID]
	}
	p.onEvent(e)
}

func (p *reporter) notice(text string) { p.emit(Event{Kind: Notice, Reason: text}) }

// finished counts a step that is final, remembers it, and reports it.
func (p *reporter) finished(e *Event) {
	p.damage()
	p.compiled(&e.Compiled)
	p.count(e)
	if !p.dry && (e.Status == Hit || e.Status == Done) {
		p.remember(e)
	}
	e.Kind = StepFinished
	p.emit(*e)
}

// damage reports what the store found damaged and removed.
func (p *reporter) damage() {
	if p.damaged == nil {
		return
	}
	for _, d := range p.damaged.TakeDamaged() {
		p.sum.Damaged++
		p.emit(Event{Kind: Notice, Reason: "store: " + d.Error() + "; " + d.Fate(), Key: d.Digest})
	}
}

// compiled counts what a step compiled and reports what was noted, each text
// once a run.
func (p *reporter) compiled(c *Compiled) {
	p.sum.CompileHits += c.Hits
	p.sum.CompileMisses += c.Misses
	for _, text := range c.Damaged {
		p.sum.Damaged++
		p.notice("store: " + text)
	}
	for _, text := range c.Notes {
		if !p.noted[text] {
			p.noted[text] = true
			p.notice("compile cache: " + text)
		}
	}
}

func (p *reporter) count(e *Event) {
	switch e.Status {
	case Hit:
		p.sum.Hits++
		p.sum.Saved += e.Saved
	case Done:
		p.sum.Ran++
	case Failed:
		p.sum.Failed++
		p.sum.Failures = append(p.sum.Failures, Failure{ID: e.ID, Step: &p.g.Steps[e.ID], Err: e.Err, Log: e.Log})
	case Skipped:
		p.sum.Skipped++
	case Cancelled:
		p.sum.Cancelled++
	case WouldRun:
		p.sum.WouldRun++
	}
}

// remember adds a success to the history.
func (p *reporter) remember(e *Event) {
	o := outcome{Step: p.g.Steps[e.ID].Name, Key: e.Key.String(), Time: time.Now().UTC(), MS: max(e.Duration, e.Saved).Milliseconds()}
	for _, out := range e.Outputs {
		o.Sizes = append(o.Sizes, out.Size)
	}
	p.hist.note(o)
}
