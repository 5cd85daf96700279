package store

import (
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/inuse"
)

// damages are what was found damaged and is still to be reported.
type damages struct {
	mu   sync.Mutex // guards list; never held during I/O
	list []*action.Damaged
}

// TakeDamaged returns what was found damaged since the last call, each blob or
// entry once. All of it is removed already.
func (l *damages) TakeDamaged() []*action.Damaged {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := l.list
	l.list = nil
	return list
}

// discard removes a damaged file and remembers it for TakeDamaged. It leaves
// the file alone if it is no longer the one that was looked at: another
// process has replaced it meanwhile. The caller has closed the file: Windows does
// not remove one that is open. What cannot be removed is as bad as before, and
// still never served, so that this is no error of the caller's; d says so.
func (l *damages) discard(name string, seen fs.FileInfo, d *action.Damaged) {
	now, err := os.Lstat(name)
	if err == nil && (seen == nil || os.SameFile(now, seen)) {
		err = inuse.RemoveAll(name) // a folder in the place of a file goes too
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Kept = err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, d)
}
