// Package goproxy knows directories in the form in which a GOPROXY serves
// modules: what is in one, whether it is what a checksum database or a go.sum
// says, how two become one, and how a Go toolchain is unpacked from one.
//
// Such a tree crosses an air gap, so nothing in it is trusted: names, sizes
// and contents are checked before anything of it is executed or installed. It
// reaches no network and starts no process.
package goproxy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/airbuild/airbuild/internal/paths"
)

// SumsName is the file at the root of a tree that holds go.sum lines of what
// has no proof: modules of private repositories, or everything where no
// checksum database could be asked.
const SumsName = "go.sum"

// SumDBName is the directory with the checksum databases' proofs.
const SumDBName = "sumdb"

// maxSmall bounds the files that are read whole: all but zips and tiles, in
// bytes. It is Go's own limit of a go.mod.
const maxSmall = 16 << 20

// files are what a tree holds of one version of a module.
type files struct {
	module.Version
	info, mod, zip bool
}

// A tree is a directory that was looked through.
type tree struct {
	dir      string
	versions []files // sorted by path, then version
	lists    []string
	problems []error // names that a tree has no place for
}

// at is the file of a version with the given extension, as an absolute path.
func (t *tree) at(m module.Version, ext string) (string, error) {
	rel, err := RelPath(m, ext)
	return filepath.Join(t.dir, filepath.FromSlash(rel)), err
}

// RelPath is where a tree keeps a version's file: ext is "zip", "mod" or
// "info".
func RelPath(m module.Version, ext string) (string, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(m.Version)
	if err != nil {
		return "", err
	}
	return path.Join(p, "@v", v+"."+ext), nil
}

// Has reports whether the tree at dir has the module's zip, which is what a
// build needs.
func Has(dir string, m module.Version) bool {
	rel, err := RelPath(m, "zip")
	if err != nil {
		return false
	}
	fi, err := os.Lstat(filepath.Join(dir, filepath.FromSlash(rel)))
	return err == nil && fi.Mode().IsRegular()
}

// look lists a tree. What does not belong in one is a problem, not an error:
// all of them are told in one go.
func look(ctx context.Context, dir string) (*tree, error) {
	t := &tree{dir: dir}
	found := map[module.Version]*files{}
	err := paths.Walk(dir, func(_, rel string, e fs.DirEntry) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && rel == SumDBName:
			return fs.SkipDir // read as the proofs name them
		case e.IsDir():
			return nil
		case !e.Type().IsRegular():
			t.problems = append(t.problems, &BadFileError{rel, "it is not a regular file"})
			return nil
		case rel == SumsName:
			return nil
		}
		if err := t.take(found, rel); err != nil {
			t.problems = append(t.problems, &BadFileError{rel, err.Error()})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look through module tree: %w", err)
	}
	for _, f := range found {
		t.versions = append(t.versions, *f)
	}
	slices.SortFunc(t.versions, func(a, b files) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version.Version, b.Version.Version))
	})
	return t, nil
}

// take notes one file of the tree.
func (t *tree) take(found map[module.Version]*files, rel string) error {
	dir, base := path.Split(rel)
	escaped, ok := strings.CutSuffix(dir, "/@v/")
	if !ok {
		if escaped, ok = strings.CutSuffix(dir, "/"); ok && base == "@latest" {
			_, err := module.UnescapePath(escaped)
			t.lists = append(t.lists, rel)
			return err
		}
		return errors.New("no GOPROXY serves a file of this name")
	}
	p, err := module.UnescapePath(escaped)
	if err != nil {
		return err
	}
	if base == "list" {
		t.lists = append(t.lists, rel)
		return nil
	}
	ext := path.Ext(base)
	v, err := module.UnescapeVersion(strings.TrimSuffix(base, ext))
	if err != nil {
		return err
	}
	m := module.Version{Path: p, Version: v}
	if err := module.Check(p, v); err != nil {
		return err
	}
	f := found[m]
	if f == nil {
		f = &files{Version: m}
	}
	switch ext {
	case ".info":
		f.info = true
	case ".mod":
		f.mod = true
	case ".zip":
		f.zip = true
	default:
		return errors.New("no GOPROXY serves a file of this name")
	}
	found[m] = f
	return nil
}

// readSmall reads a regular file of at most maxSmall bytes.
func readSmall(name string) ([]byte, error) {
	fi, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if fi.Size() > maxSmall {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are allowed", fi.Size(), maxSmall)
	}
	return os.ReadFile(name)
}
