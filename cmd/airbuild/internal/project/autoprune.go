package project

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/engine/store"
)

// The cache is pruned after a run, at most once a day, when no other process
// uses it. docs/cli.md tells users of these figures.
const (
	autoPruneEvery = 24 * time.Hour
	autoPruneBytes = 20 << 30
	autoPruneAge   = 90 * 24 * time.Hour
)

// AutoPrune prunes the cache if that is due. The time of the file "pruned" in
// the cache says when it last was; it is set first, so that of several runs
// that end together one does the work. A cache in use is left for the next day.
func (s *Session) AutoPrune(ctx context.Context) error {
	stamp := filepath.Join(s.Store.Dir(), "pruned")
	now := time.Now()
	fi, err := os.Stat(stamp)
	if err == nil && now.Sub(fi.ModTime()).Abs() < autoPruneEvery {
		return nil
	}
	first := errors.Is(err, os.ErrNotExist)
	if err := os.WriteFile(stamp, []byte("The time of this file is when the cache was last pruned.\n"), 0o666); err != nil {
		s.notPruned(err)
		return nil
	}
	if first {
		return nil
	}
	r, err := s.Store.Prune(ctx, store.PruneOptions{MaxBytes: autoPruneBytes, MaxAge: autoPruneAge})
	var pin *store.DamagedPin
	switch {
	case errors.Is(err, store.ErrInUse):
		return nil
	case errors.As(err, &pin):
		s.Options.Notify(fmt.Sprintf("cache: nothing was removed: %v; pin it again, or: airbuild cache unpin %s", pin, human.OneLine(pin.Name)))
		return nil
	}
	if r.Bytes > 0 {
		s.Options.Notify(fmt.Sprintf("cache: removed %s that no run has used for long", human.Bytes(r.Bytes)))
	}
	if err != nil && ctx.Err() == nil {
		s.notPruned(err)
		return nil
	}
	return err
}

// notPruned tells why the cache was not pruned, which is no failure of the run
// that is done.
func (s *Session) notPruned(err error) {
	s.Options.Notify(fmt.Sprintf("notice: the cache was not pruned: %v", err))
}
