package relay

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// maxListed bounds how many files one listing holds.
const maxListed = 1 << 18

// A tree is a directory whose regular files may be served. It need not be there
// yet, and may be replaced while the relay runs, so that it is opened anew for
// each request. Everything goes through os.Root: no name and no symbolic link
// leads out of it.
type tree struct{ dir string }

// open opens a regular file. The error is fs.ErrNotExist for all that is not to
// be served: other kinds of files, and links that lead out.
func (t tree) open(name string) (*os.File, fs.FileInfo, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, nil, hide(err)
	}
	defer root.Close()
	// Asked before it is opened: to open a device may do something.
	info, err := root.Stat(name)
	if err != nil {
		return nil, nil, hide(err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil, fs.ErrNotExist
	}
	f, err := root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, nil, hide(err)
	}
	info, err = f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist // exchanged meanwhile
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// hide turns what os.Root refuses, and files that the relay may not read, into
// fs.ErrNotExist: who asks learns nothing about what lies outside. Trouble of
// the disk stays what it is.
func hide(err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || !ok || !isTrouble(at.Err) {
		return fs.ErrNotExist
	}
	return err
}

// has reports whether name is a regular file.
func (t tree) has(name string) bool {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// there reports whether name ("." for the tree itself) is a directory.
func (t tree) there(name string) bool {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return false
	}
	defer root.Close()
	info, err := root.Stat(name)
	return err == nil && info.IsDir()
}

// names returns the names in a directory, those that cleanName refuses left out.
func (t tree) names(dir string) ([]fs.DirEntry, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, hide(err)
	}
	defer root.Close()
	all, err := fs.ReadDir(root.FS(), dir)
	if err != nil {
		return nil, hide(err)
	}
	keep := all[:0]
	for _, e := range all {
		if cleanName(e.Name()) {
			keep = append(keep, e)
		}
	}
	return keep, nil
}

// A listed is a regular file found below a directory.
type listed struct {
	path string // relative to the directory
	info fs.FileInfo
}

// list returns the regular files below dir, sorted by path. Links are not
// followed, and names that begin with a dot are left out with all below them.
func (t tree) list(ctx context.Context, dir string) ([]listed, error) {
	root, err := os.OpenRoot(t.dir)
	if err != nil {
		return nil, hide(err)
	}
	defer root.Close()
	var files []listed
	err = fs.WalkDir(root.FS(), dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && name == dir:
			return hide(err)
		case err != nil:
			return nil // gone, or not for us to read
		case ctx.Err() != nil:
			return ctx.Err()
		case name == dir:
			return nil
		case !cleanName(d.Name()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		if len(files) == maxListed {
			return fmt.Errorf("list %s: there are more than %d files", dir, maxListed)
		}
		files = append(files, listed{strings.TrimPrefix(name, dir+"/"), info})
		return nil
	})
	return files, err
}
