package source

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Revision is a commit beside the work tree, to compare with. Its paths are
// slash-separated and relative to the top of the work tree.
type Revision struct {
	Commit string // full hash
	Top    string // absolute path of the work tree
	git    git
}

// ErrNoRevision says that what was named is no commit of the repository.
var ErrNoRevision = errors.New("no such commit")

// OpenRevision finds the commit that rev names in the repository that dir is
// in: anything that git rev-parse takes.
func OpenRevision(ctx context.Context, dir, rev string) (*Revision, error) {
	g := git{dir: dir}
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	r := &Revision{Top: filepath.FromSlash(top), git: git{dir: filepath.FromSlash(top)}}
	if rev == "" || strings.HasPrefix(rev, "-") {
		return nil, fmt.Errorf("%w: %q", ErrNoRevision, rev)
	}
	r.Commit, err = g.run(ctx, "rev-parse", "--verify", "--quiet", rev+"^{commit}")
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit), err == nil && !isHash(r.Commit):
		return nil, fmt.Errorf("%w: %q", ErrNoRevision, rev)
	case err != nil:
		return nil, err
	}
	return r, nil
}

// A Change is a path that differs between a Revision and the work tree, or
// that may: one that git was told not to look at. A submodule is one path.
type Change struct {
	Path    string
	Added   bool // the revision does not have it
	Removed bool // the work tree does not have it
}

// Changes returns what differs, untracked files that are not ignored among it,
// sorted by path.
func (r *Revision) Changes(ctx context.Context) ([]Change, error) {
	if err := r.git.guard(ctx); err != nil {
		return nil, err
	}
	out, err := r.git.run(ctx, "diff", "--name-status", "--no-renames", "--no-ext-diff", "--no-textconv", "--ignore-submodules=none", "-z", r.Commit, "--")
	if err != nil {
		return nil, err
	}
	var list []Change
	fields := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		list = append(list, Change{Path: fields[i+1], Added: fields[i] == "A", Removed: fields[i] == "D"})
	}
	if out, err = r.git.run(ctx, "ls-files", "--others", "--exclude-standard", "-z"); err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(out, "\x00") {
		if name != "" {
			list = append(list, Change{Path: strings.TrimSuffix(name, "/"), Added: true})
		}
	}
	slices.SortFunc(list, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	// A file removed from the index and left on the disk is in both.
	return slices.CompactFunc(list, func(a, b Change) bool { return a.Path == b.Path && a == b }), nil
}

// Tracked returns the regular files that git knows now and compares: what is
// not among Changes is as it was. Those that it was told to take as unchanged,
// or that lie in submodules, are left out.
func (r *Revision) Tracked(ctx context.Context) (map[string]bool, error) {
	out, err := r.git.run(ctx, "ls-files", "-z", "-v", "--stage")
	if err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for entry := range strings.SplitSeq(out, "\x00") {
		if info, name, ok := strings.Cut(entry, "\t"); ok && strings.HasPrefix(info, "H 100") {
			known[name] = true
		}
	}
	return known, nil
}

// Files returns the revision's files below the directory dir of the work tree,
// read from git's objects when they are opened. It must be closed.
func (r *Revision) Files(ctx context.Context, dir string) (*Files, error) {
	argv := []string{"ls-tree", "-r", "-z", "-l", r.Commit}
	if dir != "." {
		argv[len(argv)-1] += ":" + dir
	}
	f := &Files{git: r.git, ctx: ctx, root: &node{name: ".", mode: fs.ModeDir, children: map[string]*node{}}}
	out, err := r.git.run(ctx, argv...)
	if err != nil {
		return nil, err
	}
	for entry := range strings.SplitSeq(out, "\x00") {
		if info, name, ok := strings.Cut(entry, "\t"); ok {
			if err := f.add(strings.Fields(info), name); err != nil {
				return nil, err
			}
		}
	}
	return f, nil
}

