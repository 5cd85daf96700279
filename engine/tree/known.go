package tree

import (
	"io/fs"
	"path"
	"slices"
	"sync"
	"sync/atomic"
)

// known is what a run knows of the workspace; all views of the run share it.
type known struct {
	mu      sync.Mutex
	seen    map[string]Entry         // what this run knows
	listed  map[string]*listing      // directories that this run has read
	overlay map[string]Entry         // outputs that a dry run takes as there
	virtual map[string][]fs.DirEntry // their directories
	// inside says of directories whether a link leads through them out of the
	// project.
	inside map[string]error
	// resolved are programs of the host, by the path with links.
	resolved map[string]string
	// generation counts the changes of what is known, from 1.
	generation atomic.Uint64
}

// newKnown is of a run that has looked at nothing, and is likely to look at so
// many files.
func newKnown(files int) *known {
	k := &known{seen: make(map[string]Entry, files), listed: map[string]*listing{}, inside: map[string]error{}, resolved: map[string]string{}}
	k.generation.Store(1)
	return k
}

// Generation counts the times at which the run was told of a change, or began or
// ended to pretend: what was found in one generation is true until the next.
func (k *known) Generation() uint64 { return k.generation.Load() }

// Forget drops what the run knows of p, because it was just written or
// removed, and of the directories that it may have come into.
func (k *known) Forget(p string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation.Add(1)
	delete(k.seen, p)
	for dir := p; ; dir = path.Dir(dir) {
		delete(k.listed, dir)
		delete(k.inside, dir)
		if dir == "." || dir == "/" {
			return
		}
	}
}

// Pretend makes the workspace look as if files were there, for a dry run in
// which a hit is not restored.
func (k *known) Pretend(files []File) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.generation.Add(1)
	if k.overlay == nil {
		k.overlay = map[string]Entry{}
		k.virtual = map[string][]fs.DirEntry{}
	}
	for _, f := range files {
		delete(k.seen, f.Path)
		k.overlay[f.Path] = Entry{Digest: f.Digest, Executable: f.Executable}
		mode := fs.FileMode(0o644)
		for p := f.Path; p != "."; p = path.Dir(p) {
			dir := path.Dir(p)
			entry := fs.FileInfoToDirEntry(fileInfo{name: path.Base(p), mode: mode, size: f.Digest.Size})
			known := slices.ContainsFunc(k.virtual[dir], func(e fs.DirEntry) bool { return e.Name() == entry.Name() })
			if known {
				break
			}
			k.virtual[dir] = append(k.virtual[dir], entry)
			mode = fs.ModeDir | 0o755
		}
	}
}

// Unpretend ends what Pretend began: the workspace is what is on disk.
func (k *known) Unpretend() {
	k.mu.Lock()
	k.generation.Add(1)
	k.overlay, k.virtual = nil, nil
	k.mu.Unlock()
}

// pretendedDir reports whether p is a directory of outputs that a dry run takes
// as there.
func (k *known) pretendedDir(p string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.virtual[p]
	return ok
}
