package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/frames"
	"github.com/airbuild/airbuild/internal/lists"
)

// A memo is what git said, with everything that it depends on: as long as none of
// that has changed, git would say the same and need not be started. Where the
// dependencies are uncertain nothing is remembered; losing it costs a few processes.
//
// It is not an entry of engine/memo: the commit is read to plan the project, before
// there is a workspace, and depends on the state of git's files and of tracked files,
// not on content. For 1,300 tracked files a memo takes 12 ms where git takes 170.
//
// The file is written whole, by rename. All integers are little-endian or
// varints of encoding/binary; a text is its length as uvarint, then its bytes.
//
//	memoMagic                     23 bytes
//	CRC-32C of the body            4 bytes
//	body:
//	  key                         32 bytes, see queryHash
//	  top                         text: absolute, what relative paths begin at
//	  commit short branch tag describe   texts
//	  dirty                        1 byte, 0 or 1
//	  time                         varint: seconds since 1970, the least number for none
//	  previous tag, url            texts
//	  commit count                 uvarint
//	  number of marks, number of all that is watched   uvarints
//	  each watched: kind           1 byte, path: text,
//	                size mtime ctime inode device (8 bytes each), mode (4)
type memo struct {
	key   [sha256.Size]byte
	top   string
	info  Info
	marks int       // the first of watch are of the repository, the rest is the work tree
	watch []watched // what the result depends on
}

const memoMagic = "airbuild-source-memo-2\n"

// maxMemo bounds what is read of a memo, in bytes: two million tracked files.
const maxMemo = 256 << 20

// memoFile is where what git said of attrs is remembered.
func memoFile(state string, attrs []string) string {
	sum := sha256.Sum256([]byte(strings.Join(attrs, " ")))
	return filepath.Join(state, "source-"+hex.EncodeToString(sum[:4]))
}

// queryVersion is the version of how git is asked. It changes when the result of a
// query would, so that memos of another airbuild are not used.
const queryVersion = "3"

// queryHash identifies what git is asked: how, the directory, the attributes, the
// rules, and what of the environment git looks at to find its configuration.
func queryHash(dir string, attrs, env []string, rules Rules) (key [sha256.Size]byte) {
	var asked []string
	for _, v := range environ(env) {
		name, _, _ := strings.Cut(v, "=")
		if strings.HasPrefix(name, "GIT_") || slices.Contains(homes[:], name) {
			asked = append(asked, v)
		}
	}
	slices.Sort(asked)
	return sha256.Sum256([]byte(strings.Join(slices.Concat([]string{queryVersion, dir, strings.Join(attrs, " "), rules.key()}, asked), "\x00")))
}

// homes are variables by which git finds its configuration.
var homes = [...]string{"HOME", "XDG_CONFIG_HOME", "USERPROFILE", "HOMEDRIVE", "HOMEPATH", "PROGRAMDATA"}

// readMemo returns what the memo in state has, if it is certainly valid, and asks
// git otherwise. The order makes it certain: everything that a result depends on is
// looked at before git is asked, and what changed so shortly before that it could
// change again without a trace is not remembered.
func readMemo(ctx context.Context, dir string, attrs []string, o Options) (*Info, error) {
	attrs = slices.Clone(attrs)
	attrs = lists.Unique(attrs)
	file, key, at := memoFile(o.State, attrs), queryHash(dir, attrs, os.Environ(), o.Rules), time.Now()
	next := loadMemo(file, key)
	if next != nil {
		switch changed, err := next.update(); {
		case err != nil:
			next = nil
		case changed < 0:
			return &next.info, nil
		case changed < next.marks:
			next = nil // what there is to watch may be something else now
		}
	}
	if next == nil {
		next = dependencies(ctx, dir, attrs)
	}
	info, err := askGit(ctx, dir, attrs, o)
	if err != nil || next == nil || next.racy(at) {
		return info, err
	}
	next.key, next.info = key, *info
	// A memo that cannot be written costs the next run a few processes.
	_ = next.save(file)
	return info, nil
}

// update looks at all that is watched and returns the position of the first
// that has changed, or -1.
func (m *memo) update() (changed int, err error) {
	changed = -1
	now, err := lookAt(m.top, m.watch)
	if err != nil {
		return 0, err
	}
	for i := range now {
		if now[i] != m.watch[i].state && changed < 0 {
			changed = i
		}
		m.watch[i].state = now[i]
	}
	return changed, nil
}

// racy reports whether anything watched changed so shortly before the given
// time that another change would not show.
func (m *memo) racy(at time.Time) bool {
	return slices.ContainsFunc(m.watch, func(w watched) bool { return w.racy(at) })
}

