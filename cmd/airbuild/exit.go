package main

import (
	"context"
	"errors"
	"fmt"
)

// The exit codes, as docs/cli.md promises them.
const (
	exitOK          = 0
	exitFailed      = 1 // a step failed, or airbuild itself could not do its work
	exitUsage       = 2 // the command line or the Airbuildfile
	exitUnverified  = 3
	exitOffline     = 4 // needed from the network, and offline
	exitInterrupted = 130
)

// An exitError ends the command with a code. With no err, all has been said.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// said ends the command with a code; the reason has been shown.
func said(code int) error { return &exitError{code: code} }

// usageError is a mistake on the command line. Lines after the first are hints.
func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}

// exitCode is the code that err stands for; show is what is still to be told.
func exitCode(err error) (code int, show error) {
	var e *exitError
	switch {
	case err == nil:
		return exitOK, nil
	case errors.As(err, &e):
		return e.code, e.err
	case errors.Is(err, context.Canceled):
		return exitInterrupted, errors.New("interrupted")
	}
	return exitFailed, err
}

// firstError is err, or what came after it.
func firstError(err, after error) error {
	if err != nil {
		return err
	}
	return after
}
