package store

import (
	"errors"
	"io/fs"
	"os"
)

// bootID identifies this boot of the machine.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return processID() // a container without /proc
	}
	return string(b), err
}
