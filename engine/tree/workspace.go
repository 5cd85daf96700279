package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/gofrs/flock"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// A Workspace is a project on disk as a run sees it: content digests by path,
// remembered for the run in memory and between runs in the stat index. Its
// methods are safe for use by several goroutines. Paths are slash-separated
// and relative to the root, unless absolute.
type Workspace struct {
	root, dist, state string
	cache             string // relative to the root; empty if it is outside
	carried           bool   // a bundle brought the source; see isCarried
	index             *index
	users             *flock.Flock // shared while open

	// IsSource reports whether a tool that builds looks at files of this name;
	// nil takes all for such. It is set before the first use, and the same in
	// all runs of one program.
	IsSource func(name string) bool

	// Paranoid hashes every file and reads every directory, whatever the stat
	// index says. It is set before the first use.
	Paranoid bool

	hasher   *hasher
	observer Observer // of this view; nil for none
	*known
}

// A listing is a directory's entries, as the stat index has them. They are
// decoded when they are first asked for, under known.mu.
type listing struct {
	raw     []byte
	entries []fs.DirEntry
}

// An Entry is what one path of the workspace holds.
type Entry struct {
	Digest     action.Digest
	Executable bool
	Link       string // target, if the path is a symbolic link
	IsLink     bool
	stat       stat
}

// A Preloaded is the state directory of a workspace, whose stat index is read in
// the background.
type Preloaded struct {
	state string
	index *index
	done  sync.WaitGroup
}

// Preload begins to read the state directory, so that the project can be planned
// at the same time.
func Preload(state string) *Preloaded {
	clearState(state)
	l := &Preloaded{state: state}
	l.done.Go(func() { l.index = loadIndex(filepath.Join(state, "index")) })
	return l
}

// Open returns the project at root, whose output directory is dist.
func (l *Preloaded) Open(root, dist string) (*Workspace, error) {
	state := l.state
	if err := os.MkdirAll(state, 0o777); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	l.done.Wait()
	w := &Workspace{
		root: root, dist: path.Clean(dist), state: state, carried: isCarried(root),
		index:  l.index,
		hasher: &hasher{},
		users:  flock.New(filepath.Join(state, "users.lock")),
	}
	w.known = newKnown(len(w.index.records))
	if err := w.users.RLock(); err != nil {
		return nil, fmt.Errorf("lock state directory: %w", err)
	}
	return w, nil
}

// IgnoreCache tells that airbuild's cache is at the absolute path dir, which
// may be in the project: on CI runners that keep nothing else. It is called
// before the first use.
func (w *Workspace) IgnoreCache(dir string) {
	if p := w.rel(dir); p != "." && !filepath.IsAbs(filepath.FromSlash(p)) {
		w.cache = p
	}
}

// Fresh returns a view of the same project that has not looked at anything
// yet; what it learns goes into the same stat index.
func (w *Workspace) Fresh() *Workspace {
	fresh := *w
	fresh.known, fresh.observer = newKnown(0), nil
	return &fresh
}

// Save writes the stat index.
func (w *Workspace) Save() error { return w.index.save() }

// Close saves what Save does and lets the workspace go.
func (w *Workspace) Close() error { return errors.Join(w.Save(), w.users.Close()) }

// Alone calls f if no other process has the workspace open, and holds others
// off meanwhile. It reports whether it did.
func (w *Workspace) Alone(f func() error) (bool, error) {
	// A shared lock cannot be turned into an exclusive one without letting
	// go of it in between.
	if err := w.users.Unlock(); err != nil {
		return false, err
	}
	ok, err := w.users.TryLock()
	if ok && err == nil {
		err = errors.Join(f(), w.users.Unlock())
	}
	return ok, errors.Join(err, w.users.RLock())
}

// Exclusive calls f while no other process is in an Exclusive of the same name
// on this workspace; it waits for those that are. The name is a file's in the
// state directory. f is not called if the lock cannot be had.
func (w *Workspace) Exclusive(name string, f func()) error {
	lock := flock.New(filepath.Join(w.state, name))
	if err := lock.Lock(); err != nil {
		return fmt.Errorf("lock %s: %w", name, errors.Join(err, lock.Close()))
	}
	f()
	return lock.Close()
}

// Root returns the absolute path of the project.
func (w *Workspace) Root() string { return w.root }

