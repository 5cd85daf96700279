//go:build !unix

package tree

import "io/fs"

// Without inode and ctime, size and mtime must do.
func statOf(info fs.FileInfo) stat {
	return stat{Size: info.Size(), Mtime: info.ModTime().UnixNano(), Mode: uint32(info.Mode())}
}
