// Package custody keeps the log of who had a bundle in hand: a chain of signed
// events, one a line.
package custody

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/sign"
)

// The kinds of an Event.
const (
	Created  = "created"
	Verified = "verified"
	Written  = "written" // to volumes or a directory
	Imported = "imported"
	Rebuilt  = "rebuilt"
)

// An Event is one entry of a custody log.
type Event struct {
	Kind    string            `json:"kind"`
	Subject string            `json:"subject"` // what it is about: the bundle, by digest; of "created", the index
	Name    string            `json:"name"`    // of the series of bundles
	Time    string            `json:"time"`    // RFC 3339, UTC, whole seconds
	Actor   string            `json:"actor"`   // who says so
	Details map[string]string `json:"details"`
	// Previous is the SHA-256 of the line before, in hexadecimal; of the first
	// event 64 zeros. Append sets it.
	Previous string `json:"previous"`

	Signers []sign.PublicKey `json:"-"` // set by Read: trusted keys that signed it
}

// EventType is the payload type of the envelopes that events are in.
const EventType = "application/vnd.airbuild.event.v1+json"

// maxEvent bounds one line of a log, in bytes.
const maxEvent = 1 << 20

var noPrevious = strings.Repeat("0", 64)

// Encode returns the line of an event: a DSSE envelope around its canonical
// JSON, and a line feed. previous is linkTo of the line before, empty for the
// first.
func Encode(e Event, previous string, key *sign.SecretKey) ([]byte, error) {
	e.Previous = previous
	if previous == "" {
		e.Previous = noPrevious
	}
	if e.Details == nil {
		e.Details = map[string]string{}
	}
	if err := e.check(); err != nil {
		return nil, err
	}
	payload, err := format.EncodeCanonical(e)
	if err != nil {
		return nil, err
	}
	var keys []*sign.SecretKey
	if key != nil {
		keys = append(keys, key)
	}
	envelope, err := sign.NewEnvelope(EventType, payload, keys...)
	if err != nil {
		return nil, err
	}
	line, err := envelope.Encode()
	if err == nil && len(line) >= maxEvent {
		err = fmt.Errorf("event has %d bytes; %d are allowed", len(line), maxEvent)
	}
	return append(line, '\n'), err
}

func (e *Event) check() error {
	switch e.Kind {
	case Created, Verified, Written, Imported, Rebuilt:
	default:
		return format.Refusef("event has the unknown kind %.40q", e.Kind)
	}
	if at, err := time.Parse(time.RFC3339, e.Time); err != nil || at.UTC().Format(time.RFC3339) != e.Time {
		return format.Refusef("event's time %.40q is not RFC 3339 in UTC", e.Time)
	}
	if _, err := action.ParseHash(e.Previous); err != nil {
		return format.Refusef("event's link: %w", err)
	}
	if e.Details == nil {
		return format.Refusef("event has no details")
	}
	return nil
}

// linkTo is what the event after a line has as Previous.
func linkTo(line []byte) string {
	d := action.Of(line)
	return hex.EncodeToString(d.Hash[:])
}

func decodeEvent(line []byte, trusted []sign.PublicKey) (Event, error) {
	var e Event
	envelope, err := sign.ParseEnvelope(line)
	if err != nil {
		return e, format.Refusef("%w", err)
	}
	if again, err := envelope.Encode(); err != nil || !bytes.Equal(again, line) {
		return e, format.Refusef("it is not in its canonical form")
	}
	if envelope.PayloadType != EventType {
		return e, format.Refusef("it is of the type %.80q", envelope.PayloadType)
	}
	if err := format.DecodeCanonical(envelope.Payload, &e); err != nil {
		return e, format.Refusef("%w", err)
	}
	if err := e.check(); err != nil {
		return e, err
	}
	// Too few signatures are not an error: the caller decides.
	e.Signers, _ = envelope.Verify(1, trusted...)
	return e, nil
}

// Read reads a custody log and verifies its chain. The Signers of an
// event are the trusted keys that signed it. That the end of a log was cut off
// cannot be seen from the log. Errors wrap ErrRefused and name the line.
func Read(r io.Reader, trusted ...sign.PublicKey) ([]Event, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	lines.Split(wholeLines)
	var list []Event
	previous := noPrevious
	for lines.Scan() {
		n := len(list) + 1
		line := lines.Bytes()
		if line[len(line)-1] != '\n' {
			return list, format.Refusef("line %d is cut off", n)
		}
		e, err := decodeEvent(line[:len(line)-1], trusted)
		if err != nil {
			return list, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Previous != previous {
			return list, format.Refusef("line %d does not follow the line before: one was changed, added or taken away", n)
		}
		previous = linkTo(line[:len(line)-1])
		list = append(list, e)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return list, format.Refusef("line %d is longer than %d bytes", len(list)+1, maxEvent)
	} else if err != nil {
		return list, fmt.Errorf("read custody log: %w", err)
	}
	return list, nil
}

// wholeLines splits into lines with their line feeds.
func wholeLines(data []byte, atEOF bool) (int, []byte, error) {
	if i := bytes.IndexByte(data, '\n'); i >= 0 {
		return i + 1, data[:i+1], nil
	}
	if atEOF && len(data) > 0 {
		return len(data), data, nil
	}
	return 0, nil, nil
}

// Append adds an event to the log in a file, which is made if need be,
// and signs it unless key is nil. The log is locked, and was verified to be a
// chain; one line is written and flushed. A line that a crash cut off is taken
// away first.
func Append(ctx context.Context, file string, e Event, key *sign.SecretKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("custody log: %w", err)
	}
	unlock, err := files.Lock(ctx, file+".lock")
	if err != nil {
		return fmt.Errorf("custody log: %w", err)
	}
	err = appendLocked(file, e, key)
	if err := errors.Join(err, unlock()); err != nil {
		return fmt.Errorf("custody log %s: %w", file, err)
	}
	return nil
}

func appendLocked(file string, e Event, key *sign.SecretKey) error {
	old, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	whole := old[:bytes.LastIndexByte(old, '\n')+1]
	if _, err := Read(bytes.NewReader(whole)); err != nil {
		return fmt.Errorf("%w. Move it away, and keep it", err)
	}
	previous := ""
	if len(whole) > 0 {
		lines := whole[:len(whole)-1]
		previous = linkTo(lines[bytes.LastIndexByte(lines, '\n')+1:])
	}
	line, err := Encode(e, previous, key)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = f.Truncate(int64(len(whole)))
	if err == nil {
		_, err = f.WriteAt(line, int64(len(whole)))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// File is the log of a cache directory.
func File(cache string) string { return filepath.Join(cache, "carried", "custody.log") }

// Limit takes the signers away from events for which ring does not trust them, and
// says why for each event that has lost one, by its place in the log.
func Limit(events []Event, ring *sign.Keyring) map[int]error {
	limits := map[int]error{}
	for i := range events {
		e := &events[i]
		e.Signers = slices.DeleteFunc(e.Signers, func(key sign.PublicKey) bool {
			why := ring.Check(key, sign.Need{Purpose: sign.Custody, Series: e.Name})
			if why != nil {
				limits[i] = why
			}
			return why != nil
		})
	}
	return limits
}
