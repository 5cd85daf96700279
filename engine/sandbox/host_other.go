//go:build !linux

package sandbox

import (
	"context"
	"runtime"
)

// Main does nothing where there is no sandbox.
func Main() {}

// A Host opens sandboxes: none, on this system.
type Host struct {
	// Limit is the best Method to use.
	Limit Method
}

// Support says what this host can do.
func (*Host) Support(context.Context) Support {
	return Support{Reason: "airbuild has no sandbox for " + runtime.GOOS, Offline: offline()}
}

// Open fails with ErrUnsupported.
func (*Host) Open(context.Context, Spec, func(Attempt)) (*Sandbox, error) {
	return nil, ErrUnsupported
}

// A Sandbox keeps processes to its Spec: there is none on this system.
type Sandbox struct{}

// Run fails with ErrUnsupported.
func (*Sandbox) Run(context.Context, *Cmd) error { return ErrUnsupported }

// FilesHidden reports whether files that were not declared are kept away here.
func (*Sandbox) FilesHidden() bool { return false }

// Close does nothing.
func (*Sandbox) Close() error { return nil }
