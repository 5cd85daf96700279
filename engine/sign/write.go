package sign

import (
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// writeFile puts a file of the keyring in its place whole, and on the disk
// before it returns. Without replace, a file that is there stays, and the
// error wraps ErrExists. The keyring's folders are made, for the user alone.
func writeFile(name string, b []byte, mode fs.FileMode, replace bool) error {
	f, err := atomicfile.Create(filepath.Dir(name), atomicfile.Options{Perm: mode, Exact: true, Mkdir: 0o700, Sync: true, SyncDir: true})
	if err != nil {
		return err
	}
	defer f.Discard()
	if _, err := f.Write(b); err != nil {
		return err
	}
	if !replace {
		// A link fails if the name is taken, which a rename does not; where there are
		// no links, two processes that look at the same moment could both go on.
		if err := f.Close(); err != nil {
			return err
		}
		if os.Link(f.Name(), name) == nil {
			return atomicfile.SyncDir(filepath.Dir(name))
		}
		if _, err := os.Lstat(name); err == nil {
			return existsError(name)
		}
	}
	return f.Commit(name)
}

func existsError(name string) error { return &fs.PathError{Op: "write", Path: name, Err: ErrExists} }
