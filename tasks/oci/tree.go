package oci

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
)

// A member is one entry of a layer.
type member struct {
	name     string // in the image, without a slash in front
	path     string // in the input root; empty for a directory that is made
	link     string // target of a symbolic link
	size     int64
	mode     int64 // permissions, with set-id and sticky bits as in tar
	isDir    bool
	uid, gid int
}

// members are all entries of a layer, sorted by name.
func (l *layer) members(in fs.FS) ([]member, error) {
	list := lists.Map(l.Dirs, func(d dir) member { return member{name: d.To, isDir: true, mode: d.Mode, uid: d.UID, gid: d.GID} })
	for _, f := range l.File {
		below, err := walk(in, f.Path, f.To)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Path, err)
		}
		for i := range below {
			below[i].uid, below[i].gid = l.UID, l.GID
		}
		list = append(list, below...)
	}
	if err := setModes(list, l.Mode); err != nil {
		return nil, err
	}
	slices.SortStableFunc(list, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return distinct(list)
}

// walk lists a file, or all files below a directory. A directory counts only
// if it is empty: an entry for it would change that of the base.
func walk(in fs.FS, name, to string) ([]member, error) {
	info, err := fs.Lstat(in, name)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(path.Base(to), ".wh.") {
		return nil, fmt.Errorf("in a layer the name %s means that something is deleted; rename it", path.Base(to))
	}
	m := member{name: to, path: name, size: info.Size(), mode: int64(info.Mode().Perm())}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		m.link, err = fs.ReadLink(in, name)
		m.size = 0
		return []member{m}, err
	case !info.IsDir() && to == "":
		return nil, fmt.Errorf("it is a file and cannot be the image's root; set its path in the image")
	case !info.IsDir():
		return []member{m}, nil
	}
	entries, err := fs.ReadDir(in, name)
	if err != nil {
		return nil, err
	}
	if len(entries) == 0 && to != "" {
		m.isDir, m.size = true, 0
		return []member{m}, nil
	}
	var list []member
	for _, e := range entries {
		below, err := walk(in, path.Join(name, e.Name()), path.Join(to, e.Name()))
		if err != nil {
			return nil, err
		}
		list = append(list, below...)
	}
	return list, nil
}

// setModes reduces modes to what airbuild keeps of a file: executable or not.
func setModes(list []member, octal string) error {
	for i := range list {
		m := &list[i]
		switch {
		case m.path == "":
		case m.link != "":
			m.mode = 0o777
		case m.isDir:
			m.mode = 0o755
		case octal != "":
			n, err := strconv.ParseInt(octal, 8, 32)
			if err != nil {
				return fmt.Errorf("mode %q: %w", octal, err)
			}
			m.mode = n
		case m.mode&0o111 != 0:
			m.mode = 0o755
		default:
			m.mode = 0o644
		}
	}
	return nil
}

// distinct merges directories and refuses every other double name, and files
// that others lie in.
func distinct(list []member) ([]member, error) {
	files := map[string]bool{}
	var out []member
	for _, m := range list {
		isDir, taken := files[m.name]
		switch {
		case taken && m.isDir && isDir:
			continue
		case taken:
			return nil, fmt.Errorf("two things are called /%s in the layer; leave one out, or use two layers", m.name)
		}
		files[m.name] = m.isDir
		out = append(out, m)
	}
	for _, m := range out {
		for up := path.Dir(m.name); up != "."; up = path.Dir(up) {
			if isDir, ok := files[up]; ok && !isDir {
				return nil, fmt.Errorf("/%s is a file, but /%s is below it", up, m.name)
			}
		}
	}
	return out, nil
}
