package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// auditHitsVariable is the default of --audit-hits, for CI.
const auditHitsVariable = "AIRBUILD_AUDIT_HITS"

// notSampled is why an audit of hits uses a step's recorded result.
const notSampled = "its recorded result is used: it is not among the hits that are checked"

// auditRate is the share of hits to check: 0 to 1, or a percentage ("5%").
func (a *app) auditRate(flag string) (float64, error) {
	text, name := flag, "--audit-hits"
	if text == "" {
		text, _ = a.LookupEnv(auditHitsVariable)
		name = auditHitsVariable
	}
	if text == "" {
		return 0, nil
	}
	number, percent := strings.CutSuffix(text, "%")
	rate, err := strconv.ParseFloat(number, 64)
	if percent {
		rate /= 100
	}
	if err != nil || !(rate >= 0 && rate <= 1) {
		return 0, exit.UsageError("%s %q: must be a share of the hits, from 0 to 1, or a percentage such as 5%%", name, text)
	}
	return rate, nil
}

// A hitAudit makes some of a run's hits again and compares. Kills and flipped bits
// find faults of the store; only this finds a key that lacks something.
type hitAudit struct {
	rate float64
	hits []engine.StepID
	keys map[engine.StepID]action.Digest // of all results of the run
}

// see notes how a step ended. The engine calls it from one goroutine.
func (h *hitAudit) see(e engine.Event) {
	if e.Kind != engine.StepFinished || e.Key.IsZero() {
		return
	}
	switch e.Status {
	case engine.Hit:
		h.hits = append(h.hits, e.ID)
		h.keys[e.ID] = e.Key
	case engine.Done:
		h.keys[e.ID] = e.Key
	}
}

// sample chooses the hits to check: each with the probability of the rate, and at
// least one, so that a small project is checked too.
func (h *hitAudit) sample(suits func(engine.StepID) bool) map[engine.StepID]bool {
	var can []engine.StepID
	for _, id := range h.hits {
		if suits(id) {
			can = append(can, id)
		}
	}
	chosen := map[engine.StepID]bool{}
	for _, id := range can {
		if rand.Float64() < h.rate {
			chosen[id] = true
		}
	}
	if len(chosen) == 0 && len(can) > 0 {
		chosen[can[rand.IntN(len(can))]] = true
	}
	return chosen
}

// auditHits makes sampled hits again elsewhere, as verify does: a copy of the
// source, an empty store that holds only what the sampled steps take from others,
// and empty caches of the go command. A difference ends with exit code 3.
func (a *app) auditHits(ctx context.Context, s *project.Session, h *hitAudit) (err error) {
	v := &verification{Session: s, app: a, f: &verifyFlags{}, left: map[engine.StepID]string{}, keys: h.keys}
	v.ids = s.Plan.Graph.Closure(h.hits)
	v.leaveOut()
	v.only = h.sample(func(id engine.StepID) bool {
		_, left := v.left[id]
		return !left && !s.Plan.Graph.Steps[id].Inner
	})
	if len(v.only) == 0 {
		fmt.Fprintln(a.err, "audit of hits: none of the hits can be made again")
		return nil
	}
	var ids []engine.StepID
	for id := range v.only {
		ids = append(ids, id)
	}
	v.ids, v.left = s.Plan.Graph.Closure(ids), map[engine.StepID]string{}
	v.leaveOut()
	defer func() { err = exit.First(err, v.end()) }()
	if err := v.rebuild(ctx); err != nil {
		return err
	}
	if err := v.compare(ctx); err != nil {
		return err
	}
	return v.auditOutcome()
}

// auditOutcome reports hits that came out differently.
func (v *verification) auditOutcome() error {
	var b strings.Builder
	pal := ui.Detect(ui.Config{Color: ui.ColorMode(v.app.color), Out: v.app.err, LookupEnv: v.app.LookupEnv}).Palette
	checked, bad := 0, 0
	for _, s := range v.report.Steps {
		switch s.Status {
		case stepSame:
			checked++
		case stepDiffers, stepFollows, stepFailed:
			checked, bad = checked+1, bad+1
			tellStep(&b, pal, s)
		}
	}
	if bad == 0 {
		_, err := fmt.Fprintf(v.app.err, "audit of hits: %s made again, same bytes\n", human.Count(checked, "step"))
		return err
	}
	fmt.Fprint(v.app.err, b.String())
	return exit.With(exit.Unverified, errors.New(
		"audit of hits: "+human.Count(bad, "step")+" came out differently from the cached result.\n"+
			"If a rebuild here differs too (airbuild verify), the step is not reproducible; otherwise its key lacks an input:\n"+
			"airbuild audit lists files that it reads and does not declare. To replace the result: airbuild run --force"))

}
