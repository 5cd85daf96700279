package deploy

import (
	"context"
	"errors"
	"fmt"
)

// repair ends a switch that a crash left half done. What served, the old or the
// new version, did so all the time; the new one is now checked, or left.
func (r *room) repair(ctx context.Context) error {
	var j journal
	there, err := readJSON(r.journalFile(), &j)
	if err != nil || !there {
		return err
	}
	r.say("the deploy of %s by %s was cut off", j.To, j.Who)
	rel, err := r.release(j.To)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	id, slot, err := r.pointers.release(current)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	switch {
	case j.Phase == phaseBack:
		return r.repaired(rel, r.goBack(ctx, &j, rel, errors.New(j.Cause)))
	case id == j.To && slot == j.ToSlot:
		if err := r.writePort(rel, slot); err != nil {
			return err
		}
		_, err := r.settle(ctx, &j, rel)
		return r.repaired(rel, err)
	}
	err = r.giveUp(ctx, &j, rel, errors.New("the deploy was cut off"))
	return r.repaired(rel, err)
}

// repaired records the end of a repair. That the new version was left is an
// end as good as any; only an interruption or a file that cannot be written
// leaves the journal there, and then nothing else may be done.
func (r *room) repaired(rel *Release, outcome error) error {
	if there, err := readJSON(r.journalFile(), &journal{}); err != nil || there {
		return errors.Join(fmt.Errorf("repair: %w", outcome), err)
	}
	if outcome == nil {
		outcome = fmt.Errorf("%s is good, and serves", rel.ID)
	}
	r.say("repaired: %v", outcome)
	return r.record(Repaired, rel, outcome)
}
