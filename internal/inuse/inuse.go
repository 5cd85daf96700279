// Package inuse reads, replaces and removes files that another program may have open.
//
// On Windows that fails as long as the other program has the file: a virus scanner,
// an indexer or another airbuild for moments, a running program for as long as it
// runs. Calls here try again for a while, and what is left is an error that says so.
// On macOS a rename may report a file as missing that is there while another process
// reads the one to be replaced; it is tried again too. Elsewhere the calls are those
// of os and os.Root.
package inuse

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"
)

// ErrInUse is in the chain of errors about a file that another program has open.
var ErrInUse = errors.New("another program has it open; close that program, then run again")

// patience is how long a file may stay in use; that of the go command.
const patience = 2 * time.Second

// A directory is where names are looked up: an *os.Root, or anywhere for host.
type directory interface {
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	Lstat(name string) (fs.FileInfo, error)
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
}

// host takes names as the system does.
type host struct{}

func (host) Rename(from, to string) error           { return os.Rename(from, to) }
func (host) Remove(name string) error               { return os.Remove(name) }
func (host) RemoveAll(name string) error            { return os.RemoveAll(name) }
func (host) Lstat(name string) (fs.FileInfo, error) { return os.Lstat(name) }
func (host) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	return os.OpenFile(name, flag, perm)
}

// Rename renames a file or directory and replaces a file that has the new name.
func Rename(from, to string) error { return rename(host{}, from, to) }

// RenameIn renames a file of dir and replaces a file that has the new name.
func RenameIn(dir *os.Root, from, to string) error { return rename(dir, from, to) }

func rename(dir directory, from, to string) error {
	return explain(dir, to, retry(func() error { return dir.Rename(from, to) }, func(err error) bool {
		return mayPass(err) || renamesMiss && missesInVain(dir, from, to, err)
	}))
}

// missesInVain reports whether a rename did not find its files although they are
// there.
func missesInVain(dir directory, from, to string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, fromErr := dir.Lstat(from)
	_, toErr := dir.Lstat(filepath.Dir(to))
	return fromErr == nil && toErr == nil
}

// RemoveIn removes a file or an empty directory of dir.
func RemoveIn(dir *os.Root, name string) error {
	return explain(dir, name, retry(func() error { return dir.Remove(name) }, mayPass))
}

// RemoveAll removes a file or a directory and everything in it.
func RemoveAll(name string) error { return removeAll(host{}, name) }

// RemoveAllIn removes a file or directory of dir and everything in it.
func RemoveAllIn(dir *os.Root, name string) error { return removeAll(dir, name) }

func removeAll(dir directory, name string) error {
	return explain(dir, name, retry(func() error { return dir.RemoveAll(name) }, mayPass))
}

// Do calls f, which only reads, again while another program keeps it from that.
func Do(f func() error) error {
	err := retry(f, mayPass)
	if err != nil && inUse(err) {
		return fmt.Errorf("%w (%w)", ErrInUse, err)
	}
	return err
}

// Open opens a file for reading. On Windows that fails while another process
// replaces the file.
func Open(name string) (f *os.File, err error) {
	err = Do(func() (err error) {
		f, err = os.Open(name)
		return err
	})
	return f, err
}

// ReadFile reads a whole file; see Open.
func ReadFile(name string) (b []byte, err error) {
	err = Do(func() (err error) {
		b, err = os.ReadFile(name)
		return err
	})
	return b, err
}

// retry calls f until it succeeds, fails with an error that again does not hold for
// temporary, or patience is at its end.
func retry(f func() error, again func(error) bool) error {
	var first time.Time
	pause := time.Millisecond
	for {
		err := f()
		if err == nil || !again(err) {
			return err
		}
		if first.IsZero() {
			first = time.Now()
		} else if time.Since(first)+pause >= patience {
			return err
		}
		time.Sleep(pause)
		pause += rand.N(pause)
	}
}

// explain adds what an error about a file means.
func explain(dir directory, name string, err error) error {
	if err == nil || !held(dir, name, err) {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrInUse, err)
}
