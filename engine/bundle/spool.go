package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/action"
)

// A spool keeps packs of a bundle whose import is not at its end, below the
// journal. A file that lies on two volumes can only be stored when both are
// there; with one drive they never are. So of a file that could not be stored
// whole, the packs that were there are kept until the import is done.
type spool struct {
	Media
	dir string // of the bundle
}

func openSpool(m Media, cache, digest string) *spool {
	return &spool{m, filepath.Join(journalDir(cache), digest+".packs")}
}

func (s *spool) path(d action.Digest) string { return filepath.Join(s.dir, d.Hex()) }

// Blob opens a blob of the media, or one that was kept. What was kept was
// verified then, and is verified block by block when it is used.
func (s *spool) Blob(ctx context.Context, d action.Digest) (Blob, error) {
	b, err := s.Media.Blob(ctx, d)
	if bad, _ := asDamage(err); bad == nil {
		return b, err
	}
	f, openErr := openRegular(s.path(d))
	if openErr != nil {
		return nil, err
	}
	info, statErr := f.Stat()
	if statErr != nil || info.Size() != d.Size {
		f.Close()
		return nil, err
	}
	return &fileBlob{f, s.path(d), 0, d.Size, f.Close}, nil
}

// keep copies a pack, unless it is kept already or is not sound.
func (s *spool) keep(ctx context.Context, d action.Digest) error {
	if info, err := os.Lstat(s.path(d)); err == nil && info.Mode().IsRegular() && info.Size() == d.Size {
		return nil
	}
	src, err := s.Media.Blob(ctx, d)
	if bad, err := asDamage(err); bad != nil || err != nil {
		return err
	}
	defer src.Close()
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return err
	}
	err = writeFile(s.dir, d.Hex(), func(w io.Writer) error {
		bad, err := hashBlob(ctx, src, d, func(b []byte) error {
			_, err := w.Write(b)
			return err
		})
		if err == nil && bad != nil {
			err = bad
		}
		return err
	})
	if bad, _ := asDamage(err); bad != nil {
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

// keepCut keeps the packs of contents that go over several packs, of which some
// were lost or damaged and others not.
func (m *importer) keepCut(ctx context.Context, bad []*Damage) error {
	lost := map[action.Digest]bool{}
	for _, d := range bad {
		lost[d.Blob] = true
	}
	x, keep := m.b.index, map[int]bool{}
	for i, list := range m.targets {
		c := &x.contents[x.carrier(i)]
		if len(list) == 0 || c.kind != contentPacked || c.digest.Size == 0 {
			continue
		}
		first := x.blocks[x.blockAt(c.start)].pack
		last := x.blocks[x.blockAt(c.start+c.digest.Size-1)].pack
		cut := false
		for pack := first; pack <= last && first < last; pack++ {
			d, err := m.b.pack(pack)
			if err != nil {
				return err
			}
			cut = cut || lost[d]
		}
		for pack := first; pack <= last && cut; pack++ {
			keep[pack] = true
		}
	}
	for pack := range x.packs {
		d, err := m.b.pack(pack)
		if err != nil {
			return err
		}
		if !keep[pack] || lost[d] {
			continue
		}
		if err := m.spool.keep(ctx, d); err != nil {
			return fmt.Errorf("keep a pack for when the others are there: %w", err)
		}
	}
	return nil
}
