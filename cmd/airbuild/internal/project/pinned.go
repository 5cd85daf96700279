package project

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/store"
)

// Pinned looks up the steps and all that they need. The error names those
// that are not in the store. Steps that are never cached are left out.
func Pinned(ctx context.Context, s *Session, ids []engine.StepID) ([]store.Pinned, error) {
	found := []store.Pinned{}
	var missing []string
	o := s.RunOptions()
	o.DryRun, o.KeepGoing = true, true
	o.OnEvent = func(e engine.Event) {
		switch {
		case e.Kind != engine.StepFinished || e.Step.NoCache:
		case e.Status == engine.Hit:
			key, err := s.Store.EntryKey(ctx, e.Key)
			if err != nil {
				missing = append(missing, e.Step.Name+": "+human.OneLine(err.Error()))
				return
			}
			found = append(found, store.Pinned{Step: e.Step.Name, Key: key.String()})
		case e.Err != nil:
			missing = append(missing, e.Step.Name+": "+human.OneLine(e.Err.Error()))
		default:
			missing = append(missing, e.Step.Name+": "+human.OneLine(e.Reason))
		}
	}
	sum, err := engine.Run(ctx, s.Plan.Graph, ids, o)
	switch {
	case err != nil:
		return nil, err
	case sum.Interrupted:
		return nil, exit.Silent(exit.Interrupted)
	case len(missing) > 0:
		return nil, fmt.Errorf("not in the cache:\n  %s\nRun it first, then pin it", strings.Join(missing, "\n  "))
	case len(found) == 0:
		return nil, errors.New("there is nothing to pin: none of these steps is ever cached")
	}
	return found, nil
}
