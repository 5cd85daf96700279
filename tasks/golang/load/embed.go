package load

import (
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
)

// embed returns the files that //go:embed patterns name in a directory,
// sorted.
func (l *loader) embed(dir string, patterns []string) ([]string, error) {
	if len(patterns) == 0 {
		return nil, nil
	}
	e := &embedder{files: l.files, dir: dir, found: map[string]bool{}}
	for _, p := range patterns {
		if err := e.pattern(p); err != nil {
			return nil, err
		}
	}
	return slices.Sorted(maps.Keys(e.found)), nil
}

// An embedder resolves the patterns of one package. Paths are relative to its
// directory, with slashes.
type embedder struct {
	files *files
	dir   string
	found map[string]bool
}

func (e *embedder) abs(rel string) string { return filepath.Join(e.dir, filepath.FromSlash(rel)) }

// refuse leaves a pattern that the go command would not take to it.
func (e *embedder) refuse(pattern, why string) error {
	return unsure("embed pattern %s in %s: %s", pattern, e.dir, why)
}

func (e *embedder) pattern(pattern string) error {
	glob, all := strings.CutPrefix(pattern, "all:")
	if _, err := path.Match(glob, ""); err != nil || glob == "." || !fs.ValidPath(glob) || strings.Contains(glob, `\`) {
		return e.refuse(pattern, "odd syntax")
	}
	matches, err := e.glob(".", strings.Split(glob, "/"))
	if err != nil {
		return err
	}
	n := 0
	for _, m := range matches {
		if err := e.checkPath(pattern, m.rel); err != nil {
			return err
		}
		switch m.kind {
		case isFile:
			e.found[m.rel] = true
			n++
		case isDir:
			k, err := e.walk(pattern, m.rel, all)
			if err != nil {
				return err
			}
			if k == 0 {
				return e.refuse(pattern, "an empty directory")
			}
			n += k
		default:
			return e.refuse(pattern, "no regular file")
		}
	}
	if n == 0 {
		return e.refuse(pattern, "no matching files")
	}
	return nil
}

type match struct {
	rel  string
	kind kind
}

// glob returns what the elements of a pattern match below a directory.
func (e *embedder) glob(rel string, elems []string) ([]match, error) {
	list, err := e.files.listAll(e.abs(rel))
	if err != nil {
		return nil, err
	}
	var out []match
	for i := range list {
		if ok, _ := path.Match(elems[0], list[i].name); !ok {
			continue
		}
		at := path.Join(rel, list[i].name)
		if len(elems) == 1 {
			out = append(out, match{at, list[i].kind})
			continue
		}
		switch list[i].kind {
		case isDir:
			more, err := e.glob(at, elems[1:])
			if err != nil {
				return nil, err
			}
			out = append(out, more...)
		case isLink:
			return nil, e.refuse(strings.Join(elems, "/"), "through a link")
		}
	}
	return out, nil
}

// checkPath refuses what a module would not hold: names that no module may
// have, and other modules.
func (e *embedder) checkPath(pattern, rel string) error {
	for at := rel; at != "."; at = path.Dir(at) {
		if badEmbedName(path.Base(at)) {
			return e.refuse(pattern, "an invalid name")
		}
		if mod, err := e.isModule(at); mod || err != nil {
			if err == nil {
				err = e.refuse(pattern, "in another module")
			}
			return err
		}
	}
	return nil
}

// isModule reports whether a directory has a go.mod, or anything of that name.
func (e *embedder) isModule(rel string) (bool, error) {
	dir, base := path.Split(rel)
	parent, err := e.files.listAll(e.abs(path.Clean(dir + ".")))
	if err != nil {
		return false, err
	}
	if i, ok := find(parent, base); !ok || parent[i].kind != isDir {
		return false, nil
	}
	list, err := e.files.listAll(e.abs(rel))
	_, ok := find(list, "go.mod")
	return ok, err
}

// walk takes all files below a directory in, and returns how many there are.
func (e *embedder) walk(pattern, rel string, all bool) (int, error) {
	list, err := e.files.listAll(e.abs(rel))
	if err != nil {
		return 0, err
	}
	n := 0
	for _, f := range list {
		bad := badEmbedName(f.name)
		at := path.Join(rel, f.name)
		switch {
		case f.kind == isDir:
			if bad || hidden(f.name) && !all {
				continue
			}
			if mod, err := e.isModule(at); mod || err != nil {
				if err != nil {
					return 0, err
				}
				continue
			}
			k, err := e.walk(pattern, at, all)
			if err != nil {
				return 0, err
			}
			n += k
		case bad && hidden(f.name), hidden(f.name) && !all:
		case bad:
			return 0, e.refuse(pattern, "an invalid name")
		case f.kind == isFile:
			e.found[at] = true
			n++
		}
	}
	return n, nil
}

// badEmbedName reports whether no module can hold a file of this name.
func badEmbedName(name string) bool {
	switch name {
	case "", ".bzr", ".hg", ".git", ".svn":
		return true
	}
	return module.CheckFilePath(name) != nil
}
