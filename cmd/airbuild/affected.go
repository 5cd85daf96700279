package main

import (
	"context"
	"fmt"
	"io"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/affected"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
)

// affectedUsage is the text of --affected, which several commands have.
const affectedUsage = "only steps affected by changes since commit `REV`"

// maxReasons is how many affected steps are told with their reasons.
const maxReasons = 50

// affectedSince narrows the steps to those among them and their needs that
// changes since the commit concern, and says on stderr which and why.
func affectedSince(ctx context.Context, out io.Writer, s *project.Session, rev string, ids []engine.StepID) ([]engine.StepID, error) {
	list, err := affected.Since(ctx, s, rev, ids)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		fmt.Fprintf(out, "nothing is affected since %s\n", human.OneLine(rev))
	}
	found := []engine.StepID{}
	for i, x := range list {
		found = append(found, x.ID)
		if i < maxReasons {
			fmt.Fprintf(out, "affected: %s: %s\n", s.Plan.Graph.Steps[x.ID].Name, human.OneLine(x.Reason))
		}
	}
	if more := len(list) - maxReasons; more > 0 {
		fmt.Fprintf(out, "affected: %d more\n", more)
	}
	return found, nil
}
