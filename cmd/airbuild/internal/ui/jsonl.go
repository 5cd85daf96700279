package ui

import (
	"bufio"
	"io"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/diagnose"
	"github.com/airbuild/airbuild/internal/canonjson"
)

// JSONVersion is the version of the event schema in docs/output.md. It rises
// when a field changes its meaning or goes away; new fields and events do not
// raise it.
const JSONVersion = 1

// A Diagnostic is a mistake in an Airbuildfile or on the command line, as the
// JSON output tells it. File, Line and Column are zero where there is no place.
type Diagnostic struct {
	Severity     string // "error" or "warning"
	Summary      string
	Detail       string
	File         string // relative to the project
	Line, Column int
}

// A JSONSink writes one JSON object a line. The first is always a start event
// and the last, written by Close if the run did not get that far, a summary.
type JSONSink struct {
	mu      sync.Mutex
	out     *bufio.Writer
	now     func() time.Time
	started bool
	ended   bool
	closed  bool
	errors  int
	diagnoser
	told map[engine.StepID]int // bytes of a running step's log told as they came
}

// NewJSON returns a sink that writes to w; now gives the time of what is not
// an engine event.
func NewJSON(w io.Writer, now func() time.Time) *JSONSink {
	return &JSONSink{out: bufio.NewWriter(w), now: now, told: map[engine.StepID]int{}}
}

type jsonHead struct {
	Time  string `json:"time"`
	Event string `json:"event"`
}

type jsonStart struct {
	jsonHead
	Version int `json:"version"`
	Steps   int `json:"steps"`
	Jobs    int `json:"jobs"`
}

type jsonName struct {
	Step  string `json:"step"`
	Stage string `json:"stage"`
	Cell  string `json:"cell"`
	Type  string `json:"type"`
}

type jsonStep struct {
	jsonHead
	jsonName
	Status string `json:"status"`
	Key    string `json:"key"`
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
	// Diagnosis is what the failure means.
	Diagnosis  *diagnose.Diagnosis `json:"diagnosis,omitempty"`
	DurationMS int64               `json:"duration_ms"`
	SavedMS    int64               `json:"saved_ms,omitempty"`
	Found      int                 `json:"compile_hits,omitempty"`
	Compiled   int                 `json:"compile_misses,omitempty"`
	Outputs    []jsonOutput        `json:"outputs,omitempty"`
}

type jsonOutput struct {
	Path       string `json:"path"`
	Digest     string `json:"digest"`
	Size       int64  `json:"size"`
	Directory  bool   `json:"directory"`
	Executable bool   `json:"executable"`
	Written    bool   `json:"written"`
	Before     *int64 `json:"before,omitempty"`
}

type jsonLog struct {
	jsonHead
	jsonName
	Text     string `json:"text"`
	Replayed bool   `json:"replayed"`
}

type jsonRetry struct {
	jsonHead
	jsonName
	Error string `json:"error"`
}

type jsonWaiting struct {
	jsonHead
	jsonName
}

type jsonBlocked struct {
	jsonHead
	jsonName
	Program string `json:"program,omitempty"`
	PID     int    `json:"pid,omitempty"`
	Op      string `json:"op"`
	Address string `json:"address,omitempty"`
	Host    string `json:"host,omitempty"`
}

type jsonNotice struct {
	jsonHead
	Text string `json:"text"`
}

type jsonDiagnostic struct {
	jsonHead
	Severity string `json:"severity"`
	Summary  string `json:"summary"`
	Detail   string `json:"detail"`
	File     string `json:"file,omitempty"`
	Line     int    `json:"line,omitempty"`
	Column   int    `json:"column,omitempty"`
}

type jsonSummary struct {
	jsonHead
	OK          bool          `json:"ok"`
	Steps       int           `json:"steps"`
	Hits        int           `json:"hits"`
	Ran         int           `json:"ran"`
	Failed      int           `json:"failed"`
	Skipped     int           `json:"skipped"`
	Cancelled   int           `json:"cancelled"`
	WouldRun    int           `json:"would_run"`
	WallMS      int64         `json:"wall_ms"`
	SavedMS     int64         `json:"saved_ms"`
	Damaged     int           `json:"damaged"`
	CompileHits int           `json:"compile_hits"`
	Compiled    int           `json:"compile_misses"`
	Interrupted bool          `json:"interrupted"`
	Removed     []string      `json:"removed,omitempty"`
	Failures    []jsonFailure `json:"failures,omitempty"`
}

type jsonFailure struct {
	Step  string `json:"step"`
	Error string `json:"error"`
}

// Diagnostic writes a diagnostic event.
func (s *JSONSink) Diagnostic(d Diagnostic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ended { // nothing comes after the summary
		return
	}
	s.begin(engine.Event{Time: s.now()})
	if d.Severity == "error" {
		s.errors++
	}
	s.write(jsonDiagnostic{s.head(s.now(), "diagnostic"), d.Severity, d.Summary, d.Detail, d.File, d.Line, d.Column})
	s.out.Flush()
}

