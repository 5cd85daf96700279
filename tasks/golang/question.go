package golang

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
)

// The Listers of this package whose answers the engine may remember: what they
// read of the project they ask of Files, or stamp through it before they answer.
var (
	_ engine.Asker = listers(nil)
	_ engine.Asker = identity{}
	_ engine.Asker = (*closure)(nil)
	_ engine.Asker = (*imports)(nil)
)

var errNoQuestion = errors.New("what it lists is not remembered")

// Costly implements engine.Asker.
func (ls listers) Costly() bool {
	return slices.ContainsFunc(ls, func(l engine.Lister) bool {
		asker, ok := l.(engine.Asker)
		return ok && asker.Costly()
	})
}

// Costly implements engine.Asker.
func (identity) Costly() bool { return false }

// Costly implements engine.Asker.
func (*closure) Costly() bool { return true }

// Costly implements engine.Asker.
func (*imports) Costly() bool { return true }

// Question implements engine.Asker: there is one if each Lister has one.
func (ls listers) Question(a *engine.Asking) (string, error) {
	var all strings.Builder
	for _, l := range ls {
		asker, ok := l.(engine.Asker)
		if !ok {
			return "", errNoQuestion
		}
		q, err := asker.Question(a)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&all, "%q\n", q)
	}
	return all.String(), nil
}

// Question implements engine.Asker. Of a Go that is no release, only this host
// knows what it is.
func (i identity) Question(a *engine.Asking) (string, error) {
	tc, err := i.cfg.toolchain()
	switch {
	case err != nil:
		return "", err
	case a.Elsewhere() && !tc.Release:
		return "", errNoQuestion
	case a.Elsewhere():
		return fmt.Sprintf("go %q", tc.Version), nil
	}
	return fmt.Sprintf("go %q %q %t", tc.Version, tc.Bin, tc.Release), nil
}

// Question implements engine.Asker.
func (c *closure) Question(a *engine.Asking) (string, error) {
	tc, err := c.cfg.toolchain()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("closure %d %s", recordVersion, c.name(tc, a)), nil
}

// Question implements engine.Asker.
func (l *imports) Question(*engine.Asking) (string, error) {
	return fmt.Sprintf("imports %q %q %q", l.Roots, l.Dist, l.Vendor), nil
}
