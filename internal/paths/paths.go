// Package paths says whether one path is below another, by their text alone, and
// walks over what is below a directory.
package paths

import (
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// Below reports whether p is dir or below it. Both are clean, slash-separated,
// and either absolute or relative to the same directory.
func Below(dir, p string) bool {
	return p == dir || dir == "/" && strings.HasPrefix(p, "/") || strings.HasPrefix(p, dir+"/")
}

// Rel returns a path of this system as seen from dir, with slashes, if it is dir
// or below it.
func Rel(dir, p string) (rel string, ok bool) {
	rel, err := filepath.Rel(dir, p)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return filepath.ToSlash(rel), true
}

// Local reports whether p is clean, slash-separated and relative to a directory,
// and the directory or below it.
func Local(p string) bool {
	return p != "" && p == path.Clean(p) && !path.IsAbs(p) && p != ".." && !strings.HasPrefix(p, "../")
}

// Walk calls f for dir and all below it, as filepath.WalkDir does, with the path
// from dir, with slashes. What cannot be read is an error, and ends it.
func Walk(dir string, f func(name, rel string, e fs.DirEntry) error) error {
	return filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		return f(name, filepath.ToSlash(rel), e)
	})
}
