package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"github.com/airbuild/airbuild/engine/action"
)

// lockShards is how many files the locks of actions share. They are never
// removed, because removing a lock file while another process opens it would
// give two processes the lock.
const lockShards = 4096

// The first and the longest pause between two tries for a lock that another
// process holds.
const (
	firstPause = 20 * time.Millisecond
	lastPause  = 100 * time.Millisecond
)

// maxJoin is how long Open waits for a process that prunes.
const maxJoin = 2 * time.Minute

// ErrInUse says that Prune found another airbuild at work in the store.
var ErrInUse = errors.New("in use by another airbuild")

// locks are the actions that goroutines of this process hold. A process has a
// shard's file locked as long as it holds any action of that shard, so that two
// actions which happen to share a file do not wait for each other within the
// process; between processes they may, which costs time only.
type locks struct {
	files  layout
	mu     sync.Mutex // guards the maps; never held while waiting
	held   map[action.Digest]chan struct{}
	shards map[uint16]*shard
}

// A shard is one lock file. Its fields belong to who holds turn.
type shard struct {
	turn  chan struct{} // capacity 1
	users int
	file  *flock.Flock
}

// Lock makes the caller the only one, in this process and all others that use
// the store, to do the action with digest key, until it calls unlock (once).
// onWait, which may be nil, is called once if another process has the lock. A
// holder must not call Lock again before it unlocks, for any key: two processes
// that did so could wait for each other for ever. The system frees the locks of
// a process that dies.
func (l *locks) Lock(ctx context.Context, key action.Digest, onWait func()) (unlock func(), err error) {
	release, err := l.hold(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("lock action: %w", err)
	}
	sh := l.shard(key)
	if err := sh.enter(ctx, onWait); err != nil {
		release()
		return nil, fmt.Errorf("lock action: %w", err)
	}
	return func() {
		sh.leave()
		release()
	}, nil
}

// hold excludes other goroutines from key.
func (l *locks) hold(ctx context.Context, key action.Digest) (release func(), err error) {
	for {
		l.mu.Lock()
		busy, ok := l.held[key]
		if !ok {
			done := make(chan struct{})
			if l.held == nil {
				l.held = map[action.Digest]chan struct{}{}
			}
			l.held[key] = done
			l.mu.Unlock()
			return func() {
				l.mu.Lock()
				delete(l.held, key)
				l.mu.Unlock()
				close(done)
			}, nil
		}
		l.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (l *locks) shard(key action.Digest) *shard {
	n := (uint16(key.Hash[0])<<8 | uint16(key.Hash[1])) % lockShards
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shards == nil {
		l.shards = map[uint16]*shard{}
	}
	sh, ok := l.shards[n]
	if !ok {
		name := filepath.Join(l.files.Dir(), "lock", fmt.Sprintf("%03x", n))
		sh = &shard{turn: make(chan struct{}, 1), file: newFlock(name)}
		l.shards[n] = sh
	}
	return sh
}

// enter locks the shard's file for this process, if it is not locked already.
func (sh *shard) enter(ctx context.Context, onWait func()) error {
	select {
	case sh.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-sh.turn }()
	if sh.users == 0 {
		if err := poll(ctx, sh.file.TryLock, onWait); err != nil {
			return err
		}
	}
	sh.users++
	return nil
}

func (sh *shard) leave() {
	sh.turn <- struct{}{}
	defer func() { <-sh.turn }()
	if sh.users--; sh.users == 0 {
		// The file is closed whatever unlocking says, which frees the lock.
		_ = sh.file.Close()
	}
}

// poll calls try until it succeeds. Waiting in the system instead could not be
// ended by ctx.
func poll(ctx context.Context, try func() (bool, error), onWait func()) error {
	for pause := firstPause; ; pause = min(pause*3/2, lastPause) {
		ok, err := try()
		if err != nil || ok {
			return err
		}
		if onWait != nil {
			onWait()
			onWait = nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// newFlock returns the lock on a file that users of one group can share.
func newFlock(name string) *flock.Flock {
	clearPlace(name)
	return flock.New(name, flock.SetPermissions(0o666))
}

// users are the processes that use a store, or the one that prunes it.
type users struct {
	file *flock.Flock // held shared from Open to Close, exclusively by Prune
}

// join takes the store for use, shared with all but Prune.
func (u *users) join() error {
	ctx, cancel := context.WithTimeout(context.Background(), maxJoin)
	defer cancel()
	err := poll(ctx, u.file.TryRLock, nil)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("another airbuild has been pruning it for %v", maxJoin)
	}
	return err
}

// alone runs f while no other process uses the store, or fails with ErrInUse.
// The lock is given up and taken anew, because turning one kind into the other
// is not a single step on any system.
func (u *users) alone(f func() error) error {
	if err := u.file.Unlock(); err != nil {
		return err
	}
	ok, err := u.file.TryLock()
	if err == nil && !ok {
		err = ErrInUse
	}
	if err == nil {
		err = f()
	}
	return errors.Join(err, u.file.Unlock(), u.join())
}
