package outputs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/paths"
)

// writers is how many files of one step are written at the same time.
const writers = 8

// files writes and removes files of the project. Any goroutine may call its
// methods.
type files struct {
	w        *tree.Workspace
	blobs    Blobs
	index    func() *Index
	recorded func(p string) bool // whether an earlier run put p into dist

	plain sync.Map // directories that are known to be there without a link

	mu      sync.Mutex
	removed []string
}

// write makes the project hold a set, and returns the files that it wrote, because
// they differed.
func (f *files) write(ctx context.Context, set *Set) (written []string, err error) {
	if written, err = f.writeFiles(ctx, set); err != nil {
		return nil, err
	}
	for _, l := range set.Links {
		if err := f.writeLink(set, l); err != nil {
			return nil, err
		}
	}
	for _, d := range set.Empty {
		if f.isPlain(d) {
			continue
		}
		dir, err := f.open(set, d)
		if err != nil {
			return nil, err
		}
		dir.Close()
	}
	return written, nil
}

// writeFiles writes the files that differ, one directory at a time.
func (f *files) writeFiles(ctx context.Context, set *Set) (written []string, err error) {
	byDir := map[string][]tree.File{}
	for _, one := range set.Files {
		if dir := path.Dir(one.Path); !f.upToDate(one) || !f.isPlain(dir) {
			byDir[dir] = append(byDir[dir], one)
			written = append(written, one.Path)
		}
	}
	p := pool.New().WithErrors().WithContext(ctx).WithMaxGoroutines(writers).WithCancelOnError().WithFirstError()
	for dir, all := range byDir {
		for part := range slices.Chunk(all, max(1, (len(all)+writers-1)/writers)) {
			p.Go(func(ctx context.Context) error { return f.writeInto(ctx, set, dir, part) })
		}
	}
	return written, p.Wait()
}

func (f *files) upToDate(one tree.File) bool {
	e, err := f.w.Lookup(one.Path)
	return err == nil && !e.IsLink && e.Digest == one.Digest && e.Executable == one.Executable
}

// isPlain reports whether a directory is there, and neither it nor one above it is
// a link.
func (f *files) isPlain(p string) bool {
	if p == "." {
		return true
	}
	if _, ok := f.plain.Load(p); ok {
		return true
	}
	info, err := os.Lstat(f.w.Abs(p))
	if err != nil || !info.IsDir() || !f.isPlain(path.Dir(p)) {
		return false
	}
	f.plain.Store(p, true)
	return true
}

func (f *files) writeInto(ctx context.Context, set *Set, dirPath string, list []tree.File) error {
	dir, err := f.open(set, dirPath)
	if err != nil {
		return err
	}
	defer dir.Close()
	for _, one := range list {
		name := path.Base(one.Path)
		if info, err := dir.Lstat(name); err == nil && info.IsDir() {
			return fmt.Errorf("restore %s: a directory is in its place; remove it", one.Path)
		}
		if err := f.copy(ctx, one.Digest, dir, name, one.Executable); err != nil {
			return fmt.Errorf("restore %s: %w", one.Path, err)
		}
		f.w.Wrote(one.Path, one.Digest, one.Executable)
	}
	return nil
}

// copy puts a blob into dir by rename.
func (f *files) copy(ctx context.Context, d action.Digest, dir *os.Root, name string, executable bool) error {
	if c, ok := f.blobs.(Copier); ok {
		return c.CopyTo(ctx, d, dir, name, executable)
	}
	src, err := f.blobs.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	mode := fs.FileMode(0o644)
	if executable {
		mode = 0o755
	}
	return atomicfile.WriteFunc(name, atomicfile.Options{Root: dir, Perm: mode}, func(dst io.Writer) error {
		_, err := io.Copy(dst, src)
		return err
	})
}

