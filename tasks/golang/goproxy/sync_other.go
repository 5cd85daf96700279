//go:build !linux

package goproxy

import (
	"io/fs"
	"os"
	"path/filepath"
)

// syncTree has every file below dir reach the disk.
func syncTree(dir string) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		// Not every file system syncs a file that is open for reading only;
		// those that do not have nothing to lose by it.
		_ = f.Sync()
		return f.Close()
	})
}
