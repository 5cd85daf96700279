// Package inuse reads, replaces and removes files that another program may have open.
//
// On Windows that fails as long as the other program has the file: a virus scanner,
// an indexer or another airbuild for moments, a running program for as long as it
// runs. Calls here try again for a while, as those of robustio do, and what is left
// is an error that says so. Elsewhere they are the calls of os and os.Root.
package inuse

import (
	"errors"
	"fmt"
	"os"
)

// ErrInUse is in the chain of errors about a file that another program has open.
var ErrInUse = errors.New("another program has it open; close that program, then run again")

// Rename renames a file of dir and replaces what has the new name.
func Rename(dir *os.Root, from, to string) error {
	return explain(dir, to, retry(func() error { return dir.Rename(from, to) }))
}

// Remove removes a file or an empty directory of dir.
func Remove(dir *os.Root, name string) error {
	return explain(dir, name, retry(func() error { return dir.Remove(name) }))
}

// RemoveAll removes a file or directory of dir and everything in it.
func RemoveAll(dir *os.Root, name string) error {
	return explain(dir, name, retry(func() error { return dir.RemoveAll(name) }))
}

// Do calls f, which only reads, again while another program keeps it from that.
func Do(f func() error) error {
	err := retry(f)
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

// explain adds what an error about a file means.
func explain(dir *os.Root, name string, err error) error {
	if err == nil || !held(dir, name, err) {
		return err
	}
	return fmt.Errorf("%w (%w)", ErrInUse, err)
}
