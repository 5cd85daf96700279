package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/gofrs/flock"
)

// Scratch is where steps work: a directory of this process, one below it a
// step. It is removed by Close, and what a killed process left is removed by
// the next one to open the same place.
type Scratch struct {
	dir  string
	lock *flock.Flock
}

// OpenScratch makes a scratch directory below dir, which should be on the
// store's file system so that outputs move there without a copy.
func OpenScratch(dir string) (*Scratch, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("make scratch directory: %w", err)
	}
	removeAbandoned(dir)
	for {
		s, err := claim(dir)
		if err != nil {
			return nil, fmt.Errorf("make scratch directory: %w", err)
		}
		if s != nil {
			return s, nil
		}
	}
}

// claim makes a lock file, locks it, and then the directory that it stands
// for. Another process may take a lock file for abandoned between the first
// two steps and remove it: then there is no claim, and nothing is lost.
func claim(dir string) (*Scratch, error) {
	f, err := os.CreateTemp(dir, "run-*.lock")
	if err != nil {
		return nil, err
	}
	ours, err := f.Stat()
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	l := flock.New(f.Name())
	if err := l.Lock(); err != nil {
		return nil, err
	}
	if there, err := os.Stat(f.Name()); err != nil || !os.SameFile(ours, there) {
		return nil, l.Close()
	}
	own := strings.TrimSuffix(f.Name(), ".lock")
	if err := os.Mkdir(own, 0o777); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &Scratch{dir: own, lock: l}, nil
}

// removeAbandoned removes what processes left that hold their lock no more.
func removeAbandoned(dir string) {
	locks, _ := filepath.Glob(filepath.Join(dir, "run-*.lock"))
	for _, name := range locks {
		l := flock.New(name)
		if ok, err := l.TryLock(); !ok || err != nil {
			l.Close()
			continue
		}
		removeAll(strings.TrimSuffix(name, ".lock"))
		_ = release(name, l) // the next process tries again
	}
}

// release removes a lock file and gives its lock back, in this order: a process
// that waits for the lock must find that the file is gone. Windows does not remove
// a file that is open, and there no other process can remove it in between either.
func release(name string, l *flock.Flock) error {
	err := os.Remove(name)
	if closeErr := l.Close(); closeErr != nil {
		return closeErr
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		err = os.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// New makes an empty directory for one step.
func (s *Scratch) New() (string, error) {
	dir, err := os.MkdirTemp(s.dir, "")
	if err != nil {
		return "", fmt.Errorf("make scratch directory: %w", err)
	}
	return dir, nil
}

// Close removes everything.
func (s *Scratch) Close() error {
	removeAll(s.dir)
	return release(s.dir+".lock", s.lock)
}
