package sign

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/robustio"
)

// writeFile puts a file of the keyring in its place whole, and on the disk
// before it returns. Without replace, a file that is there stays, and the
// error wraps ErrExists. The keyring's folders are made, for the user alone.
func writeFile(name string, b []byte, mode fs.FileMode, replace bool) error {
	dir := filepath.Dir(name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".tmp-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // fails where it was renamed, as it should
	_, err = tmp.Write(b)
	if err == nil && runtime.GOOS != "windows" {
		err = tmp.Chmod(mode)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := place(tmp.Name(), name, replace); err != nil {
		return err
	}
	return syncDir(dir)
}

// place gives a finished file its name. A link fails if the name is taken,
// which a rename does not; where there are no links, two processes that look
// at the same moment could both go on.
func place(tmp, name string, replace bool) error {
	if replace {
		return robustio.Rename(tmp, name)
	}
	err := os.Link(tmp, name)
	if err == nil {
		return nil
	}
	if _, statErr := os.Lstat(name); statErr == nil {
		return existsError(name)
	}
	return robustio.Rename(tmp, name)
}

func existsError(name string) error { return &fs.PathError{Op: "write", Path: name, Err: ErrExists} }

// syncDir makes a directory's names durable, where the system can.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
