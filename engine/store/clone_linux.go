package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// clone makes dst, an empty file, share the blocks of src until either is
// written to. It fails where the file system cannot.
func clone(dst, src *os.File) error {
	to, err := dst.SyscallConn()
	if err != nil {
		return err
	}
	from, err := src.SyscallConn()
	if err != nil {
		return err
	}
	var cloneErr error
	err = to.Control(func(to uintptr) {
		err := from.Control(func(from uintptr) { cloneErr = unix.IoctlFileClone(int(to), int(from)) })
		if err != nil {
			cloneErr = err
		}
	})
	if err != nil {
		return err
	}
	return cloneErr
}
