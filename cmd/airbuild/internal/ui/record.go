package ui

import (
	"sync"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/diagnose"
)

// A Record is what a run did with one step.
type Record struct {
	ID       engine.StepID
	Step     *engine.Step
	Status   engine.Status
	Key      action.Digest
	Start    time.Time
	Duration time.Duration
	Saved    time.Duration
	Reason   string // why it was no hit, or why it was skipped
	Err      error
	Retries  int
	Log      []byte
	Outputs  []engine.Output
	Compiled engine.Compiled
	// Diagnosis is what a failure means, as far as it is known; nil otherwise.
	Diagnosis *diagnose.Diagnosis
}

// CompiledText tells of the compile cache, or is empty if it was not used.
func (r *Record) CompiledText() string {
	if r.Compiled.Hits+r.Compiled.Misses == 0 {
		return ""
	}
	return compiledText(r.Compiled.Hits, r.Compiled.Misses)
}

// HumanLog is the record's log as people read it, cleaned.
func (r *Record) HumanLog() string { return human.Clean(humanLog(r.Step.LogFormat, r.Log), false) }

// Message says in one line why a step failed or was not run.
func (r *Record) Message() string {
	if r.Err != nil {
		return human.OneLine(r.Err.Error())
	}
	return human.OneLine(r.Reason)
}

// A Recorder keeps what a run did, for those who tell it when it has ended.
// It is a Sink whose Close does nothing.
type Recorder struct {
	Offline bool // the run has no network; set it before the first event
	mu      sync.Mutex
	run     Run
	records map[engine.StepID]*Record
}

// A Run is a whole run, as recorded. Steps are in the order in which they
// began or, if they never did, ended.
type Run struct {
	Start   time.Time
	Jobs    int
	Steps   []*Record
	Notices []string
	Summary *engine.Summary // nil while the run goes on
}

// NewRecorder returns an empty recorder.
func NewRecorder() *Recorder { return &Recorder{records: map[engine.StepID]*Record{}} }

// Run returns what was recorded. It must not be called before the last event.
func (r *Recorder) Run() *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	return &r.run
}

// Close does nothing.
func (r *Recorder) Close() error { return nil }

// OnEvent records e.
func (r *Recorder) OnEvent(e engine.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch e.Kind {
	case engine.RunStarted:
		r.run.Start, r.run.Jobs = e.Time, e.Jobs
	case engine.Notice:
		r.run.Notices = append(r.run.Notices, e.Reason)
	case engine.RunFinished:
		r.run.Summary = e.Summary
	case engine.StepStarted:
		rec := r.record(e)
		rec.Status, rec.Reason = engine.Running, e.Reason
	case engine.StepRetry:
		r.record(e).Retries++
	case engine.StepFinished:
		r.finish(r.record(e), e)
	}
}

func (r *Recorder) record(e engine.Event) *Record {
	rec := r.records[e.ID]
	if rec == nil {
		rec = &Record{ID: e.ID, Step: e.Step, Start: e.Time}
		if e.Kind == engine.StepFinished {
			rec.Start = e.Time.Add(-e.Duration)
		}
		r.records[e.ID] = rec
		r.run.Steps = append(r.run.Steps, rec)
	}
	return rec
}

func (r *Recorder) finish(rec *Record, e engine.Event) {
	rec.Status, rec.Key, rec.Err = e.Status, e.Key, e.Err
	rec.Duration, rec.Saved = e.Duration, e.Saved
	rec.Log, rec.Outputs, rec.Compiled = e.Log, e.Outputs, e.Compiled
	if e.Status == engine.Failed {
		rec.Diagnosis = diagnoser{r.Offline}.of(e.Step, e.Err, e.Log)
	}
	if e.Reason != "" {
		rec.Reason = e.Reason
	}
}
