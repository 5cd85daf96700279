//go:build !linux && !darwin

package store

// bootID cannot tell one boot from another here, so that no process trusts
// the marks of an earlier one.
func bootID() (string, error) { return processID() }
