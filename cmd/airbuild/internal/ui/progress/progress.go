// Package progress shows how far long operations on bundles are.
package progress

import (
	"fmt"
	"io"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/bundle"
)

// A Meter shows how far an operation on a bundle is.
type Meter struct {
	Out   io.Writer
	Live  bool // Out is a terminal: a line is rewritten; else each phase has a line
	Quiet bool // show nothing

	last  time.Time
	began time.Time
	phase string
	wrote bool
}

// Fetch is the phase in which a bundle is downloaded.
const Fetch = "fetch"

// phases says what a phase of a bundle does.
var phases = map[string]string{
	bundle.PhaseHash: "reading", bundle.PhasePatch: "comparing", bundle.PhasePack: "packing", bundle.PhaseVolumes: "writing volumes",
	bundle.PhaseVerify: "verifying", bundle.PhaseCheck: "comparing", bundle.PhaseImport: "importing",
	bundle.PhaseFlush: "waiting for the disk", bundle.PhasePublish: "publishing", Fetch: "fetching",
}

// Show is a bundle.ProgressFunc.
func (m *Meter) Show(p bundle.Progress) {
	if m.Quiet {
		return
	}
	now := time.Now()
	if p.Phase != m.phase {
		m.End()
		m.phase, m.began, m.last = p.Phase, now, time.Time{}
		if !m.Live && p.Total > 0 {
			fmt.Fprintf(m.Out, "%s %s\n", phases[p.Phase], human.Bytes(p.Total))
		}
	}
	if !m.Live || now.Sub(m.last) < 100*time.Millisecond {
		return
	}
	m.last, m.wrote = now, true
	fmt.Fprintf(m.Out, "\r\x1b[K%s %s", phases[p.Phase], m.amount(p, now))
}

// amount is "1.2 GiB of 4.0 GiB, 2m10s left".
func (m *Meter) amount(p bundle.Progress, now time.Time) string {
	if p.Total <= 0 {
		return ""
	}
	text := human.Bytes(p.Bytes) + " of " + human.Bytes(p.Total)
	if spent := now.Sub(m.began); p.Bytes > 0 && spent > time.Second {
		left := time.Duration(float64(spent) * float64(p.Total-p.Bytes) / float64(p.Bytes))
		text += ", " + left.Round(time.Second).String() + " left"
	}
	return text
}

// End clears the line.
func (m *Meter) End() {
	if m.wrote {
		fmt.Fprint(m.Out, "\r\x1b[K")
		m.wrote = false
	}
}
