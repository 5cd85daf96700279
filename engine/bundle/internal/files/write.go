// Package files writes files in one step, opens regular files alone, and locks.
package files

import (
	"bufio"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/rogpeppe/go-internal/robustio"
)

// BufferSize is how much is read at once, in bytes.
const BufferSize = 1 << 20

// TempPrefix begins the names of files that are being written.
const TempPrefix = ".airbuild-"

// Write writes a file in a directory: to a temporary file next to it, which
// is flushed and renamed. The directory is not flushed; see SyncDir. On a
// failure nothing is left behind.
func Write(dir, name string, write func(io.Writer) error) error {
	tmp := filepath.Join(dir, TempPrefix+name)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer os.Remove(tmp) // fails after the rename, as it should
	w := bufio.NewWriterSize(f, BufferSize)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return robustio.Rename(tmp, filepath.Join(dir, name))
}

// WriteBytes is Write of b.
func WriteBytes(dir, name string, b []byte) error {
	return Write(dir, name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// SyncDir flushes the names in a directory.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be flushed there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(ignoreUnsupported(d.Sync()), d.Close())
}

// ignoreUnsupported takes file systems of media as they are: some cannot flush
// a directory.
func ignoreUnsupported(err error) error {
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, os.ErrInvalid) || isInvalid(err) {
		return nil
	}
	return err
}
