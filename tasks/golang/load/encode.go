package load

import "encoding/binary"

// Values are sequences of strings, lists and bytes. A string or list begins
// with its length as a uvarint.

func putString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func putList(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = putString(b, s)
	}
	return b
}

// A decoder reads a value. Once it is not ok, all that it returns is empty.
type decoder struct {
	s  string
	ok bool
}

func newDecoder(s string) *decoder { return &decoder{s, true} }

// done reports whether all was read, and nothing missing.
func (d *decoder) done() bool { return d.ok && d.s == "" }

func (d *decoder) count() int {
	var n uint64
	for i := 0; i < len(d.s) && i < 5; i++ {
		c := d.s[i]
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			d.s = d.s[i+1:]
			if n > uint64(len(d.s)) {
				break
			}
			return int(n)
		}
	}
	d.ok, d.s = false, ""
	return 0
}

func (d *decoder) str() string {
	n := d.count()
	s := d.s[:n]
	d.s = d.s[n:]
	return s
}

func (d *decoder) list() []string {
	n := d.count()
	if n == 0 {
		return nil
	}
	out := make([]string, 0, n)
	for range n {
		out = append(out, d.str())
	}
	if !d.ok {
		return nil
	}
	return out
}

func (d *decoder) byte() byte {
	if d.s == "" {
		d.ok = false
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func encodeFact(f *fact) []byte {
	b := putString(nil, f.bad)
	b = putString(b, f.constraint)
	b = putList(b, f.plus)
	b = putString(b, f.pkg)
	b = putList(b, f.imports)
	b = putList(b, f.cgo)
	b = putList(b, f.embeds)
	return putList(b, f.debug)
}

func decodeFact(b string) (*fact, bool) {
	d := newDecoder(b)
	f := &fact{
		bad: d.str(), constraint: d.str(), plus: d.list(), pkg: d.str(),
		imports: d.list(), cgo: d.list(), embeds: d.list(), debug: d.list(),
	}
	return f, d.done()
}

func encodeEntries(list []entry) []byte {
	b := binary.AppendUvarint(nil, uint64(len(list)))
	for _, e := range list {
		b = append(putString(b, e.name), byte(e.kind))
		b = putString(b, e.fact)
	}
	return b
}

func decodeEntries(b string) ([]entry, bool) {
	d := newDecoder(b)
	n := d.count()
	out := make([]entry, 0, n)
	for range n {
		out = append(out, entry{name: d.str(), kind: kind(d.byte()), fact: d.str()})
	}
	return out, d.done()
}
