package inuse

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// renamesMiss: see missesInVain.
const renamesMiss = true

// mayPass reports whether an error is one that Windows gives about files in use.
// Access is denied to those that are being removed or executed.
func mayPass(err error) bool {
	return inUse(err) || errors.Is(err, windows.ERROR_ACCESS_DENIED)
}

func inUse(err error) bool {
	return errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_USER_MAPPED_FILE)
}

// held reports whether an error about a file means that another program has it
// open. The answer to a program that is being executed is that access is denied,
// as it is to a file whose attributes or rights forbid it: of a file that this
// process may write and remove when it can have it, neither is the reason.
func held(dir directory, name string, err error) bool {
	if inUse(err) {
		return true
	}
	if !errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		return false
	}
	info, err := dir.Lstat(name)
	if err != nil {
		return inUse(err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o200 == 0 {
		return false
	}
	f, err := dir.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return inUse(err)
	}
	// It can be written, so that only being open can forbid to replace it.
	f.Close()
	return true
}
