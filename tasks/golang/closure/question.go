package closure

import (
	"fmt"

	"github.com/airbuild/airbuild/engine"
)

// The Listers of this package whose answers the engine may remember: what they
// read of the project they ask of Files, or stamp through it before they answer.
var (
	_ engine.Asker = Listers(nil)
	_ engine.Asker = identity{}
	_ engine.Asker = (*Closure)(nil)
	_ engine.Asker = (*Imports)(nil)
)

// Costly implements engine.Asker.
func (*Closure) Costly() bool { return true }

// Costly implements engine.Asker.
func (*Imports) Costly() bool { return true }

// Question implements engine.Asker.
func (c *Closure) Question(a *engine.Asking) (string, error) {
	tc, err := c.cfg.FoundToolchain()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("closure %d %s", recordVersion, c.name(tc, a)), nil
}

// Question implements engine.Asker.
func (l *Imports) Question(*engine.Asking) (string, error) {
	return fmt.Sprintf("imports %q %q %q", l.Roots, l.Dist, l.Vendor), nil
}
