package deploy

import (
	"context"
	"errors"
	"os"
	"slices"
)

// A Report says how a root stands.
type Report struct {
	Root     string     `json:"root"`
	Name     string     `json:"deploy"`
	Serves   string     `json:"serves"`         // the release; empty if none does
	Slot     string     `json:"slot,omitempty"` // of blue_green
	Previous string     `json:"previous"`       // that would be gone back to
	Releases []*Release `json:"releases"`
	// Busy is what another deploy says of itself; the rest may be about to
	// change.
	Busy string `json:"busy,omitempty"`
	// Healthy is the outcome of the check, if one was wanted.
	Healthy error `json:"-"`
}

// Status reports how a root stands. It ends what a crash left half done, unless
// another deploy is at work; it makes no root. With check, the release that
// serves is checked once more.
func Status(ctx context.Context, t Target, check bool) (*Report, error) {
	d, err := openUnlocked(t)
	if err != nil {
		return nil, err
	}
	rep := &Report{Root: d.Root, Name: t.Name}
	if _, err := os.Lstat(d.dir.private()); errors.Is(err, os.ErrNotExist) {
		return rep, nil
	}
	locked, err := open(t)
	switch {
	case errors.Is(err, ErrBusy):
		rep.Busy = err.Error()
		if err := d.dir.readState(d.Name); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		defer locked.dir.close()
		d = locked
		if err := d.repair(ctx); err != nil {
			return nil, err
		}
	}
	if rep.Serves, rep.Slot, err = d.dir.pointers.release(current); err != nil {
		return nil, err
	}
	rep.Previous = d.dir.state.lastGood(rep.Serves)
	if rep.Releases, err = d.dir.releases(); err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(rep.Releases, func(rel *Release) bool { return rel.ID == rep.Serves }); check && i >= 0 {
		rep.Healthy = d.check(ctx, rep.Releases[i], rep.Slot)
	}
	return rep, nil
}
