package deploy

import (
	"fmt"
	"slices"
	"time"
)

// A Release is an installed version.
type Release struct {
	Format      int       `json:"format"`
	ID          string    `json:"id"` // its directory's name
	Version     string    `json:"version"`
	Digest      string    `json:"digest"` // SHA-256 of the installed tree, hexadecimal
	Artifact    string    `json:"artifact"`
	Environment string    `json:"environment,omitempty"`
	Installed   time.Time `json:"installed"`
	// Good: it has served, and passed its health check if it has one.
	Good bool `json:"good,omitempty"`
	Plan Plan `json:"plan"`
}

func (r *Release) known() error {
	if err := checkFormat(r.Format); err != nil {
		return err
	}
	return checkID(r.ID)
}

// A state is what a root remembers beside what its links say.
type state struct {
	Format int    `json:"format"`
	Name   string `json:"name"` // the stage whose root it is
	// Served are the good releases in the order in which they took over, each
	// once. The last is the last good one; going back removes it.
	Served []string `json:"served,omitempty"`
}

func (s *state) known() error {
	for _, id := range s.Served {
		if err := checkID(id); err != nil {
			return err
		}
	}
	return checkFormat(s.Format)
}

// lastGood is the release that to go back to from id, "" if there is none.
func (s *state) lastGood(id string) string {
	for _, good := range slices.Backward(s.Served) {
		if good != id {
			return good
		}
	}
	return ""
}

// take puts id behind all others.
func (s *state) take(id string) {
	s.Served = append(slices.DeleteFunc(s.Served, func(o string) bool { return o == id }), id)
}

// What a journal says is under way.
const (
	phaseSwitch = "switch" // current is to become To
	phaseBack   = "back"   // current is to become From again
)

// A journal is a switch under way.
type journal struct {
	Format   int       `json:"format"`
	Op       string    `json:"op"` // "deploy" or "rollback"
	Phase    string    `json:"phase"`
	From     string    `json:"from,omitempty"` // the release that served; empty if none did
	FromSlot string    `json:"from_slot,omitempty"`
	To       string    `json:"to"`
	ToSlot   string    `json:"to_slot,omitempty"`
	Cause    string    `json:"cause,omitempty"` // of going back
	Who      string    `json:"who"`
	Started  time.Time `json:"started"`
}

func (j *journal) known() error {
	for _, id := range []string{j.From, j.To} {
		if id == "" && id == j.From {
			continue
		}
		if err := checkID(id); err != nil {
			return err
		}
	}
	if j.Phase != phaseSwitch && j.Phase != phaseBack {
		return fmt.Errorf("phase %q is not known", j.Phase)
	}
	for _, slot := range []string{j.FromSlot, j.ToSlot} {
		if slot != "" && slot != blue && slot != green {
			return fmt.Errorf("slot %q is not known", slot)
		}
	}
	return checkFormat(j.Format)
}

func checkFormat(n int) error {
	if n != formatVersion {
		return fmt.Errorf("format %d is not known to this airbuild, which knows %d", n, formatVersion)
	}
	return nil
}

// checkID refuses ids that could name something else than a directory below
// releases.
func checkID(id string) error {
	if err := CheckVersion(id); err != nil {
		return fmt.Errorf("release %q: not a name of a release", id)
	}
	return nil
}
