package ui

import (
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/diagnose"
)

// A diagnoser says what the output of a failed step means.
type diagnoser struct{ offline bool }

// of is the diagnosis of a failure, or nil. What airbuild itself says of the
// failure comes after the step's log. A text that it knows how to mend anyway,
// such as that a program is not declared, is left alone.
func (d diagnoser) of(step *engine.Step, err error, log []byte) *diagnose.Diagnosis {
	text := human.Clean(humanLog(step.LogFormat, log), false)
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if err != nil {
		text += human.Clean(err.Error(), false) + "\n"
	}
	found := diagnose.Classify([]byte(text), diagnose.Context{Offline: d.offline, Look: diagnose.Look})
	if found == nil {
		return nil
	}
	found.Cause, found.Fix = human.OneLine(found.Cause), human.OneLine(found.Fix)
	return found
}

// lines are the diagnosis as it stands below a log.
func (d diagnoser) lines(e engine.Event, p Palette) []string {
	if e.Status != engine.Failed {
		return nil
	}
	return diagnosisLines(d.of(e.Step, e.Err, e.Log), p)
}

func diagnosisLines(d *diagnose.Diagnosis, p Palette) []string {
	if d == nil {
		return nil
	}
	return []string{p.Yellow("cause:") + " " + d.Cause, p.Green("fix:") + " " + d.Fix}
}
