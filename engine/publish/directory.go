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
	"path/filepath"

	"github.com/airbuild/airbuild/internal/atomicfile"
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
	name := filepath.FromSlash(item.Name)
	// Its permissions are the same whatever the umask is.
	o := atomicfile.Options{Root: root, Perm: 0o644, Exact: true, Mkdir: 0o755, Temp: filepath.Base(name) + partSuffix, Sync: true, SyncDir: true}
	return atomicfile.WriteFunc(name, o, func(w io.Writer) error { return copyItem(ctx, w, item) })
}

// copyItem copies an item's content, and fails if it is not what the item says.
func copyItem(ctx context.Context, w io.Writer, item Item) error {
	src, err := item.Open()
	if err != nil {
		return err
	}
	defer src.Close()
	sum := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, sum), ctxio.Reader(ctx, src)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != item.SHA256 {
		return fmt.Errorf("the content changed while it was copied: sha256 %.12s…, want %.12s…", got, item.SHA256)
	}
	return nil
}
