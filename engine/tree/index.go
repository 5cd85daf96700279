package tree

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// indexMagic begins the file; a reader that finds another one starts empty.
const indexMagic = "airbuild-index-1\n"

// The racy window: a file whose times lie within it of the moment it was
// hashed could be written again without its times changing, so it is hashed
// again the next time. Times without a fraction come from a file system that
// keeps whole seconds, or two.
const (
	racyFine   = 20 * time.Millisecond
	racyCoarse = 2100 * time.Millisecond
)

// A stat is what tells that a file has not been written since.
type stat struct {
	Size, Mtime, Ctime int64 // bytes, nanoseconds
	Inode              uint64
	Mode               uint32
}

// A record is one remembered file.
type record struct {
	stat   stat
	digest action.Digest
	at     int64 // when hashing began, by the clock that file times come from
}

// An index remembers digests by path between runs (the idea is git's index).
// Losing it costs time only. The file, all integers little-endian:
//
//	magic
//	records: uint32 path length, path, stat (5 numbers), hash, at
//	SHA-256 of all before it
//
// It is read whole, and replaced whole by rename. Of two writers the later
// one wins, which loses nothing but time.
type index struct {
	file string

	mu      sync.Mutex
	records map[string]record
	dirty   bool
}

func loadIndex(file string) *index {
	x := &index{file: file, records: map[string]record{}}
	b, err := os.ReadFile(file)
	if err != nil {
		return x
	}
	if records, err := decodeIndex(b); err == nil {
		x.records = records
	}
	return x
}

func decodeIndex(b []byte) (map[string]record, error) {
	n := len(b) - sha256.Size
	if n < len(indexMagic) || string(b[:len(indexMagic)]) != indexMagic {
		return nil, fmt.Errorf("decode stat index: not one of this version")
	}
	if sha256.Sum256(b[:n]) != [sha256.Size]byte(b[n:]) {
		return nil, fmt.Errorf("decode stat index: checksum mismatch")
	}
	records := map[string]record{}
	r := bytes.NewReader(b[len(indexMagic):n])
	for r.Len() > 0 {
		var length uint32
		if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
			return nil, fmt.Errorf("decode stat index: %w", err)
		}
		if int64(length) > int64(r.Len()) {
			return nil, fmt.Errorf("decode stat index: path of %d bytes", length)
		}
		var fixed [indexFixed]byte
		name := make([]byte, length)
		if _, err := io.ReadFull(r, name); err != nil {
			return nil, fmt.Errorf("decode stat index: %w", err)
		}
		if _, err := io.ReadFull(r, fixed[:]); err != nil {
			return nil, fmt.Errorf("decode stat index: %w", err)
		}
		records[string(name)] = decodeRecord(fixed[:])
	}
	return records, nil
}

// indexFixed is the length of a record without its path.
const indexFixed = 8 + 8 + 8 + 8 + 4 + sha256.Size + 8

func decodeRecord(b []byte) record {
	u := binary.LittleEndian.Uint64
	r := record{stat: stat{Size: int64(u(b)), Mtime: int64(u(b[8:])), Ctime: int64(u(b[16:])), Inode: u(b[24:]), Mode: binary.LittleEndian.Uint32(b[32:])}}
	r.digest = action.Digest{Hash: [sha256.Size]byte(b[36 : 36+sha256.Size]), Size: r.stat.Size}
	r.at = int64(u(b[36+sha256.Size:]))
	return r
}

func appendRecord(b []byte, name string, r record) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(len(name)))
	b = append(b, name...)
	b = le.AppendUint64(b, uint64(r.stat.Size))
	b = le.AppendUint64(b, uint64(r.stat.Mtime))
	b = le.AppendUint64(b, uint64(r.stat.Ctime))
	b = le.AppendUint64(b, r.stat.Inode)
	b = le.AppendUint32(b, r.stat.Mode)
	b = append(b, r.digest.Hash[:]...)
	return le.AppendUint64(b, uint64(r.at))
}

// lookup returns the digest of the file at p if it cannot have been written
// since it was hashed.
func (x *index) lookup(p string, st stat) (action.Digest, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	r, ok := x.records[p]
	if !ok || r.stat != st || racy(st, r.at) {
		return action.Digest{}, false
	}
	return r.digest, true
}

func racy(st stat, at int64) bool {
	newest := max(st.Mtime, st.Ctime)
	window := racyFine
	if newest%int64(time.Second) == 0 {
		window = racyCoarse
	}
	return newest >= at-int64(window)
}

// now is the clock for record's at. It must be read before the hashing begins.
func (x *index) now() int64 { return time.Now().UnixNano() }

func (x *index) record(p string, st stat, d action.Digest, at int64) {
	if d.Size != st.Size {
		return // written while it was hashed
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.records[p] = record{stat: st, digest: d, at: at}
	x.dirty = true
}

// save writes the index if it changed. Records of files that are gone stay
// until their path is used again; they cost a few bytes each.
func (x *index) save() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.dirty {
		return nil
	}
	b := []byte(indexMagic)
	for name, r := range x.records {
		b = appendRecord(b, name, r)
	}
	sum := sha256.Sum256(b)
	tmp, err := os.CreateTemp(filepath.Dir(x.file), "index-*.tmp")
	if err != nil {
		return fmt.Errorf("save stat index: %w", err)
	}
	buf := bufio.NewWriterSize(tmp, 1<<16)
	buf.Write(b)
	buf.Write(sum[:])
	err = buf.Flush()
	if cerr := tmp.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp.Name(), x.file)
	}
	if err != nil {
		os.Remove(tmp.Name())
		return fmt.Errorf("save stat index: %w", err)
	}
	x.dirty = false
	return nil
}
