// Package varint writes numbers and texts one after the other, and reads them.
//
// A number is a uvarint as encoding/binary has it. A text is its length in bytes as a
// number, then its bytes.
package varint

import "encoding/binary"

// AppendText appends a text to b.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// AppendTexts appends the number of texts and the texts to b.
func AppendTexts(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = AppendText(b, s)
	}
	return b
}

// A Reader takes bytes apart. After the first mistake all that it returns is zero.
type Reader struct {
	b   []byte
	bad bool
}

// NewReader returns a Reader of b, which it does not copy.
func NewReader(b []byte) *Reader { return &Reader{b: b} }

// OK reports whether there was no mistake.
func (r *Reader) OK() bool { return !r.bad }

// Done reports whether there was no mistake and nothing is left.
func (r *Reader) Done() bool { return !r.bad && len(r.b) == 0 }

// Rest returns what is left.
func (r *Reader) Rest() []byte { return r.b }

func (r *Reader) fail() { r.b, r.bad = nil, true }

// Number reads a number.
func (r *Reader) Number() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Count reads the number of things that take at least one byte each.
func (r *Reader) Count() int {
	n := r.Number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

// Bytes reads n bytes. They are part of what the Reader reads.
func (r *Reader) Bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

// Text reads a text.
func (r *Reader) Text() string { return string(r.Bytes(r.Number())) }
