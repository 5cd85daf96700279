package store

import (
	"crypto/rand"
	"time"
)

// processID is the boot id where the machine gives none: random, so that
// marks hold within this process only.
func processID() (string, error) { return rand.Text(), nil }

// A look is what tells that a blob was verified. On Linux neither a look nor
// reading an entry goes through the os package: a file with a name, a
// finalizer and a place in the poller, for each of ten thousand entries, cost
// as much as the system calls.
type look struct {
	regular bool
	size    int64
	mtime   time.Time
}
