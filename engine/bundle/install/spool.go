package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
)

// A spool keeps packs of a bundle whose import is not at its end, below the
// journal. A file that lies on two volumes can only be stored when both are
// there; with one drive they never are. So of a file that could not be stored
// whole, the packs that were there are kept until the import is done.
type spool struct {
	bundle.Media
	dir string // of the bundle
}

func openSpool(m bundle.Media, cache, digest string) *spool {
	return &spool{m, filepath.Join(journalDir(cache), digest+".packs")}
}

func (s *spool) path(d action.Digest) string { return filepath.Join(s.dir, d.Hex()) }

// Blob opens a blob of the media, or one that was kept. What was kept was
// verified then, and is verified block by block when it is used.
func (s *spool) Blob(ctx context.Context, d action.Digest) (bundle.Blob, error) {
	b, err := s.Media.Blob(ctx, d)
	if bad, _ := format.AsDamage(err); bad == nil {
		return b, err
	}
	f, openErr := files.OpenRegular(s.path(d))
	if openErr != nil {
		return nil, err
	}
	info, statErr := f.Stat()
	if statErr != nil || info.Size() != d.Size {
		f.Close()
		return nil, err
	}
	return media.NewBlob(f, s.path(d), 0, d.Size, f.Close), nil
}

// keep copies a pack, unless it is kept already or is not sound.
func (s *spool) keep(ctx context.Context, d action.Digest) error {
	if info, err := os.Lstat(s.path(d)); err == nil && info.Mode().IsRegular() && info.Size() == d.Size {
		return nil
	}
	src, err := s.Media.Blob(ctx, d)
	if bad, err := format.AsDamage(err); bad != nil || err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	err = files.Write(s.dir, d.Hex(), func(w io.Writer) error {
		bad, err := media.Verify(ctx, src, d, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
		if err == nil && bad != nil {
			err = bad
		}
		return err
	})
	if bad, _ := format.AsDamage(err); bad != nil {
		return nil // it was reported already
	}
	return err
}

// clear removes all.
func (s *spool) clear() error {
	if err := os.RemoveAll(s.dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clear kept packs: %w", err)
	}
	return nil
}
