package install

import (
	"fmt"
	"path/filepath"

	"golang.org/x/sys/windows"
)

// freeSpace is how many bytes this user may write to the file system of dir.
func freeSpace(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return int64(min(free, 1<<62)), nil
}

// volumeOf names the file system that dir is on.
func volumeOf(dir string) string { return filepath.VolumeName(dir) }
