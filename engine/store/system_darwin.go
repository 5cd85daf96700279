package store

import (
	"fmt"
	"io/fs"
	"syscall"
	"time"

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

// fileIdentity tells a file from a copy of it, whatever times the copy was
// given: nobody can set the change time.
func fileIdentity(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime().String()
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Ctimespec.Sec, st.Ctimespec.Nsec)
}

// changed returns when the file last changed in any way. The modification
// time of a blob does not tell: it is the mark.
func changed(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime()
	}
	return time.Unix(int64(st.Ctimespec.Sec), int64(st.Ctimespec.Nsec))
}
