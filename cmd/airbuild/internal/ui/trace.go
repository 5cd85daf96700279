package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine"
)

// traceEvent is an event of the Trace Event Format that chrome://tracing and
// Perfetto read. Times are microseconds since the run began.
type traceEvent struct {
	Name  string            `json:"name"`
	Cat   string            `json:"cat,omitempty"`
	Phase string            `json:"ph"`
	Time  int64             `json:"ts"`
	Dur   int64             `json:"dur,omitempty"`
	PID   int               `json:"pid"`
	TID   int               `json:"tid"`
	Args  map[string]string `json:"args,omitempty"`
}

// WriteTrace writes the run as a Chrome trace: one complete event a step, in
// the first lane that was free when it began.
func WriteTrace(w io.Writer, run *Run) error {
	steps := slices.Clone(run.Steps)
	slices.SortStableFunc(steps, func(a, b *Record) int { return a.Start.Compare(b.Start) })
	events := []traceEvent{{Name: "process_name", Phase: "M", PID: 1, Args: map[string]string{"name": "airbuild"}}}
	var lanes []time.Time // when each is free
	for _, r := range steps {
		if r.Status == engine.Skipped || r.Status == engine.WouldRun {
			continue
		}
		lane := slices.IndexFunc(lanes, func(free time.Time) bool { return !free.After(r.Start) })
		if lane < 0 {
			lane = len(lanes)
			lanes = append(lanes, time.Time{})
			events = append(events, traceEvent{Name: "thread_name", Phase: "M", PID: 1, TID: lane + 1,
				Args: map[string]string{"name": fmt.Sprintf("job %d", lane+1)}})
		}
		lanes[lane] = r.Start.Add(r.Duration)
		events = append(events, traceEvent{
			Name: r.Step.Name, Cat: r.Step.Type, Phase: "X", PID: 1, TID: lane + 1,
			Time: max(r.Start.Sub(run.Start).Microseconds(), 0), Dur: max(r.Duration.Microseconds(), 1),
			Args: traceArgs(r),
		})
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(struct {
		Unit   string       `json:"displayTimeUnit"`
		Events []traceEvent `json:"traceEvents"`
	}{"ms", events})
}

func traceArgs(r *Record) map[string]string {
	args := map[string]string{"status": r.Status.String(), "stage": r.Step.Stage}
	if r.Step.Cell != "" {
		args["cell"] = r.Step.Cell
	}
	if k := keyText(r.Key); k != "" {
		args["key"] = k
	}
	if m := r.Message(); m != "" {
		args["message"] = m
	}
	return args
}
