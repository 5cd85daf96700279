package engine

import (
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// A Status is how a step stands. The words are those of the JSON output.
type Status uint8

const (
	Waiting   Status = iota // for other steps, or for a worker
	Running                 // "run"
	Hit                     // taken from the store
	Done                    // ran and succeeded
	Failed                  // ran, or could not be run, and failed
	Skipped                 // not run because a step it needs failed
	Cancelled               // stopped, or not started because the run was stopped
	WouldRun                // dry run: no result in the store
)

var statusNames = [...]string{"waiting", "run", "hit", "done", "failed", "skipped", "cancelled", "would-run"}

func (s Status) String() string { return statusNames[s] }

// Final reports whether a step with this status stays so.
func (s Status) Final() bool { return s >= Hit }

// An EventKind says what an Event reports.
type EventKind uint8

const (
	RunStarted   EventKind = iota // Total is set
	StepStarted                   // Status Running; Reason says why it is not a hit
	StepOutput                    // Output is a part of the log, whole lines
	StepFinished                  // Status is final
	StepWaiting                   // another airbuild process runs this very step
	StepRetry                     // a try failed; Err says how; another follows
	Notice                        // Reason is a text to show: a damaged entry, a slow store
	RunFinished                   // Summary is set
	StepBlocked                   // Blocked is set: the step tried to reach the network
)

// An Event is reported to Options.OnEvent, in order, from the owner goroutine.
type Event struct {
	Kind   EventKind
	Time   time.Time
	ID     StepID
	Step   *Step // nil for events of the run
	Status Status
	Key    action.Digest // zero while unknown

	// Reason: why a step ran ("go.sum changed; 2 files"), why it was skipped
	// ("needs vendor, which failed"), or the text of a Notice.
	Reason   string
	Err      error         // Failed, StepRetry
	Duration time.Duration // StepFinished: of this run
	Saved    time.Duration // Hit: what the work took when it was done
	Output   []byte        // StepOutput
	Blocked  *Attempt      // StepBlocked
	// Log is the whole log: of a hit the stored one, replayed.
	Log     []byte
	Outputs []Output
	// Compiled: StepFinished of a step that ran with a compile cache.
	Compiled Compiled
	Total    int      // RunStarted: how many steps
	Jobs     int      // RunStarted
	Summary  *Summary // RunFinished
}

// An Attempt is one try of a step's program to reach the network, which it was
// kept from.
type Attempt struct {
	Program string // as the kernel calls it; empty if unknown
	PID     int    // inside the sandbox; zero if unknown
	Op      string // "connect", "send" or "lookup"
	Address string // "192.0.2.7:8080"; empty for a lookup
	Host    string // the name that was looked up
}

// An Output is a file or directory that a step made or that was restored.
type Output struct {
	Path       string        // relative to the project root
	Digest     action.Digest // of the file, or of the directory's Tree message
	Size       int64         // bytes; for a directory the sum of its files
	Dir        bool
	Executable bool
	Written    bool // false: the workspace had it already
	// Before is the size of the same output in the last recorded run that
	// made it, whatever its name was then; -1 where unknown.
	Before int64
}

// Compiled says how far a step's compiler was helped by packages that were
// compiled before.
type Compiled struct {
	Hits   int // compiled packages that were taken from the cache
	Misses int // packages that were compiled
	// Damaged are parts of the store that were found damaged on the way, and
	// thrown away; Notes are further texts for the user.
	Damaged, Notes []string
}

// A Summary is the outcome of a run.
type Summary struct {
	Steps, Hits, Ran, Failed, Skipped, Cancelled int
	WouldRun                                     int
	Wall                                         time.Duration
	Saved                                        time.Duration // work that hits made unnecessary
	Removed                                      []string      // stale outputs taken away
	Damaged                                      int           // store entries found damaged
	// CompileHits and CompileMisses are the sums of the steps' Compiled.
	CompileHits, CompileMisses int
	// ExportedInputs are the keys of the store's entries with remembered inputs of
	// the steps; see Options.ExportInputs.
	ExportedInputs []action.Digest
	// Failures are the steps that failed, first root cause first.
	Failures []Failure
	// Interrupted is set when the context ended the run.
	Interrupted bool
}

// OK reports whether every step succeeded.
func (s *Summary) OK() bool { return s.Failed == 0 && s.Skipped == 0 && s.Cancelled == 0 }

// A Failure is a step that failed.
type Failure struct {
	ID   StepID
	Step *Step
	Err  error
	Log  []byte
}
