package store

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
)

// CopyTo puts the content of d into dir under name, with mode 0755 or 0644 less
// the umask. What was there is replaced in one step; a link is replaced and not
// followed. The copy shares no file with the store, so that nobody can change
// the store through it. A damaged blob is removed and is a *action.Damaged
// error, and a file that another program has open is inuse.ErrInUse; what was
// there is then as it was.
func (s *blobs) CopyTo(ctx context.Context, d action.Digest, dir *os.Root, name string, executable bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	perm := fs.FileMode(0o644)
	if executable {
		perm = 0o755
	}
	f, err := atomicfile.Create(".", atomicfile.Options{Root: dir, Perm: perm})
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	defer f.Discard()
	err = s.copyBlob(ctx, d, f.File)
	if err == nil {
		err = f.Commit(name)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", name, err)
	}
	return nil
}

// copyBlob fills f with the content of d: by clone or by the system's copy if
// the blob is marked as verified, else by a copy that hashes.
func (s *blobs) copyBlob(ctx context.Context, d action.Digest, f *os.File) error {
	state, err := s.glance(d)
	if err != nil {
		return err
	}
	if state == verified {
		src, err := inuse.Open(s.files.BlobFile(d))
		if err != nil {
			return err
		}
		defer src.Close()
		if clone(f, src) == nil {
			return nil
		}
		n, err := io.Copy(f, src)
		if err == nil && n != d.Size {
			err = fmt.Errorf("blob %s changed while it was copied", d)
		}
		return err
	}
	src, err := s.Open(ctx, d)
	if err != nil {
		return err
	}
	defer src.Close()
	_, err = io.Copy(f, src)
	return err
}
