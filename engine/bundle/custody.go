package bundle

import (
	"context"
	"io"

	"github.com/airbuild/airbuild/engine/sign"
)

// The kinds of an Event.
const (
	EventCreated  = "created"
	EventVerified = "verified"
	EventWritten  = "written" // to volumes or a directory
	EventImported = "imported"
	EventRebuilt  = "rebuilt"
)

// An Event is one entry of a custody log.
type Event struct {
	Kind    string            `json:"kind"`
	Subject string            `json:"subject"` // what it is about: the bundle, by digest; of "created", the index
	Name    string            `json:"name"`    // of the line of bundles
	Time    string            `json:"time"`    // RFC 3339, UTC, whole seconds
	Actor   string            `json:"actor"`   // who says so
	Details map[string]string `json:"details"`
	// Previous is the SHA-256 of the line before, in hexadecimal; of the first
	// event 64 zeros. Append sets it.
	Previous string `json:"previous"`

	Signers []sign.PublicKey `json:"-"` // set by ReadCustody: trusted keys that signed it
}

// AppendCustody adds an event to the log in a file, which is made if need be,
// and signs it unless key is nil. The log is locked, and was verified to be a
// chain; one line is written and flushed. A line that a crash cut off is taken
// away first.
func AppendCustody(ctx context.Context, file string, e Event, key *sign.SecretKey) error {
	return appendCustody(ctx, file, e, key)
}

// ReadCustody reads a custody log and verifies its chain. Whether an event was
// signed by a trusted key its Signers tell. That the end of a log was cut off
// cannot be seen from the log. Errors wrap ErrRefused and name the line.
func ReadCustody(r io.Reader, trusted ...sign.PublicKey) ([]Event, error) {
	return readCustody(r, trusted)
}

// CustodyFile is the log of a cache directory.
func CustodyFile(cache string) string { return custodyFile(cache) }
