//go:build unix

package carry

import (
	"errors"
	"syscall"
)

// keepsModes says that the file system tells executable files.
const keepsModes = true

// isNotDir reports whether err says that a file stands where a directory
// should be.
func isNotDir(err error) bool { return errors.Is(err, syscall.ENOTDIR) }
