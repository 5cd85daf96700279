package files

import (
	"context"
	"fmt"
	"time"

	"github.com/gofrs/flock"
)

// Lock waits for a lock until ctx ends.
func Lock(ctx context.Context, name string) (unlock func() error, err error) {
	l := flock.New(name, flock.SetPermissions(0o666))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return l.Close, nil
}
