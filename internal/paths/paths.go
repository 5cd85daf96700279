// Package paths says whether one path is below another, by their text alone.
package paths

import (
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
