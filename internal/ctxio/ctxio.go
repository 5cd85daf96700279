// Package ctxio has readers and pauses that end with a context.
package ctxio

import (
	"context"
	"io"
	"time"
)

// Reader returns a reader of r that fails with the context's error as soon as
// ctx ends: copying a large file can be interrupted between two reads.
func Reader(ctx context.Context, r io.Reader) io.Reader { return &reader{ctx, r} }

// A reader lives no longer than the call that made it, which is why it may hold
// a context.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// Wait returns after d, or with the context's error when ctx ends before.
func Wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
