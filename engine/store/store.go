// Package store keeps blobs by digest (CAS) and results by action (AC) in a
// directory that many airbuild processes share. docs/formats.md gives the
// bytes, the write order and what a crash can leave.
//
//	VERSION          the format, "airbuild-store 1"
//	cas/ab/<sha256>  one blob, read-only; its mtime marks it as verified (mark.go)
//	ac/ab/<sha256>   one entry; its mtime is when it was last used
//	pins/<name>      a pin (pin.go); made with the first one
//	tmp/             files being written; a rename makes them visible
//	lock/            lock files; never removed, always empty
//
// Nothing in the directory is trusted. What does not hold what its name says
// is removed and is a miss; see TakeDamaged.
package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// Version is the content of the VERSION file of a store that this package
// reads and writes. Any other is refused.
const Version = "airbuild-store 1\n"

// A Disk is a store in a directory. Its methods may be called by many
// goroutines, except Prune and Close, which want it to themselves.
type Disk struct {
	layout
	blobs
	entries
	pins
	locks
	damages
	users users
}

// Open opens the store in dir and makes it if there is none. It waits while
// another process prunes. The store must be writable: reading one takes locks
// and marks blobs as verified. Callers must Close it.
func Open(dir string) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := makeStore(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Disk{layout: layout(dir), users: users{newFlock(filepath.Join(dir, "lock", "users"))}}
	mark, err := newMark(filepath.Join(dir, "VERSION"))
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.blobs = blobs{files: s.layout, marks: marks{mark: mark, known: map[action.Digest]time.Time{}}, damages: &s.damages}
	s.entries = entries{files: s.layout, blobs: &s.blobs, damages: &s.damages, now: time.Now}
	s.pins = pins{files: s.layout, entries: &s.entries}
	s.locks = locks{files: s.layout}
	if err := s.users.join(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

// Close lets other processes prune the store.
func (s *Disk) Close() error {
	if err := s.users.file.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.Dir(), err)
	}
	return nil
}

// makeStore makes what a store lacks. The version comes first: a directory of
// another format is left as it is.
func makeStore(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := checkVersion(filepath.Join(dir, "VERSION")); err != nil {
		return err
	}
	clearPlace(filepath.Join(dir, "pruned"))
	for _, d := range []string{"cas", "ac", "tmp", "lock"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o777); err != nil {
			return err
		}
	}
	return nil
}

// clearPlace removes what is in the place of a file of the store that holds
// nothing, and is not a file: a pipe would be waited for.
func clearPlace(name string) {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		_ = os.RemoveAll(name) // what stays is reported by what cannot open it
	}
}

// checkVersion reads the VERSION file, or writes it. A process that died while
// it wrote the file leaves a part of it, which is completed.
func checkVersion(name string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file; remove it, or use another directory", name)
	}
	b, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	switch found := string(b); {
	case found == Version:
		return nil
	case firstLine(found) == firstLine(Version):
		return fmt.Errorf("%s has more than the format %q in it; if no other program uses the directory, remove everything after the first line", name, firstLine(Version))
	case strings.HasPrefix(Version, found):
		return os.WriteFile(name, []byte(Version), 0o666)
	default:
		return fmt.Errorf("its format is %q and this airbuild knows %q only; use another directory, or the airbuild that made it",
			firstLine(found), firstLine(Version))
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line[:min(len(line), 80)]
}
