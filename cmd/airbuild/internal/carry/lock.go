package carry

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// lock waits until this process alone works on what name stands for, or until
// ctx ends. The lock is a file beside it, which stays.
func lock(ctx context.Context, name string) (unlock func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	l := flock.New(name+".lock", flock.SetPermissions(0o666))
	if _, err := l.TryLockContext(ctx, 50*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.Path(), err)
	}
	return l.Close, nil
}

// LockSeries waits until no other process makes a bundle of a series with this
// cache directory.
func LockSeries(ctx context.Context, cache, series string) (unlock func() error, err error) {
	return lock(ctx, MadeDir(cache, series))
}

// MadeDir is where a bundle of a series is made before it is brought to where it
// was asked for.
func MadeDir(cache, series string) string { return Carried(cache, "made", series) }

// LockFetch waits until no other process fetches to or reads from a directory.
func LockFetch(ctx context.Context, dir string) (unlock func() error, err error) {
	return lock(ctx, dir)
}
