//go:build unix

package relay

import (
	"errors"
	"syscall"
)

// openFlags keep the opening of what turned into a pipe or a terminal meanwhile
// from waiting or doing anything.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOCTTY

// isTrouble tells a disk that fails, or a lack of descriptors, from a file that
// is not to be had.
func isTrouble(err error) bool {
	for _, e := range []error{syscall.EIO, syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.ESTALE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
