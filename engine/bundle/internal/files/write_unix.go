//go:build unix

package files

import (
	"errors"
	"syscall"
)

// isInvalid reports whether the system says that this kind of file cannot be
// flushed.
func isInvalid(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP)
}
