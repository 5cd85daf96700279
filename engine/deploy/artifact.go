package deploy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// An Artifact is what a release is made of: a directory, an archive (tar,
// tar.gz, tar.xz, tar.zst, zip) or any other file, which is installed under its
// name.
type Artifact struct {
	FS   fs.FS
	Path string
	// Strip is how many leading elements the names of an archive lose.
	Strip int
	// Unpack is a command that fills {release} from {artifact}: for packages.
	Unpack []string
}

// A File is a rendered file of a release. It replaces one of the artifact.
type File struct {
	Path string // slash-separated, in the release
	Text []byte
	Mode fs.FileMode // permission bits
}

// fill installs an artifact and files into an empty directory.
func (d *deployment) fill(ctx context.Context, dir string, q *Request) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	in := &installer{ctx: ctx, root: root}
	a := q.Artifact
	info, err := fs.Stat(a.FS, a.Path)
	if err != nil {
		return fmt.Errorf("install %s: %w", a.Path, err)
	}
	switch {
	case len(a.Unpack) > 0:
		err = d.unpackBy(ctx, in, dir, q)
	case info.IsDir():
		err = in.tree(a.FS, a.Path)
	default:
		err = in.file(a, info)
	}
	if err != nil {
		return fmt.Errorf("install %s: %w", a.Path, err)
	}
	for _, f := range q.Files {
		if err := in.rendered(f); err != nil {
			return fmt.Errorf("install %s: %w", f.Path, err)
		}
	}
	return nil
}

// unpackBy lets a tool of the host fill the release.
func (d *deployment) unpackBy(ctx context.Context, in *installer, dir string, q *Request) error {
	// The tool gets a copy that was verified while it was read.
	tmp, err := os.MkdirTemp(d.dir.tmp, "artifact-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	name := filepath.Join(tmp, path.Base(q.Artifact.Path))
	src, err := q.Artifact.FS.Open(q.Artifact.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, ctxio.Reader(ctx, src))
	if err := cmp.Or(err, dst.Close()); err != nil {
		return err
	}
	w := words{"artifact": name, "release": dir, "root": d.Root, "version": q.Version, "environment": d.Environment}
	limit := q.Plan.Hooks.Timeout
	if limit <= 0 {
		limit = DefaultHookTime
	}
	if err := d.command(ctx, q.Artifact.Unpack, w, dir, limit); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) == 0 {
		err = errors.New("the unpack command left the release empty; let it write to {release}")
	}
	return err
}

// An installer writes below a root, and nowhere else whatever names say. Modes
// are exactly 0755 and 0644, whatever the umask and the artifact say.
type installer struct {
	ctx  context.Context
	root *os.Root
	n    int
}

// maxFiles bounds a release.
const maxFiles = 1 << 20

func (in *installer) count() error {
	if in.n++; in.n > maxFiles {
		return fmt.Errorf("it has more than %d files", maxFiles)
	}
	return in.ctx.Err()
}

func (in *installer) tree(from fs.FS, dir string) error {
	return fs.WalkDir(from, dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == dir {
			return err
		}
		rel := strings.TrimPrefix(name, dir+"/")
		if dir == "." {
			rel = name
		}
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case d.IsDir():
			return in.mkdir(rel)
		case info.Mode()&fs.ModeSymlink != 0:
			target, err := fs.ReadLink(from, name)
			if err != nil {
				return err
			}
			return in.link(rel, target)
		case !info.Mode().IsRegular():
			return fmt.Errorf("%s is neither a file nor a directory nor a link", name)
		}
		f, err := from.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return in.write(rel, f, info.Mode())
	})
}

// file installs an archive or a single file.
func (in *installer) file(a Artifact, info fs.FileInfo) error {
	f, err := a.FS.Open(a.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	if done, err := in.archive(a, f); done || err != nil {
		return err
	}
	return in.write(path.Base(a.Path), f, info.Mode())
}

func (in *installer) mkdir(name string) error {
	if err := local(name); err != nil {
		return err
	}
	if err := in.count(); err != nil {
		return err
	}
	return in.parents(name)
}

// parents makes a directory and those above it.
func (in *installer) parents(dir string) error {
	if dir == "." || dir == "" {
		return nil
	}
	switch info, err := in.root.Lstat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return fmt.Errorf("%s is a file, but other files belong below it", dir)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := in.parents(path.Dir(dir)); err != nil {
		return err
	}
	if err := in.root.Mkdir(dir, 0o755); err != nil {
		return err
	}
	return in.root.Chmod(dir, 0o755)
}

func (in *installer) write(name string, content io.Reader, mode fs.FileMode) error {
	perm := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		perm = 0o755
	}
	return in.create(name, content, perm, os.O_EXCL)
}

func (in *installer) create(name string, content io.Reader, perm fs.FileMode, flag int) error {
	if err := local(name); err != nil {
		return err
	}
	if err := in.count(); err != nil {
		return err
	}
	if err := in.parents(path.Dir(name)); err != nil {
		return err
	}
	f, err := in.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, perm)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is in it twice", name)
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(f, ctxio.Reader(in.ctx, content))
	if err == nil {
		err = f.Chmod(perm)
	}
	if err == nil {
		err = f.Sync()
	}
	return cmp.Or(err, f.Close())
}

// link makes a symbolic link that stays in the release.
func (in *installer) link(name, target string) error {
	if err := local(name); err != nil {
		return err
	}
	if err := in.count(); err != nil {
		return err
	}
	target = filepath.ToSlash(target)
	if path.IsAbs(target) || filepath.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(path.Join(path.Dir(name), target))) {
		return fmt.Errorf("the link %s leaves the release: it points to %s", name, target)
	}
	if err := in.parents(path.Dir(name)); err != nil {
		return err
	}
	return in.root.Symlink(filepath.FromSlash(target), name)
}

// rendered writes a file, in the place of one that the artifact brought.
func (in *installer) rendered(f File) error {
	if err := in.root.Remove(f.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return in.create(f.Path, strings.NewReader(string(f.Text)), f.Mode.Perm(), os.O_EXCL)
}

func local(name string) error {
	if name == "" || !filepath.IsLocal(filepath.FromSlash(name)) || path.Clean(name) != name || strings.Contains(name, `\`) {
		return fmt.Errorf("the name %q leaves the release", name)
	}
	return nil
}
