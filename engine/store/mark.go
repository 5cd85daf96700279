package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// marks tell which blobs need not be verified again.
//
// A blob gets a mark when its content was verified: its modification time is set to
// one that is a function of this boot of the machine and of this very store directory.
// So a blob with the right size and mark need not be read again, and one that was
// written to, was restored from a copy, or lived through a crash of the machine must
// be.
//
// A mark does not notice bytes that rot on the disk while the machine runs, nor
// someone who sets times on purpose: reading a blob through Open hashes it
// always, and Verify hashes all.
type marks struct {
	// Paranoid has every blob verified by reading it, once a process,
	// whatever its mark says. It is set before the first use.
	Paranoid bool

	mark time.Time

	mu    sync.Mutex // guards known; never held during I/O
	known map[action.Digest]time.Time
}

// newMark computes the mark of the store with the given VERSION file. The file
// stands for the directory: a copy of it has another inode or change time.
func newMark(version string) (time.Time, error) {
	boot, err := bootID()
	if err != nil {
		return time.Time{}, fmt.Errorf("identify this boot: %w", err)
	}
	info, err := os.Lstat(version)
	if err != nil {
		return time.Time{}, err
	}
	h := sha256.Sum256([]byte("airbuild seal 1\n" + boot + "\n" + fileIdentity(info)))
	// Whole even seconds between September 2001 and September 2035: a time
	// that every file system can hold.
	return time.Unix(1_000_000_000+2*int64(binary.BigEndian.Uint32(h[:])>>3), 0), nil
}

// trusts reports whether a blob of d's size with this modification time was
// verified: it bears the mark, or this process has verified it with this time
// and could not set the mark (the file belongs to another user).
func (m *marks) trusts(d action.Digest, mtime time.Time) bool {
	if mtime.Equal(m.mark) && !m.Paranoid {
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	known, ok := m.known[d]
	return ok && known.Equal(mtime)
}

// verified records that the blob, whose modification time was mtime before it
// was read, was verified. A blob that was written to meanwhile gets no mark.
// Failing to set the time costs other processes time only.
func (m *marks) verified(d action.Digest, name string, mtime time.Time) {
	if mtime.Equal(m.mark) {
		m.remember(d, mtime)
		return
	}
	if info, err := os.Lstat(name); err != nil || !info.ModTime().Equal(mtime) {
		return
	}
	if os.Chtimes(name, time.Time{}, m.mark) == nil {
		mtime = m.mark
	}
	m.remember(d, mtime)
}

// remember notes that this process has verified a blob that has this
// modification time, where the mark alone does not say so.
func (m *marks) remember(d action.Digest, mtime time.Time) {
	if mtime.Equal(m.mark) && !m.Paranoid {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known[d] = mtime
}

// forget takes back what remember noted.
func (m *marks) forget(d action.Digest) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.known, d)
}