// Files are the files of a revision as an fs.FS. Symbolic links are followed
// within it. It is safe for use by several goroutines.
type Files struct {
	git  git
	ctx  context.Context // of the one process behind all reads; Close ends it
	root *node

	mu  sync.Mutex // guards the process, which answers one question at a time
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

var _ fs.ReadDirFS = (*Files)(nil)

// A node is a file, link or directory of a revision.
type node struct {
	name     string
	mode     fs.FileMode
	object   string
	size     int64
	children map[string]*node
}

// add takes "mode type object size" of ls-tree. Submodules are empty
// directories, as in a clone without them.
func (f *Files) add(info []string, name string) error {
	if len(info) != 4 || !fs.ValidPath(name) {
		return fmt.Errorf("git ls-tree gave %q %q", info, name)
	}
	n := f.root
	for dir, rest, more := strings.Cut(name, "/"); more; dir, rest, more = strings.Cut(rest, "/") {
		child := n.children[dir]
		if child == nil {
			child = &node{name: dir, mode: fs.ModeDir | 0o755, children: map[string]*node{}}
			n.children[dir] = child
		}
		n = child
	}
	leaf := &node{name: path.Base(name), object: info[2]}
	switch info[0] {
	case "160000":
		leaf.mode, leaf.children = fs.ModeDir|0o755, map[string]*node{}
	case "120000":
		leaf.mode = fs.ModeSymlink | 0o777
	case "100755":
		leaf.mode = 0o755
	default:
		leaf.mode = 0o644
	}
	if leaf.children == nil {
		var err error
		if leaf.size, err = strconv.ParseInt(info[3], 10, 64); err != nil {
			return fmt.Errorf("git ls-tree gave %q %q", info, name)
		}
	}
	n.children[leaf.name] = leaf
	return nil
}

// maxLinks is how many links a name may lead through.
const maxLinks = 40

// find returns what is at name, and follows links.
func (f *Files) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	todo, at, links := strings.Split(name, "/"), []*node{f.root}, 0
	for len(todo) > 0 {
		elem := todo[0]
		todo = todo[1:]
		switch elem {
		case ".", "":
			continue
		case "..":
			if len(at) == 1 {
				return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
			}
			at = at[:len(at)-1]
			continue
		}
		n := at[len(at)-1].children[elem]
		if n == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		if n.mode&fs.ModeSymlink == 0 {
			at = append(at, n)
			continue
		}
		target, err := f.read(n)
		if links++; err != nil || links > maxLinks || path.IsAbs(string(target)) {
			return nil, &fs.PathError{Op: op, Path: name, Err: cmp.Or(err, error(fs.ErrNotExist))}
		}
		todo = append(strings.Split(string(target), "/"), todo...)
	}
	return at[len(at)-1], nil
}

// Open implements fs.FS.
func (f *Files) Open(name string) (fs.File, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	o := &openNode{node: n}
	if n.children != nil {
		o.entries = n.list()
		return o, nil
	}
	b, err := f.read(n)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	o.Reader = bytes.NewReader(b)
	return o, nil
}

// ReadDir implements fs.ReadDirFS.
func (f *Files) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("readdir", name)
	if err != nil {
		return nil, err
	}
	if n.children == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	return n.list(), nil
}

func (n *node) list() []fs.DirEntry {
	list := []fs.DirEntry{}
	for _, c := range n.children {
		list = append(list, fs.FileInfoToDirEntry(c))
	}
	slices.SortFunc(list, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return list
}

// read returns the content of a file or the target of a link, from a git that
// is started for the first and answers for all.
func (f *Files) read(n *node) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.start(); err != nil {
		return nil, err
	}
	if _, err := io.WriteString(f.in, n.object+"\n"); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	line, err := f.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	if line != fmt.Sprintf("%s blob %d\n", n.object, n.size) {
		return nil, fmt.Errorf("git cat-file gave %q", line)
	}
	b := make([]byte, n.size+1) // and a line feed
	if _, err := io.ReadFull(f.out, b); err != nil {
		return nil, fmt.Errorf("git cat-file: %w", err)
	}
	return b[:n.size], nil
}

func (f *Files) start() (err error) {
	if f.cmd != nil {
		return nil
	}
	cmd := f.git.command(f.ctx, "cat-file", "--batch")
	if f.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("git cat-file: %w", err)
	}
	f.cmd, f.out = cmd, bufio.NewReader(out)
	return nil
}

// Close ends the process behind the files.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cmd == nil {
		return nil
	}
	err := errors.Join(f.in.Close(), f.cmd.Wait())
	f.cmd = nil
	return err
}

// An openNode is an open file or directory.
type openNode struct {
	*bytes.Reader
	node    *node
	entries []fs.DirEntry // of a directory, not yet read
}

func (o *openNode) Stat() (fs.FileInfo, error) { return o.node, nil }
func (o *openNode) Close() error               { return nil }

func (o *openNode) Read(b []byte) (int, error) {
	if o.Reader == nil {
		return 0, &fs.PathError{Op: "read", Path: o.node.name, Err: errors.New("is a directory")}
	}
	return o.Reader.Read(b)
}

// ReadDir implements fs.ReadDirFile.
func (o *openNode) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(o.entries) {
		if n > 0 && len(o.entries) == 0 {
			return nil, io.EOF
		}
		n = len(o.entries)
	}
	list := o.entries[:n]
	o.entries = o.entries[n:]
	return list, nil
}

// A node is its own fs.FileInfo. Objects have no time.
func (n *node) Name() string       { return n.name }
func (n *node) Size() int64        { return n.size }
func (n *node) Mode() fs.FileMode  { return n.mode }
func (n *node) ModTime() time.Time { return time.Time{} }
func (n *node) IsDir() bool        { return n.mode.IsDir() }
func (n *node) Sys() any           { return nil }
