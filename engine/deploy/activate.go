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

// A switchover makes another release serve, and goes back if that is not healthy. The
// journal says how far it is.
type switchover struct {
	*deployment
	j   *journal
	rel *Release // that is to serve
}

// activate makes an installed release serve. It reports whether current
// changed for good. With an error, what served before does so again, unless the
// error says otherwise.
func (d *deployment) activate(ctx context.Context, op string, rel *Release) (bool, error) {
	j, err := d.begin(op, rel)
	if err != nil {
		return false, err
	}
	s := &switchover{d, j, rel}
	if err := s.before(ctx); err != nil {
		return false, s.giveUp(ctx, err)
	}
	if err := s.point(j.To, j.ToSlot, rel); err != nil {
		return false, s.goBack(ctx, err)
	}
	return s.confirm(ctx)
}

// begin decides what to go back to, and writes the journal.
func (d *deployment) begin(op string, rel *Release) (*journal, error) {
	id, slot, err := d.dir.pointers.release(current)
	if err != nil {
		return nil, err
	}
	j := &journal{Format: formatVersion, Op: op, Phase: phaseSwitch, From: id, FromSlot: slot, To: rel.ID, Who: d.Who, Started: d.Now().UTC()}
	if rel.Plan.Strategy == BlueGreen {
		j.ToSlot = blue
		if slot == blue {
			j.ToSlot = green
		}
	} else if good := d.dir.state.lastGood(""); id == rel.ID || good != "" && id != good {
		// What serves is the release itself, or was never good.
		j.From, j.FromSlot = d.dir.state.lastGood(rel.ID), ""
		if j.From == "" && id != rel.ID {
			j.From, j.FromSlot = id, slot
		}
	}
	if j.From != "" {
		if _, err := d.dir.release(j.From); err != nil {
			d.logf("there is nothing to go back to: %v", err)
			j.From, j.FromSlot = "", ""
		}
	}
	return j, writeJSON(d.dir.journalFile(), j)
}

// before does what comes before current changes.
func (s *switchover) before(ctx context.Context) error {
	h := &s.rel.Plan.Hooks
	if s.j.ToSlot == "" {
		return s.hook(ctx, "before", h.Before, s.rel, "")
	}
	// What is left in the idle slot may still run.
	if id, _, err := s.dir.pointers.release(s.j.ToSlot); err != nil {
		return err
	} else if old, err := s.dir.release(id); id != "" && err == nil {
		if err := s.hook(ctx, "stop", old.Plan.Hooks.Stop, old, s.j.ToSlot); err != nil {
			return err
		}
	}
	if err := s.dir.pointers.set(s.j.ToSlot, releasePath(s.rel.ID)); err != nil {
		return err
	}
	if err := s.hook(ctx, "before", h.Before, s.rel, s.j.ToSlot); err != nil {
		return err
	}
	if err := s.hook(ctx, "start", h.Start, s.rel, s.j.ToSlot); err != nil {
		return err
	}
	return s.check(ctx, s.rel, s.j.ToSlot)
}

// point makes current stand for a release or slot, and has the traffic follow.
func (d *deployment) point(id, slot string, rel *Release) error {
	target := slot
	if slot == "" {
		target = releasePath(id)
	}
	if err := d.dir.pointers.set(current, target); err != nil {
		return err
	}
	return d.writePort(rel, slot)
}

func (d *deployment) writePort(rel *Release, slot string) error {
	p := rel.Plan.Ports
	if p == nil || p.File == "" || slot == "" {
		return nil
	}
	return writeFile(filepath.Join(d.Root, filepath.FromSlash(p.File)), []byte(strconv.Itoa(p.Of(slot))+"\n"), 0o644)
}

// confirm does what comes after current has changed: hooks and the check, and
// then the release is a good one, or is left again.
func (s *switchover) confirm(ctx context.Context) (bool, error) {
	err := s.after(ctx)
	if err != nil {
		return false, s.goBack(ctx, err)
	}
	return true, s.commit(nil)
}

func (s *switchover) after(ctx context.Context) error {
	if s.j.ToSlot != "" {
		if err := s.hook(ctx, "switch", s.rel.Plan.Hooks.Switch, s.rel, s.j.ToSlot); err != nil {
			return err
		}
	}
	if err := s.hook(ctx, "after", s.rel.Plan.Hooks.After, s.rel, s.j.ToSlot); err != nil {
		return err
	}
	return s.check(ctx, s.rel, s.j.ToSlot)
}

