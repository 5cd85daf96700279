package relay

import (
	"errors"
	"io/fs"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/store"
)

// linger is how long the store stays open after its last use.
const linger = 3 * time.Second

// A lease has the store open while it is used and a little longer: an open store
// cannot be pruned, and a relay runs for months.
type lease struct {
	dir  string
	make bool // a store that is not there yet

	mu    sync.Mutex // guards what follows; held while the store is opened
	s     *store.Disk
	users int
	idle  *time.Timer
}

func newLease(dir string, writable bool) *lease { return &lease{dir: dir, make: writable} }

// use calls f with the open store, from any number of goroutines at once. The
// error is fs.ErrNotExist if there is no store.
func (l *lease) use(f func(*store.Disk) error) (err error) {
	s, err := l.take()
	if err != nil {
		return err
	}
	defer l.give()
	return f(s)
}

func (l *lease) take() (*store.Disk, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.s == nil {
		if !l.make && !(tree{l.dir}).has("VERSION") {
			return nil, fs.ErrNotExist
		}
		s, err := store.Open(l.dir)
		if err != nil {
			return nil, err
		}
		l.s = s
	}
	if l.idle != nil {
		l.idle.Stop()
		l.idle = nil
	}
	l.users++
	return l.s, nil
}

func (l *lease) give() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users--; l.users == 0 {
		l.idle = time.AfterFunc(linger, l.closeIdle)
	}
}

func (l *lease) closeIdle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == 0 && l.s != nil {
		// What it could not free, the system frees when the process ends.
		_ = l.s.Close()
		l.s = nil
	}
}

func (l *lease) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users > 0 {
		return errors.New("close store: it is in use")
	}
	if l.idle != nil {
		l.idle.Stop()
	}
	if l.s == nil {
		return nil
	}
	err := l.s.Close()
	l.s = nil
	return err
}
