package deploy

import (
	"context"
	"errors"
	"fmt"
)

// repair ends a switch that a crash left half done. What served, the old or the
// new version, did so all the time; the new one is now checked, or left.
func (d *deployment) repair(ctx context.Context) error {
	var j journal
	there, err := readJSON(d.dir.journalFile(), &j)
	if err != nil || !there {
		return err
	}
	d.logf("the deploy of %s by %s was cut off", j.To, j.Who)
	rel, err := d.dir.release(j.To)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	id, slot, err := d.dir.pointers.release(current)
	if err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	s := &switchover{d, &j, rel}
	switch {
	case j.Phase == phaseBack:
		return d.repaired(rel, s.goBack(ctx, errors.New(j.Cause)))
	case id == j.To && slot == j.ToSlot:
		if err := d.writePort(rel, slot); err != nil {
			return err
		}
		_, err := s.confirm(ctx)
		return d.repaired(rel, err)
	}
	err = s.giveUp(ctx, errors.New("the deploy was cut off"))
	return d.repaired(rel, err)
}

// repaired records the end of a repair. That the new version was left is an
// end as good as any; only an interruption or a file that cannot be written
// leaves the journal there, and then nothing else may be done.
func (d *deployment) repaired(rel *Release, outcome error) error {
	if there, err := readJSON(d.dir.journalFile(), &journal{}); err != nil || there {
		return errors.Join(fmt.Errorf("repair: %w", outcome), err)
	}
	if outcome == nil {
		outcome = fmt.Errorf("%s is good, and serves", rel.ID)
	}
	d.logf("repaired: %v", outcome)
	return d.record(Repaired, rel, outcome)
}