// Close ends the stream: with a summary of nothing done, if no run wrote one.
func (s *JSONSink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	if !s.ended {
		s.begin(engine.Event{Time: s.now()})
		s.write(jsonSummary{jsonHead: s.head(s.now(), "summary"), OK: s.errors == 0})
	}
	s.closed = true
	return s.out.Flush()
}

// OnEvent writes the event.
func (s *JSONSink) OnEvent(e engine.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ended {
		return
	}
	s.begin(e)
	switch e.Kind {
	case engine.StepStarted:
		s.write(jsonStep{jsonHead: s.head(e.Time, "step"), jsonName: nameOf(e.Step),
			Status: e.Status.String(), Key: keyText(e.Key), Reason: e.Reason})
	case engine.StepOutput:
		s.told[e.ID] += len(e.Output)
		s.log(e, e.Output, false)
	case engine.StepFinished:
		s.finished(e)
	case engine.StepWaiting:
		s.write(jsonWaiting{s.head(e.Time, "waiting"), nameOf(e.Step)})
	case engine.StepRetry:
		delete(s.told, e.ID) // the log begins anew
		s.write(jsonRetry{s.head(e.Time, "retry"), nameOf(e.Step), errText(e.Err)})
	case engine.StepBlocked:
		b := e.Blocked
		s.write(jsonBlocked{s.head(e.Time, "blocked"), nameOf(e.Step), b.Program, b.PID, b.Op, b.Address, b.Host})
	case engine.Notice:
		s.write(jsonNotice{s.head(e.Time, "notice"), e.Reason})
	case engine.RunFinished:
		s.write(summaryOf(s.head(e.Time, "summary"), e.Summary))
		s.ended = true
	}
	s.out.Flush()
}

// begin writes the start event, unless it is written.
func (s *JSONSink) begin(e engine.Event) {
	if s.started {
		return
	}
	s.started = true
	s.write(jsonStart{s.head(e.Time, "start"), JSONVersion, e.Total, e.Jobs})
}

func (s *JSONSink) finished(e engine.Event) {
	if told := s.told[e.ID]; len(e.Log) > told { // all of it, or a last line without end
		s.log(e, e.Log[told:], e.Status == engine.Hit)
	}
	delete(s.told, e.ID)
	l := jsonStep{
		jsonHead: s.head(e.Time, "step"), jsonName: nameOf(e.Step),
		Status: e.Status.String(), Key: keyText(e.Key), Reason: e.Reason, Error: errText(e.Err),
		DurationMS: e.Duration.Milliseconds(), SavedMS: e.Saved.Milliseconds(),
		Found: e.Compiled.Hits, Compiled: e.Compiled.Misses,
	}
	if e.Status == engine.Failed {
		l.Diagnosis = s.diagnoser.of(e.Step, e.Err, e.Log)
	}
	for _, o := range e.Outputs {
		out := jsonOutput{Path: o.Path, Digest: keyText(o.Digest), Size: o.Size,
			Directory: o.Dir, Executable: o.Executable, Written: o.Written}
		if o.Before >= 0 {
			out.Before = &o.Before
		}
		l.Outputs = append(l.Outputs, out)
	}
	s.write(l)
}

func (s *JSONSink) log(e engine.Event, text []byte, replayed bool) {
	s.write(jsonLog{s.head(e.Time, "output"), nameOf(e.Step), string(text), replayed})
}

func summaryOf(h jsonHead, s *engine.Summary) jsonSummary {
	l := jsonSummary{
		jsonHead: h, OK: s.OK() && !s.Interrupted, Steps: s.Steps, Hits: s.Hits, Ran: s.Ran, Failed: s.Failed,
		Skipped: s.Skipped, Cancelled: s.Cancelled, WouldRun: s.WouldRun,
		WallMS: s.Wall.Milliseconds(), SavedMS: s.Saved.Milliseconds(),
		Damaged: s.Damaged, CompileHits: s.CompileHits, Compiled: s.CompileMisses, Interrupted: s.Interrupted, Removed: s.Removed,
	}
	for _, f := range s.Failures {
		l.Failures = append(l.Failures, jsonFailure{f.Step.Name, errText(f.Err)})
	}
	return l
}

func (s *JSONSink) head(t time.Time, event string) jsonHead {
	return jsonHead{t.UTC().Format("2006-01-02T15:04:05.000Z07:00"), event}
}

// write appends one line. A value that cannot be encoded does not occur: all
// are strings, numbers and booleans. A write error shows at Close.
func (s *JSONSink) write(v any) {
	if b, err := canonjson.Compact(v); err == nil {
		s.out.Write(append(b, '\n'))
	}
}

func nameOf(s *engine.Step) jsonName { return jsonName{s.Name, s.Stage, s.Cell, s.Type} }

func keyText(d action.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.Hex()
}
