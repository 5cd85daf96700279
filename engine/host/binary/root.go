package binary

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/internal/paths"
)

// A root is a directory that stands for "/": symbolic links in it, absolute
// ones too, stay inside, as they would for a process that is confined to it.
type root string

// maxLinks is how many symbolic links one path may lead over.
const maxLinks = 40

var errLinks = errors.New("too many symbolic links")

// resolve follows a slash-separated path from the root, and returns where it
// ends: in the root, and on the host.
func (r root) resolve(name string) (in, host string, err error) {
	rest := strings.Split(path.Clean("/"+name), "/")
	in = "/"
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			in = path.Dir(in)
			continue
		}
		next := path.Join(in, part)
		info, err := os.Lstat(r.host(next))
		if err != nil {
			return "", "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			in = next
			continue
		}
		if links++; links > maxLinks {
			return "", "", errLinks
		}
		target, err := os.Readlink(r.host(next))
		if err != nil {
			return "", "", err
		}
		if path.IsAbs(target) {
			in = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return in, r.host(in), nil
}

func (r root) host(in string) string {
	if r == "" {
		return filepath.FromSlash(in)
	}
	return filepath.Join(string(r), filepath.FromSlash(in))
}

// inside is the path in the root of a path of the host; false if it is not
// below the root.
func (r root) inside(host string) (string, bool) {
	if r == "" {
		return filepath.ToSlash(host), true
	}
	base, err := filepath.EvalSymlinks(string(r))
	if err != nil {
		return "", false
	}
	rel, ok := paths.Rel(base, host)
	if !ok {
		return "", false
	}
	return "/" + rel, true
}

// read reads a regular file of at most limit bytes.
func (r root) read(name string, limit int64) ([]byte, error) {
	_, host, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(host)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > limit {
		return nil, errors.New("no regular file of a bearable size")
	}
	f, err := os.Open(host)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// glob lists the paths that match a pattern whose folder holds none of the
// signs of patterns.
func (r root) glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	dir, base := path.Split(pattern)
	_, host, err := r.resolve(dir)
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(host)
	if err != nil {
		return nil
	}
	var names []string
	for _, e := range entries {
		if ok, err := path.Match(base, e.Name()); err == nil && ok && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, path.Join(dir, e.Name()))
		}
	}
	return names
}

// ldConf is the list of directories of /etc/ld.so.conf with what it includes.
func (r root) ldConf(name string, depth int) []string {
	text, err := r.read(name, 1<<20)
	if err != nil || depth > 8 {
		return nil
	}
	var dirs []string
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.FieldsFunc(line, func(c rune) bool { return strings.ContainsRune(" \t\r\n,:", c) })
		if len(fields) > 1 && fields[0] == "include" {
			for _, pattern := range fields[1:] {
				if !path.IsAbs(pattern) {
					pattern = path.Join(path.Dir(name), pattern)
				}
				for _, f := range r.glob(pattern) {
					dirs = append(dirs, r.ldConf(f, depth+1)...)
				}
				if len(dirs) > maxNeeded {
					return dirs
				}
			}
			continue
		}
		for _, f := range fields {
			if dir, _, _ := strings.Cut(f, "="); path.IsAbs(dir) {
				dirs = append(dirs, dir)
			}
		}
	}
	return dirs
}
