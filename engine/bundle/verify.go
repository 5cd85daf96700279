package bundle

import (
	"context"

	"github.com/airbuild/airbuild/engine/action"
)

// VerifyOptions say how thoroughly.
type VerifyOptions struct {
	// Deep decompresses everything and hashes each file's content too. Without,
	// each blob is hashed: whoever trusts the signers needs no more.
	Deep     bool
	Jobs     int
	Progress ProgressFunc
}

// A Report is what Verify found.
type Report struct {
	Blobs   int
	Bytes   int64 // of the blobs that were read
	Damage  []*Damage
	Custody []Event // that the bundle carries, verified with the bundle's trust
	Missing []action.Digest
	// Unmade is how many contents, of how many bytes, are made of what the
	// receiver has. What to do to it was verified like all else that is carried;
	// what comes of it is verified by the import.
	Unmade      int
	UnmadeBytes int64
}

// OK reports whether all was as it should be.
func (r *Report) OK() bool { return len(r.Damage) == 0 }

// Verify reads every blob and reports all that is wrong. The error is for what
// kept it from going on; damage is none.
func (b *Bundle) Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	return b.verify(ctx, o)
}
