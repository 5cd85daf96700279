// Package store keeps blobs by digest (CAS) and results by action (AC) in a
// directory that many airbuild processes share. docs/formats.md gives the
// bytes, the write order and what a crash can leave.
//
//	VERSION          the format, "airbuild-store 1"
//	cas/ab/<sha256>  one blob, read-only; its mtime is a seal (seal.go)
//	ac/ab/<sha256>   one entry; its mtime is when it was last used
//	pins/<name>      a pin (pin.go); made with the first one
//	tmp/             files being written; a rename makes them visible
//	lock/            lock files; never removed, always empty
//
// Nothing in the directory is trusted. What does not hold what its name says
// is removed and is a miss; see TakeDamaged.
package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"
	"github.com/rogpeppe/go-internal/robustio"

	"github.com/airbuild/airbuild/engine/action"
)

// Version is the content of the VERSION file of a store that this package
// reads and writes. Any other is refused.
const Version = "airbuild-store 1\n"

// A Disk is a store in a directory. Its methods may be called by many
// goroutines, except Prune and Close, which want it to themselves.
type Disk struct {
	// Paranoid has every blob verified by reading it, once a process,
	// whatever its seal says. It is set before the first use.
	Paranoid bool
	// Scope is that of the project which the store is open for. Its results are
	// found before those that count everywhere, and all that is recorded stays in
	// it: what is made from its results deserves no more trust than they do. It is set
	// before the first use.
	Scope Scope
	// Scopes lists the scopes whose results Withheld looks for; nil: none. It is
	// called at most once, and set before the first use.
	Scopes func() []Scope

	dir  string
	seal time.Time
	now  func() time.Time // the clock; tests set it

	scopes sync.Once    // guards found
	found  []Scope      // what Scopes gave
	users  *flock.Flock // held shared from Open to Close, exclusively by Prune
	locks  locks
	heads  sync.Pool // of *[smallBlob]byte, see head

	mu      sync.Mutex // guards what follows; never held during I/O
	known   map[action.Digest]time.Time
	damaged []*action.Damaged
}

// Open opens the store in dir and makes it if there is none. It waits while
// another process prunes. The store must be writable: reading one takes locks
// and renews seals. Callers must Close it.
func Open(dir string) (*Disk, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := makeStore(dir); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s := &Disk{dir: dir, now: time.Now, known: map[action.Digest]time.Time{}}
	if s.seal, err = newSeal(filepath.Join(dir, "VERSION")); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	s.users = newFlock(filepath.Join(dir, "lock", "users"))
	if err := s.join(); err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return s, nil
}

// Close lets other processes prune the store.
func (s *Disk) Close() error {
	if err := s.users.Close(); err != nil {
		return fmt.Errorf("close store %s: %w", s.dir, err)
	}
	return nil
}

// Dir returns the store's absolute directory.
func (s *Disk) Dir() string { return s.dir }

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

// BlobFile is the file that holds the content of d, if the store has it: for
// programs that want a name. It is valid while the store is open, its content
// is checked by Missing, and nobody may write to it.
func (s *Disk) BlobFile(d action.Digest) string { return s.blobPath(d) }

// blobPath and entryPath are the only makers of names in cas and ac. A hash is
// 32 bytes, so no name can lead elsewhere.
func (s *Disk) blobPath(d action.Digest) string  { return s.path("cas", d) }
func (s *Disk) entryPath(d action.Digest) string { return s.path("ac", d) }

func (s *Disk) path(room string, d action.Digest) string {
	const sep = string(filepath.Separator)
	hex := d.Hex()
	return s.dir + sep + room + sep + hex[:2] + sep + hex // s.dir is clean
}

// publish gives the finished temporary file its name. The folder of a new
// prefix is made when it is first needed. Windows refuses to replace a file that
// another process has open, which passes: robustio tries for a while.
func publish(tmp, name string) error {
	err := robustio.Rename(tmp, name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		err = robustio.Rename(tmp, name)
	}
	return err
}

// TakeDamaged returns what was found damaged since the last call, each blob or
// entry once. All of it is removed already.
func (s *Disk) TakeDamaged() []*action.Damaged {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.damaged
	s.damaged = nil
	return d
}

// discard removes a damaged file and remembers it for TakeDamaged. It leaves
// the file alone if it is no longer the one that was looked at: another
// process has replaced it meanwhile. The caller has closed the file: Windows does
// not remove one that is open. What cannot be removed is as bad as before, and
// still never served, so that this is no error of the caller's; d says so.
func (s *Disk) discard(name string, seen fs.FileInfo, d *action.Damaged) {
	now, err := os.Lstat(name)
	if err == nil && (seen == nil || os.SameFile(now, seen)) {
		err = robustio.RemoveAll(name) // a folder in the place of a file goes too
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.Kept = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.damaged = append(s.damaged, d)
	if d.What == "blob" {
		delete(s.known, d.Digest)
	}
}

// Find returns the digest of the blob with this hash, for protocols that name
// blobs by their hash alone. The size is the file's, and the content was not
// looked at: Open and Missing verify it. The error is fs.ErrNotExist if there
// is no such blob.
func (s *Disk) Find(ctx context.Context, sum [sha256.Size]byte) (action.Digest, error) {
	d := action.Digest{Hash: sum}
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	info, err := os.Lstat(s.blobPath(d))
	if err != nil {
		return action.Digest{}, fmt.Errorf("find blob: %w", err)
	}
	if !info.Mode().IsRegular() {
		return action.Digest{}, fmt.Errorf("find blob %s: %w: it is not a regular file", d.Hex(), fs.ErrNotExist)
	}
	d.Size = info.Size()
	return d, nil
}
