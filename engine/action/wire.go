package action

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// MaxMessage is the largest message, in bytes, that a decoder takes. A Tree of
// a million files stays below it; anything larger is no message of ours.
const MaxMessage = 1 << 28

// The wire types of the protocol buffers encoding that messages here use.
// Groups (3 and 4) are refused.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireFixed32 = 5
)

var (
	errTruncated = errors.New("truncated")
	errTwice     = errors.New("field given twice")
)

// The append functions leave out defaults, as proto3 does for fields without
// presence. Messages have presence: appendMessage always writes.

func appendTag(b []byte, field, wire int) []byte {
	return binary.AppendUvarint(b, uint64(field)<<3|uint64(wire))
}

func appendVarint(b []byte, field int, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(appendTag(b, field, wireVarint), v)
}

func appendBool(b []byte, field int, v bool) []byte {
	if !v {
		return b
	}
	return appendVarint(b, field, 1)
}

func appendString[S ~string | ~[]byte](b []byte, field int, s S) []byte {
	if len(s) == 0 {
		return b
	}
	return appendElement(b, field, s)
}

// appendElement writes one element of a repeated string, which is written even
// if it is empty.
func appendElement[S ~string | ~[]byte](b []byte, field int, s S) []byte {
	b = appendTag(b, field, wireBytes)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendMessage writes what body appends as a message. The body is written in
// place and moved by the length of its header, which is cheaper than a buffer
// of its own for messages of the usual size.
func appendMessage(b []byte, field int, body func([]byte) []byte) []byte {
	start := len(b)
	b = body(b)
	size := len(b) - start
	var header [2 * binary.MaxVarintLen64]byte
	h := appendTag(header[:0], field, wireBytes)
	h = binary.AppendUvarint(h, uint64(size))
	b = append(b, h...)
	copy(b[start+len(h):], b[start:start+size])
	copy(b[start:], h)
	return b
}

// appendDigest writes a digest; the zero Digest is an absent message.
func appendDigest(b []byte, field int, d Digest) []byte {
	if d.IsZero() {
		return b
	}
	return appendMessage(b, field, func(b []byte) []byte { return d.appendTo(b) })
}

// appendTime writes a google.protobuf.Timestamp; the zero time is absent.
func appendTime(b []byte, field int, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendMessage(b, field, func(b []byte) []byte {
		b = appendVarint(b, 1, uint64(t.Unix()))
		return appendVarint(b, 2, uint64(t.Nanosecond()))
	})
}

// appendDuration writes a google.protobuf.Duration; zero is absent.
func appendDuration(b []byte, field int, d time.Duration) []byte {
	if d == 0 {
		return b
	}
	return appendMessage(b, field, func(b []byte) []byte {
		b = appendVarint(b, 1, uint64(int64(d/time.Second)))
		return appendVarint(b, 2, uint64(int64(d%time.Second)))
	})
}

// A field is one field of a message as it stands on the wire: num holds a
// varint, data a length-delimited value that aliases the input.
type field struct {
	number int
	wire   int
	num    uint64
	data   []byte
	first  bool // not seen before in this message
}

// A table says what takes each field of a message, by its number. Fields that it
// does not know are left alone: newer servers may add some.
type table [maxField + 1]func(*field) error

// maxField is the largest number of a field that is read.
const maxField = 12

// decode reads the message in b field by field.
func decode(message string, b []byte, known table) error {
	if len(b) > MaxMessage {
		return fmt.Errorf("decode %s: %d bytes are more than a message may have", message, len(b))
	}
	var seen uint64
	var f field // one for all: nobody keeps it
	for len(b) > 0 {
		var rest []byte
		var err error
		f, rest, err = nextField(b)
		if err != nil {
			return fmt.Errorf("decode %s: %w", message, err)
		}
		b = rest
		if f.number > maxField || known[f.number] == nil {
			continue
		}
		f.first = seen&(1<<f.number) == 0
		seen |= 1 << f.number
		if err := known[f.number](&f); err != nil {
			return fmt.Errorf("decode %s: field %d: %w", message, f.number, err)
		}
	}
	return nil
}

// nextField reads one field off b.
func nextField(b []byte) (field, []byte, error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return field{}, nil, errTruncated
	}
	b = b[n:]
	if tag>>3 == 0 || tag>>3 > 1<<29-1 {
		return field{}, nil, fmt.Errorf("field number %d is out of range", tag>>3)
	}
	f := field{number: int(tag >> 3), wire: int(tag & 7)}
	switch f.wire {
	case wireVarint:
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return f, nil, fmt.Errorf("field %d: %w", f.number, errTruncated)
		}
		f.num = v
		return f, b[n:], nil
	case wireBytes:
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return f, nil, fmt.Errorf("field %d: %w", f.number, errTruncated)
		}
		f.data = b[n : n+int(size)]
		return f, b[n+int(size):], nil
	case wireFixed64:
		return skip(f, b, 8)
	case wireFixed32:
		return skip(f, b, 4)
	}
	return f, nil, fmt.Errorf("field %d: wire type %d is not used by any message", f.number, f.wire)
}

