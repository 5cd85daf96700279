package project

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

// A ReadLog is the project's files as planning reads them, and remembers which
// those were: Airbuildfiles, what they include, and what file() and its like
// name.
type ReadLog struct {
	projectFS
	mu    sync.Mutex
	names map[string]bool
}

// projectFS is what tasks.ProjectFiles gives.
type projectFS interface {
	fs.StatFS
	fs.ReadLinkFS
	fs.ReadFileFS
	fs.ReadDirFS
}

func newReadLog(files fs.FS) *ReadLog {
	return &ReadLog{projectFS: files.(projectFS), names: map[string]bool{}}
}

func (l *ReadLog) note(name string) {
	l.mu.Lock()
	l.names[name] = true
	l.mu.Unlock()
}

// Open implements fs.FS.
func (l *ReadLog) Open(name string) (fs.File, error) {
	f, err := l.projectFS.Open(name)
	if err == nil {
		l.note(name)
	}
	return f, err
}

// ReadFile implements fs.ReadFileFS.
func (l *ReadLog) ReadFile(name string) ([]byte, error) {
	b, err := l.projectFS.ReadFile(name)
	if err == nil {
		l.note(name)
	}
	return b, err
}

// Files are those that were read and are still there, as seen from the project.
func (l *ReadLog) Files(root string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(l.names)) {
		if fi, err := os.Stat(filepath.Join(root, filepath.FromSlash(name))); err == nil && fi.Mode().IsRegular() {
			names = append(names, name)
		}
	}
	return names
}
