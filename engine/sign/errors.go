package sign

import (
	"errors"
	"fmt"
)

// ErrUnverified is what errors wrap that say that something signed did not
// verify: it is malformed, of a key that is not trusted, or over other bytes.
// Errors of reading are not among them.
var ErrUnverified = errors.New("not verified")

// ErrNoKey is what errors wrap that say that the keyring has no such key.
var ErrNoKey = errors.New("there is no such key")

// ErrExists is what errors wrap that say that a key of that name is there.
var ErrExists = errors.New("there is a key of that name")

// ErrPassword is what errors wrap that say that a secret key could not be
// decrypted: the password is wrong or the file is damaged, which look the same.
var ErrPassword = errors.New("the password is wrong, or the key is damaged")

// A refusal is an error with a text of its own that is ErrUnverified.
type refusal struct{ err error }

func refuse(format string, args ...any) error { return &refusal{fmt.Errorf(format, args...)} }

func (r *refusal) Error() string        { return r.err.Error() }
func (r *refusal) Unwrap() error        { return r.err }
func (r *refusal) Is(target error) bool { return target == ErrUnverified }