// Dist returns the output directory, relative to the root.
func (w *Workspace) Dist() string { return w.dist }

// State returns the directory for caches of this workspace.
func (w *Workspace) State() string { return w.state }

// Rules says by which rules paths are left out: two workspaces of one project
// with the same rules and the same files have the same inputs.
func (w *Workspace) Rules() string { return w.dist + "\n" + w.cache }

// Abs returns the absolute path of p.
func (w *Workspace) Abs(p string) string {
	if filepath.IsAbs(p) {
		return filepath.FromSlash(p)
	}
	return filepath.Join(w.root, filepath.FromSlash(p))
}

// place is Abs for a path that is clean.
func (w *Workspace) place(p string) string {
	if filepath.Separator != '/' || p == "." || filepath.IsAbs(p) || strings.HasSuffix(w.root, "/") {
		return w.Abs(p)
	}
	return w.root + "/" + p
}

// Digest returns the content digest of the file at p, following links.
func (w *Workspace) Digest(p string) (action.Digest, error) {
	e, err := w.Lookup(p)
	if err != nil {
		return action.Digest{}, err
	}
	if e.IsLink {
		target, err := filepath.EvalSymlinks(w.Abs(p))
		if err != nil {
			return action.Digest{}, fmt.Errorf("follow link: %w", err)
		}
		e, err = w.Lookup(filepath.ToSlash(target))
		return e.Digest, err
	}
	return e.Digest, nil
}

// Resolve follows all links of a path outside the project: a program of the
// host. Within a run the first answer stands.
func (w *Workspace) Resolve(name string) (string, error) {
	w.mu.Lock()
	real, ok := w.resolved[name]
	w.mu.Unlock()
	if ok {
		return real, nil
	}
	real, err := filepath.EvalSymlinks(name)
	if err == nil {
		w.mu.Lock()
		w.resolved[name] = real
		w.mu.Unlock()
	}
	return real, err
}

// Lookup returns what the path holds: a regular file or a link. Within a run
// the first answer stands until Forget.
func (w *Workspace) Lookup(p string) (Entry, error) {
	e, _, err := w.lookup(p, nil)
	if w.observer != nil {
		w.observer.File(p, e, err)
	}
	return e, err
}

// Content is Digest that returns the content as well if the file had to be read
// to be hashed: who wants both need not read it a second time. The text is nil
// if the digest was known; otherwise it is in buf if there is room.
func (w *Workspace) Content(p string, buf []byte) (action.Digest, []byte, error) {
	if buf == nil {
		buf = []byte{}
	}
	e, text, err := w.lookup(p, buf)
	if w.observer != nil {
		w.observer.File(p, e, err)
	}
	if err != nil || e.IsLink {
		d, err := w.Digest(p)
		return d, nil, err
	}
	return e.Digest, text, nil
}

// lookup is Lookup, with the content if there is a buffer for it and it was
// read.
func (w *Workspace) lookup(p string, buf []byte) (Entry, []byte, error) {
	w.mu.Lock()
	e, ok := w.seen[p]
	if !ok {
		e, ok = w.overlay[p]
	}
	w.mu.Unlock()
	if ok {
		return e, nil, nil
	}
	e, b, err := w.read(p, buf)
	if err != nil {
		return Entry{}, nil, err
	}
	w.mu.Lock()
	w.seen[p] = e
	w.mu.Unlock()
	return e, b, nil
}

// read looks at the file itself, with the stat index. It returns the content
// too if there is a buffer for it and it had to be read.
func (w *Workspace) read(p string, buf []byte) (e Entry, b []byte, err error) {
	abs := w.place(path.Clean(p))
	st, err := lstat(abs)
	if err != nil {
		return Entry{}, nil, err
	}
	mode := fs.FileMode(st.Mode)
	switch {
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(abs)
		return Entry{IsLink: true, Link: filepath.ToSlash(target), stat: st}, nil, err
	case mode.IsDir():
		return Entry{}, nil, &fs.PathError{Op: "read", Path: p, Err: ErrIsDir}
	case !mode.IsRegular():
		return Entry{}, nil, &fs.PathError{Op: "read", Path: p, Err: errors.New("neither a file, a link nor a directory")}
	}
	e = Entry{Executable: mode&0o111 != 0, stat: st}
	var known bool
	if e.Digest, known = w.index.lookup(p, st); known && !w.Paranoid {
		return e, nil, nil
	}
	at := w.index.now()
	if buf != nil {
		e.Digest, b, err = readInto(buf, abs, st.Size)
	} else {
		e.Digest, err = w.hasher.hash(abs)
	}
	if err != nil {
		return Entry{}, nil, err
	}
	w.index.record(p, st, e.Digest, at)
	return e, b, nil
}

