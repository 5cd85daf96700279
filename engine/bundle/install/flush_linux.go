package install

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// flushesAll says that flushAll flushes files that were written before, so that
// they need not be flushed one by one.
const flushesAll = true

// flushAll flushes the file system that dir is on: one call for thousands of
// small files.
func flushAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	err = unix.Syncfs(int(d.Fd()))
	if errors.Is(err, unix.ENOSYS) {
		unix.Sync()
		err = nil
	}
	if err := errors.Join(err, d.Close()); err != nil {
		return fmt.Errorf("flush %s: %w", dir, err)
	}
	return nil
}
