package contents

import (
	"cmp"
	"context"
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// ReadVerified reads all of a content, which is at most format.MaxPatchBase, and
// verifies it.
func ReadVerified(ctx context.Context, open func(context.Context) (io.ReadCloser, error), d action.Digest) ([]byte, error) {
	r, err := open(ctx)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, d.Size)
	c := VerifyReader(ctxio.Reader(ctx, r), d)
	if _, err := io.ReadFull(c, b); err != nil {
		return nil, err
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF {
		return nil, cmp.Or(err, format.Refusef("content has more bytes than its digest says"))
	}
	return b, nil
}
