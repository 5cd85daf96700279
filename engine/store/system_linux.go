package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// bootID identifies this boot of the machine.
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return processID() // a container without /proc
	}
	return string(b), err
}

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

// lookAt is os.Lstat without what it allocates.
func lookAt(name string) (look, error) {
	var st syscall.Stat_t
	if err := again(func() error { return syscall.Lstat(name, &st) }); err != nil {
		return look{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	return lookOf(&st), nil
}

func lookOf(st *syscall.Stat_t) look {
	return look{
		regular: st.Mode&syscall.S_IFMT == syscall.S_IFREG,
		size:    st.Size,
		mtime:   time.Unix(int64(st.Mtim.Sec), int64(st.Mtim.Nsec)),
	}
}

// readSmall reads a regular file that is smaller than buf into it. It is not ok
// for whatever else there may be.
func readSmall(name string, buf []byte) (b []byte, l look, ok bool) {
	fd := -1
	err := again(func() (err error) {
		fd, err = syscall.Open(name, syscall.O_RDONLY|syscall.O_CLOEXEC|careful, 0)
		return err
	})
	if err != nil {
		return nil, look{}, false
	}
	defer syscall.Close(fd)
	var st syscall.Stat_t
	if again(func() error { return syscall.Fstat(fd, &st) }) != nil {
		return nil, look{}, false
	}
	l = lookOf(&st)
	if !l.regular || l.size >= int64(len(buf)) {
		return nil, look{}, false
	}
	n := 0
	err = again(func() (err error) {
		n, err = syscall.Read(fd, buf[:l.size+1]) // one byte more than there is: this is all
		return err
	})
	if err != nil || int64(n) != l.size {
		return nil, look{}, false
	}
	return buf[:n], l, true
}

// again repeats a call that a signal has cut short.
func again(call func() error) error {
	for {
		if err := call(); err != syscall.EINTR {
			return err
		}
	}
}

// fileIdentity tells a file from a copy of it, whatever times the copy was
// given: nobody can set the change time.
func fileIdentity(info fs.FileInfo) string {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime().String()
	}
	return fmt.Sprintf("%d %d.%09d", st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
}

// changed returns when the file last changed in any way. The modification
// time of a blob does not tell: it is the mark.
func changed(info fs.FileInfo) time.Time {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.ModTime()
	}
	return time.Unix(int64(st.Ctim.Sec), int64(st.Ctim.Nsec))
}
