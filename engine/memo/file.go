package memo

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/airbuild/airbuild/internal/frames"
	"github.com/airbuild/airbuild/internal/varint"
)

// fileMagic begins the file; a reader that finds another one starts empty.
//
// The file is append-only: the magic, then frames (package frames). Each body
// has a table of observations and entries that name them by number, so that what
// many entries depend on is there once:
//
//	body:         uvarint number of observations, observations,
//	              uvarint number of entries, entries
//	observation:  kind, text: path, then of kinds f, x, d and s 32 bytes SHA-256
//	entry:        32 bytes query, text: value, uvarint number of observations,
//	              of each the uvarint distance from the number before, the first
//	              from 0
//
// A text is its length as a uvarint, then its bytes. Of two entries of one query
// the later counts. A process appends one frame, in one write. A frame that is cut
// off, does not match its checksum or does not decode ends the reading, and the
// next Save rewrites the file with what its own process used, as it does when the
// file has grown to three times that.
const fileMagic = "airbuild-answers-2\n"

// decodeFile adds the entries of b, the content of a file with that magic, and reports
// whether it is whole. Of one that is damaged, the entries of the frames before the
// damage have been added.
func decodeFile(b []byte, magic string, entries map[Query]*entry) bool {
	return frames.Decode(b, magic, func(body []byte) bool { return decodeBody(body, entries) })
}

func readHash(r *varint.Reader) (h [sha256.Size]byte) {
	copy(h[:], r.Bytes(sha256.Size))
	return h
}

func decodeBody(body []byte, entries map[Query]*entry) bool {
	r := varint.NewReader(body)
	text := string(body) // the paths point into it: one copy instead of thousands
	list := make([]dependency, r.Count())
	table := make([]*dependency, len(list))
	for i := range list {
		if kind := r.Bytes(1); r.OK() {
			list[i].kind = kind[0]
		}
		length := len(r.Bytes(r.Number()))
		end := len(text) - len(r.Rest())
		list[i].path = text[end-length : end]
		if list[i].hashed() {
			list[i].hash = readHash(r)
		}
		table[i] = &list[i]
	}
	found := map[Query]*entry{}
	for n := r.Count(); n > 0 && r.OK(); n-- {
		q := Query(readHash(r))
		e := &entry{table: table, value: r.Bytes(r.Number())}
		e.n = r.Count()
		rest, last := r.Rest(), uint64(0)
		for range e.n {
			last += r.Number()
			if last >= uint64(len(table)) {
				return false
			}
		}
		e.numbers = rest[:len(rest)-len(r.Rest())]
		found[q] = e
	}
	if !r.Done() {
		return false
	}
	maps.Copy(entries, found)
	return true
}

// each calls f for the entry's dependencies until it returns false.
func (e *entry) each(f func(*dependency) bool) {
	last := uint64(0)
	for b := e.numbers; len(b) > 0; {
		distance, n := binary.Uvarint(b)
		if n <= 0 {
			return // not reached: the numbers were read when the frame was
		}
		b = b[n:]
		if last += distance; !f(e.table[last]) {
			return
		}
	}
}

// encodeBody returns a body of entries by query; name says how a path is
// written.
func encodeBody(entries map[Query]*entry, name func(string) string) []byte {
	queries := slices.SortedFunc(maps.Keys(entries), func(a, b Query) int { return bytes.Compare(a[:], b[:]) })
	number := map[observation]int{}
	var table []byte
	var list []byte
	for _, q := range queries {
		e := entries[q]
		ids := make([]int, 0, e.n)
		e.each(func(d *dependency) bool {
			id, ok := number[d.observation]
			if !ok {
				id = len(number)
				number[d.observation] = id
				table = varint.AppendText(append(table, d.kind), name(d.path))
				if d.hashed() {
					table = append(table, d.hash[:]...)
				}
			}
			ids = append(ids, id)
			return true
		})
		slices.Sort(ids)
		list = append(list, q[:]...)
		list = varint.AppendText(list, string(e.value))
		list = binary.AppendUvarint(list, uint64(len(ids)))
		last := 0
		for _, id := range ids {
			list = binary.AppendUvarint(list, uint64(id-last))
			last = id
		}
	}
	body := binary.AppendUvarint(nil, uint64(len(number)))
	body = append(body, table...)
	body = binary.AppendUvarint(body, uint64(len(queries)))
	return append(body, list...)
}

// The file may be this many times as large as what one process uses of it, and
// this much larger, in bytes, before it is rewritten.
const (
	fileSlack = 3
	fileMin   = 256 << 10
)

// Save appends new entries to the file, or rewrites it with what this process
// used and the new ones.
func (m *Memo) Save() error {
	m.load()
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.body(func(e *entry) bool { return e.fresh })
	if b == nil {
		return nil
	}
	used := m.body(func(e *entry) bool { return e.used || e.fresh })
	size := m.size + int64(frames.HeaderSize+len(b))
	var err error
	if m.damaged || size > fileSlack*int64(frames.HeaderSize+len(used))+fileMin {
		size = int64(len(fileMagic) + frames.HeaderSize + len(used))
		err = frames.Replace(m.file, fileMagic, used)
	} else {
		err = frames.Append(m.file, b)
	}
	if err != nil {
		return fmt.Errorf("save remembered inputs: %w", err)
	}
	m.size, m.damaged = size, false
	for _, e := range m.entries {
		e.fresh = false
	}
	return nil
}

// body encodes the entries that keep chooses; nil if there are none.
func (m *Memo) body(keep func(*entry) bool) []byte {
	kept := map[Query]*entry{}
	for q, e := range m.entries {
		if keep(e) {
			kept[q] = e
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return encodeBody(kept, func(p string) string { return p })
}
