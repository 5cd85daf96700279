package tree

import (
	"io/fs"
	"os"
	"syscall"
)

// lstat is statOf(os.Lstat), without what that allocates for a plain file or
// directory: it is done for every one of a project.
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
	kind := s.Mode & syscall.S_IFMT
	if (kind == syscall.S_IFREG || kind == syscall.S_IFDIR) && s.Mode&special == 0 {
		mode := s.Mode & uint32(fs.ModePerm)
		if kind == syscall.S_IFDIR {
			mode |= uint32(fs.ModeDir)
		}
		return stat{
			Size: s.Size, Mtime: int64(s.Mtim.Sec)*1e9 + int64(s.Mtim.Nsec), Ctime: ctime(&s),
			Inode: uint64(s.Ino), Mode: mode,
		}, nil
	}
	info, other := os.Lstat(name)
	if other != nil {
		return stat{}, other
	}
	return statOf(info), nil
}
