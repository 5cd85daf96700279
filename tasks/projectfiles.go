package tasks

import (
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
)

// ProjectFiles is the project at root, to be read when it is planned. Links are
// followed as far as they stay in the project; one that leads out of it is an
// *OutsideError, whatever it leads through. Only regular files and directories
// can be opened: a pipe would wait for somebody to write.
func ProjectFiles(root string) fs.FS {
	return &projectFiles{dir: root, open: sync.OnceValues(func() (*os.Root, error) { return os.OpenRoot(root) })}
}

// An OutsideError is a path of the project that leads out of it.
type OutsideError struct {
	Link   string // in the project, slash-separated
	Target string // as the link has it
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("%s is a link to %s, which leads out of the project", e.Link, e.Target)
}

type projectFiles struct {
	dir   string
	open  func() (*os.Root, error) // closed when nothing refers to it any more
	plain sync.Map                 // directories that no link leads to, by name
}

// maxRead bounds what is read of a file when a project is planned, in bytes.
// The largest that plans read are lists of vendored modules.
const maxRead = 16 << 20

var (
	_ fs.StatFS     = (*projectFiles)(nil)
	_ fs.ReadLinkFS = (*projectFiles)(nil)
	_ fs.ReadFileFS = (*projectFiles)(nil)
	_ fs.ReadDirFS  = (*projectFiles)(nil)
)

// at calls f with the root and the name as the system has it. Where a link
// seems to lead out, as an absolute one always does for an os.Root, and leads to
// the project after all, f is called again with the place.
func at[T any](p *projectFiles, op, name string, f func(*os.Root, string) (T, error)) (v T, err error) {
	if !fs.ValidPath(name) {
		return v, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	root, err := p.open()
	if err != nil {
		return v, err
	}
	if v, err = f(root, filepath.FromSlash(name)); err == nil || errors.Is(err, fs.ErrNotExist) {
		return v, err
	}
	inside, outside := p.leads(root, name)
	switch {
	case outside != nil:
		return v, &fs.PathError{Op: op, Path: name, Err: outside}
	case inside != "":
		return f(root, inside)
	}
	return v, err
}

// leads follows the links of a name: to a place in the project, or out of it.
// Neither is said where the name has no link that leads out.
func (p *projectFiles) leads(root *os.Root, name string) (inside string, outside *OutsideError) {
	link := ""
	for i := range len(name) + 1 {
		if i < len(name) && name[i] != '/' {
			continue
		}
		if _, err := root.Stat(filepath.FromSlash(name[:i])); err != nil {
			link = name[:i]
			break
		}
	}
	target, err := root.Readlink(filepath.FromSlash(link))
	if link == "" || err != nil {
		return "", nil
	}
	outside = &OutsideError{Link: link, Target: filepath.ToSlash(target)}
	real, err := filepath.EvalSymlinks(filepath.Join(p.dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		// Whether it is there is nothing to say of what lies outside.
		return "", outside
	}
	base, berr := filepath.EvalSymlinks(p.dir)
	if err != nil || berr != nil {
		return "", outside
	}
	if rel, err := filepath.Rel(base, real); err == nil && filepath.IsLocal(rel) {
		return rel, nil
	}
	return "", outside
}

// Open implements fs.FS.
func (p *projectFiles) Open(name string) (fs.File, error) {
	info, err := p.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() && !info.IsDir() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("neither a file nor a directory")}
	}
	return at(p, "open", name, (*os.Root).Open)
}

// direct is the system's name of a path to which no link leads. Looking at names
// makes most of planning, and an os.Root opens every directory on the way; what
// is in a file is always read through it.
func (p *projectFiles) direct(name string) (string, bool) {
	if !fs.ValidPath(name) || !p.isPlain(path.Dir(name)) {
		return "", false
	}
	return filepath.Join(p.dir, filepath.FromSlash(name)), true
}

func (p *projectFiles) isPlain(dir string) bool {
	if dir == "." {
		return true
	}
	if _, ok := p.plain.Load(dir); ok {
		return true
	}
	if !p.isPlain(path.Dir(dir)) {
		return false
	}
	info, err := os.Lstat(filepath.Join(p.dir, filepath.FromSlash(dir)))
	if err != nil || !info.IsDir() {
		return false
	}
	p.plain.Store(dir, nil)
	return true
}

// Stat implements fs.StatFS.
func (p *projectFiles) Stat(name string) (fs.FileInfo, error) {
	if abs, ok := p.direct(name); ok {
		if info, err := os.Lstat(abs); err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return info, err
		}
	}
	return at(p, "stat", name, (*os.Root).Stat)
}

// Lstat implements fs.ReadLinkFS.
func (p *projectFiles) Lstat(name string) (fs.FileInfo, error) {
	if abs, ok := p.direct(name); ok {
		return os.Lstat(abs)
	}
	return at(p, "lstat", name, (*os.Root).Lstat)
}

// ReadLink implements fs.ReadLinkFS.
func (p *projectFiles) ReadLink(name string) (string, error) {
	return at(p, "readlink", name, (*os.Root).Readlink)
}

// ReadFile implements fs.ReadFileFS.
func (p *projectFiles) ReadFile(name string) ([]byte, error) {
	f, err := p.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxRead+1))
	if err == nil && len(b) > maxRead {
		err = fmt.Errorf("it has more than %d MiB, which is too much for planning", maxRead>>20)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return b, nil
}

// ReadDir implements fs.ReadDirFS.
func (p *projectFiles) ReadDir(name string) ([]fs.DirEntry, error) {
	if fs.ValidPath(name) && p.isPlain(name) {
		return os.ReadDir(filepath.Join(p.dir, filepath.FromSlash(name)))
	}
	f, err := p.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dir, ok := f.(fs.ReadDirFile)
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	list, err := dir.ReadDir(-1)
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list, err
}
