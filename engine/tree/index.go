package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/internal/frames"
)

// indexMagic begins the file; a reader that finds another one starts empty.
const indexMagic = "airbuild-index-2\n"

// The racy window: a file whose times lie within it of the moment it was
// looked at could be written again without its times changing, so it is looked
// at again the next time. Times without a fraction come from a file system
// that keeps whole seconds, or two.
const (
	racyFine   = 20 * time.Millisecond
	racyCoarse = 2100 * time.Millisecond
)

// A stat is what tells that a file or directory has not been written since.
type stat struct {
	Size, Mtime, Ctime int64 // bytes, nanoseconds
	Inode              uint64
	Mode               uint32
}

// A record is one remembered file or directory.
type record struct {
	stat    stat
	at      int64    // when it was looked at, by the local clock
	digest  [32]byte // of a file's content
	listing []byte   // of a directory: its entries, see appendListing; nil for a file
}

// An index remembers contents of files and directories by path between runs
// (the idea is git's index). Losing it costs time only.
//
// The file is append-only: the magic, then frames. A run appends one frame
// with what it learned; of two records of one path the later holds. Bodies are
// records, whose integers are little-endian; see package frames for the rest.
//
//	record:  kind ('f' or 'd'), uint32 length of the path, path, size, mtime,
//	         ctime, inode (8 bytes each), mode (4), at (8), then
//	         'f': 32 bytes SHA-256
//	         'd': uint32 length of the listing, listing
//
// A frame that is cut off or does not match its checksum ends the reading, and
// the next save writes the file anew, as it does when most of it is
// superseded. Two processes that append at the same time lose nothing; one
// that writes anew while another appends loses what the other learned, which
// costs time only.
type index struct {
	file string

	mu      sync.RWMutex
	records map[string]record
	fresh   map[string]bool // paths not yet saved
	stored  int             // records in the file, superseded ones too
	anew    bool            // the file is to be written anew
}

func loadIndex(file string) *index {
	x := &index{file: file, records: map[string]record{}, fresh: map[string]bool{}}
	b, err := os.ReadFile(file)
	if err != nil {
		x.anew = true
		return x
	}
	x.records = make(map[string]record, len(b)/usualRecord)
	n, whole := decodeIndex(b, x.records)
	x.stored, x.anew = n, !whole
	return x
}

// usualRecord is about how long a record is, in bytes: the map that takes a file
// in has room for it at once.
const usualRecord = 150

// decodeIndex adds the records of b and returns how many it read. It reports whether b
// is whole; of one that is damaged, the records before the damage have been added.
func decodeIndex(b []byte, records map[string]record) (n int, whole bool) {
	whole = frames.Decode(b, indexMagic, func(body []byte) bool {
		text := string(body) // the names point into it: one copy instead of thousands
		for ; len(body) > 0; n++ {
			at := len(text) - len(body)
			name, r, rest, ok := decodeRecord(body)
			if !ok {
				return false
			}
			records[text[at+recordName:at+recordName+len(name)]] = r
			body = rest
		}
		return true
	})
	return n, whole
}

// A record's name begins after recordName bytes; recordFixed is the length of
// its numbers.
const (
	recordName  = 1 + 4
	recordFixed = 4*8 + 4 + 8
)

func decodeRecord(b []byte) (name []byte, r record, rest []byte, ok bool) {
	u32, u64 := binary.LittleEndian.Uint32, binary.LittleEndian.Uint64
	if len(b) < recordName {
		return nil, r, nil, false
	}
	kind, length := b[0], u32(b[1:])
	if b = b[recordName:]; int64(length)+recordFixed > int64(len(b)) {
		return nil, r, nil, false
	}
	name, b = b[:length], b[length:]
	r.stat = stat{Size: int64(u64(b)), Mtime: int64(u64(b[8:])), Ctime: int64(u64(b[16:])), Inode: u64(b[24:]), Mode: u32(b[32:])}
	r.at = int64(u64(b[36:]))
	b = b[recordFixed:]
	switch {
	case kind == 'f' && len(b) >= len(r.digest):
		copy(r.digest[:], b)
		return name, r, b[len(r.digest):], true
	case kind == 'd' && len(b) >= 4 && int64(u32(b)) <= int64(len(b)-4):
		end := 4 + u32(b)
		r.listing = b[4:end:end]
		return name, r, b[end:], true
	}
	return nil, r, nil, false
}

func appendRecord(b []byte, name string, r record) []byte {
	le := binary.LittleEndian
	kind := byte('f')
	if r.listing != nil {
		kind = 'd'
	}
	b = le.AppendUint32(append(b, kind), uint32(len(name)))
	b = append(b, name...)
	for _, n := range []uint64{uint64(r.stat.Size), uint64(r.stat.Mtime), uint64(r.stat.Ctime), r.stat.Inode} {
		b = le.AppendUint64(b, n)
	}
	b = le.AppendUint64(le.AppendUint32(b, r.stat.Mode), uint64(r.at))
	if kind == 'f' {
		return append(b, r.digest[:]...)
	}
	return append(le.AppendUint32(b, uint32(len(r.listing))), r.listing...)
}

