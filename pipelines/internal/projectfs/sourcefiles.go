package projectfs

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/internal/lists"
)

// A SourceFiles is the project as functions of the language see it: without
// outputs, so that a value is the same whether or not something was built
// before. Which files are outputs is known only when all is planned. So what
// was looked at is noted, and all is evaluated again if that included outputs.
//
// An O is who makes an output.
type SourceFiles[O fmt.Stringer] struct {
	files fs.FS
	made  map[string]O // of the planning before; nil in the first

	mu     sync.Mutex
	looked map[string]bool // what was opened or listed; false for directories above it
}

// NewSourceFiles is the project at files; made are the outputs of the planning
// before, nil in the first.
func NewSourceFiles[O fmt.Stringer](files fs.FS, made map[string]O) *SourceFiles[O] {
	return &SourceFiles[O]{files: files, made: made}
}

// note notes a look at a path.
func (f *SourceFiles[O]) note(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.looked == nil {
		f.looked = map[string]bool{}
	}
	f.looked[name] = true
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if _, known := f.looked[dir]; known {
			return
		}
		f.looked[dir] = false
	}
}

// Seen is the files without outputs.
func (f *SourceFiles[O]) Seen() fs.FS {
	return partFS{f.files, f.note, func(name string) error {
		if o, made := OwnerOf(f.made, name); made {
			return fmt.Errorf("it is made by %s, and its content is not known before the run", o)
		}
		return nil
	}}
}

// OwnerOf returns who makes a path, or a directory that it is in.
func OwnerOf[O any](outputs map[string]O, name string) (o O, ok bool) {
	for ; len(outputs) > 0 && name != "." && name != "/"; name = path.Dir(name) {
		if o, ok = outputs[name]; ok {
			return o, true
		}
	}
	return o, false
}

// sees reports whether a look may have shown the path.
func (f *SourceFiles[O]) sees(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, passed := f.looked[name]; !passed && !f.looked[path.Dir(name)] {
		return false
	}
	_, err := fs.Stat(f.files, name)
	return err == nil
}

// Wrong reports whether something would have looked different with outputs
// known: one that is there was seen, or was not and is no output.
func (f *SourceFiles[O]) Wrong(outputs map[string]O) bool {
	if len(f.looked) == 0 {
		return false
	}
	for name := range outputs {
		if _, hidden := f.made[name]; !hidden && f.sees(name) {
			return true
		}
	}
	for name := range f.made {
		if _, made := outputs[name]; !made && f.sees(name) {
			return true
		}
	}
	return false
}

// WithoutStale is a project without the files that the next run removes, and
// all that is below them.
func WithoutStale(files fs.FS, stale []string) fs.FS {
	if len(stale) == 0 || files == nil {
		return files
	}
	gone := lists.Set(stale)
	return partFS{files, func(string) {}, func(name string) error {
		for ; name != "." && name != "/"; name = path.Dir(name) {
			if gone[name] {
				return &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
			}
		}
		return nil
	}}
}

// A partFS is a file system of which some is hidden: it is not listed, and
// opening it fails for the reason that hidden gives.
type partFS struct {
	fs.FS
	look   func(name string) // told of each path that is asked for
	hidden func(name string) error
}

func (f partFS) check(op, name string) error {
	f.look(name)
	if f.hidden(name) != nil {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return nil
}

// Open implements fs.FS.
func (f partFS) Open(name string) (fs.File, error) {
	f.look(name)
	if err := f.hidden(name); err != nil {
		return nil, err
	}
	return f.FS.Open(name)
}

// ReadFile implements fs.ReadFileFS.
func (f partFS) ReadFile(name string) ([]byte, error) {
	f.look(name)
	if err := f.hidden(name); err != nil {
		return nil, err
	}
	return fs.ReadFile(f.FS, name)
}

// Stat implements fs.StatFS.
func (f partFS) Stat(name string) (fs.FileInfo, error) {
	if err := f.check("stat", name); err != nil {
		return nil, err
	}
	return fs.Stat(f.FS, name)
}

// Lstat implements fs.ReadLinkFS.
func (f partFS) Lstat(name string) (fs.FileInfo, error) {
	if err := f.check("lstat", name); err != nil {
		return nil, err
	}
	return fs.Lstat(f.FS, name)
}

// ReadLink implements fs.ReadLinkFS.
func (f partFS) ReadLink(name string) (string, error) {
	if err := f.check("readlink", name); err != nil {
		return "", err
	}
	return fs.ReadLink(f.FS, name)
}

// ReadDir implements fs.ReadDirFS.
func (f partFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.check("readdir", name); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.FS, name)
	return slices.DeleteFunc(slices.Clone(entries), func(e fs.DirEntry) bool { return f.hidden(path.Join(name, e.Name())) != nil }), err
}
