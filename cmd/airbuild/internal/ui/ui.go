// Package ui shows a run to people and to other programs. It turns the
// engine's events into a live terminal, plain lines, the folding marks of CI
// systems, JSON lines, JUnit, a trace, metrics and an HTML report.
//
// The rules that everything here keeps:
//
//   - Data goes to Out, errors to Err. What a run did is data; why it failed
//     is an error. Lines are whole and never interleaved.
//   - Colour is decoration. Every line says the same without it. NO_COLOR, CI
//     and TERM=dumb are obeyed; an explicit flag wins over them.
//   - A step's log is shown as one block when the step has ended, prefixed
//     with the step's name, and a stored log is replayed like a fresh one.
//   - What programs wrote is not trusted: control characters and escape
//     sequences never reach a terminal or a CI system's parser.
//   - The first root cause is said last, so that it is what one sees.
//   - The terminal is left as it was found, whatever happens: Close may be
//     called at any time, from any goroutine, more than once.
//   - Nothing is decided here. A sink that loses its output loses only that.
package ui

import (
	"cmp"
	"fmt"
	"io"
	"time"

	"github.com/airbuild/airbuild/engine"
)

// A Sink takes the events of one run, in order. OnEvent and Close may be
// called from different goroutines. After Close events are dropped.
type Sink interface {
	OnEvent(engine.Event)
	Close() error
}

// A Mode is a form of output.
type Mode string

// The modes that --output names.
const (
	Auto  Mode = "auto"
	TTY   Mode = "tty"
	Plain Mode = "plain"
	JSON  Mode = "json"
)

// ParseMode checks what a user wrote for --output.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case Auto, TTY, Plain, JSON:
		return m, nil
	}
	return "", fmt.Errorf("output %q: want auto, tty, plain or json", s)
}

// A ColorMode says when colour is used.
type ColorMode string

// The modes that --color names.
const (
	ColorAuto   ColorMode = "auto"
	ColorAlways ColorMode = "always"
	ColorNever  ColorMode = "never"
)

// ParseColor checks what a user wrote for --color.
func ParseColor(s string) (ColorMode, error) {
	switch c := ColorMode(s); c {
	case ColorAuto, ColorAlways, ColorNever:
		return c, nil
	}
	return "", fmt.Errorf("color %q: want auto, always or never", s)
}

// Config says where and how to show a run. The zero Mode and Color mean auto.
type Config struct {
	Mode     Mode
	Color    ColorMode
	Out, Err io.Writer
	// LookupEnv answers for CI, GITLAB_CI, GITHUB_ACTIONS, JENKINS_URL,
	// NO_COLOR and TERM; nil means none is set.
	LookupEnv func(string) (string, bool)
	Offline   bool             // the run has no network: what mends a failure is then another thing
	Width     int              // columns; 0 asks the terminal, 80 where there is none
	Now       func() time.Time // nil means time.Now
}

// New returns the sink that c asks for.
func New(c Config) Sink {
	if c.Now == nil {
		c.Now = time.Now
	}
	switch d := Detect(c); d.Mode {
	case JSON:
		s := NewJSON(c.Out, c.Now)
		s.diagnoser.offline = c.Offline
		return s
	case TTY:
		return newTTY(c, d.Palette)
	default:
		return newPlain(c, d)
	}
}

// Pause keeps a live terminal still, with its cursor shown, until resume is
// called, so that the user can be asked something. Other sinks write whole
// lines and are left alone.
func Pause(s Sink) (resume func()) {
	if t, ok := s.(*tty); ok {
		return t.pause()
	}
	return func() {}
}

// Tee sends each event to every sink, in the order given. Close closes all and
// returns the first error.
func Tee(sinks ...Sink) Sink { return tee(sinks) }

type tee []Sink

func (t tee) OnEvent(e engine.Event) {
	for _, s := range t {
		s.OnEvent(e)
	}
}

func (t tee) Close() error {
	var first error
	for _, s := range t {
		first = cmp.Or(first, s.Close())
	}
	return first
}
