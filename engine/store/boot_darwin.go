package store

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// bootID identifies this boot of the machine.
func bootID() (string, error) {
	t, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return processID()
	}
	return fmt.Sprintf("%d.%06d", t.Sec, t.Usec), nil
}
