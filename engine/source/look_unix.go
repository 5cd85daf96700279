//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package source

import (
	"io/fs"

	"golang.org/x/sys/unix"
)

// typeBits are those of a mode that tell a file from a directory.
const typeBits = unix.S_IFMT

// A looker looks at paths below one directory.
type looker struct{ dir int }

func openLooker(top string) (*looker, error) {
	fd, err := unix.Open(top, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: top, Err: err}
	}
	return &looker{fd}, nil
}

func (l *looker) close() { unix.Close(l.dir) }

func (l *looker) look(name string, follow bool) (state, error) {
	flags := unix.AT_SYMLINK_NOFOLLOW
	if follow {
		flags = 0
	}
	var st unix.Stat_t
	err := unix.Fstatat(l.dir, name, &st, flags)
	for err == unix.EINTR {
		err = unix.Fstatat(l.dir, name, &st, flags)
	}
	switch err {
	case nil:
		return state{
			size: st.Size, mtime: st.Mtim.Nano(), ctime: st.Ctim.Nano(),
			inode: uint64(st.Ino), device: uint64(st.Dev), mode: uint32(st.Mode),
		}, nil
	case unix.ENOENT, unix.ENOTDIR:
		return state{}, nil
	}
	return state{}, &fs.PathError{Op: "stat", Path: name, Err: err}
}
