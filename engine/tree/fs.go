package tree

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// FS shows t as a file system. Reading a file to its end checks its content
// against its digest, so that a file that changed since it was hashed cannot
// go into a result unseen. Symbolic links are followed within the tree.
func FS(t *Tree, open func(File) (io.ReadCloser, error)) fs.FS {
	f := &treeFS{open: open, files: make(map[string]*File, len(t.Files)), links: map[string]string{}, dirs: map[string][]string{".": nil}}
	for i := range t.Files {
		f.files[t.Files[i].Path] = &t.Files[i]
		f.addParents(t.Files[i].Path)
	}
	for _, l := range t.Links {
		f.links[l.Path] = l.Target
		f.addParents(l.Path)
	}
	for _, d := range t.Empty {
		if d != "." {
			f.addParents(d)
			if _, ok := f.dirs[d]; !ok {
				f.dirs[d] = nil
			}
		}
	}
	for d := range f.dirs {
		slices.Sort(f.dirs[d])
	}
	return f
}

type treeFS struct {
	open  func(File) (io.ReadCloser, error)
	files map[string]*File
	links map[string]string
	dirs  map[string][]string // names of entries
}

// addParents makes every directory above p and enters p in its own.
func (f *treeFS) addParents(p string) {
	for p != "." {
		dir, name := path.Dir(p), path.Base(p)
		entries, known := f.dirs[dir]
		f.dirs[dir] = append(entries, name)
		if known {
			return
		}
		p = dir
	}
}

// resolve follows links until p names a file or a directory.
func (f *treeFS) resolve(p string) (string, error) {
	for range 40 {
		if _, ok := f.files[p]; ok {
			return p, nil
		}
		if _, ok := f.dirs[p]; ok {
			return p, nil
		}
		next, ok := f.followOne(p)
		if !ok {
			return "", fs.ErrNotExist
		}
		if next == ".." || strings.HasPrefix(next, "../") || path.IsAbs(next) {
			return "", fmt.Errorf("link leads out of the inputs: %w", fs.ErrNotExist)
		}
		p = next
	}
	return "", fmt.Errorf("too many links: %w", fs.ErrNotExist)
}

// followOne replaces the first link on the way to p by its target.
func (f *treeFS) followOne(p string) (string, bool) {
	for end := 0; end <= len(p); end++ {
		if end < len(p) && p[end] != '/' {
			continue
		}
		if target, ok := f.links[p[:end]]; ok {
			return path.Join(path.Dir(p[:end]), target, strings.TrimPrefix(p[end:], "/")), true
		}
	}
	return "", false
}

func (f *treeFS) Open(name string) (fs.File, error) {
	p, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if file, ok := f.files[p]; ok {
		r, err := f.open(*file)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openFile{ReadCloser: Verify(r, file.Digest, file.Path), info: f.info(p)}, nil
	}
	entries, _ := f.ReadDir(p)
	return &openDir{info: f.info(p), entries: entries}, nil
}

func (f *treeFS) find(op, name string) (string, error) {
	if !fs.ValidPath(name) {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	p, err := f.resolve(name)
	if err != nil {
		return "", &fs.PathError{Op: op, Path: name, Err: err}
	}
	return p, nil
}

func (f *treeFS) Stat(name string) (fs.FileInfo, error) {
	p, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return f.info(p), nil
}

// Lstat and ReadLink make it an fs.ReadLinkFS.
func (f *treeFS) Lstat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrInvalid}
	}
	if i := f.info(name); i != nil {
		return i, nil
	}
	return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
}

func (f *treeFS) ReadLink(name string) (string, error) {
	if target, ok := f.links[name]; ok {
		return target, nil
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

func (f *treeFS) ReadDir(name string) ([]fs.DirEntry, error) {
	p, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	names, ok := f.dirs[p]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	out := make([]fs.DirEntry, 0, len(names))
	for _, n := range names {
		out = append(out, fs.FileInfoToDirEntry(f.info(path.Join(p, n))))
	}
	return out, nil
}

func (f *treeFS) info(p string) fs.FileInfo {
	if file, ok := f.files[p]; ok {
		mode := fs.FileMode(0o644)
		if file.Executable {
			mode = 0o755
		}
		return fileInfo{name: path.Base(p), size: file.Digest.Size, mode: mode}
	}
	if target, ok := f.links[p]; ok {
		return fileInfo{name: path.Base(p), size: int64(len(target)), mode: fs.ModeSymlink | 0o777}
	}
	if _, ok := f.dirs[p]; ok {
		return fileInfo{name: path.Base(p), mode: fs.ModeDir | 0o755}
	}
	return nil
}

type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
}

func (i fileInfo) Name() string       { return i.name }
func (i fileInfo) Size() int64        { return i.size }
func (i fileInfo) Mode() fs.FileMode  { return i.mode }
func (i fileInfo) ModTime() time.Time { return time.Time{} }
func (i fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i fileInfo) Sys() any           { return nil }

type openFile struct {
	io.ReadCloser
	info fs.FileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }

type openDir struct {
	info    fs.FileInfo
	entries []fs.DirEntry
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: fs.ErrInvalid}
}

func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.entries)
	} else if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	out := d.entries[:n]
	d.entries = d.entries[n:]
	return out, nil
}

// Verify returns a reader of r that fails at its end, or at a byte too many,
// if what came is not d's.
func Verify(r io.ReadCloser, d action.Digest, name string) io.ReadCloser {
	return &verifier{r: r, want: d, name: name, hash: sha256.New()}
}

// A ChangedError is a file that was read to its end and is not what it was when
// it was hashed.
type ChangedError struct{ Name string }

func (e *ChangedError) Error() string {
	return fmt.Sprintf("read %s: the content is not what was hashed before: it changed meanwhile", e.Name)
}

type verifier struct {
	r    io.ReadCloser
	want action.Digest
	name string
	hash hash.Hash
	n    int64
}

func (v *verifier) Read(p []byte) (int, error) {
	n, err := v.r.Read(p)
	v.hash.Write(p[:n])
	v.n += int64(n)
	if v.n > v.want.Size || (err == io.EOF && !v.ok()) {
		return n, &ChangedError{v.name}
	}
	return n, err
}

func (v *verifier) ok() bool {
	return v.n == v.want.Size && [sha256.Size]byte(v.hash.Sum(nil)) == v.want.Hash
}

func (v *verifier) Close() error { return v.r.Close() }
