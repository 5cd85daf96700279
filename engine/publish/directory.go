package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/airbuild/airbuild/engine/inuse"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// A Directory is a directory of this host: a share, a mirror, media.
type Directory struct {
	Path string // absolute; made if it is not there
	Options
}

// partSuffix ends the name of a file that is being written. The next run
// writes over it.
const partSuffix = ".airbuild-part"

// Publish implements Target. A file is written beside its name, compared with
// its digest, synced, and renamed.
func (d *Directory) Publish(ctx context.Context, item Item) (Result, error) {
	r := Result{Place: filepath.Join(d.Path, filepath.FromSlash(item.Name)), Status: Unchanged}
	if err := checkName(item.Name); err != nil {
		return r, err
	}
	there, err := d.sum(ctx, item.Name)
	switch {
	case err == nil && there == item.SHA256:
		return r, nil
	case err == nil && !d.Overwrite:
		return r, differs(r.Place, there, item.SHA256)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return r, fmt.Errorf("publish %s: %w", r.Place, err)
	}
	if r.Status = Would; d.DryRun {
		return r, nil
	}
	if err := d.write(ctx, item); err != nil {
		return r, fmt.Errorf("publish %s: %w", r.Place, err)
	}
	r.Status = Published
	return r, nil
}

// sum is the digest of what is there under a name.
func (d *Directory) sum(ctx context.Context, name string) (string, error) {
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return "", err
	}
	defer root.Close()
	f, err := root.Open(filepath.FromSlash(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", errors.New("something other than a file exists there")
	}
	return sumOf(ctx, f)
}

func (d *Directory) write(ctx context.Context, item Item) error {
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.Path)
	if err != nil {
		return err
	}
	defer root.Close()
	dir := path.Dir(item.Name)
	if err := root.MkdirAll(filepath.FromSlash(dir), 0o755); err != nil {
		return err
	}
	name := filepath.FromSlash(item.Name)
	part := name + partSuffix
	if err := fill(ctx, root, part, item); err != nil {
		return errors.Join(err, root.Remove(part))
	}
	if err := inuse.Rename(root, part, name); err != nil {
		return err
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	at, err := root.Open(filepath.FromSlash(dir))
	if err != nil {
		return err
	}
	defer at.Close()
	return at.Sync()
}

// fill writes an item's content to a file, and fails if it is not what the
// item says.
func fill(ctx context.Context, root *os.Root, name string, item Item) error {
	src, err := item.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(f, sum), ctxio.Reader(ctx, src))
	if err == nil {
		err = f.Chmod(0o644) // whatever the umask is
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if got := hex.EncodeToString(sum.Sum(nil)); err == nil && got != item.SHA256 {
		err = fmt.Errorf("the content changed while it was copied: sha256 %.12s…, want %.12s…", got, item.SHA256)
	}
	return err
}
