package store

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"

	"github.com/airbuild/airbuild/engine/action"
)

// Find returns the digest of the blob with this hash, for protocols that name
// blobs by their hash alone. The size is the file's, and the content was not
// looked at: Open and Missing verify it. The error is fs.ErrNotExist if there
// is no such blob.
func (s *Disk) Find(ctx context.Context, sum [sha256.Size]byte) (action.Digest, error) {
	d := action.Digest{Hash: sum}
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	info, err := os.Lstat(s.blobPath(d))
	if err != nil {
		return action.Digest{}, fmt.Errorf("find blob: %w", err)
	}
	if !info.Mode().IsRegular() {
		return action.Digest{}, fmt.Errorf("find blob %s: %w: it is no regular file", d.Hex(), fs.ErrNotExist)
	}
	d.Size = info.Size()
	return d, nil
}
