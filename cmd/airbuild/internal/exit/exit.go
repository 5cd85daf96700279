// Package exit has the exit codes of airbuild, and errors that carry one. What a
// command does returns them; main alone ends the process.
package exit

import (
	"context"
	"errors"
	"fmt"
)

// The exit codes, as docs/cli.md promises them.
const (
	OK          = 0
	Failed      = 1 // a step failed, or airbuild itself could not do its work
	Usage       = 2 // the command line or the Airbuildfile
	Unverified  = 3
	Offline     = 4 // needed from the network, and offline
	Interrupted = 130
)

// A codeError ends the command with a code. With no err, the reason has been shown.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *codeError) Unwrap() error { return e.err }

// With ends the command with a code because of err.
func With(code int, err error) error { return &codeError{code, err} }

// Silent ends the command with a code; the reason has been shown.
func Silent(code int) error { return &codeError{code: code} }

// UsageError is a mistake on the command line. Lines after the first are hints.
func UsageError(format string, args ...any) error {
	return &codeError{Usage, fmt.Errorf(format, args...)}
}

// Code is the code that err stands for; show is what is still to be shown.
func Code(err error) (code int, show error) {
	var e *codeError
	switch {
	case err == nil:
		return OK, nil
	case errors.As(err, &e):
		return e.code, e.err
	case errors.Is(err, context.Canceled):
		return Interrupted, errors.New("interrupted")
	}
	return Failed, err
}

// First is err, or the error of what came after it.
func First(err, after error) error {
	if err != nil {
		return err
	}
	return after
}
