package format

import (
	"errors"
	"fmt"

	"github.com/airbuild/airbuild/engine/action"
)

// ErrRefused is what errors wrap that say that a bundle, a volume, a receipt or
// a custody log did not verify: it is damaged, malformed, hostile, not signed
// by whom it should be, made with features that this program does not know,
// older than what is here, or made for another base.
var ErrRefused = errors.New("refused")

// These say why; they wrap ErrRefused.
var (
	// ErrUnsigned says that too few trusted keys signed the bundle.
	ErrUnsigned = fmt.Errorf("%w: not signed as demanded", ErrRefused)
	// ErrOlder says that a newer bundle of that name was imported before.
	ErrOlder = fmt.Errorf("%w: older than what was imported", ErrRefused)
	// ErrBase says that a delta needs contents that are not here.
	ErrBase = fmt.Errorf("%w: made for another base", ErrRefused)
	// ErrMissing says that volumes or blobs are not there.
	ErrMissing = fmt.Errorf("%w: incomplete", ErrRefused)
)

// ErrSpace says that there is too little space on a disk. It does not wrap
// ErrRefused.
var ErrSpace = errors.New("not enough space")

// A Damage is one thing found wrong with the media.
type Damage struct {
	File   string        // the volume, or the file of the layout
	Offset int64         // in bytes, within File; -1 where the whole file is meant
	Blob   action.Digest // whose content it would be; zero if it is not a blob
	Reason string
	Lost   bool // it is not there at all
}

func (d *Damage) Error() string {
	s := d.File
	if d.Offset >= 0 {
		s += fmt.Sprintf(" at offset %d", d.Offset)
	}
	if !d.Blob.IsZero() {
		s += " (blob sha256:" + d.Blob.Hex() + ")"
	}
	return s + ": " + d.Reason
}

// Unwrap makes every Damage ErrRefused, and ErrMissing if something is lost.
func (d *Damage) Unwrap() error {
	if d.Lost {
		return ErrMissing
	}
	return ErrRefused
}

// Refusef returns an error that wraps ErrRefused.
func Refusef(format string, args ...any) error {
	return &refusal{fmt.Errorf(format, args...)}
}

// A refusal is ErrRefused with a reason that reads without the word in front.
type refusal struct{ reason error }

func (r *refusal) Error() string   { return r.reason.Error() }
func (r *refusal) Unwrap() []error { return []error{ErrRefused, r.reason} }

// AsDamage splits an error into damage and others.
func AsDamage(err error) (*Damage, error) {
	if bad, ok := errors.AsType[*Damage](err); ok {
		return bad, nil
	}
	return nil, err
}
