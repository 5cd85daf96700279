package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// otherFileTime is when every file of the copy was changed last.
var otherFileTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// copyProject copies the files of the project, with other times, without what
// airbuild itself made: dist, the cache, and what belongs to git. Directories
// are filled from their end, which changes the order in which some file systems
// list them.
func (v *verification) copyProject(ctx context.Context) error {
	cache, _ := filepath.EvalSymlinks(v.Store.Dir())
	root, err := filepath.EvalSymlinks(v.Root)
	if err != nil {
		return err
	}
	skip := []string{filepath.Join(root, filepath.FromSlash(v.Plan.Dist)), filepath.Join(root, ".git"), cache, v.place.top}
	return copyDir(ctx, root, v.place.project, skip)
}

func copyDir(ctx context.Context, from, to string, skip []string) error {
	list, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	for _, e := range slices.Backward(list) {
		src, dst := filepath.Join(from, e.Name()), filepath.Join(to, e.Name())
		if err := ctx.Err(); err != nil {
			return err
		}
		if slices.Contains(skip, src) {
			continue
		}
		switch {
		case e.IsDir():
			if err := os.Mkdir(dst, 0o700); err != nil {
				return err
			}
			err = copyDir(ctx, src, dst, skip)
		case e.Type()&fs.ModeSymlink != 0:
			var target string
			if target, err = os.Readlink(src); err == nil {
				err = os.Symlink(target, dst)
			}
		case e.Type().IsRegular():
			err = copyOne(src, dst)
		}
		if err != nil {
			return err
		}
	}
	return os.Chtimes(to, otherFileTime, otherFileTime)
}

// copyOne copies a file; of its mode only whether it can be run.
func copyOne(src, dst string) (err error) {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if info.Mode()&0o111 != 0 {
		mode = 0o700
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Chtimes(dst, otherFileTime, otherFileTime)
}