// The errors of a path that is a directory where a file is asked for, and of one
// that is not where entries are.
var (
	ErrIsDir  = errors.New("is a directory")
	ErrNotDir = errors.New("not a directory")
)

// Wrote tells that the file at p was just written with the given content, so
// that it need not be read to be known.
func (w *Workspace) Wrote(p string, d action.Digest, executable bool) {
	w.Forget(p)
	at := w.index.now()
	info, err := os.Lstat(w.Abs(p))
	if err != nil || !info.Mode().IsRegular() || info.Size() != d.Size {
		return
	}
	st := statOf(info)
	w.index.record(p, st, d, at)
	w.mu.Lock()
	w.seen[p] = Entry{Digest: d, Executable: info.Mode()&0o111 != 0, stat: st}
	w.mu.Unlock()
}

// Changed returns the first of the tree's files that is no longer in the
// workspace what it is in the tree, or "". Of another step's outputs only
// those count that are in the workspace, at the path that they have in the
// tree.
func (w *Workspace) Changed(t *Tree) string {
	for i := range t.Files {
		f := &t.Files[i]
		p := f.Path
		switch {
		case f.Source.Path != "":
			p = w.rel(f.Source.Path)
		case !f.Source.Blob:
			continue
		}
		if w.changed(p, f) {
			return p
		}
	}
	return ""
}

// changed hashes the file unless this run knows it, from the tree's content
// on: another step may have written it since, and then the run knows that.
func (w *Workspace) changed(p string, f *File) bool {
	info, err := os.Lstat(w.Abs(p))
	if err != nil {
		return !f.Source.Blob || !errors.Is(err, fs.ErrNotExist)
	}
	w.mu.Lock()
	e, ok := w.seen[p]
	w.mu.Unlock()
	if ok && statOf(info) == e.stat && e.Digest == f.Digest {
		return false
	}
	d, err := w.hasher.hash(w.Abs(p))
	return err != nil || d != f.Digest
}

// rel is the key under which an absolute source path was looked up.
func (w *Workspace) rel(abs string) string {
	if r, err := filepath.Rel(w.root, abs); err == nil && filepath.IsLocal(r) {
		return filepath.ToSlash(r)
	}
	return filepath.ToSlash(abs)
}

// ReadDir lists the directory at p, sorted by name. Within a run the first
// answer stands until Forget. The caller must not change it.
func (w *Workspace) ReadDir(p string) ([]fs.DirEntry, error) {
	list, raw, err := w.list(p, true)
	w.observeListing(p, raw, false, err)
	return list, err
}

// ReadSources is ReadDir without the files that are no sources: what it returns
// does not change when a document is added.
func (w *Workspace) ReadSources(p string) ([]fs.DirEntry, error) {
	if w.IsSource == nil {
		return w.ReadDir(p)
	}
	list, raw, err := w.list(p, true)
	w.observeListing(p, raw, true, err)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(list))
	for _, e := range list {
		if !e.Type().IsRegular() || w.IsSource(e.Name()) {
			out = append(out, e)
		}
	}
	return out, nil
}

// list returns the entries of the directory at p, decoded if that is asked
// for, and as the stat index has them.
func (w *Workspace) list(p string, decode bool) ([]fs.DirEntry, []byte, error) {
	w.mu.Lock()
	extra := w.virtual[p]
	l := w.listed[p]
	w.mu.Unlock()
	if l == nil {
		var err error
		l, err = w.readDir(p)
		if err != nil && (len(extra) == 0 || !errors.Is(err, fs.ErrNotExist)) {
			return nil, nil, err
		}
		if err == nil {
			w.mu.Lock()
			w.listed[p] = l
			w.mu.Unlock()
		} else {
			l = &listing{}
		}
	}
	if !decode && len(extra) == 0 {
		return nil, l.raw, nil
	}
	w.mu.Lock()
	if l.entries == nil {
		l.entries = decodeListing(l.raw, w.Abs(p))
	}
	list := l.entries
	w.mu.Unlock()
	if len(extra) == 0 {
		return list, l.raw, nil
	}
	byName := func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) }
	list = slices.Concat(extra, list)
	slices.SortStableFunc(list, byName)
	list = slices.CompactFunc(list, func(a, b fs.DirEntry) bool { return a.Name() == b.Name() })
	return list, appendListing(list), nil
}

