//go:build unix

package tree

import (
	"io/fs"
	"syscall"
)

func statOf(info fs.FileInfo) stat {
	st := stat{Size: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: uint32(info.Mode())}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		st.Ctime = ctime(s)
		st.Inode = uint64(s.Ino)
	}
	return st
}
