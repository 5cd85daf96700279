package golang

import (
	"context"
	"fmt"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// Go stages have no network, and the module cache of a fresh host is empty.
// What go.mod and go.sum pin is the same wherever it comes from, so airbuild
// has the go command fetch it, outside the step and before it: for a list that
// a key needs, and for a step that is no hit. Nothing is fetched for a hit.

// mayFetch reports whether what the module cache lacks may be fetched.
func (c *closure) mayFetch() bool {
	return c.fetch && !c.network && c.Proxy == "" && c.Vendor == "" && c.cfg.Offline == nil
}

// fetchFor fetches what a step needs and the module cache lacks. A module that
// is required and not needed is missing each time: then the go command finds
// that there is nothing to fetch.
func (c *Config) fetchFor(ctx context.Context, tc *Toolchain, s *engine.Step) error {
	all, _ := s.Lister.(listers)
	for _, l := range all {
		list, ok := l.(*closure)
		if !ok || !list.mayFetch() || c.Root == "" {
			continue
		}
		if missing, err := c.MissingModules(ctx, list.Dir); err == nil && len(missing) == 0 {
			continue
		}
		if _, err := list.run(ctx, tc, c.Root, true); err != nil {
			return fmt.Errorf("fetch modules of %s:\n%w", strings.Join(list.Patterns, " "), err)
		}
	}
	return nil
}
