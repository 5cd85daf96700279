package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// A history is what a workspace remembers of earlier runs, by step name: keys to
// compare a miss with, durations to schedule by, sizes to compare with. Losing
// it loses explanations, no results.
//
// The file is JSON lines, one outcome a line, oldest first; a line that cannot
// be read (cut off by a crash) is passed over.
type history struct {
	file  string
	steps map[string][]outcome // oldest first
	lines int
	fresh []outcome // not yet saved
}

// An outcome is one line.
type outcome struct {
	Step  string    `json:"step"`
	Key   string    `json:"key"` // hash/size
	Time  time.Time `json:"time"`
	MS    int64     `json:"ms"`
	Sizes []int64   `json:"sizes,omitempty"` // of the declared outputs, in order
}

const (
	historyKeep = 8     // outcomes a step
	historyMax  = 4     // times what is kept: then the file is written anew
	historyMin  = 1_000 // lines that are never too many
)

func loadHistory(dir string) *history {
	h := &history{file: filepath.Join(dir, "history"), steps: map[string][]outcome{}}
	b, err := os.ReadFile(h.file)
	if err != nil {
		return h
	}
	h.steps = make(map[string][]outcome, bytes.Count(b, []byte{'\n'}))
	for line := range bytes.Lines(b) {
		if o, ok := parseOutcome(line); ok {
			h.lines++
			h.push(o)
		}
	}
	return h
}

// parseOutcome reads one line. One in the very form that save writes is taken
// apart without a decoder of JSON, which takes ten times as long: there is a
// line for each of ten thousand steps.
func parseOutcome(line []byte) (outcome, bool) {
	if o, ok := parseOwn(string(bytes.TrimSuffix(line, []byte{'\n'}))); ok {
		return o, true
	}
	var o outcome
	err := json.Unmarshal(line, &o)
	return o, err == nil && o.Step != ""
}

// parseOwn reads a line that was written by this version, if no text in it
// needs escapes.
func parseOwn(line string) (o outcome, ok bool) {
	var when, ms string
	rest := line
	for _, part := range []struct {
		before, after string
		to            *string
	}{
		{`{"step":"`, `"`, &o.Step}, {`,"key":"`, `"`, &o.Key}, {`,"time":"`, `"`, &when}, {`,"ms":`, "", &ms},
	} {
		if rest, ok = strings.CutPrefix(rest, part.before); !ok {
			return o, false
		}
		end := strings.IndexAny(rest, `",}`)
		if part.after != "" {
			end = strings.IndexByte(rest, '"')
		}
		if end < 0 {
			return o, false
		}
		*part.to, rest = rest[:end], rest[end+len(part.after):]
	}
	var err error
	if o.Time, err = time.Parse(time.RFC3339Nano, when); err != nil || o.Step == "" {
		return o, false
	}
	if o.MS, err = strconv.ParseInt(ms, 10, 64); err != nil || strings.ContainsAny(o.Step+o.Key, `\`) {
		return o, false
	}
	if sizes, found := strings.CutPrefix(rest, `,"sizes":[`); found {
		list, tail, closed := strings.Cut(sizes, "]")
		if !closed {
			return o, false
		}
		for n := range strings.SplitSeq(list, ",") {
			size, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				return o, false
			}
			o.Sizes = append(o.Sizes, size)
		}
		rest = tail
	}
	return o, rest == "}"
}

func (h *history) push(o outcome) {
	list := append(h.steps[o.Step], o)
	if len(list) > historyKeep {
		list = list[len(list)-historyKeep:]
	}
	h.steps[o.Step] = list
}

// last returns the newest outcome of the step.
func (h *history) last(step string) (outcome, bool) {
	list := h.steps[step]
	if len(list) == 0 {
		return outcome{}, false
	}
	return list[len(list)-1], true
}

// otherKey returns the newest outcome with another key than the given one.
func otherKey(list []outcome, key action.Digest) (outcome, bool) {
	for _, o := range slices.Backward(list) {
		if o.Key != key.String() {
			return o, true
		}
	}
	return outcome{}, false
}

// note remembers an outcome unless it is the one remembered last.
func (h *history) note(o outcome) {
	if last, ok := h.last(o.Step); ok && last.Key == o.Key {
		return
	}
	h.push(o)
	h.fresh = append(h.fresh, o)
}

// save appends what is new, or writes the file anew when it has grown.
func (h *history) save() error {
	if len(h.fresh) == 0 {
		return nil
	}
	var b bytes.Buffer
	write := func(list []outcome) {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		for _, o := range list {
			enc.Encode(o) // a bytes.Buffer does not fail
		}
	}
	if h.lines+len(h.fresh) > max(historyMin, historyMax*historyKeep*len(h.steps)) {
		for _, list := range h.steps {
			write(list)
		}
		if err := atomicfile.Write(h.file, b.Bytes(), atomicfile.Options{Perm: 0o600}); err != nil {
			return fmt.Errorf("save history: %w", err)
		}
		return nil
	}
	write(h.fresh)
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if err := cmp.Or(err, f.Close()); err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	h.fresh = nil
	return nil
}
