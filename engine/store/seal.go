package store

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// A seal is the modification time that a blob gets after its content was
// verified. It is a function of this boot of the machine and of this very
// store directory, so that a blob with the right size and seal need not be
// read again, and one that was written to, was restored from a copy, or lived
// through a crash of the machine must be.
//
// It does not notice bytes that rot on the disk while the machine runs, nor
// someone who sets times on purpose: reading a blob through Open hashes it
// always, and Verify hashes all.

// newSeal computes the seal of the store with the given VERSION file. The file
// stands for the directory: a copy of it has another inode or change time.
func newSeal(version string) (time.Time, error) {
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
// verified: it bears the seal, or this process has verified it with this time
// and could not set the seal (the file belongs to another user).
func (s *Disk) trusts(d action.Digest, mtime time.Time) bool {
	if mtime.Equal(s.seal) && !s.Paranoid {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	known, ok := s.known[d]
	return ok && known.Equal(mtime)
}

// sealBlob records that the blob, whose modification time was mtime before it
// was read, was verified. A blob that was written to meanwhile gets no seal.
// Failing to set the time costs other processes time only.
func (s *Disk) sealBlob(d action.Digest, name string, mtime time.Time) {
	if mtime.Equal(s.seal) {
		s.remember(d, mtime)
		return
	}
	if info, err := os.Lstat(name); err != nil || !info.ModTime().Equal(mtime) {
		return
	}
	if os.Chtimes(name, time.Time{}, s.seal) == nil {
		mtime = s.seal
	}
	s.remember(d, mtime)
}

// remember notes that this process has verified a blob that has this
// modification time, where the seal alone does not say so.
func (s *Disk) remember(d action.Digest, mtime time.Time) {
	if mtime.Equal(s.seal) && !s.Paranoid {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[d] = mtime
}
