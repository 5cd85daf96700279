package ui

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

// plain writes whole lines, each with the name of its step, and a step's log
// as a block when the step has ended. Around a block it puts the folding marks
// of the CI system, if that has any.
type plain struct {
	mu    sync.Mutex
	out   *bufio.Writer // flushed after every event; after hits, soon
	soon  *time.Timer   // flushes; nil while nothing waits for it
	err   io.Writer
	p     Palette
	ci    CI
	tally tally
	diagnoser
	starts map[engine.StepID]time.Time
	closed bool
}

func newPlain(c Config, d Detected) *plain {
	return &plain{
		out: bufio.NewWriter(c.Out), err: c.Err, p: d.Palette, ci: d.CI, diagnoser: diagnoser{c.Offline},
		starts: map[engine.StepID]time.Time{},
	}
}

func (s *plain) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.soon != nil {
		s.soon.Stop()
	}
	return s.out.Flush()
}

// flushSoon is how long the line of a hit may wait for those of others: ten
// thousand of them come in half a second.
const flushSoon = 50 * time.Millisecond

// flush writes what there is; what hits say, with what comes soon.
func (s *plain) flush(e engine.Event) {
	if e.Kind == engine.StepFinished && e.Status == engine.Hit {
		if s.soon == nil {
			s.soon = time.AfterFunc(flushSoon, s.flushNow)
		}
		return
	}
	s.out.Flush()
}

func (s *plain) flushNow() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.soon = nil
	if !s.closed {
		s.out.Flush()
	}
}

func (s *plain) OnEvent(e engine.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	switch e.Kind {
	case engine.RunStarted:
		fmt.Fprintf(s.out, "%s, %s\n", human.Count(e.Total, "step"), human.Count(e.Jobs, "job"))
	case engine.StepStarted:
		s.starts[e.ID] = e.Time
		s.say(e, "run", s.p.Cyan, e.Reason)
	case engine.StepWaiting:
		s.say(e, "waiting", s.p.Dim, "another airbuild runs this step")
	case engine.StepRetry:
		s.say(e, "retry", s.p.Yellow, errText(e.Err))
	case engine.StepFinished:
		s.tally.add(e)
		s.block(e)
		delete(s.starts, e.ID)
	case engine.Notice:
		fmt.Fprintf(s.out, "%s %s\n", s.p.Yellow("notice:"), human.OneLine(e.Reason))
	case engine.RunFinished:
		s.finish(e.Summary)
	}
	if e.Kind != engine.StepOutput {
		s.flush(e)
	}
}

// say writes one line about a step: "bin[linux/amd64]: run, go.sum changed".
func (s *plain) say(e engine.Event, word string, paint func(string) string, more string) {
	fmt.Fprintln(s.out, statusLine(s.p, e.Step, word, paint, more))
}

func statusLine(p Palette, step *engine.Step, word string, paint func(string) string, more string) string {
	line := p.Bold(human.OneLine(step.Name)) + ": " + paint(word)
	if more = human.OneLine(more); more != "" {
		line += ", " + more
	}
	return line
}

// ending is the line that says how a step ended.
func ending(p Palette, e engine.Event) string {
	switch e.Status {
	case engine.Hit:
		more := ""
		if e.Saved > 0 {
			more = "saved " + human.Took(e.Saved)
		}
		return statusLine(p, e.Step, "hit", p.Dim, more)
	case engine.Done:
		return statusLine(p, e.Step, "done", p.Green, human.Took(e.Duration))
	case engine.Failed:
		return statusLine(p, e.Step, "failed", p.Red, human.Took(e.Duration)+": "+errText(e.Err))
	case engine.WouldRun:
		return statusLine(p, e.Step, "would run", p.Cyan, e.Reason)
	}
	return statusLine(p, e.Step, e.Status.String(), p.Yellow, e.Reason)
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// block writes how a step ended and its log, folded unless it failed.
func (s *plain) block(e engine.Event) {
	log := lines(human.Clean(humanLog(e.Step.LogFormat, e.Log), s.p.On()))
	head := ending(s.p, e)
	failed := e.Status == engine.Failed
	diagnosis := s.diagnoser.lines(e, s.p)
	if len(log)+len(diagnosis) == 0 {
		fmt.Fprintln(s.out, head)
	} else {
		s.open(e, head, failed)
		for _, l := range log {
			fmt.Fprintf(s.out, "%s %s\n", s.p.Dim(human.OneLine(e.Step.Name)+" |"), s.harmless(l))
		}
		for _, l := range diagnosis {
			fmt.Fprintf(s.out, "%s: %s\n", s.p.Bold(human.OneLine(e.Step.Name)), s.harmless(l))
		}
		s.shut(e, failed)
	}
	if failed && s.ci == GitHub {
		fmt.Fprintln(s.out, s.githubError(e))
	}
}

// harmless takes away what the CI system would take for a command of ours.
// GitHub reads "##[" anywhere in a line; "::" only at its beginning, where the
// step's name stands.
func (s *plain) harmless(line string) string {
	if s.ci == GitHub {
		return strings.ReplaceAll(line, "##[", "## [")
	}
	return line
}

func (s *plain) open(e engine.Event, head string, failed bool) {
	switch s.ci {
	case GitLab:
		began, ok := s.starts[e.ID]
		if !ok {
			began = e.Time.Add(-e.Duration)
		}
		collapsed := "[collapsed=true]"
		if failed {
			collapsed = ""
		}
		fmt.Fprintf(s.out, "\x1b[0Ksection_start:%d:%s%s\r\x1b[0K%s\n", began.Unix(), sectionName(e), collapsed, head)
	case GitHub:
		if !failed {
			head = "::group::" + head
		}
		fmt.Fprintln(s.out, head)
	default:
		fmt.Fprintln(s.out, head)
	}
}

func (s *plain) shut(e engine.Event, failed bool) {
	switch {
	case s.ci == GitLab:
		fmt.Fprintf(s.out, "\x1b[0Ksection_end:%d:%s\r\x1b[0K\n", e.Time.Unix(), sectionName(e))
	case s.ci == GitHub && !failed:
		fmt.Fprintln(s.out, "::endgroup::")
	}
}

// sectionName is unique in a run and made of what GitLab allows: letters,
// digits, "_", "." and "-".
func sectionName(e engine.Event) string {
	ok := func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '.', r == '-':
			return r
		}
		return '_'
	}
	return fmt.Sprintf("airbuild_%d_%s", e.ID, strings.Map(ok, e.Step.Name))
}

// githubError is an annotation at the stage's place in the Airbuildfile.
func (s *plain) githubError(e engine.Event) string {
	data := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	prop := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
	where := ""
	if file, line := origin(e.Step.Origin); file != "" {
		where = fmt.Sprintf("file=%s,line=%d,", prop.Replace(file), line)
	}
	msg := human.Clean(errText(e.Err), false)
	if last, _ := tail(lines(human.Clean(humanLog(e.Step.LogFormat, e.Log), false)), 10); len(last) > 0 {
		msg += "\n" + strings.Join(last, "\n")
	}
	if d := s.diagnoser.of(e.Step, e.Err, e.Log); d != nil {
		msg += "\n" + d.Text()
	}
	return fmt.Sprintf("::error %stitle=%s::%s", where, prop.Replace(e.Step.Name+" failed"), data.Replace(msg))
}

func (s *plain) finish(sum *engine.Summary) {
	s.out.WriteString(summaryText(sum, &s.tally, s.p))
	s.out.Flush()
	io.WriteString(s.err, rootCause(sum, s.diagnoser, s.p))
}
