package deploy

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// What a journal is for.
const (
	opDeploy   = "deploy"
	opRollback = "rollback"
)

// backTime bounds going back when the run was interrupted, beyond what hooks
// and checks are bounded by themselves.
const backTime = 30 * time.Minute

// activate makes an installed release serve. It reports whether current
// changed for good. With an error, what served before does so again, unless the
// error says otherwise.
func (r *room) activate(ctx context.Context, op string, rel *Release) (bool, error) {
	j, err := r.begin(op, rel)
	if err != nil {
		return false, err
	}
	if err := r.approach(ctx, j, rel); err != nil {
		return false, r.giveUp(ctx, j, rel, err)
	}
	if err := r.point(j.To, j.ToSlot, rel); err != nil {
		return false, r.goBack(ctx, j, rel, err)
	}
	return r.settle(ctx, j, rel)
}

// begin decides what to go back to, and writes the journal.
func (r *room) begin(op string, rel *Release) (*journal, error) {
	id, slot, err := r.pointers.release(current)
	if err != nil {
		return nil, err
	}
	j := &journal{Format: formatVersion, Op: op, Phase: phaseSwitch, From: id, FromSlot: slot, To: rel.ID, Who: r.Who, Started: r.Now().UTC()}
	if rel.Plan.Strategy == BlueGreen {
		j.ToSlot = blue
		if slot == blue {
			j.ToSlot = green
		}
	} else if good := r.state.lastGood(""); id == rel.ID || good != "" && id != good {
		// What serves is the release itself, or was never good.
		j.From, j.FromSlot = r.state.lastGood(rel.ID), ""
		if j.From == "" && id != rel.ID {
			j.From, j.FromSlot = id, slot
		}
	}
	if j.From != "" {
		if _, err := r.release(j.From); err != nil {
			r.say("there is nothing to go back to: %v", err)
			j.From, j.FromSlot = "", ""
		}
	}
	return j, writeJSON(r.journalFile(), j)
}

// approach does what comes before current changes.
func (r *room) approach(ctx context.Context, j *journal, rel *Release) error {
	h := &rel.Plan.Hooks
	if j.ToSlot == "" {
		return r.hook(ctx, "before", h.Before, rel, "")
	}
	// What is left in the idle slot may still run.
	if id, _, err := r.pointers.release(j.ToSlot); err != nil {
		return err
	} else if old, err := r.release(id); id != "" && err == nil {
		if err := r.hook(ctx, "stop", old.Plan.Hooks.Stop, old, j.ToSlot); err != nil {
			return err
		}
	}
	if err := r.pointers.set(j.ToSlot, releasePath(rel.ID)); err != nil {
		return err
	}
	if err := r.hook(ctx, "before", h.Before, rel, j.ToSlot); err != nil {
		return err
	}
	if err := r.hook(ctx, "start", h.Start, rel, j.ToSlot); err != nil {
		return err
	}
	return r.check(ctx, rel, j.ToSlot)
}

// point makes current stand for a release or slot, and has the traffic follow.
func (r *room) point(id, slot string, rel *Release) error {
	target := slot
	if slot == "" {
		target = releasePath(id)
	}
	if err := r.pointers.set(current, target); err != nil {
		return err
	}
	return r.writePort(rel, slot)
}

func (r *room) writePort(rel *Release, slot string) error {
	p := rel.Plan.Ports
	if p == nil || p.File == "" || slot == "" {
		return nil
	}
	return writeFile(filepath.Join(r.Root, filepath.FromSlash(p.File)), []byte(strconv.Itoa(p.Of(slot))+"\n"), 0o644)
}

// settle does what comes after current has changed: hooks and the check, and
// then the release is a good one, or is left again.
func (r *room) settle(ctx context.Context, j *journal, rel *Release) (bool, error) {
	err := r.arrive(ctx, j, rel)
	if err != nil {
		return false, r.goBack(ctx, j, rel, err)
	}
	return true, r.commit(j, rel, nil)
}

