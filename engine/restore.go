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

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/inuse"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/paths"
)

// A Copier is a Store that can put a blob into a directory by itself, by
// reflink or copy and rename, never as a link into the store and never through
// one.
type Copier interface {
	CopyTo(ctx context.Context, d action.Digest, dir *os.Root, name string, executable bool) error
}

// restoreWorkers write files of one step at a time.
const restoreWorkers = 8

// restore makes the project hold what the step made, writing only what
// differs, and removes what it made before and does not make now. It notes
// which declared outputs it wrote. See changes for before.
//
// Outputs replace links: all is written by name into directories that OpenDir
// has opened.
func (r *run) restore(ctx context.Context, s *Step, m *made, before map[string]bool) error {
	changes, err := r.changes(s, m, before)
	if err != nil {
		return err
	}
	for _, c := range changes {
		if err := r.removeMade(c.stale); err != nil {
			return err
		}
	}
	for _, d := range m.dirs {
		if s.OwnsDirs || underDist(r.o.Workspace, d) {
			if err := r.removeOthers(m, d); err != nil {
				return err
			}
		}
	}
	written, err := r.restoreFiles(ctx, m)
	if err != nil {
		return err
	}
	for _, l := range m.links {
		if err := r.restoreLink(m, l); err != nil {
			return err
		}
	}
	for _, d := range m.empty {
		if r.plain(d) {
			continue
		}
		dir, err := r.openDir(m, d)
		if err != nil {
			return err
		}
		dir.Close()
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
	return r.settle(changes)
}

func underDist(w *tree.Workspace, p string) bool {
	return paths.Below(w.Dist(), p)
}

// restoreFiles writes the files that differ, one directory at a time, and
// returns their paths.
func (r *run) restoreFiles(ctx context.Context, m *made) (written []string, err error) {
	byDir := map[string][]tree.File{}
	for _, f := range m.files {
		if dir := path.Dir(f.Path); !r.upToDate(f) || !r.plain(dir) {
			byDir[dir] = append(byDir[dir], f)
			written = append(written, f.Path)
		}
	}
	p := pool.New().WithErrors().WithContext(ctx).WithMaxGoroutines(restoreWorkers).WithCancelOnError().WithFirstError()
	for dir, all := range byDir {
		for files := range slices.Chunk(all, max(1, (len(all)+restoreWorkers-1)/restoreWorkers)) {
			p.Go(func(ctx context.Context) error { return r.restoreInto(ctx, m, dir, files) })
		}
	}
	return written, p.Wait()
}

func (r *run) upToDate(f tree.File) bool {
	e, err := r.o.Workspace.Lookup(f.Path)
	return err == nil && !e.IsLink && e.Digest == f.Digest && e.Executable == f.Executable
}

// plain reports whether a directory of the project is there, and neither it
// nor one above it is a link.
func (r *run) plain(p string) bool {
	if p == "." {
		return true
	}
	if _, ok := r.plainDirs.Load(p); ok {
		return true
	}
	info, err := os.Lstat(r.o.Workspace.Abs(p))
	if err != nil || !info.IsDir() || !r.plain(path.Dir(p)) {
		return false
	}
	r.plainDirs.Store(p, true)
	return true
}

func (r *run) restoreInto(ctx context.Context, m *made, dirPath string, files []tree.File) error {
	dir, err := r.openDir(m, dirPath)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, f := range files {
		name := path.Base(f.Path)
		if info, err := dir.Lstat(name); err == nil && info.IsDir() {
			return fmt.Errorf("restore %s: a directory is in its place; remove it", f.Path)
		}
		if err := copyBlob(ctx, r.o.Store, f.Digest, dir, name, f.Executable); err != nil {
			return fmt.Errorf("restore %s: %w", f.Path, err)
		}
		r.o.Workspace.Wrote(f.Path, f.Digest, f.Executable)
	}
	return nil
}

// copyBlob puts a blob into dir by rename.
func copyBlob(ctx context.Context, st Store, d action.Digest, dir *os.Root, name string, executable bool) error {
	if c, ok := st.(Copier); ok {
		return c.CopyTo(ctx, d, dir, name, executable)
	}
	src, err := st.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	tmp := tree.TempPrefix + rand.Text()
	f, err := dir.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, src)
	if err = errors.Join(err, f.Close()); err == nil {
		err = inuse.Rename(dir, tmp, name)
	}
	if err != nil {
		dir.Remove(tmp)
	}
	return err
}

