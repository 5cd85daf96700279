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
	"sync/atomic"

	"github.com/airbuild/airbuild/engine/pattern"

	"github.com/gofrs/flock"

	"github.com/airbuild/airbuild/engine/action"
)

// TempPrefix begins the name of every temporary file that airbuild makes
// beside an output, and of the files that it keeps in a source tree. None of
// them is an input.
const TempPrefix = ".airbuild-"

// IsTemp reports whether a file of this name is a temporary one beside outputs,
// which is removed when it is found. Those that are kept have an extension, such
// as .airbuild-carried.json.
func IsTemp(name string) bool {
	rest, ok := strings.CutPrefix(name, TempPrefix)
	return ok && !strings.Contains(rest, ".")
}

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
	// index says, and recalls no answers. It is set before the first use.
	Paranoid bool

	hasher  *hasher
	answers *answers
	trace   *trace // what is asked of this view is noted there, if it is not nil
	*known
}

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
	// turn counts the changes of what is known, from 1: what was found to
	// hold in one turn is looked at again in the next.
	turn atomic.Uint64
	// looks counts the files that were looked at on disk.
	looks atomic.Int64
}

// newKnown is of a run that has looked at nothing, and is likely to look at so
// many files.
func newKnown(files int) *known {
	k := &known{seen: make(map[string]Entry, files), listed: map[string]*listing{}, inside: map[string]error{}, resolved: map[string]string{}}
	k.turn.Store(1)
	return k
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

// An Ahead reads what is remembered of a workspace while something else is
// done.
type Ahead struct {
	state   string
	index   *index
	answers *answers
	done    sync.WaitGroup
}

// ReadAhead begins to read what is kept in state.
func ReadAhead(state string) *Ahead {
	clearState(state)
	a := &Ahead{state: state, answers: newAnswers(filepath.Join(state, "answers"))}
	a.done.Go(func() {
		a.index = loadIndex(filepath.Join(state, "index"))
		a.answers.read()
	})
	return a
}

// Open is OpenWorkspace.
func (a *Ahead) Open(root, dist string) (*Workspace, error) {
	state := a.state
	if err := os.MkdirAll(state, 0o777); err != nil {
		return nil, fmt.Errorf("make state directory: %w", err)
	}
	a.done.Wait()
	w := &Workspace{
		root: root, dist: path.Clean(dist), state: state, carried: isCarried(root),
		index:   a.index,
		hasher:  &hasher{},
		answers: a.answers,
		users:   flock.New(filepath.Join(state, "users.lock")),
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
	fresh.known, fresh.trace = newKnown(0), nil
	return &fresh
}

// Save writes the stat index and the remembered answers.
func (w *Workspace) Save() error { return errors.Join(w.index.save(), w.answers.save()) }

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
	e, err := w.lookup(p)
	w.trace.file(p, e, err)
	return e, err
}

func (w *Workspace) lookup(p string) (Entry, error) {
	e, _, err := w.lookupText(p, nil)
	return e, err
}

// Content is Digest that returns the content as well if the file had to be read
// to be hashed: who wants both need not read it a second time. The text is nil
// if the digest was known; otherwise it is in buf if there is room.
func (w *Workspace) Content(p string, buf []byte) (action.Digest, []byte, error) {
	if buf == nil {
		buf = []byte{}
	}
	e, text, err := w.lookupText(p, buf)
	w.trace.file(p, e, err)
	if err != nil || e.IsLink {
		d, err := w.Digest(p)
		return d, nil, err
	}
	return e.Digest, text, nil
}

// lookupText is Lookup, with the content if there is a buffer for it and it was
// read.
func (w *Workspace) lookupText(p string, buf []byte) (Entry, []byte, error) {
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
	w.looks.Add(1)
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
		return Entry{}, nil, &fs.PathError{Op: "read", Path: p, Err: errIsDir}
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

var (
	errIsDir  = errors.New("is a directory")
	errNotDir = errors.New("not a directory")
)

// Forget drops what the run knows of p, because it was just written or
// removed, and of the directories that it may have come into.
func (w *Workspace) Forget(p string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn.Add(1)
	delete(w.seen, p)
	for dir := p; ; dir = path.Dir(dir) {
		delete(w.listed, dir)
		delete(w.inside, dir)
		if dir == "." || dir == "/" {
			return
		}
	}
}

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
	w.trace.dir(w, p, raw, err)
	return list, err
}

// ReadSources is ReadDir without the files that are no sources: what it returns
// does not change when a document is added.
func (w *Workspace) ReadSources(p string) ([]fs.DirEntry, error) {
	if w.IsSource == nil {
		return w.ReadDir(p)
	}
	list, raw, err := w.list(p, true)
	w.trace.sources(w, p, raw, err)
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
	w.looks.Add(1)
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
		return nil, &fs.PathError{Op: "readdir", Path: p, Err: errNotDir}
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

// Pretend makes the workspace look as if files were there, for a dry run in
// which a hit is not restored.
func (w *Workspace) Pretend(files []File) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turn.Add(1)
	if w.overlay == nil {
		w.overlay = map[string]Entry{}
		w.virtual = map[string][]fs.DirEntry{}
	}
	for _, f := range files {
		delete(w.seen, f.Path)
		w.overlay[f.Path] = Entry{Digest: f.Digest, Executable: f.Executable}
		mode := fs.FileMode(0o644)
		for p := f.Path; p != "."; p = path.Dir(p) {
			dir := path.Dir(p)
			entry := fs.FileInfoToDirEntry(fileInfo{name: path.Base(p), mode: mode, size: f.Digest.Size})
			known := slices.ContainsFunc(w.virtual[dir], func(e fs.DirEntry) bool { return e.Name() == entry.Name() })
			if known {
				break
			}
			w.virtual[dir] = append(w.virtual[dir], entry)
			mode = fs.ModeDir | 0o755
		}
	}
}

// Unpretend ends what Pretend began: the workspace is what is on disk.
func (w *Workspace) Unpretend() {
	w.mu.Lock()
	w.turn.Add(1)
	w.overlay, w.virtual = nil, nil
	w.mu.Unlock()
}

// Add appends what the workspace holds at p to files, links and empty: one
// file or link, or a directory with all below it. It lands at the path to.
// Links that lead out of what is added stay links; absolute ones are refused.
func (w *Workspace) Add(b *Inputs, p, to string) error {
	if !b.Follow { // what sees the whole host has as input what a link leads to
		if err := w.contained(path.Dir(p)); err != nil {
			return err
		}
	}
	if !w.pretendedDir(p) {
		if err := w.addFile(b, p, to); !errors.Is(err, errIsDir) {
			return err
		}
	}
	w.trace.realDir(p)
	return w.addDir(b, p, to)
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

// pretendedDir reports whether p is a directory of outputs that a dry run takes
// as there.
func (w *Workspace) pretendedDir(p string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.virtual[p]
	return ok
}

// isDir reports whether a directory is at p, not a link to one.
func (w *Workspace) isDir(p string) (bool, error) {
	if w.pretendedDir(p) {
		return true, nil
	}
	w.looks.Add(1)
	st, err := lstat(w.place(path.Clean(p)))
	return err == nil && fs.FileMode(st.Mode).IsDir(), err
}

func (w *Workspace) addFile(b *Inputs, p, to string) error {
	e, err := w.Lookup(p)
	if err != nil {
		return err
	}
	if e.IsLink {
		if b.Follow {
			return w.follow(b, p, to)
		}
		return b.link(to, e.Link)
	}
	b.Files = append(b.Files, File{Path: to, Digest: e.Digest, Executable: e.Executable, Source: Source{Path: w.Abs(p)}})
	return nil
}

// addDir adds a directory; the output directory, version control and
// airbuild's own temporary files below it are left out.
func (w *Workspace) addDir(b *Inputs, p, to string) error {
	entries, err := w.ReadDir(p)
	if err != nil {
		return err
	}
	n := 0
	hidden := false
	for _, e := range entries {
		child := path.Join(p, e.Name())
		if w.Ignored(child) {
			continue
		}
		if b.Hide != nil && b.Hide(child) {
			hidden = true
			continue
		}
		n++
		if e.IsDir() {
			err = w.addDir(b, child, path.Join(to, e.Name()))
		} else {
			err = w.addFile(b, child, path.Join(to, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	if n == 0 && to != "." && !hidden {
		b.Empty = append(b.Empty, to)
	}
	return nil
}

// Ignored reports whether a path is never an input by pattern or directory:
// the output directory, .git and what stands in for it in carried source,
// airbuild's cache and its temporary files.
func (w *Workspace) Ignored(p string) bool {
	name := path.Base(p)
	return p == w.dist || p == w.cache && p != "" || name == ".git" || strings.HasPrefix(name, TempPrefix) || w.carried && p == identityFile
}

// identityFile and manifestFile are what a bundle puts in the place of .git: the
// commit, and a list of the files. The project that was carried has neither.
const (
	identityFile = "source.json"
	manifestFile = TempPrefix + "source.json"
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

// Glob returns the files below base that the patterns name, sorted, relative
// to the root. A pattern that begins with "!" takes files away again; one
// that names a directory means all below it. With a *NoMatchError come the
// files that the other patterns name. What hide names, and all below it, is
// left out; hide may be nil.
func (w *Workspace) Glob(base string, patterns []string, hide func(p string) bool) ([]string, error) {
	var take, drop []string
	for _, p := range patterns {
		not := strings.HasPrefix(p, "!")
		p = path.Clean(strings.TrimPrefix(p, "!"))
		if err := pattern.Check(p); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		if not {
			drop = append(drop, p)
		} else {
			take = append(take, p)
		}
	}
	matched := make([]bool, len(take))
	var out []string
	visit := func(rel string) {
		hit := false
		for i, p := range take {
			if covers(p, rel) {
				matched[i], hit = true, true
			}
		}
		if hit && !slices.ContainsFunc(drop, func(p string) bool { return covers(p, rel) }) {
			out = append(out, path.Join(base, rel))
		}
	}
	for _, start := range Starts(take) {
		if inHidden(path.Join(base, start), hide) {
			continue
		}
		if err := w.contained(path.Join(base, start)); err != nil {
			return nil, err
		}
		if err := w.walk(path.Join(base, start), start, hide, visit); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	if i := slices.Index(matched, false); i >= 0 {
		return out, &NoMatchError{Pattern: take[i], Base: base}
	}
	return out, nil
}

// Names reports whether the patterns of a Glob name a file at rel.
func Names(patterns []string, rel string) bool {
	named := false
	for _, p := range patterns {
		not := strings.HasPrefix(p, "!")
		if covers(path.Clean(strings.TrimPrefix(p, "!")), rel) {
			if not {
				return false
			}
			named = true
		}
	}
	return named
}

// A NoMatchError is a pattern that names no file.
type NoMatchError struct{ Pattern, Base string }

func (e *NoMatchError) Error() string {
	return fmt.Sprintf("pattern %q matches no file below %s", e.Pattern, e.Base)
}

// covers reports whether the pattern text names rel or a directory above it.
func covers(text, rel string) bool {
	if text == "." {
		return true
	}
	for p := rel; p != "."; p = path.Dir(p) {
		if pattern.Match(text, p) {
			return true
		}
	}
	return false
}

// Starts returns the directories (or files) below which a walk finds all that
// the patterns can match, none inside another.
func Starts(patterns []string) []string {
	var dirs []string
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			continue
		}
		dir := path.Clean(p)
		if strings.ContainsAny(p, `*?[{\`) {
			dir, _ = pattern.Base(p)
		}
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	var out []string
	for _, d := range slices.Compact(dirs) {
		inside := slices.ContainsFunc(out, func(o string) bool { return o == "." || d == o || strings.HasPrefix(d, o+"/") })
		if !inside {
			out = append(out, d)
		}
	}
	return out
}

// inHidden reports whether p, or a directory that it is in, is hidden.
func inHidden(p string, hide func(p string) bool) bool {
	if hide == nil {
		return false
	}
	for ; p != "."; p = path.Dir(p) {
		if hide(p) {
			return true
		}
	}
	return false
}

// walk calls visit for every file at or below p; rel is p relative to the
// base of the patterns. What is not there is passed over.
func (w *Workspace) walk(p, rel string, hide func(p string) bool, visit func(rel string)) error {
	entries, err := w.ReadDir(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if _, lerr := w.Lookup(p); lerr == nil {
			visit(rel)
			return nil
		}
		return err
	}
	for _, e := range entries {
		child := path.Join(p, e.Name())
		if w.Ignored(child) || hide != nil && hide(child) {
			continue
		}
		if e.IsDir() {
			if err := w.walk(child, path.Join(rel, e.Name()), hide, visit); err != nil {
				return err
			}
		} else {
			visit(path.Join(rel, e.Name()))
		}
	}
	return nil
}

// Inputs collects what goes into a Tree.
type Inputs struct {
	Files []File
	Links []Link
	Empty []string
	// Follow adds with a link what it leads to, for a command that reads
	// through links and sees more than the tree.
	Follow bool
	// Hide names what is left out of directories, with all below it, as if it
	// were not there. It may be nil.
	Hide func(p string) bool

	followed map[string]string // what links led to → where it landed
}

// link adds a symbolic link, unless it leads out of the tree.
func (b *Inputs) link(at, target string) error {
	if path.IsAbs(target) || filepath.IsAbs(target) {
		return fmt.Errorf("link %s: its target %s is absolute: it would not lead anywhere on another machine", at, target)
	}
	if to := path.Join(path.Dir(at), target); to == ".." || strings.HasPrefix(to, "../") {
		return fmt.Errorf("link %s: its target %s is outside the project", at, target)
	}
	b.Links = append(b.Links, Link{Path: at, Target: target})
	return nil
}