func (r *room) arrive(ctx context.Context, j *journal, rel *Release) error {
	if j.ToSlot != "" {
		if err := r.hook(ctx, "switch", rel.Plan.Hooks.Switch, rel, j.ToSlot); err != nil {
			return err
		}
	}
	if err := r.hook(ctx, "after", rel.Plan.Hooks.After, rel, j.ToSlot); err != nil {
		return err
	}
	return r.check(ctx, rel, j.ToSlot)
}

// commit records that a release serves. The journal goes last: until then a
// crash makes the next one do it again.
func (r *room) commit(j *journal, rel *Release, detail error) error {
	rel.Good = true
	if err := r.saveRelease(rel); err != nil {
		return err
	}
	result := Deployed
	if j.Op == opRollback {
		result = RolledBack
		if i := slices.Index(r.state.Served, rel.ID); i >= 0 {
			r.state.Served = r.state.Served[:i+1]
		}
	}
	r.state.take(rel.ID)
	if err := r.saveState(); err != nil {
		return err
	}
	if err := r.record(result, rel, detail); err != nil {
		return err
	}
	r.say("%s serves", rel.ID)
	return remove(r.journalFile())
}

// giveUp ends a switch before current changed.
func (r *room) giveUp(ctx context.Context, j *journal, rel *Release, cause error) error {
	var after error
	if j.ToSlot != "" {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), backTime)
		defer cancel()
		after = r.hook(late, "stop", rel.Plan.Hooks.Stop, rel, j.ToSlot)
	}
	err := fmt.Errorf("%s was not made to serve: %w", rel.ID, cause)
	if j.From != "" {
		err = fmt.Errorf("%w; %s serves as before", err, j.From)
	}
	if err := errors.Join(after, r.record(Failed, rel, err), remove(r.journalFile())); err != nil {
		return errors.Join(cause, err)
	}
	return err
}

// goBack makes the release serve again that served before, and checks it. It
// always returns an error: the cause, and what became of it. Being interrupted
// does not keep it from going back.
func (r *room) goBack(ctx context.Context, j *journal, rel *Release, cause error) error {
	if ctx.Err() != nil {
		cause = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backTime)
	defer cancel()
	if j.From == "" {
		err := fmt.Errorf("%s is not healthy: %w; there is no earlier version to go back to, so it stays", rel.ID, cause)
		return errors.Join(err, r.record(Failed, rel, err), remove(r.journalFile()))
	}
	j.Phase, j.Cause = phaseBack, r.hide(cause.Error())
	if err := writeJSON(r.journalFile(), j); err != nil {
		return errors.Join(cause, err)
	}
	r.say("going back to %s: %v", j.From, cause)
	old, err := r.release(j.From)
	if err != nil {
		return errors.Join(cause, err)
	}
	if err := r.point(j.From, j.FromSlot, old); err != nil {
		return errors.Join(cause, err)
	}
	if err := r.returned(ctx, j, rel, old); err != nil {
		err = fmt.Errorf("%s was not good: %w; %s serves again, and is not good either: %w", rel.ID, cause, j.From, err)
		return errors.Join(err, r.record(Failed, rel, err), remove(r.journalFile()))
	}
	err = fmt.Errorf("%s was not good: %w; %s serves again", rel.ID, cause, j.From)
	rel.Good = false
	r.state.Served = slices.DeleteFunc(r.state.Served, func(id string) bool { return id == rel.ID })
	return errors.Join(err, r.saveRelease(rel), r.saveState(), r.record(Returned, rel, err), remove(r.journalFile()))
}

// returned does what comes after current has changed back.
func (r *room) returned(ctx context.Context, j *journal, rel, old *Release) error {
	if j.FromSlot != "" {
		if err := r.hook(ctx, "switch", old.Plan.Hooks.Switch, old, j.FromSlot); err != nil {
			return err
		}
	}
	phase, argv := "on_rollback", rel.Plan.Hooks.OnRollback
	if len(argv) == 0 {
		phase, argv = "after", old.Plan.Hooks.After
	}
	if err := r.hook(ctx, phase, argv, old, j.FromSlot); err != nil {
		return err
	}
	// What runs in the slot that was left may have requests to answer: it is
	// stopped when the slot is used again.
	return r.check(ctx, old, j.FromSlot)
}
