package ui

import (
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
)

// A PlanTable gathers how a dry run ended each step.
type PlanTable struct {
	Ended map[engine.StepID]engine.Event
}

// Add takes in one event of the run.
func (t *PlanTable) Add(e engine.Event) {
	if e.Kind == engine.StepFinished {
		t.Ended[e.ID] = e
	}
}

// Text is one line a step, in graph order, and the counts.
func (t *PlanTable) Text(ids []engine.StepID, sum *engine.Summary, p Palette) string {
	width := 0
	for _, id := range ids {
		if e, ok := t.Ended[id]; ok {
			width = max(width, len([]rune(e.Step.Name)))
		}
	}
	var b strings.Builder
	for _, id := range ids {
		e, ok := t.Ended[id]
		if !ok {
			continue
		}
		word, why := p.Dim("hit   "), e.Reason
		switch e.Status {
		case engine.WouldRun:
			word = p.Cyan("run   ")
		case engine.Failed:
			word, why = p.Red("failed"), e.Err.Error()
		case engine.Skipped, engine.Cancelled:
			word = p.Yellow("skip  ")
		}
		line := fmt.Sprintf("%s  %s%s  %s", word, e.Step.Name, strings.Repeat(" ", width-len([]rune(e.Step.Name))), human.OneLine(why))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	fmt.Fprintf(&b, "%s: %s, %d would run", human.Count(sum.Steps, "step"), human.Count(sum.Hits, "hit"), sum.WouldRun)
	if sum.Failed > 0 {
		fmt.Fprintf(&b, ", %d cannot", sum.Failed)
	}
	return b.String() + "\n"
}
