//go:build unix && !linux

package local

import "syscall"

// dieWithParent does nothing where the kernel has no such signal.
func dieWithParent(*syscall.SysProcAttr) {}
