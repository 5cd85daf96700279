package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// OpenRegular opens a file that must be one, and no link.
func OpenRegular(name string) (*os.File, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	f, err := OpenIfRegular(info, func() (*os.File, error) { return os.Open(name) })
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return f, nil
}

// ErrNotRegular says that a file is not a regular one.
var ErrNotRegular = errors.New("it is a link, a device or something else that is not a regular file")

// OpenIfRegular opens a file of which info is the Lstat, if it is a regular one
// and nothing else took its place meanwhile.
func OpenIfRegular(info fs.FileInfo, open func() (*os.File, error)) (*os.File, error) {
	if !info.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		f.Close()
		return nil, errors.Join(err, errors.New("it changed while it was opened"))
	}
	return f, nil
}
