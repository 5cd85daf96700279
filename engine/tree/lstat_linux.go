package tree

import (
	"io/fs"
	"os"
	"syscall"
)

// lstat is statOf(os.Lstat), without what that allocates for a plain file: it
// is done for every file of a project.
func lstat(name string) (stat, error) {
	var s syscall.Stat_t
	err := syscall.EINTR
	for err == syscall.EINTR {
		err, _ = syscall.Lstat(name, &s).(syscall.Errno)
	}
	if err != 0 {
		return stat{}, &fs.PathError{Op: "lstat", Path: name, Err: err}
	}
	const special = syscall.S_ISUID | syscall.S_ISGID | syscall.S_ISVTX
	if s.Mode&syscall.S_IFMT == syscall.S_IFREG && s.Mode&special == 0 {
		return stat{
			Size: s.Size, Mtime: int64(s.Mtim.Sec)*1e9 + int64(s.Mtim.Nsec), Ctime: ctime(&s),
			Inode: uint64(s.Ino), Mode: s.Mode & uint32(fs.ModePerm),
		}, nil
	}
	info, other := os.Lstat(name)
	if other != nil {
		return stat{}, other
	}
	return statOf(info), nil
}