func (r *run) restoreLink(m *made, l tree.Link) error {
	if got, err := os.Readlink(r.o.Workspace.Abs(l.Path)); err == nil && filepath.ToSlash(got) == l.Target && r.plain(path.Dir(l.Path)) {
		return nil
	}
	if to := path.Join(path.Dir(l.Path), l.Target); path.IsAbs(l.Target) || !localPath(to) {
		return fmt.Errorf("restore link %s: its target %s is outside the project", l.Path, l.Target)
	}
	dir, err := r.openDir(m, path.Dir(l.Path))
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp := tree.TempPrefix + rand.Text()
	if err := dir.Symlink(filepath.FromSlash(l.Target), tmp); err != nil {
		return fmt.Errorf("restore link %s: %w", l.Path, err)
	}
	if err := inuse.Rename(dir, tmp, path.Base(l.Path)); err != nil {
		dir.Remove(tmp)
		return fmt.Errorf("restore link %s: %w", l.Path, err)
	}
	r.o.Workspace.Forget(l.Path)
	return nil
}

// openDir opens a directory of outputs, made if need be. In dist, and at and
// below an output directory, it replaces links.
func (r *run) openDir(m *made, p string) (*os.Root, error) {
	w := r.o.Workspace
	ours := func(at string) bool {
		return at != w.Dist() && underDist(w, at) ||
			slices.ContainsFunc(m.dirs, func(d string) bool { return at == d || strings.HasPrefix(at, d+"/") })
	}
	dir, err := w.OpenDir(p, ours)
	if err != nil && r.clearStale(p) {
		dir, err = w.OpenDir(p, ours)
	}
	if err != nil {
		return nil, fmt.Errorf("make directory %s: %w", p, err)
	}
	if _, known := r.plainDirs.Load(p); !known {
		w.Forget(p)
	}
	return dir, nil
}

// clearStale removes a file that stands in the place of the directory p or of
// one above it, if airbuild made it: what was the output "a" is "a/b" now. It
// reports whether it did. A user's own file stays.
func (r *run) clearStale(p string) bool {
	w := r.o.Workspace
	for ; p != "." && p != w.Dist(); p = path.Dir(p) {
		info, err := os.Lstat(w.Abs(p))
		if err != nil {
			continue // not there, or below what is to go
		}
		if info.IsDir() || !underDist(w, p) {
			return false
		}
		for _, pipelines := range loadOutputs(w.State(), r.o.File).Files {
			for _, made := range pipelines {
				if slices.Contains(made, p) {
					return r.removeAll(p) == nil
				}
			}
		}
		return false
	}
	return false
}

// removeOthers removes what the step did not make, or made as something else
// (a directory where a link is now), from a directory that is wholly its own.
// It comes before the step's files, so that none is written through a link
// that is to go. Temporary files stay: another process may be writing them.
func (r *run) removeOthers(m *made, dir string) error {
	if parent := path.Dir(dir); !r.plain(parent) {
		opened, err := r.openDir(m, parent)
		if err != nil {
			return err
		}
		opened.Close()
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
	dir, err := r.o.Workspace.OpenDir(path.Dir(p), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := inuse.RemoveAll(dir, path.Base(p)); err != nil {
		return err
	}
	r.forget(p)
	return nil
}

// forget drops what the run knows of a path that was removed.
func (r *run) forget(p string) {
	r.o.Workspace.Forget(p)
	r.plainDirs.Range(func(d, _ any) bool {
		if d == p || strings.HasPrefix(d.(string), p+"/") {
			r.plainDirs.Delete(d)
		}
		return true
	})
}