func skip(f field, b []byte, n int) (field, []byte, error) {
	if len(b) < n {
		return f, nil, fmt.Errorf("field %d: %w", f.number, errTruncated)
	}
	return f, b[n:], nil
}

// message reads a field that is a message itself, and may be repeated.
func (f *field) message(name string, known table) error {
	if err := f.want(wireBytes); err != nil {
		return err
	}
	return decode(name, f.data, known)
}

// want checks the wire type of a known field.
func (f *field) want(wire int) error {
	if f.wire != wire {
		return fmt.Errorf("wire type %d, want %d", f.wire, wire)
	}
	return nil
}

// once checks a known field that is not repeated. The encoding allows such a
// field twice and lets readers merge; two readers that disagree on what a
// digest covers are worth refusing it.
func (f *field) once(wire int) error {
	if !f.first {
		return errTwice
	}
	return f.want(wire)
}

func (f *field) string(to *string) error {
	if err := f.once(wireBytes); err != nil {
		return err
	}
	*to = string(f.data)
	return nil
}

func (f *field) bytes(to *[]byte) error {
	if err := f.once(wireBytes); err != nil {
		return err
	}
	if len(f.data) > 0 {
		*to = append([]byte(nil), f.data...)
	}
	return nil
}

func (f *field) element(to *[]string) error {
	if err := f.want(wireBytes); err != nil {
		return err
	}
	*to = append(*to, string(f.data))
	return nil
}

func (f *field) bool(to *bool) error {
	if err := f.once(wireVarint); err != nil {
		return err
	}
	*to = f.num != 0
	return nil
}

func (f *field) int64(to *int64) error {
	if err := f.once(wireVarint); err != nil {
		return err
	}
	*to = int64(f.num)
	return nil
}

func (f *field) int32(to *int32) error {
	var v int64
	if err := f.int64(&v); err != nil {
		return err
	}
	if v < math.MinInt32 || v > math.MaxInt32 {
		return fmt.Errorf("%d does not fit 32 bits", v)
	}
	*to = int32(v)
	return nil
}

// digest reads an optional digest. Some servers write "none" as an empty
// message; where a digest is needed its absence is found by the caller.
func (f *field) digest(to *Digest) error {
	if err := f.once(wireBytes); err != nil || len(f.data) == 0 {
		return err
	}
	d, err := UnmarshalDigest(f.data)
	*to = d
	return err
}

func (f *field) time(to *time.Time) error {
	sec, nsec, err := f.secondsNanos("Timestamp")
	if err != nil {
		return err
	}
	// Years 1 to 9999, as the message documents.
	if sec < -62135596800 || sec > 253402300799 || nsec < 0 {
		return fmt.Errorf("time %d s %d ns is out of range", sec, nsec)
	}
	*to = time.Unix(sec, nsec).UTC()
	return nil
}

func (f *field) duration(to *time.Duration) error {
	sec, nsec, err := f.secondsNanos("Duration")
	if err != nil {
		return err
	}
	// One second less than what an int64 of nanoseconds holds.
	if limit := int64(math.MaxInt64/time.Second) - 1; sec > limit || sec < -limit || sec > 0 && nsec < 0 || sec < 0 && nsec > 0 {
		return fmt.Errorf("duration %d s %d ns is out of range", sec, nsec)
	}
	*to = time.Duration(sec)*time.Second + time.Duration(nsec)
	return nil
}

// secondsNanos reads the two fields that Timestamp and Duration share.
func (f *field) secondsNanos(message string) (sec, nsec int64, err error) {
	if err := f.once(wireBytes); err != nil {
		return 0, 0, err
	}
	err = decode(message, f.data, table{
		1: func(f *field) error { return f.int64(&sec) },
		2: func(f *field) error { return f.int64(&nsec) },
	})
	if err == nil && (nsec <= -1e9 || nsec >= 1e9) {
		err = fmt.Errorf("decode %s: %d nanoseconds are more than a second", message, nsec)
	}
	return sec, nsec, err
}
