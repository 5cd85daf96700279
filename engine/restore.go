package engine

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// A Copier is a Store that can put a blob at a path by itself, by reflink or
// copy and rename, never as a link into the store.
type Copier interface {
	CopyTo(ctx context.Context, d action.Digest, dst string, executable bool) error
}

// restoreWorkers copy files of one step at a time.
const restoreWorkers = 8

// restore makes the project hold what the step made, writing only what
// differs. It reports which declared outputs it wrote.
func (r *run) restore(ctx context.Context, s *Step, m *made) error {
	for _, d := range m.dirs {
		if s.OwnsDirs || underDist(r.o.Workspace, d) {
			if err := r.removeOthers(m, d); err != nil {
				return err
			}
		}
	}
	written := make([]string, len(m.files))
	p := pool.New().WithErrors().WithContext(ctx).WithMaxGoroutines(restoreWorkers).WithCancelOnError().WithFirstError()
	for i, f := range m.files {
		if r.upToDate(f) {
			continue
		}
		p.Go(func(ctx context.Context) error {
			if err := r.restoreFile(ctx, f); err != nil {
				return err
			}
			written[i] = f.Path
			return nil
		})
	}
	if err := p.Wait(); err != nil {
		return err
	}
	for _, l := range m.links {
		if err := r.restoreLink(l); err != nil {
			return err
		}
	}
	for _, d := range m.empty {
		if err := r.mkdir(d); err != nil {
			return err
		}
	}
	for i := range m.tops {
		top := &m.tops[i]
		for _, w := range written {
			if w == top.Path || (top.Dir && strings.HasPrefix(w, top.Path+"/")) {
				top.Written = true
				break
			}
		}
	}
	return nil
}

func underDist(w *tree.Workspace, p string) bool {
	return p == w.Dist() || strings.HasPrefix(p, w.Dist()+"/")
}

func (r *run) upToDate(f tree.File) bool {
	e, err := r.o.Workspace.Lookup(f.Path)
	return err == nil && !e.IsLink && e.Digest == f.Digest && e.Executable == f.Executable
}

func (r *run) restoreFile(ctx context.Context, f tree.File) error {
	if err := r.mkdir(path.Dir(f.Path)); err != nil {
		return err
	}
	dst := r.o.Workspace.Abs(f.Path)
	if info, err := os.Lstat(dst); err == nil && info.IsDir() {
		return fmt.Errorf("restore %s: a directory is in its place; remove it", f.Path)
	}
	if err := copyBlob(ctx, r.o.Store, f.Digest, dst, f.Executable); err != nil {
		return fmt.Errorf("restore %s: %w", f.Path, err)
	}
	r.o.Workspace.Wrote(f.Path, f.Digest, f.Executable)
	return nil
}

// copyBlob puts a blob at dst by rename.
func copyBlob(ctx context.Context, st Store, d action.Digest, dst string, executable bool) error {
	if c, ok := st.(Copier); ok {
		return c.CopyTo(ctx, d, dst, executable)
	}
	src, err := st.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	tmp, err := os.CreateTemp(filepath.Dir(dst), tree.TempPrefix+"*")
	if err != nil {
		return err
	}
	_, err = io.Copy(tmp, src)
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	if err == nil {
		err = os.Chmod(tmp.Name(), mode)
	}
	if err == nil {
		err = os.Rename(tmp.Name(), dst)
	}
	if err != nil {
		os.Remove(tmp.Name())
	}
	return err
}

func (r *run) restoreLink(l tree.Link) error {
	abs := r.o.Workspace.Abs(l.Path)
	if got, err := os.Readlink(abs); err == nil && filepath.ToSlash(got) == l.Target {
		return nil
	}
	if to := path.Join(path.Dir(l.Path), l.Target); path.IsAbs(l.Target) || !localPath(to) {
		return fmt.Errorf("restore link %s: its target %s is outside the project", l.Path, l.Target)
	}
	if err := r.mkdir(path.Dir(l.Path)); err != nil {
		return err
	}
	tmp := filepath.Join(filepath.Dir(abs), tree.TempPrefix+rand.Text())
	if err := os.Symlink(filepath.FromSlash(l.Target), tmp); err != nil {
		return fmt.Errorf("restore link %s: %w", l.Path, err)
	}
	if err := os.Rename(tmp, abs); err != nil {
		os.Remove(tmp)
		return fmt.Errorf("restore link %s: %w", l.Path, err)
	}
	r.o.Workspace.Forget(l.Path)
	return nil
}

