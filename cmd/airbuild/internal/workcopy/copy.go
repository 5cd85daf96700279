package workcopy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/store"
)

// OpenStore opens the store of the copy. What was carried is there too, so that its
// results have the same scope as here.
func (p *Copy) OpenStore(scope store.Scope) (*store.Disk, error) {
	s, err := store.Open(p.Cache)
	if err == nil {
		s.Scope = scope
	}
	return s, err
}

// Prepare makes the copy, with the results that are used in its store.
func (v *Selection) Prepare(ctx context.Context) (_ *Copy, err error) {
	p, err := v.newCopy(ctx)
	if err != nil {
		return nil, err
	}
	s, err := p.OpenStore(v.Store.Scope)
	if err != nil {
		return p, err
	}
	// What runs in the copy has the store to itself, and its locks.
	return p, exit.First(v.seed(ctx, s), s.Close())
}

// A Copy is a copy of a project with a store, a home and caches of its own, all
// below top.
type Copy struct {
	Dir, Project, Cache, Home, Tmp, GoCache string
}

// newCopy copies the project to another depth and to a path of another length.
func (v *Selection) newCopy(ctx context.Context) (_ *Copy, err error) {
	top, err := os.MkdirTemp("", "airbuild-verify-")
	if err != nil {
		return nil, fmt.Errorf("make a place to build in: %w", err)
	}
	if top, err = filepath.EvalSymlinks(top); err != nil {
		return nil, fmt.Errorf("make a place to build in: %w", err)
	}
	p := &Copy{Dir: top, Cache: filepath.Join(top, "store"), Home: filepath.Join(top, "home-of-another"), Tmp: filepath.Join(top, "t"), GoCache: filepath.Join(top, "gocache")}
	p.Project = filepath.Join(top, "elsewhere")
	depth := func(s string) int { return strings.Count(s, string(filepath.Separator)) }
	for depth(p.Project) == depth(v.Root) || len(p.Project) == len(v.Root) {
		p.Project = filepath.Join(p.Project, "deeper")
	}
	for _, d := range []string{p.Project, p.Cache, p.Home, p.Tmp, p.GoCache} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, errors.Join(fmt.Errorf("make a place to build in: %w", err), p.Remove())
		}
	}
	if err := p.copyProject(ctx, v.Session); err != nil {
		return nil, errors.Join(fmt.Errorf("copy the project: %w", err), p.Remove())
	}
	if from := project.CarriedDir(v.Store.Dir()); project.Exists(from) {
		if err := os.Symlink(from, project.CarriedDir(p.Cache)); err != nil {
			return nil, errors.Join(err, p.Remove())
		}
	}
	return p, nil
}

// Remove removes all of it.
func (p *Copy) Remove() error {
	filepath.WalkDir(p.Dir, func(name string, e os.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			os.Chmod(name, 0o700) // module caches are read-only
		}
		return nil
	})
	if err := os.RemoveAll(p.Dir); err != nil {
		return fmt.Errorf("remove the second build: %w", err)
	}
	return nil
}

// FileTime is when every file of the copy was changed last.
var FileTime = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// copyProject copies the files of the project, with other times, without what
// airbuild itself made: dist, the cache, and what belongs to git. Directories
// are filled from their end, which changes the order in which some file systems
// list them.
func (p *Copy) copyProject(ctx context.Context, v *project.Session) error {
	cache, _ := filepath.EvalSymlinks(v.Store.Dir())
	root, err := filepath.EvalSymlinks(v.Root)
	if err != nil {
		return err
	}
	skip := []string{filepath.Join(root, filepath.FromSlash(v.Plan.Dist)), filepath.Join(root, ".git"), cache, p.Dir}
	return copyDir(ctx, root, p.Project, skip)
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
	return os.Chtimes(to, FileTime, FileTime)
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
	return os.Chtimes(dst, FileTime, FileTime)
}
