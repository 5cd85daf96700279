package load

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// Facts remember what files say, by content, from Load to Load. They may be
// used by several goroutines. The zero value remembers until it is dropped.
//
// The file is
//
//	airbuild facts <version> <version of Go that parsed>\n
//	record…
//
// and a record is
//
//	4 bytes   CRC-32C of the rest of the record, little-endian
//	24 bytes  key: what kind of fact, then SHA-256 of what it is about, cut
//	uvarint   length of the value
//	value
//
// A record is written once: its key names content. New records are appended
// with one write; a file that is damaged, or larger than factsLimit, is
// written anew beside and renamed. A reader takes what it can: everything up
// to the first bad record. Losing the file costs time only.
type Facts struct {
	mu      sync.Mutex
	path    string
	known   map[key][]byte
	fresh   []key // known but not in the file
	used    map[key]bool
	size    int64 // of the file as it was read
	rewrite bool  // the file cannot be appended to
}

// factsVersion changes when a file that an older program wrote would be
// misread, or when what it says of a file would be another thing.
const factsVersion = 1

// factsLimit is the size in bytes at which the file is written anew with what
// this process used.
const factsLimit = 64 << 20

type key [24]byte

// The kinds of facts, the first byte of a key.
const (
	kindGo        byte = 'g' // a Go file
	kindOther     byte = 'o' // a file of another language
	kindDir       byte = 'd' // a directory of a frozen tree
	kindToolchain byte = 't'
	kindGoMod     byte = 'm' // a go.mod of the module cache
)

// makeKey names a fact. What other versions found is another fact.
func makeKey(kind byte, about ...string) key {
	var buf [256]byte
	b := append(append(buf[:0], factsVersion), runtime.Version()...)
	for _, s := range about {
		b = append(b, s...)
		b = append(b, 0)
	}
	sum := sha256.Sum256(b)
	var k key
	k[0] = kind
	copy(k[1:], sum[:])
	return k
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func factsHeader() []byte {
	return fmt.Appendf(nil, "airbuild facts %d %s\n", factsVersion, runtime.Version())
}

// OpenFacts reads the facts in a file. It need not exist, and what is wrong
// with it is forgotten.
func OpenFacts(path string) *Facts {
	f := &Facts{path: path}
	b, err := os.ReadFile(path)
	if err != nil {
		f.rewrite = !errors.Is(err, fs.ErrNotExist)
		return f
	}
	f.size = int64(len(b))
	var whole bool
	f.known, whole = decodeFacts(b)
	f.rewrite = !whole || f.size > factsLimit
	return f
}

// decodeFacts returns the records of a file, which it keeps pointing into. It
// reports whether all of it could be read.
func decodeFacts(b []byte) (map[key][]byte, bool) {
	rest, ok := bytes.CutPrefix(b, factsHeader())
	if !ok {
		return nil, false
	}
	known := make(map[key][]byte, len(rest)/150)
	for len(rest) > 0 {
		const head = 4 + len(key{})
		if len(rest) < head+1 {
			return known, false
		}
		n, w := binary.Uvarint(rest[head:])
		if w <= 0 || n > uint64(len(rest)-head-w) {
			return known, false
		}
		end := head + w + int(n)
		if binary.LittleEndian.Uint32(rest) != crc32.Checksum(rest[4:end], castagnoli) {
			return known, false
		}
		known[key(rest[4:head])] = rest[head+w : end : end]
		rest = rest[end:]
	}
	return known, true
}

func appendRecord(b []byte, k key, v []byte) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, k[:]...)
	b = binary.AppendUvarint(b, uint64(len(v)))
	b = append(b, v...)
	binary.LittleEndian.PutUint32(b[at:], crc32.Checksum(b[at+4:], castagnoli))
	return b
}

// get returns a value, which must not be changed, or nil.
func (f *Facts) get(k key) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.known[k]
	if v != nil && f.rewrite {
		if f.used == nil {
			f.used = map[key]bool{}
		}
		f.used[k] = true
	}
	return v
}

func (f *Facts) put(k key, v []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil {
		f.known = map[key][]byte{}
	}
	f.known[k] = v
	f.fresh = append(f.fresh, k)
}

// Save writes what is new. Facts without a file have nothing to save.
func (f *Facts) Save() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.path == "" || len(f.fresh) == 0 && !f.rewrite {
		return nil
	}
	var err error
	if f.rewrite || f.size == 0 {
		err = f.writeAnew()
	} else {
		err = f.append()
	}
	if err != nil {
		return fmt.Errorf("remember facts: %w", err)
	}
	f.fresh, f.rewrite = nil, false
	return nil
}

func (f *Facts) append() error {
	var b []byte
	for _, k := range f.fresh {
		b = appendRecord(b, k, f.known[k])
	}
	file, err := os.OpenFile(f.path, os.O_WRONLY|os.O_APPEND, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return f.writeAnew()
	}
	if err != nil {
		return err
	}
	_, err = file.Write(b)
	f.size += int64(len(b))
	return errors.Join(err, file.Close())
}

// writeAnew writes a file of its own: all that is known, or, where the old one
// grew too large, what was used.
func (f *Facts) writeAnew() error {
	b := factsHeader()
	if f.size <= factsLimit {
		for k, v := range f.known {
			b = appendRecord(b, k, v)
		}
	} else {
		for k := range f.used {
			b = appendRecord(b, k, f.known[k])
		}
		for _, k := range f.fresh {
			if !f.used[k] {
				b = appendRecord(b, k, f.known[k])
			}
		}
	}
	if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(f.path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	f.size = int64(len(b))
	return nil
}

// of returns what a source file says.
func (l *loader) factOf(dir string, e *entry) (*fact, error) {
	name := join(dir, e.name)
	digest := e.digest
	if digest == "" {
		var err error
		if digest, err = l.files.src.Digest(name); err != nil {
			return nil, unsure("cannot read a file: %v", err)
		}
	}
	kind, scan := kindOther, scanOther
	if ext(e.name) == ".go" {
		kind, scan = kindGo, scanGo
	}
	k := makeKey(kind, digest)
	if b := l.facts.get(k); b != nil {
		if f, ok := decodeFact(b); ok {
			return f, nil
		}
	}
	text, err := l.files.src.ReadFile(name)
	if err != nil {
		return nil, unsure("cannot read a file: %v", err)
	}
	f := scan(text)
	l.facts.put(k, encodeFact(f))
	return f, nil
}