// commit records that a release serves. The journal goes last: until then a
// crash makes the next one do it again.
func (s *switchover) commit(detail error) error {
	s.rel.Good = true
	if err := s.dir.saveRelease(s.rel); err != nil {
		return err
	}
	result := Deployed
	if s.j.Op == opRollback {
		result = RolledBack
		if i := slices.Index(s.dir.state.Served, s.rel.ID); i >= 0 {
			s.dir.state.Served = s.dir.state.Served[:i+1]
		}
	}
	s.dir.state.take(s.rel.ID)
	if err := s.dir.saveState(); err != nil {
		return err
	}
	if err := s.record(result, s.rel, detail); err != nil {
		return err
	}
	s.logf("%s serves", s.rel.ID)
	return remove(s.dir.journalFile())
}

// giveUp ends a switch before current changed.
func (s *switchover) giveUp(ctx context.Context, cause error) error {
	var after error
	if s.j.ToSlot != "" {
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), backTime)
		defer cancel()
		after = s.hook(late, "stop", s.rel.Plan.Hooks.Stop, s.rel, s.j.ToSlot)
	}
	err := fmt.Errorf("%s was not made to serve: %w", s.rel.ID, cause)
	if s.j.From != "" {
		err = fmt.Errorf("%w; %s serves as before", err, s.j.From)
	}
	if err := errors.Join(after, s.record(Failed, s.rel, err), remove(s.dir.journalFile())); err != nil {
		return errors.Join(cause, err)
	}
	return err
}

// goBack makes the release serve again that served before, and checks it. It
// always returns an error: the cause, and what became of it. Being interrupted
// does not keep it from going back.
func (s *switchover) goBack(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		cause = fmt.Errorf("interrupted: %w", ctx.Err())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), backTime)
	defer cancel()
	if s.j.From == "" {
		err := fmt.Errorf("%s is not healthy: %w; there is no earlier version to go back to, so it stays", s.rel.ID, cause)
		return errors.Join(err, s.record(Failed, s.rel, err), remove(s.dir.journalFile()))
	}
	s.j.Phase, s.j.Cause = phaseBack, s.mask(cause.Error())
	if err := writeJSON(s.dir.journalFile(), s.j); err != nil {
		return errors.Join(cause, err)
	}
	s.logf("going back to %s: %v", s.j.From, cause)
	old, err := s.dir.release(s.j.From)
	if err != nil {
		return errors.Join(cause, err)
	}
	if err := s.point(s.j.From, s.j.FromSlot, old); err != nil {
		return errors.Join(cause, err)
	}
	if err := s.afterReturn(ctx, old); err != nil {
		err = fmt.Errorf("%s was not good: %w; %s serves again, and is not good either: %w", s.rel.ID, cause, s.j.From, err)
		return errors.Join(err, s.record(Failed, s.rel, err), remove(s.dir.journalFile()))
	}
	err = fmt.Errorf("%s was not good: %w; %s serves again", s.rel.ID, cause, s.j.From)
	s.rel.Good = false
	s.dir.state.Served = slices.DeleteFunc(s.dir.state.Served, func(id string) bool { return id == s.rel.ID })
	return errors.Join(err, s.dir.saveRelease(s.rel), s.dir.saveState(), s.record(Returned, s.rel, err), remove(s.dir.journalFile()))
}

// afterReturn does what comes after current has changed back.
func (s *switchover) afterReturn(ctx context.Context, old *Release) error {
	if s.j.FromSlot != "" {
		if err := s.hook(ctx, "switch", old.Plan.Hooks.Switch, old, s.j.FromSlot); err != nil {
			return err
		}
	}
	phase, argv := "on_rollback", s.rel.Plan.Hooks.OnRollback
	if len(argv) == 0 {
		phase, argv = "after", old.Plan.Hooks.After
	}
	if err := s.hook(ctx, phase, argv, old, s.j.FromSlot); err != nil {
		return err
	}
	// What runs in the slot that was left may have requests to answer: it is
	// stopped when the slot is used again.
	return s.check(ctx, old, s.j.FromSlot)
}
