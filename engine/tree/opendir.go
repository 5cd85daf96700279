package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
)

// A LinkError is a symbolic link above an output: what is written there would
// land somewhere else.
type LinkError struct {
	Path   string // of the link, project-relative
	Target string
}

func (e *LinkError) Error() string {
	return fmt.Sprintf("%s is a symbolic link (to %s), and outputs are never written through links: replace the link by a directory, or name the place that it leads to", e.Path, e.Target)
}

// openTries bounds how often a name that another process keeps changing is
// looked at.
const openTries = 8

// OpenDir opens the directory at p to write or remove files in it by name. It
// follows no symbolic link below the root, and whatever another process does
// to the path afterwards, the directory is the one that was checked.
//
// With ours, directories that are missing are made, and a link at a path that
// is ours is replaced by one. Any other link is a *LinkError.
func (w *Workspace) OpenDir(p string, ours func(p string) bool) (*os.Root, error) {
	dir, err := os.OpenRoot(w.root)
	if err != nil || p == "." {
		return dir, err
	}
	at := ""
	for name := range strings.SplitSeq(p, "/") {
		at = path.Join(at, name)
		next, err := openIn(dir, name, at, ours)
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// openIn opens the directory name of dir, which is at in the project.
func openIn(dir *os.Root, name, at string, ours func(string) bool) (*os.Root, error) {
	for range openTries {
		info, err := dir.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && ours != nil:
			if err := dir.Mkdir(name, 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			continue
		case err != nil:
			return nil, err
		case isLink(info) && ours != nil && ours(at):
			if err := dir.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
			continue
		case isLink(info):
			target, _ := dir.Readlink(name)
			return nil, &LinkError{Path: at, Target: target}
		case !info.IsDir():
			return nil, &fs.PathError{Op: "open directory", Path: at, Err: ErrNotDir}
		}
		next, err := dir.OpenRoot(name)
		if errors.Is(err, fs.ErrNotExist) && ours != nil {
			continue
		}
		if err != nil {
			return nil, err
		}
		// A link may have come between the two looks.
		if now, err := next.Stat("."); err == nil && os.SameFile(info, now) {
			return next, nil
		}
		next.Close()
	}
	return nil, &fs.PathError{Op: "open directory", Path: at, Err: errors.New("another process keeps replacing it")}
}

// isLink reports whether a file leads elsewhere: a symbolic link or, on
// Windows, a junction.
func isLink(info fs.FileInfo) bool { return info.Mode()&(fs.ModeSymlink|fs.ModeIrregular) != 0 }

// IsNotDir reports whether an error of OpenDir says that something which is
// not a directory is in the way.
func IsNotDir(err error) bool { return errors.Is(err, ErrNotDir) }