// lookup returns what is known of the path if it cannot have been written
// since. ok is false for a directory where a file is asked for.
func (x *index) lookup(p string, st stat) (action.Digest, bool) {
	r, ok := x.current(p, st)
	if !ok || r.listing != nil {
		return action.Digest{}, false
	}
	return action.Digest{Hash: r.digest, Size: r.stat.Size}, true
}

// list returns a directory's entries if it cannot have been written since.
func (x *index) list(p string, st stat) ([]byte, bool) {
	r, ok := x.current(p, st)
	return r.listing, ok && r.listing != nil
}

func (x *index) current(p string, st stat) (record, bool) {
	x.mu.RLock()
	r, ok := x.records[p]
	x.mu.RUnlock()
	return r, ok && r.stat == st && !racy(st, r.at)
}

// racy reports whether something with these times, looked at at the given
// time, may have been written after that without a trace.
func racy(st stat, at int64) bool {
	newest := max(st.Mtime, st.Ctime)
	window := racyFine
	if newest%int64(time.Second) == 0 {
		window = racyCoarse
	}
	return newest >= at-int64(window)
}

// now is the clock for record's at. It must be read before the look.
func (x *index) now() int64 { return time.Now().UnixNano() }

func (x *index) record(p string, st stat, d action.Digest, at int64) {
	if d.Size == st.Size { // otherwise it was written while it was hashed
		x.put(p, record{stat: st, digest: d.Hash, at: at})
	}
}

func (x *index) recordDir(p string, st stat, listing []byte, at int64) {
	x.put(p, record{stat: st, listing: listing, at: at})
}

func (x *index) put(p string, r record) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.records[p] = r
	x.fresh[p] = true
}

// Records that are superseded may be this many times what holds, and at least
// this many, before the file is written anew.
const (
	indexSlack = 2
	indexMin   = 4_000
)

// save appends what was learned, or writes the file anew.
func (x *index) save() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.fresh) == 0 {
		return nil
	}
	var err error
	if x.anew || x.stored+len(x.fresh) > max(indexMin, indexSlack*len(x.records)) {
		err = x.writeAnew()
	} else {
		err = x.append()
	}
	if err != nil {
		return fmt.Errorf("save stat index: %w", err)
	}
	clear(x.fresh)
	return nil
}

func (x *index) append() error {
	var body []byte
	for name := range x.fresh {
		body = appendRecord(body, name, x.records[name])
	}
	x.stored += len(x.fresh)
	return frames.Append(x.file, body)
}

// writeAnew replaces the file by one with each path once. Paths of files that
// are gone stay: they cost a few bytes, and no look at the disk.
func (x *index) writeAnew() error {
	var body []byte
	for name, r := range x.records {
		body = appendRecord(body, name, r)
	}
	if err := frames.Replace(x.file, indexMagic, body); err != nil {
		return err
	}
	x.stored, x.anew = len(x.records), false
	return nil
}

// The kinds of an entry in a listing.
const (
	entryFile  = 'f'
	entryDir   = 'd'
	entryLink  = 'l'
	entryOther = 'o'
)

// appendListing encodes directory entries: of each the kind, then the name,
// ended by a zero byte. The result is not nil.
func appendListing(entries []fs.DirEntry) []byte {
	b := []byte{}
	for _, e := range entries {
		kind := byte(entryOther)
		switch t := e.Type(); {
		case t.IsRegular():
			kind = entryFile
		case t.IsDir():
			kind = entryDir
		case t&fs.ModeSymlink != 0:
			kind = entryLink
		}
		b = append(append(append(b, kind), e.Name()...), 0)
	}
	return b
}

// decodeListing is appendListing's inverse; dir is where the entries lie.
func decodeListing(b []byte, dir string) []fs.DirEntry {
	out := make([]fs.DirEntry, 0, bytes.Count(b, []byte{0}))
	for len(b) > 1 {
		end := 1
		for end < len(b) && b[end] != 0 {
			end++
		}
		out = append(out, dirEntry{name: string(b[1:end]), mode: entryMode(b[0]), dir: dir})
		b = b[min(end+1, len(b)):]
	}
	return out
}

// entryMode is the type that a kind stands for.
func entryMode(kind byte) fs.FileMode {
	switch kind {
	case entryFile:
		return 0
	case entryDir:
		return fs.ModeDir
	case entryLink:
		return fs.ModeSymlink
	}
	return fs.ModeIrregular
}

// A dirEntry is an entry of a remembered listing.
type dirEntry struct {
	name, dir string
	mode      fs.FileMode
}

func (e dirEntry) Name() string               { return e.name }
func (e dirEntry) IsDir() bool                { return e.mode.IsDir() }
func (e dirEntry) Type() fs.FileMode          { return e.mode }
func (e dirEntry) Info() (fs.FileInfo, error) { return os.Lstat(filepath.Join(e.dir, e.name)) }
