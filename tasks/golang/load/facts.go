package load

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/frames"
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
	known   map[key]string
	fresh   []key // known but not in the file
	used    map[key]bool
	size    int64 // of the file as it was read
	rewrite bool  // the file cannot be appended to
}

// factsVersion changes when a file that an older program wrote would be
// misread, or when what it says of a file would be another thing.
const factsVersion = 2

// factsLimit is the size in bytes at which the file is written anew with what
// this process used.
const factsLimit = 64 << 20

type key [24]byte

// The kinds of facts, the first byte of a key.
const (
	kindGo        byte = 'g' // a Go file
	kindOther     byte = 'o' // a file of another language
	kindDir       byte = 'd' // a directory of a frozen tree
	kindSources   byte = 's' // the same, with what its sources say
	kindToolchain byte = 't'
	kindToolTags  byte = 'b' // build tags that the toolchain sets for a target
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

func factsHeader() string {
	return fmt.Sprintf("airbuild facts %d %s\n", factsVersion, runtime.Version())
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
	f.known, whole = decodeFacts(string(b))
	f.rewrite = !whole || f.size > factsLimit
	return f
}

// decodeFacts returns the records of a file, which it keeps pointing into. It
// reports whether all of it could be read.
func decodeFacts(text string) (map[key]string, bool) {
	rest, ok := strings.CutPrefix(text, factsHeader())
	if !ok {
		return nil, false
	}
	b := []byte(rest)
	known := make(map[key]string, len(rest)/300)
	for len(rest) > 0 {
		const head = 4 + len(key{})
		if len(rest) < head+1 {
			return known, false
		}
		n, w := binary.Uvarint(b[head:])
		if w <= 0 || n > uint64(len(rest)-head-w) {
			return known, false
		}
		end := head + w + int(n)
		if binary.LittleEndian.Uint32(b) != frames.Checksum(b[4:end]) {
			return known, false
		}
		known[key(b[4:head])] = rest[head+w : end]
		rest, b = rest[end:], b[end:]
	}
	return known, true
}

func appendRecord(b []byte, k key, v string) []byte {
	at := len(b)
	b = append(b, 0, 0, 0, 0)
	b = append(b, k[:]...)
	b = binary.AppendUvarint(b, uint64(len(v)))
	b = append(b, v...)
	binary.LittleEndian.PutUint32(b[at:], frames.Checksum(b[at+4:]))
	return b
}

// get returns a value, or "": no value is empty.
func (f *Facts) get(k key) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	v := f.known[k]
	if v != "" && f.rewrite {
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
		f.known = map[key]string{}
	}
	f.known[k] = string(v)
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
	b := []byte(factsHeader())
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
	if err := atomicfile.Write(f.path, b, atomicfile.Options{Perm: 0o600, Mkdir: 0o755}); err != nil {
		return err
	}
	f.size = int64(len(b))
	return nil
}

// usualSource is more than most source files have, in bytes.
const usualSource = 32 << 10

// factOf returns what a source file says. No fact points into the text.
func (f *files) factOf(dir string, e *entry) (*fact, error) {
	if e.fact != "" {
		if out, ok := decodeFact(e.fact); ok {
			return out, nil
		}
	}
	name := join(dir, e.name)
	buf, ok := f.buffers.Get().(*[]byte)
	if !ok {
		buf = new([]byte)
		*buf = make([]byte, usualSource)
	}
	defer f.buffers.Put(buf)
	digest, text, err := f.content(name, *buf)
	if err != nil {
		return nil, unsure("cannot read a file: %v", err)
	}
	kind := kindOther
	if ext(e.name) == ".go" {
		kind = kindGo
	}
	k := makeKey(kind, digest)
	if b := f.facts.get(k); b != "" {
		if out, ok := decodeFact(b); ok {
			return out, nil
		}
	}
	if cap(text) > cap(*buf) {
		*buf = text[:cap(text)]
	}
	if text == nil {
		if text, err = f.sameText(name, digest); err != nil {
			return nil, err
		}
	}
	f.parsed.Store(true)
	out := factIn(name, text)
	f.facts.put(k, encodeFact(out))
	return out, nil
}

// content returns a file's digest, and its content if that was read for it.
func (f *files) content(name string, buf []byte) (digest string, text []byte, err error) {
	if c, ok := f.src.(Content); ok {
		return c.Content(name, buf)
	}
	digest, err = f.src.Digest(name)
	return digest, nil, err
}

// sameText reads a file that has a known digest. What it says must not be
// remembered under another content's digest, so a file that is being edited is
// refused.
func (f *files) sameText(name, digest string) ([]byte, error) {
	text, err := f.src.ReadFile(name)
	if err != nil {
		return nil, unsure("cannot read a file: %v", err)
	}
	if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != digest {
		return nil, unsure("%s changed while it was read", name)
	}
	return text, nil
}

// factIn returns what a source file of this name says.
func factIn(name string, text []byte) *fact {
	if ext(name) == ".go" {
		return scanGo(text)
	}
	return scanOther(text)
}
