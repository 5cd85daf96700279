package carry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/create"
	"github.com/airbuild/airbuild/engine/store"
)

// Old are the contents of a store that the receiver of a delta has as well: what
// was made here before, and carried then. A delta says of new contents how they
// come of those.
func Old(ctx context.Context, s *store.Disk, base *create.Base) ([]create.Input, error) {
	root := filepath.Join(s.Dir(), "cas")
	folders, err := os.ReadDir(root)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for older contents: %w", err)
	}
	var out []create.Input
	for _, folder := range folders {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		blobs, err := os.ReadDir(filepath.Join(root, folder.Name()))
		if err != nil {
			return nil, fmt.Errorf("look for older contents: %w", err)
		}
		for _, file := range blobs {
			hash, err := action.ParseHash(file.Name())
			if err != nil || !base.Has(action.Digest{Hash: hash}) {
				continue
			}
			d, err := s.Find(ctx, hash)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("look for older contents: %w", err)
			}
			out = append(out, create.Input{Path: blob(d), Digest: d,
				Open: func(ctx context.Context) (io.ReadCloser, error) { return s.Open(ctx, d) }})
		}
	}
	return out, nil
}
