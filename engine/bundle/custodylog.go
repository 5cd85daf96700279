package bundle

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
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sign"
)

// EventType is the payload type of the envelopes that events are in.
const EventType = "application/vnd.airbuild.event.v1+json"

// maxEvent bounds one line of a log, in bytes.
const maxEvent = 1 << 20

var noPrevious = strings.Repeat("0", 64)

// encodeEvent returns the line of an event: a DSSE envelope around its
// canonical JSON, and a line feed.
func encodeEvent(e Event, previous string, key *sign.SecretKey) ([]byte, error) {
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
	payload, err := encodeCanonical(e)
	if err != nil {
		return nil, err
	}
	var keys []*sign.SecretKey
	if key != nil {
		keys = append(keys, key)
	}
	envelope, err := sign.Seal(EventType, payload, keys...)
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
	case EventCreated, EventVerified, EventWritten, EventImported, EventRebuilt:
	default:
		return refusef("event has the unknown kind %.40q", e.Kind)
	}
	if at, err := time.Parse(time.RFC3339, e.Time); err != nil || at.UTC().Format(time.RFC3339) != e.Time {
		return refusef("event's time %.40q is not RFC 3339 in UTC", e.Time)
	}
	if _, err := action.ParseHash(e.Previous); err != nil {
		return refusef("event's link: %w", err)
	}
	if e.Details == nil {
		return refusef("event has no details")
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
		return e, refusef("%w", err)
	}
	if again, err := envelope.Encode(); err != nil || !bytes.Equal(again, line) {
		return e, refusef("it is not in its canonical form")
	}
	if envelope.PayloadType != EventType {
		return e, refusef("it is of the type %.80q", envelope.PayloadType)
	}
	if err := decodeCanonical(envelope.Payload, &e); err != nil {
		return e, refusef("%w", err)
	}
	if err := e.check(); err != nil {
		return e, err
	}
	// Too few signatures are no error: the caller decides.
	e.Signers, _ = envelope.Verify(1, trusted...)
	return e, nil
}

func readCustody(r io.Reader, trusted []sign.PublicKey) ([]Event, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxEvent)
	lines.Split(wholeLines)
	var list []Event
	previous := noPrevious
	for lines.Scan() {
		n := len(list) + 1
		line := lines.Bytes()
		if line[len(line)-1] != '\n' {
			return list, refusef("line %d is cut off", n)
		}
		e, err := decodeEvent(line[:len(line)-1], trusted)
		if err != nil {
			return list, fmt.Errorf("line %d: %w", n, err)
		}
		if e.Previous != previous {
			return list, refusef("line %d does not follow the line before: one was changed, added or taken away", n)
		}
		previous = linkTo(line[:len(line)-1])
		list = append(list, e)
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return list, refusef("line %d is longer than %d bytes", len(list)+1, maxEvent)
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

func appendCustody(ctx context.Context, file string, e Event, key *sign.SecretKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return fmt.Errorf("custody log: %w", err)
	}
	unlock, err := lockFile(ctx, file+".lock")
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
	if _, err := readCustody(bytes.NewReader(whole), nil); err != nil {
		return fmt.Errorf("%w. Move it away, and keep it", err)
	}
	previous := ""
	if len(whole) > 0 {
		lines := whole[:len(whole)-1]
		previous = linkTo(lines[bytes.LastIndexByte(lines, '\n')+1:])
	}
	line, err := encodeEvent(e, previous, key)
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

// Custody reads the log that the bundle carries, with the events signed by the
// keys that the bundle was opened with. It is nil if there is none.
func (b *Bundle) Custody() ([]Event, error) {
	return readCustody(bytes.NewReader(b.custody), b.signers)
}