// readDir reads a directory, with the stat index.
func (w *Workspace) readDir(p string) (*listing, error) {
	abs := w.place(path.Clean(p))
	st, err := lstat(abs)
	if mode := fs.FileMode(st.Mode); err == nil && mode&fs.ModeSymlink != 0 {
		var info fs.FileInfo
		if info, err = os.Stat(abs); err == nil {
			st = statOf(info)
		}
	}
	if err != nil {
		return nil, err
	}
	if !fs.FileMode(st.Mode).IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: p, Err: ErrNotDir}
	}
	if b, ok := w.index.list(p, st); ok && !w.Paranoid {
		return &listing{raw: b}, nil
	}
	at := w.index.now()
	list, err := os.ReadDir(abs)
	if err != nil {
		return nil, err
	}
	l := &listing{raw: appendListing(list), entries: list}
	w.index.recordDir(p, st, l.raw, at)
	return l, nil
}

// An OutsideError is a path of the project that a link leads out of it.
type OutsideError struct {
	Link   string // relative to the root
	Target string // as the link has it
}

func (e *OutsideError) Error() string {
	return fmt.Sprintf("link %s: its target %s is outside the project", e.Link, e.Target)
}

// contained returns an *OutsideError if a link among the elements of dir leads
// out of the project. Absolute paths name files of the host, and what is not
// there leads nowhere.
func (w *Workspace) contained(dir string) error {
	if dir = path.Clean(dir); dir == "." || filepath.IsAbs(filepath.FromSlash(dir)) {
		return nil
	}
	w.mu.Lock()
	err, ok := w.inside[dir]
	w.mu.Unlock()
	if ok {
		return err
	}
	if err = w.contained(path.Dir(dir)); err == nil {
		err = w.leadsInside(dir)
	}
	w.mu.Lock()
	w.inside[dir] = err
	w.mu.Unlock()
	return err
}

// leadsInside is contained for a path whose directory is.
func (w *Workspace) leadsInside(p string) error {
	abs := w.place(p)
	st, err := lstat(abs)
	if err != nil || fs.FileMode(st.Mode)&fs.ModeSymlink == 0 {
		return nil
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	root, rootErr := filepath.EvalSymlinks(w.root)
	if err := errors.Join(err, rootErr); err != nil {
		return fmt.Errorf("follow link: %w", err)
	}
	if rel, err := filepath.Rel(root, real); err == nil && filepath.IsLocal(rel) {
		return nil
	}
	target, err := os.Readlink(abs)
	if err != nil {
		return fmt.Errorf("follow link: %w", err)
	}
	return &OutsideError{Link: p, Target: filepath.ToSlash(target)}
}

// IsDir reports whether a directory is at p, not a link to one.
func (w *Workspace) IsDir(p string) (bool, error) {
	if w.pretendedDir(p) {
		return true, nil
	}
	st, err := lstat(w.place(path.Clean(p)))
	return err == nil && fs.FileMode(st.Mode).IsDir(), err
}

// Ignored reports whether a path is never an input by pattern or directory:
// the output directory, .git and what stands in for it in carried source,
// airbuild's cache and its temporary files.
func (w *Workspace) Ignored(p string) bool {
	name := path.Base(p)
	return p == w.dist || p == w.cache && p != "" || name == ".git" || strings.HasPrefix(name, atomicfile.TempPrefix) || w.carried && p == identityFile
}

// identityFile and manifestFile are what a bundle puts in the place of .git: the
// commit, and a list of the files. The project that was carried has neither.
const (
	identityFile = "source.json"
	manifestFile = atomicfile.TempPrefix + "source.json"
)

// isCarried reports whether a bundle brought the source at root. A source.json
// alone may be the user's.
func isCarried(root string) bool {
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(root, name))
		return err == nil
	}
	return there(manifestFile) && there(identityFile) && !there(".git")
}
