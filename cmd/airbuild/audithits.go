package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/rebuild"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui/verdict"
)

// auditHitsVariable is the default of --audit-hits, for CI.
const auditHitsVariable = "AIRBUILD_AUDIT_HITS"

// auditRate is the share of hits to check: 0 to 1, or a percentage ("5%").
func auditRate(a *app, flag string) (float64, error) {
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

// auditHits makes sampled hits of a run again. A difference ends with exit code 3.
func auditHits(ctx context.Context, a *app, s *project.Session, h *rebuild.Hits) (err error) {
	v := h.Rebuild(rebuild.Options{Session: s, Started: func(steps int) { showRebuild(a, steps) }, Keyring: a.keyringDir()})
	if v == nil {
		fmt.Fprintln(a.err, "audit of hits: none of the hits can be made again")
		return nil
	}
	defer func() {
		_, cerr := v.Close(false)
		err = exit.First(err, cerr)
	}()
	report, err := v.RunChosen(ctx)
	if err != nil {
		return err
	}
	return writeHitAudit(a, report)
}

// writeHitAudit reports hits that came out differently.
func writeHitAudit(a *app, r *rebuild.Report) error {
	checked, bad := 0, 0
	for _, s := range r.Steps {
		switch s.Status {
		case rebuild.Same:
			checked++
		case rebuild.Differs, rebuild.Follows, rebuild.Failed:
			checked, bad = checked+1, bad+1
		}
	}
	if bad == 0 {
		_, err := fmt.Fprintf(a.err, "audit of hits: %s made again, same bytes\n", human.Count(checked, "step"))
		return err
	}
	fmt.Fprint(a.err, verdict.Differing(r, a.palette(a.err)))
	return exit.With(exit.Unverified, errors.New(
		"audit of hits: "+human.Count(bad, "step")+" came out differently from the cached result.\n"+
			"If a rebuild here differs too (airbuild verify), the step is not reproducible; otherwise its key lacks an input:\n"+
			"airbuild audit lists files that it reads and does not declare. To replace the result: airbuild run --force"))
}
