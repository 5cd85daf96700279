package load

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A Source is where files are read. All paths are absolute. An error that is
// fs.ErrNotExist says that there is no such thing; any other ends the Load. A
// Source is used by several goroutines at once.
type Source interface {
	// ReadDir returns the entries of a directory, sorted by name; links are
	// not followed.
	ReadDir(dir string) ([]fs.DirEntry, error)
	// ReadSources is ReadDir that may leave files out whose names are not
	// SourceNames.
	ReadSources(dir string) ([]fs.DirEntry, error)
	// ReadFrozen is ReadDir of a directory that nobody edits: in GOROOT of a
	// release, or in the module cache.
	ReadFrozen(dir string) ([]fs.DirEntry, error)
	// ReadFile returns a file's content, following links.
	ReadFile(name string) ([]byte, error)
	// Digest returns the SHA-256 of a file's content in hexadecimal, following
	// links.
	Digest(name string) (string, error)
}

// A Content is a Source that can give what it read to find a digest, so that a
// file which is new to it is read once.
type Content interface {
	// Content is Digest with the content, in buf if there is room, or nil if
	// that did not have to be read.
	Content(name string, buf []byte) (digest string, text []byte, err error)
}

// An entry is a file or directory as a listing has it.
type entry struct {
	name string
	kind kind
	fact string // encoded, of a source file in a frozen directory
}

type kind byte

const (
	isFile kind = iota
	isDir
	isLink
	isOther
)

func kindOf(t fs.FileMode) kind {
	switch {
	case t.IsRegular():
		return isFile
	case t.IsDir():
		return isDir
	case t&fs.ModeSymlink != 0:
		return isLink
	}
	return isOther
}

// files reads a Source with two memories: of this Load, and, for directories
// that nobody edits (GOROOT of a release, the module cache), of Facts.
type files struct {
	src    Source
	facts  *Facts
	frozen []frozen
	work   string             // nothing below is frozen
	dirs   map[string][]entry // of what is not frozen, directories and source files
	all    map[string][]entry // of what is not frozen, everything
	said   map[string][]entry // frozen directories, with what their sources say
	absent map[string]bool
	// parsed: a source file had to be; others of the project are likely to.
	parsed atomic.Bool
	// buffers are *[]byte, for texts that are read and forgotten.
	buffers sync.Pool
}

// A frozen tree's files are what they are as long as its identity stands.
type frozen struct{ dir, identity string }

func newFiles(q *Query, src Source, facts *Facts) *files {
	f := &files{src: src, facts: facts, work: q.Project, dirs: map[string][]entry{}, all: map[string][]entry{}, said: map[string][]entry{}, absent: map[string]bool{}}
	if q.Release {
		f.freeze(q.GOROOT, "goroot "+q.GOVERSION)
	}
	return f
}

func (f *files) freeze(dir, identity string) {
	f.frozen = append(f.frozen, frozen{dir, identity})
}

// identity returns what a directory's content hangs on beside its path, or ""
// if it may change at any time.
func (f *files) identity(dir string) string {
	if f.work != "" {
		if _, ok := below(f.work, dir); ok {
			return ""
		}
	}
	for _, z := range f.frozen {
		if _, ok := below(z.dir, dir); ok {
			return z.identity
		}
	}
	return ""
}

// list returns the entries of a directory, of its files the sources at least;
// nil, without an error, if there is none.
func (f *files) list(dir string) ([]entry, error) {
	if out, ok := f.dirs[dir]; ok {
		return out, nil
	}
	if f.absent[dir] {
		return nil, nil
	}
	identity := f.identity(dir)
	if identity == "" {
		out, err := f.read(dir, f.src.ReadSources)
		out = slices.DeleteFunc(out, func(e entry) bool { return e.kind == isFile && !SourceName(e.name) })
		if out != nil {
			f.dirs[dir] = out
		}
		return out, err
	}
	if out, ok := f.remembered(kindSources, identity, dir); ok {
		f.dirs[dir], f.said[dir] = out, out
		return out, nil
	}
	if out, ok := f.remembered(kindDir, identity, dir); ok {
		f.dirs[dir] = out
		return out, nil
	}
	out, err := f.read(dir, f.src.ReadFrozen)
	if err == nil && out != nil {
		f.dirs[dir] = out
		f.facts.put(makeKey(kindDir, identity, dir), encodeEntries(out))
	}
	return out, err
}

