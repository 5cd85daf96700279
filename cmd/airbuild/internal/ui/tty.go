package ui

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

// refresh is how often the live part is drawn anew, at most.
const refresh = 100 * time.Millisecond

// failureLines is how much of a failed step's log is shown at once.
const failureLines = 40

const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearBelow = "\x1b[J"
)

// tty draws the steps that run below the lines of those that have ended. Hits
// are counted, not listed, unless they have a log to replay that may be news: a
// compiler's warnings, not a list of packages whose tests passed.
//
// Everything that is written between two frames is gathered in pending and
// goes out in one Write together with the next frame, so that the terminal
// never shows half of one. The ticker goroutine ends with Close.
type tty struct {
	mu      sync.Mutex // guards all below
	out     io.Writer
	err     io.Writer
	p       Palette
	width   int
	now     func() time.Time
	pending strings.Builder
	drawn   int // lines of the live part on the screen
	hidden  bool
	running []runningStep // in the order they began
	counts  [engine.WouldRun + 1]int
	total   int
	start   time.Time
	tally   tally
	diagnoser
	closed bool
	paused bool
	stop   chan struct{}
}

type runningStep struct {
	id    engine.StepID
	name  string
	since time.Time
	note  string
}

func newTTY(c Config, p Palette) *tty {
	t := &tty{out: c.Out, err: c.Err, p: p, width: c.Width, now: c.Now, diagnoser: diagnoser{c.Offline}, stop: make(chan struct{})}
	go t.tick()
	return t
}

func (t *tty) tick() {
	ticker := time.NewTicker(refresh)
	defer ticker.Stop()
	for {
		select {
		case <-t.stop:
			return
		case <-ticker.C:
			t.mu.Lock()
			if !t.closed && !t.paused && t.total > 0 {
				t.frame(true)
			}
			t.mu.Unlock()
		}
	}
}

// Close takes the live part away and shows the cursor again.
func (t *tty) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	t.closed = true
	close(t.stop)
	return t.frame(false)
}

// pause takes the live part away and shows the cursor until resume is called.
func (t *tty) pause() (resume func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.paused = true
	t.frame(false)
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.paused = false
	}
}

func (t *tty) OnEvent(e engine.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return
	}
	switch e.Kind {
	case engine.RunStarted:
		t.total, t.start = e.Total, e.Time
	case engine.StepStarted:
		t.running = append(t.running, runningStep{e.ID, human.OneLine(e.Step.Name), e.Time, human.OneLine(e.Reason)})
	case engine.StepWaiting:
		t.note(e.ID, "another airbuild runs this step")
	case engine.StepRetry:
		t.line(statusLine(t.p, e.Step, "retry", t.p.Yellow, errText(e.Err)))
	case engine.StepFinished:
		t.ended(e)
	case engine.Notice:
		t.line(t.p.Yellow("notice:") + " " + human.OneLine(e.Reason))
	case engine.RunFinished:
		t.total = 0
		t.pending.WriteString(summaryText(e.Summary, &t.tally, t.p))
		t.frame(false)
		io.WriteString(t.err, rootCause(e.Summary, t.diagnoser, t.p))
	}
}

func (t *tty) note(id engine.StepID, text string) {
	for i := range t.running {
		if t.running[i].id == id {
			t.running[i].note = text
		}
	}
}

func (t *tty) line(s string) { t.pending.WriteString(s + "\n") }

func (t *tty) ended(e engine.Event) {
	t.tally.add(e)
	t.counts[e.Status]++
	t.running = slices.DeleteFunc(t.running, func(r runningStep) bool { return r.id == e.ID })
	log := lines(human.Clean(humanLog(e.Step.LogFormat, e.Log), t.p.On()))
	if e.Status == engine.Hit && (len(log) == 0 || e.Step.LogFormat == GoTestJSON) { // "ok" for each package is no news
		return
	}
	t.line(ending(t.p, e))
	before := 0
	if e.Status == engine.Failed {
		log, before = tail(log, failureLines)
	}
	if before > 0 {
		t.line(t.p.Dim(fmt.Sprintf("  … %s before; --output plain shows all", human.Count(before, "line"))))
	}
	for _, l := range append(log, t.diagnoser.lines(e, t.p)...) {
		t.line("  " + l)
	}
}

// frame writes what is pending and, if live, the live part anew.
func (t *tty) frame(live bool) error {
	var b strings.Builder
	if t.drawn > 0 {
		fmt.Fprintf(&b, "\r\x1b[%dA%s", t.drawn, clearBelow)
	}
	b.WriteString(t.pending.String())
	t.pending.Reset()
	t.drawn = 0
	switch {
	case live:
		part := t.live()
		t.drawn = len(part)
		if !t.hidden {
			b.WriteString(hideCursor)
			t.hidden = true
		}
		for _, l := range part {
			b.WriteString(l + "\n")
		}
	case t.hidden:
		b.WriteString(showCursor)
		t.hidden = false
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(t.out, b.String())
	return err
}

// live is the live part: a line for each running step as far as they fit, and
// the counts. No line is wider than the terminal: a wrapped line would break
// the count of lines to take back.
func (t *tty) live() []string {
	width, rows := size(t.out)
	if t.width > 0 {
		width = t.width
	}
	width = max(width-1, 20)
	room := max(min(rows-3, 12), 1)
	var out []string
	now := t.now()
	for i, r := range t.running {
		if i == room && len(t.running) > room {
			out = append(out, t.p.Dim(fmt.Sprintf("  … and %d more", len(t.running)-room)))
			break
		}
		left := human.Fit("  "+r.name, width-9)
		line := fmt.Sprintf("%s  %s", left, human.Took(now.Sub(r.since)))
		if rest := width - human.Columns(line) - 2; r.note != "" && rest > 12 {
			line += "  " + t.p.Dim(human.Fit(r.note, rest))
		}
		out = append(out, line)
	}
	return append(out, t.p.Bold(human.Fit(t.status(now), width)))
}

func (t *tty) status(now time.Time) string {
	ended := 0
	for s, n := range t.counts {
		if engine.Status(s).Final() {
			ended += n
		}
	}
	s := fmt.Sprintf("%d/%d  %s", ended, t.total, human.Count(t.counts[engine.Hit], "hit"))
	s += fmt.Sprintf(", %d ran, %d running", t.counts[engine.Done]+t.counts[engine.Failed], len(t.running))
	if n := t.counts[engine.Failed]; n > 0 {
		s += fmt.Sprintf(", %d failed", n)
	}
	return s + "  " + human.Took(now.Sub(t.start))
}
