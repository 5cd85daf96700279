package tree

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// Build makes the Merkle form of the given files, links and empty
// directories. Paths are cleaned, slash-separated and relative. The same path
// given twice with the same content counts once; with another content, or as
// a file and a directory, it is an error.
func Build(files []File, links []Link, empty []string) (*Tree, error) {
	t := &Tree{Files: files, Links: links, Empty: empty, Dirs: map[action.Digest][]byte{}}
	var err error
	if t.Files, err = sortUnique(files, func(f File) string { return f.Path }, func(a, b File) bool {
		return a.Digest == b.Digest && a.Executable == b.Executable
	}); err != nil {
		return nil, err
	}
	if t.Links, err = sortUnique(links, func(l Link) string { return l.Path }, func(a, b Link) bool { return a == b }); err != nil {
		return nil, err
	}
	if t.Empty, err = sortUnique(empty, func(p string) string { return p }, func(a, b string) bool { return true }); err != nil {
		return nil, err
	}
	root := newNode()
	for i := range t.Files {
		f := &t.Files[i]
		dir, name, err := root.parent(f.Path)
		if err != nil {
			return nil, err
		}
		dir.Files = append(dir.Files, action.FileNode{Name: name, Digest: f.Digest, Executable: f.Executable})
		dir.leaves[name] = struct{}{}
	}
	for _, l := range t.Links {
		dir, name, err := root.parent(l.Path)
		if err != nil {
			return nil, err
		}
		if _, taken := dir.leaves[name]; taken {
			return nil, fmt.Errorf("input %s is both a file and a link", l.Path)
		}
		dir.Symlinks = append(dir.Symlinks, action.SymlinkNode{Name: name, Target: l.Target})
		dir.leaves[name] = struct{}{}
	}
	for _, p := range t.Empty {
		if p == "." {
			continue
		}
		dir, name, err := root.parent(p)
		if err != nil {
			return nil, err
		}
		if _, err := dir.child(name, p); err != nil {
			return nil, err
		}
	}
	t.Root, err = root.marshal("", t.Dirs)
	return t, err
}

// sortUnique sorts a copy of s by path and drops equal duplicates.
func sortUnique[T any](s []T, key func(T) string, same func(a, b T) bool) ([]T, error) {
	byPath := func(a, b T) int { return cmp.Compare(key(a), key(b)) }
	if !slices.IsSortedFunc(s, byPath) {
		s = slices.Clone(s)
		slices.SortStableFunc(s, byPath)
	}
	out := s[:0:0]
	for i, v := range s {
		if p := key(v); p == "" || p != path.Clean(p) || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") {
			return nil, fmt.Errorf("input path %q is not a clean relative path", p)
		}
		if i > 0 && key(s[i-1]) == key(v) {
			if !same(s[i-1], v) {
				return nil, fmt.Errorf("input %s is given twice with different content", key(v))
			}
			continue
		}
		out = append(out, v)
	}
	return out, nil
}

// A node is a Directory under construction.
type node struct {
	action.Directory
	leaves map[string]struct{} // names of files and links
	dirs   map[string]*node
}

func newNode() *node {
	return &node{leaves: map[string]struct{}{}} // most have no directories
}

// parent returns the directory that holds p, made if need be, and p's name.
func (n *node) parent(p string) (*node, string, error) {
	rest := p
	for {
		name, tail, more := strings.Cut(rest, "/")
		if !more {
			if _, isDir := n.dirs[name]; isDir {
				return nil, "", fmt.Errorf("input %s is both a file and a directory", p)
			}
			return n, name, nil
		}
		var err error
		if n, err = n.child(name, p); err != nil {
			return nil, "", err
		}
		rest = tail
	}
}