// listAll is list with all files.
func (f *files) listAll(dir string) ([]entry, error) {
	if f.identity(dir) != "" {
		return f.list(dir)
	}
	if out, ok := f.all[dir]; ok {
		return out, nil
	}
	if f.absent[dir] {
		return nil, nil
	}
	out, err := f.read(dir, f.src.ReadDir)
	if out != nil {
		f.all[dir] = out
	}
	return out, err
}

// remembered returns a directory of a frozen tree from Facts.
func (f *files) remembered(kind byte, identity, dir string) ([]entry, bool) {
	b := f.facts.get(makeKey(kind, identity, dir))
	if b == "" {
		return nil, false
	}
	return decodeEntries(b)
}

// listSources is list, for a frozen directory with what its sources say. Most of
// GOROOT is only asked whether there is a package.
func (f *files) listSources(dir string) ([]entry, error) {
	identity := f.identity(dir)
	if identity == "" {
		return f.list(dir)
	}
	list, err := f.list(dir)
	if list == nil || err != nil {
		return nil, err
	}
	if out, ok := f.said[dir]; ok {
		return out, nil
	}
	out := slices.Clone(list)
	if err := f.scanAll(dir, out); err != nil {
		return nil, err
	}
	f.facts.put(makeKey(kindSources, identity, dir), encodeEntries(out))
	f.said[dir] = out
	return out, nil
}

// read reads a directory.
func (f *files) read(dir string, from func(string) ([]fs.DirEntry, error)) ([]entry, error) {
	list, err := from(dir)
	if errors.Is(err, fs.ErrNotExist) {
		f.absent[dir] = true
		return nil, nil
	}
	if err != nil {
		return nil, unsure("cannot read a directory: %v", err)
	}
	out := make([]entry, len(list))
	for i, e := range list {
		out[i] = entry{name: e.Name(), kind: kindOf(e.Type())}
	}
	return out, nil
}

// scanAll adds to a listing what the source files say.
func (f *files) scanAll(dir string, list []entry) error {
	var scan []int
	for i, e := range list {
		if e.fact == "" && e.kind == isFile && sourceExt(ext(e.name)) && !hidden(e.name) {
			scan = append(scan, i)
		}
	}
	errs := make([]error, len(list))
	atOnce(scan, func(i int) {
		text, err := f.src.ReadFile(join(dir, list[i].name))
		if err != nil {
			errs[i] = unsure("cannot read a file: %v", err)
			return
		}
		list[i].fact = string(encodeFact(factIn(list[i].name, text)))
	})
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// has reports whether a directory has an entry of this name that is no
// directory.
func (f *files) has(dir, name string) (bool, error) {
	list, err := f.list(dir)
	if err != nil {
		return false, err
	}
	i, ok := find(list, name)
	return ok && list[i].kind != isDir, nil
}

// goFiles reports whether a directory has any Go file, for whatever target.
func (f *files) goFiles(dir string) (bool, error) {
	list, err := f.list(dir)
	if err != nil {
		return false, err
	}
	for _, e := range list {
		if !strings.HasSuffix(e.name, ".go") || e.kind == isDir || e.kind == isOther {
			continue
		}
		if e.kind == isFile {
			return true, nil
		}
		if d, err := f.linkToDir(join(dir, e.name)); err != nil || !d {
			return err == nil, err
		}
	}
	return false, nil
}

// linkToDir reports whether a link leads to a directory.
func (f *files) linkToDir(name string) (bool, error) {
	_, err := f.src.ReadDir(name)
	if err == nil {
		return true, nil
	}
	if _, err := f.src.Digest(name); err != nil {
		return false, unsure("cannot follow the link %s", name)
	}
	return false, nil
}

// text returns a file's content; ok is false if there is no such file.
func (f *files) text(name string) (b []byte, ok bool, err error) {
	b, err = f.src.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, unsure("cannot read a file: %v", err)
	}
	return b, true, nil
}

// join is filepath.Join for a clean directory and a name.
func join(dir, name string) string {
	if strings.HasSuffix(dir, string(os.PathSeparator)) {
		return dir + name
	}
	return dir + string(os.PathSeparator) + name
}

// find searches a sorted listing.
func find(list []entry, name string) (int, bool) {
	lo, hi := 0, len(list)
	for lo < hi {
		mid := (lo + hi) / 2
		if list[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(list) && list[lo].name == name
}
