// Package projectfs shows the project's files to those who plan: without what is
// made by a run, and so that a thousand cells cost one look.
package projectfs

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks"
)

// A ProjectFiles looks things up in the project and remembers what it saw, so
// that a thousand cells cost one look.
type ProjectFiles struct {
	Fsys visibleFS
	// source reports whether a file is a source and no output.
	source func(name string) bool

	mu    sync.Mutex // guards what follows; not held while the disk is looked at
	globs map[string]globResult
	some  map[string]bool // whether a pattern names any file
	known map[string]bool
}

type globResult struct {
	matches []string
	err     error
}

func NewProjectFiles(fsys fs.FS, dist string, source func(string) bool) *ProjectFiles {
	return &ProjectFiles{
		source: source,
		Fsys:   visibleFS{fsys, dist},
		globs:  map[string]globResult{},
		some:   map[string]bool{},
		known:  map[string]bool{},
	}
}

// Has reports whether there is a source of that name, file or directory. What
// lies in dist was made, and counts only as an output.
func (f *ProjectFiles) Has(name string) bool {
	return !f.Fsys.Hides(name) && f.Exists(name)
}

// Exists reports whether there is a file or directory of that name.
func (f *ProjectFiles) Exists(name string) bool {
	f.mu.Lock()
	known, ok := f.known[name]
	f.mu.Unlock()
	if ok {
		return known
	}
	_, err := fs.Stat(f.Fsys, name)
	f.mu.Lock()
	f.known[name] = err == nil
	f.mu.Unlock()
	return err == nil
}

// manySiblings are so many names of one directory that it is read as a whole.
const manySiblings = 64

// LookAt finds out which of many names there are, faster than one by one: a
// directory that holds many of them is read. What exists has to find out of
// the others is left to it.
func (f *ProjectFiles) LookAt(names []string) {
	if len(names) < manySiblings {
		return
	}
	wanted := map[string]map[string]bool{} // by directory, then by name
	for _, name := range names {
		dir := path.Dir(name)
		if wanted[dir] == nil {
			wanted[dir] = map[string]bool{}
		}
		wanted[dir][path.Base(name)] = true
	}
	for dir, some := range wanted {
		if len(some) >= manySiblings {
			f.readSome(dir, some)
		}
	}
}

// readSome notes the wanted files and directories that dir has. It stops where
// looking for each would have been faster, and knows nothing of links, which
// may lead nowhere.
func (f *ProjectFiles) readSome(dir string, wanted map[string]bool) {
	file, err := f.Fsys.Open(dir)
	if err != nil {
		return
	}
	defer file.Close()
	list, ok := file.(fs.ReadDirFile)
	for read := 0; ok && read <= 4*len(wanted); {
		entries, err := list.ReadDir(1024)
		read += len(entries)
		f.mu.Lock()
		for _, e := range entries {
			if wanted[e.Name()] && (e.IsDir() || e.Type().IsRegular()) {
				f.known[path.Join(dir, e.Name())] = true
			}
		}
		f.mu.Unlock()
		if err != nil || len(entries) == 0 {
			return
		}
	}
}

// Glob returns the files that a pattern names, sorted. Outputs may be among
// them: which of them count depends on who asks.
func (f *ProjectFiles) Glob(text string) ([]string, error) {
	r, ok := f.globbed(text)
	if ok {
		return r.matches, r.err
	}
	if r.err = f.leadsOut(text); r.err == nil {
		r.matches, r.err = pattern.Glob(f.Fsys, text)
	}
	f.keep(text, r)
	return r.matches, r.err
}

func (f *ProjectFiles) globbed(pattern string) (globResult, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.globs[pattern]
	return r, ok
}

func (f *ProjectFiles) keep(pattern string, r globResult) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.globs[pattern] = r
}

// MatchesAny reports whether a pattern names any source; it stops at the first.
func (f *ProjectFiles) MatchesAny(text string) (bool, error) {
	if r, ok := f.globbed(text); ok {
		return slices.ContainsFunc(r.matches, f.source), r.err
	}
	f.mu.Lock()
	found := f.some[text]
	f.mu.Unlock()
	if found {
		return true, nil
	}
	if err := f.leadsOut(text); err != nil {
		return false, err
	}
	err := pattern.Walk(f.Fsys, text, func(name string, dir bool) error {
		if dir || !f.source(name) {
			return nil
		}
		found = true
		return fs.SkipAll
	})
	if found {
		f.mu.Lock()
		f.some[text] = true
		f.mu.Unlock()
		return true, nil
	}
	return false, err
}

// siblings are the names beside a path, for suggestions.
func (f *ProjectFiles) siblings(name string) []string {
	entries, err := fs.ReadDir(f.Fsys, path.Dir(name))
	if err != nil {
		return nil
	}
	return lists.Map(entries, func(e fs.DirEntry) string { return e.Name() })
}

// A visibleFS is the project without what no pattern may name: the output
// directory and .git.
type visibleFS struct {
	fs.FS
	dist string
}

// ReadDir implements fs.ReadDirFS.
func (v visibleFS) ReadDir(name string) ([]fs.DirEntry, error) {
	if v.Hides(name) {
		return nil, nil
	}
	entries, err := fs.ReadDir(v.FS, name)
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return v.Hides(path.Join(name, e.Name())) }), err
}

func (v visibleFS) Hides(name string) bool {
	return name == ".git" || name == v.dist || strings.HasPrefix(name, ".git/") || strings.HasPrefix(name, v.dist+"/")
}

// Stat implements fs.StatFS.
func (v visibleFS) Stat(name string) (fs.FileInfo, error) { return fs.Stat(v.FS, name) }

// leadsOut is an error if a link leads out of the project before the pattern's
// first wildcard: in what follows, links are not followed.
func (f *ProjectFiles) leadsOut(text string) error {
	base, _ := pattern.Base(text)
	var outside *tasks.OutsideError
	if _, err := fs.Stat(f.Fsys, base); errors.As(err, &outside) {
		return outside
	}
	return nil
}

// Absent says why there is no file, or folder, of that name.
func (f *ProjectFiles) Absent(kind, name string) string {
	var outside *tasks.OutsideError
	if _, err := fs.Stat(f.Fsys, name); errors.As(err, &outside) {
		return outside.Error() + ". Put what it leads to into the project."
	}
	text := fmt.Sprintf("There is no %s %q in the project.", kind, name)
	if near := dsl.SuggestName(path.Base(name), f.siblings(name)); near != "" {
		text += fmt.Sprintf(" Did you mean %q?", path.Join(path.Dir(name), near))
	}
	return text
}