func (n *node) child(name, p string) (*node, error) {
	if _, isLeaf := n.leaves[name]; isLeaf {
		return nil, fmt.Errorf("input %s: %s is both a file and a directory", p, name)
	}
	c := n.dirs[name]
	if c == nil {
		c = newNode()
		if n.dirs == nil {
			n.dirs = map[string]*node{}
		}
		n.dirs[name] = c
	}
	return c, nil
}

// marshal puts the messages of n and all below it into out.
func (n *node) marshal(at string, out map[action.Digest][]byte) (action.Digest, error) {
	for name, c := range n.dirs {
		if _, isLeaf := n.leaves[name]; isLeaf {
			return action.Digest{}, fmt.Errorf("input %s is both a file and a directory", path.Join(at, name))
		}
		d, err := c.marshal(path.Join(at, name), out)
		if err != nil {
			return action.Digest{}, err
		}
		n.Directories = append(n.Directories, action.DirectoryNode{Name: name, Digest: d})
	}
	b := n.Directory.Marshal()
	d := action.Of(b)
	out[d] = b
	return d, nil
}

// Message returns the tree as one Tree message: the root, then every other
// directory once, parents before children.
func (t *Tree) Message() (*action.Tree, error) {
	m := &action.Tree{}
	seen := map[action.Digest]bool{t.Root: true}
	queue := []action.Digest{t.Root}
	for i := 0; i < len(queue); i++ {
		dir, err := action.UnmarshalDirectory(t.Dirs[queue[i]])
		if err != nil {
			return nil, fmt.Errorf("decode directory %s: %w", queue[i], err)
		}
		if i == 0 {
			m.Root = *dir
		} else {
			m.Children = append(m.Children, *dir)
		}
		for _, c := range dir.Directories {
			if !seen[c.Digest] {
				seen[c.Digest] = true
				queue = append(queue, c.Digest)
			}
		}
	}
	return m, nil
}

// Flatten returns the files, links and empty directories of a Tree message,
// with base put before every path. Sources are in the store. The message may
// come from anywhere: names that are no single path element, and directories
// that are missing or nested without end, are errors.
func Flatten(m *action.Tree, base string) (files []File, links []Link, empty []string, err error) {
	dirs := make(map[action.Digest]*action.Directory, len(m.Children))
	for i := range m.Children {
		dirs[action.Of(m.Children[i].Marshal())] = &m.Children[i]
	}
	var walk func(d *action.Directory, at string, depth int) error
	walk = func(d *action.Directory, at string, depth int) error {
		if depth > 1000 {
			return fmt.Errorf("tree at %s: nested too deep", at)
		}
		if len(d.Files)+len(d.Directories)+len(d.Symlinks) == 0 {
			empty = append(empty, at)
		}
		for _, f := range d.Files {
			if err := checkName(f.Name); err != nil {
				return err
			}
			files = append(files, File{Path: path.Join(at, f.Name), Digest: f.Digest, Executable: f.Executable, Source: Source{Blob: true}})
		}
		for _, l := range d.Symlinks {
			if err := checkName(l.Name); err != nil {
				return err
			}
			links = append(links, Link{Path: path.Join(at, l.Name), Target: l.Target})
		}
		if len(files)+len(links)+len(empty) > maxEntries {
			return fmt.Errorf("tree at %s: more than %d entries", at, maxEntries)
		}
		for _, c := range d.Directories {
			if err := checkName(c.Name); err != nil {
				return err
			}
			sub, ok := dirs[c.Digest]
			if !ok {
				return fmt.Errorf("tree at %s: directory %s is not in the message", at, c.Name)
			}
			if err := walk(sub, path.Join(at, c.Name), depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(&m.Root, base, 0); err != nil {
		return nil, nil, nil, err
	}
	return files, links, empty, nil
}

// maxEntries bounds what a Tree message may expand to: a small message can name
// one directory many times over.
const maxEntries = 20_000_000

// checkName refuses names that are not exactly one path element, before they
// become part of a path.
func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("tree: bad name %q", name)
	}
	return nil
}