// loadMemo returns nil if the memo is missing or cannot be read.
func loadMemo(file string, key [sha256.Size]byte) *memo {
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxMemo {
		return nil
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	m, err := decodeMemo(b)
	if err != nil || m.key != key {
		return nil
	}
	return m
}

func (m *memo) save(file string) error {
	return atomicfile.Write(file, m.encode(), atomicfile.Options{Perm: 0o600, Mkdir: 0o777})
}

const memoHeader = len(memoMagic) + crc32.Size

// noTime stands for a time that was not asked for.
const noTime int64 = math.MinInt64

// watchedFixed is the length of a watched's numbers.
const watchedFixed = 5*8 + 4

func (m *memo) encode() []byte {
	b := make([]byte, memoHeader, memoHeader+len(m.watch)*(watchedFixed+64)+1024)
	copy(b, memoMagic)
	text := func(s string) { b = append(binary.AppendUvarint(b, uint64(len(s))), s...) }
	b = append(b, m.key[:]...)
	text(m.top)
	for _, s := range []string{m.info.Commit, m.info.Short, m.info.Branch, m.info.Tag, m.info.Describe} {
		text(s)
	}
	dirty := byte(0)
	if m.info.Dirty {
		dirty = 1
	}
	seconds := noTime
	if !m.info.Time.IsZero() {
		seconds = m.info.Time.Unix()
	}
	b = binary.AppendVarint(append(b, dirty), seconds)
	text(m.info.PreviousTag)
	text(m.info.URL)
	b = binary.AppendUvarint(b, uint64(m.info.CommitCount))
	b = binary.AppendUvarint(binary.AppendUvarint(b, uint64(m.marks)), uint64(len(m.watch)))
	for i := range m.watch {
		w := &m.watch[i]
		b = append(b, byte(w.kind))
		text(w.path)
		for _, n := range []uint64{uint64(w.size), uint64(w.mtime), uint64(w.ctime), w.inode, w.device} {
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		b = binary.LittleEndian.AppendUint32(b, w.mode)
	}
	binary.LittleEndian.PutUint32(b[len(memoMagic):], frames.Checksum(b[memoHeader:]))
	return b
}

var errMemo = errors.New("decode source memo: damaged or of another version")

func decodeMemo(b []byte) (*memo, error) {
	if len(b) < memoHeader || !bytes.HasPrefix(b, []byte(memoMagic)) ||
		frames.Checksum(b[memoHeader:]) != binary.LittleEndian.Uint32(b[len(memoMagic):]) {
		return nil, errMemo
	}
	d := decoder{rest: string(b[memoHeader:])}
	m := &memo{}
	copy(m.key[:], d.take(sha256.Size))
	m.top = d.text()
	for _, s := range []*string{&m.info.Commit, &m.info.Short, &m.info.Branch, &m.info.Tag, &m.info.Describe} {
		*s = d.text()
	}
	dirty := d.take(1)
	m.info.Dirty = dirty == "\x01"
	if seconds := d.varint(); seconds != noTime {
		m.info.Time = time.Unix(seconds, 0).UTC()
	}
	m.info.PreviousTag, m.info.URL = d.text(), d.text()
	count := d.uvarint()
	if count > math.MaxInt32 {
		return nil, errMemo
	}
	m.info.CommitCount = int(count)
	marks, n := d.uvarint(), d.uvarint()
	if d.bad || dirty > "\x01" || marks > n || n > uint64(len(d.rest)) {
		return nil, errMemo
	}
	m.marks, m.watch = int(marks), make([]watched, n)
	for i := range m.watch {
		d.watched(&m.watch[i])
	}
	if d.bad || d.rest != "" {
		return nil, errMemo
	}
	return m, nil
}

// A decoder takes values from the front of rest; bad is set when it cannot.
type decoder struct {
	rest string // a string, so that the texts in it are not copied
	bad  bool
}

func (d *decoder) take(n uint64) string {
	if n > uint64(len(d.rest)) {
		d.bad, d.rest = true, ""
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) text() string { return d.take(d.uvarint()) }

func (d *decoder) uvarint() uint64 {
	var buf [binary.MaxVarintLen64]byte
	v, n := binary.Uvarint(buf[:copy(buf[:], d.rest)])
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	u := d.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (d *decoder) watched(w *watched) {
	kind := d.take(1)
	w.path = d.text()
	fixed := d.take(watchedFixed)
	if d.bad || kind[0] >= byte(watchKinds) {
		d.bad = true
		return
	}
	var buf [watchedFixed]byte
	copy(buf[:], fixed)
	u64 := func(i int) uint64 { return binary.LittleEndian.Uint64(buf[8*i:]) }
	w.kind = watchKind(kind[0])
	w.state = state{
		size: int64(u64(0)), mtime: int64(u64(1)), ctime: int64(u64(2)), inode: u64(3), device: u64(4),
		mode: binary.LittleEndian.Uint32(buf[40:]),
	}
}