func (f *files) writeLink(set *Set, l tree.Link) error {
	if got, err := os.Readlink(f.w.Abs(l.Path)); err == nil && filepath.ToSlash(got) == l.Target && f.isPlain(path.Dir(l.Path)) {
		return nil
	}
	if to := path.Join(path.Dir(l.Path), l.Target); path.IsAbs(l.Target) || !paths.Local(to) {
		return fmt.Errorf("restore link %s: its target %s is outside the project", l.Path, l.Target)
	}
	dir, err := f.open(set, path.Dir(l.Path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := atomicfile.Symlink(filepath.FromSlash(l.Target), path.Base(l.Path), atomicfile.Options{Root: dir}); err != nil {
		return fmt.Errorf("restore link %s: %w", l.Path, err)
	}
	f.w.Forget(l.Path)
	return nil
}

// open opens a directory of outputs, which it makes if it is missing. In dist, and
// at and below an output directory, it replaces links.
func (f *files) open(set *Set, p string) (*os.Root, error) {
	ours := func(at string) bool {
		return at != f.w.Dist() && paths.Below(f.w.Dist(), at) ||
			slices.ContainsFunc(set.Dirs, func(d Dir) bool { return paths.Below(d.Path, at) })
	}
	dir, err := f.w.OpenDir(p, ours)
	if err != nil && f.makeWay(p) {
		dir, err = f.w.OpenDir(p, ours)
	}
	if err != nil {
		return nil, fmt.Errorf("make directory %s: %w", p, err)
	}
	if _, known := f.plain.Load(p); !known {
		f.w.Forget(p)
	}
	return dir, nil
}

// makeWay removes a file in the place of the directory p, or of one above it, if an
// earlier run made the file: what was the output "a" is "a/b" now. It reports
// whether it did. A user's own file stays.
func (f *files) makeWay(p string) bool {
	for ; p != "." && p != f.w.Dist(); p = path.Dir(p) {
		info, err := os.Lstat(f.w.Abs(p))
		if err != nil {
			continue // not there, or below what is to go
		}
		return !info.IsDir() && paths.Below(f.w.Dist(), p) && f.recorded(p) && f.removeAll(p) == nil
	}
	return false
}

// removeOthers removes from a directory that is wholly a step's own what the step
// did not make, or made as something else (a directory where a link is now). It
// comes before the step's files, so that none is written through a link that is to
// go. Temporary files stay: another process may be writing them.
func (f *files) removeOthers(set *Set, dir string) error {
	if parent := path.Dir(dir); !f.isPlain(parent) {
		opened, err := f.open(set, parent)
		if err != nil {
			return err
		}
		opened.Close()
	}
	isDir := set.shape(dir)
	err := filepath.WalkDir(f.w.Abs(dir), func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(f.w.Root(), name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		d, ours := isDir[rel]
		temp := !e.IsDir() && strings.HasPrefix(e.Name(), atomicfile.TempPrefix)
		if ours && d == e.IsDir() || !ours && temp {
			return nil
		}
		if err := f.removeAll(rel); err != nil {
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

// shape returns everything that is to be in a directory, and what of it is a
// directory.
func (set *Set) shape(dir string) map[string]bool {
	isDir := map[string]bool{dir: true}
	add := func(p string, d bool) {
		for ; len(p) > len(dir); p, d = path.Dir(p), true {
			if _, ok := isDir[p]; ok {
				return
			}
			isDir[p] = d
		}
	}
	for i := range set.Files {
		add(set.Files[i].Path, false)
	}
	for _, l := range set.Links {
		add(l.Path, false)
	}
	for _, e := range set.Empty {
		add(e, true)
	}
	return isDir
}

// unlink removes a link at p, so that a command writes to p itself. It reports
// whether something else is there.
func (f *files) unlink(p string) (there bool, err error) {
	if _, err := os.Lstat(f.w.Abs(path.Dir(p))); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	parent, err := f.open(&Set{}, path.Dir(p))
	if err != nil {
		return false, err
	}
	defer parent.Close()
	info, err := parent.Lstat(path.Base(p))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err == nil && info.Mode()&fs.ModeSymlink != 0:
		err = parent.Remove(path.Base(p))
		f.w.Forget(p)
		there = false
	default:
		there = true
	}
	if err != nil {
		return false, fmt.Errorf("replace link %s: %w", p, err)
	}
	return there, nil
}

// below lists the files and links that are p or in the directory p.
func (f *files) below(p string) (list []string) {
	filepath.WalkDir(f.w.Abs(p), func(name string, e fs.DirEntry, err error) error {
		if rel, rerr := filepath.Rel(f.w.Root(), name); err == nil && rerr == nil && !e.IsDir() {
			list = append(list, filepath.ToSlash(rel))
		}
		return nil
	})
	return list
}

// removeAll removes what is at p, and what is known about it.
func (f *files) removeAll(p string) error {
	dir, err := f.w.OpenDir(path.Dir(p), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := inuse.RemoveAllIn(dir, path.Base(p)); err != nil {
		return err
	}
	f.forget(p)
	return nil
}

// remove removes a stale file or empty directory, and the directories that are
// empty without it. What a link leads to stays: it is somewhere else.
func (f *files) remove(p string) error {
	return f.removeWith(p, func(dir *os.Root, name string) error { return inuse.RemoveIn(dir, name) })
}

// removeOwned removes a directory that was wholly a step's own, like remove.
func (f *files) removeOwned(p string) error {
	err := f.removeWith(p, func(dir *os.Root, name string) error {
		if info, err := dir.Lstat(name); err != nil || !info.IsDir() {
			return fs.ErrNotExist
		}
		return inuse.RemoveAllIn(dir, name)
	})
	if err != nil {
		return fmt.Errorf("remove stale output %s: %w", p, err)
	}
	return nil
}

func (f *files) removeWith(p string, remove func(dir *os.Root, name string) error) error {
	dir, err := f.w.OpenDir(path.Dir(p), nil)
	if isLinkError(err) || gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = remove(dir, path.Base(p))
	dir.Close() // Windows keeps an open directory, which may be empty now
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	f.forget(p)
	f.mu.Lock()
	f.removed = append(f.removed, p)
	f.mu.Unlock()
	f.removeEmptyParents(p)
	return nil
}

// removeEmptyParents removes the directories above p that hold nothing any more,
// and in which no step runs.
func (f *files) removeEmptyParents(p string) {
	for d := path.Dir(p); d != "." && d != f.w.Dist() && !f.index().workDirs[d]; d = path.Dir(d) {
		dir, err := f.w.OpenDir(path.Dir(d), nil)
		if err != nil {
			return
		}
		info, err := dir.Lstat(path.Base(d))
		if err == nil && info.IsDir() {
			err = dir.Remove(path.Base(d))
		}
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		f.forget(d)
	}
}

// removeTemps removes temporary files that a killed run left in a directory.
func (f *files) removeTemps(dir string) {
	list, err := os.ReadDir(f.w.Abs(dir))
	if err != nil {
		return
	}
	for _, e := range list {
		if !atomicfile.IsTemp(e.Name()) || e.IsDir() {
			continue
		}
		if opened, err := f.w.OpenDir(dir, nil); err == nil {
			opened.Remove(e.Name())
			opened.Close()
		}
	}
}

// forget drops what is known about a path that was removed.
func (f *files) forget(p string) {
	f.w.Forget(p)
	f.plain.Range(func(d, _ any) bool {
		if paths.Below(p, d.(string)) {
			f.plain.Delete(d)
		}
		return true
	})
}