// mkdir makes a directory of the project, see within.
func (r *run) mkdir(p string) error {
	if _, ok := r.madeDirs.Load(p); ok {
		return nil
	}
	err := r.within(p)
	if errors.Is(err, syscall.ENOTDIR) && r.clearStale(p) {
		err = r.within(p)
	}
	if err != nil {
		return fmt.Errorf("make directory %w", err)
	}
	err = os.MkdirAll(r.o.Workspace.Abs(p), 0o777)
	if err != nil && r.clearStale(p) {
		err = os.MkdirAll(r.o.Workspace.Abs(p), 0o777)
	}
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	r.o.Workspace.Forget(p)
	r.madeDirs.Store(p, true)
	return nil
}

// clearStale removes a file in dist that stands in the place of the directory p
// or of one above it, if a pipeline put it there: what was the output "a" is
// "a/b" now. It reports whether it did. A user's own file stays.
func (r *run) clearStale(p string) bool {
	w := r.o.Workspace
	for ; underDist(w, p) && p != w.Dist(); p = path.Dir(p) {
		info, err := os.Lstat(w.Abs(p))
		if err != nil {
			continue // not there, or below what is to go
		}
		if info.IsDir() {
			return false
		}
		for _, made := range loadOutputs(filepath.Join(w.State(), outputsFile)).Pipelines {
			if slices.Contains(made, p) {
				return r.removeAll(p) == nil
			}
		}
		return false
	}
	return false
}

// within refuses a path that a symbolic link leads out of the project: nothing
// is written or removed outside the project and dist. What is not there yet is
// where its parent is.
func (r *run) within(p string) error {
	w := r.o.Workspace
	real, err := filepath.EvalSymlinks(w.Abs(p))
	for at := p; errors.Is(err, fs.ErrNotExist) && at != "."; {
		at = path.Dir(at)
		real, err = filepath.EvalSymlinks(w.Abs(at))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", p, err)
	}
	for _, base := range []string{w.Root(), w.Abs(w.Dist())} {
		if base, err := filepath.EvalSymlinks(base); err == nil {
			if rel, err := filepath.Rel(base, real); err == nil && filepath.IsLocal(rel) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s: a symbolic link leads out of the project, to %s", p, real)
}

// removeOthers removes what the step did not make, or made as something else
// (a directory where a link is now), from a directory that is wholly its own.
// It comes before the step's files, so that none is written through a link
// that is to go. Temporary files stay: another process may be writing them.
func (r *run) removeOthers(m *made, dir string) error {
	if err := r.within(dir); err != nil {
		return fmt.Errorf("tidy directory %w", err)
	}
	isDir := map[string]bool{dir: true} // all that is to be there
	add := func(p string, d bool) {
		for ; len(p) > len(dir); p, d = path.Dir(p), true {
			if _, ok := isDir[p]; ok {
				return
			}
			isDir[p] = d
		}
	}
	for _, f := range m.files {
		add(f.Path, false)
	}
	for _, l := range m.links {
		add(l.Path, false)
	}
	for _, e := range m.empty {
		add(e, true)
	}
	root := r.o.Workspace.Abs(dir)
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(r.o.Workspace.Root(), name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		d, ours := isDir[rel]
		temp := !e.IsDir() && strings.HasPrefix(e.Name(), tree.TempPrefix)
		if ours && d == e.IsDir() || !ours && temp {
			return nil
		}
		if err := r.removeAll(rel); err != nil {
			return err
		}
		if e.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tidy directory %s: %w", dir, err)
	}
	return nil
}

// removeAll removes what is at p, and what the run knows of it.
func (r *run) removeAll(p string) error {
	if err := os.RemoveAll(r.o.Workspace.Abs(p)); err != nil {
		return err
	}
	r.o.Workspace.Forget(p)
	r.madeDirs.Range(func(d, _ any) bool {
		if d == p || strings.HasPrefix(d.(string), p+"/") {
			r.madeDirs.Delete(d)
		}
		return true
	})
	return nil
}
