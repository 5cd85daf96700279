package engine

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine/action"
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
	sc := bufio.NewScanner(bytes.NewReader(b))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		var o outcome
		if json.Unmarshal(sc.Bytes(), &o) != nil || o.Step == "" {
			continue
		}
		h.lines++
		h.push(o)
	}
	return h
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
		return replaceFile(h.file, b.Bytes())
	}
	write(h.fresh)
	f, err := os.OpenFile(h.file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("save history: %w", err)
	}
	h.fresh = nil
	return nil
}

// replaceFile writes a file whole, by rename.
func replaceFile(name string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+"-*.tmp")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	_, err = tmp.Write(b)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), name)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}
