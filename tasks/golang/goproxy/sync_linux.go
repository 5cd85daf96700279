package goproxy

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncTree has everything below dir reach the disk. A toolchain has many
// thousands of files, so the whole file system is synced rather than each.
func syncTree(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
