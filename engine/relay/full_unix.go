//go:build unix

package relay

import (
	"errors"
	"syscall"
)

// isFull reports whether a disk or a quota is full.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
