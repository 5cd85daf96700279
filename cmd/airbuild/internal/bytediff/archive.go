package bytediff

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/airbuild/airbuild/internal/lists"
)

// A codec is a compressed stream.
type codec struct {
	name  string
	magic string
	open  func(io.Reader) (io.Reader, error)
}

var codecs = [...]codec{
	{"gzip", "\x1f\x8b", func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }},
	{"zstd", "\x28\xb5\x2f\xfd", func(r io.Reader) (io.Reader, error) {
		return zstd.NewReader(r, zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(1))
	}},
	{"xz", "\xfd7zXZ\x00", func(r io.Reader) (io.Reader, error) { return xz.NewReader(r) }},
}

var errTooLarge = errors.New("it is too large to look into")

func readAll(r io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if len(b) > maxUnpacked {
		return nil, errTooLarge
	}
	return b, err
}

// compressed compares what two streams of one kind hold. That only the
// compression differs is a difference too.
func (c *comparer) compressed(a, b []byte, where []string, depth int) bool {
	for _, k := range codecs {
		if !bytes.HasPrefix(a, []byte(k.magic)) || !bytes.HasPrefix(b, []byte(k.magic)) {
			continue
		}
		x, y, ok := k.unpack(a, b)
		if !ok {
			return false
		}
		if k.name == "gzip" {
			c.gzipHeader(a, b, where)
		}
		if bytes.Equal(x, y) {
			if len(c.out) == 0 || !strings.HasPrefix(c.out[len(c.out)-1].What, "gzip") {
				c.add(where, "only the "+k.name+" compression: what is inside is the same", "", "", int64(firstDifference(a, b)), "another compressor, or another version or level of it")
			}
			return true
		}
		c.compare(x, y, where, depth)
		return true
	}
	return false
}

func (k codec) unpack(a, b []byte) (x, y []byte, ok bool) {
	one := func(d []byte) []byte {
		r, err := k.open(bytes.NewReader(d))
		if err != nil {
			return nil
		}
		out, err := readAll(r)
		if c, ok := r.(*zstd.Decoder); ok {
			c.Close()
		}
		if err != nil {
			return nil
		}
		return out
	}
	x, y = one(a), one(b)
	return x, y, x != nil && y != nil
}

// gzipHeader compares what gzip itself writes down: a time and a name.
func (c *comparer) gzipHeader(a, b []byte, where []string) {
	x, err := gzip.NewReader(bytes.NewReader(a))
	if err != nil {
		return
	}
	y, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return
	}
	if !x.ModTime.Equal(y.ModTime) {
		c.add(where, "gzip mtime", stamp(x.ModTime), stamp(y.ModTime), -1, "gzip writes down a time: use gzip -n, or an archive stage")
	}
	if x.Name != y.Name {
		c.add(where, "gzip name", x.Name, y.Name, -1, "gzip writes down a file name: use gzip -n, or an archive stage")
	}
}

// A member is one entry of an archive.
type member struct {
	name    string
	mode    string
	owner   string
	mtime   time.Time
	link    string
	extra   string // what the format has beside
	content []byte
}

// archives compares two tar, zip or ar files member by member.
func (c *comparer) archives(a, b []byte, where []string, depth int) bool {
	for _, list := range [...]func([]byte) []member{tarMembers, zipMembers, arMembers} {
		x, y := list(a), list(b)
		if len(x) > 0 && len(y) > 0 {
			c.members(x, y, where, depth)
			return true
		}
	}
	return false
}

func (c *comparer) members(x, y []member, where []string, depth int) {
	names := func(list []member) []string {
		return lists.Map(list, func(m member) string { return m.name })
	}
	a, b := names(x), names(y)
	if permuted(a, b) {
		i := 0
		for a[i] == b[i] {
			i++
		}
		c.add(where, "order of members", a[i], b[i], -1, unordered)
	}
	seen := map[string]int{}
	for _, m := range x {
		nth := seen[m.name]
		seen[m.name]++
		i := nthIndex(b, m.name, nth)
		if i < 0 {
			c.add(deeper(where, "member %s", m.name), "only in the first", "", "", -1, "")
			continue
		}
		c.member2(m, y[i], deeper(where, "member %s", m.name), depth)
	}
	for i, m := range y {
		if nthIndex(a, m.name, slices.Index(positions(b, m.name), i)) < 0 {
			c.add(deeper(where, "member %s", m.name), "only in the second", "", "", -1, "")
		}
	}
}

func positions(names []string, name string) (out []int) {
	for i, n := range names {
		if n == name {
			out = append(out, i)
		}
	}
	return out
}

func nthIndex(names []string, name string, nth int) int {
	if p := positions(names, name); nth < len(p) {
		return p[nth]
	}
	return -1
}

// member2 compares two members of one name.
func (c *comparer) member2(x, y member, where []string, depth int) {
	if !x.mtime.Equal(y.mtime) {
		c.add(where, "mtime", stamp(x.mtime), stamp(y.mtime), -1, "the archive keeps file times: set them all to source.time, or use an archive stage")
	}
	if x.mode != y.mode {
		c.add(where, "mode", x.mode, y.mode, -1, "the umask: set modes, or use an archive stage")
	}
	if x.owner != y.owner {
		c.add(where, "owner", x.owner, y.owner, -1, "who built it: write a fixed owner (tar --owner=0 --group=0 --numeric-owner), or use an archive stage")
	}
	if x.link != y.link {
		c.add(where, "link target", x.link, y.link, -1, c.cause(x.link, y.link))
	}
	if x.extra != y.extra {
		c.add(where, "further fields", x.extra, y.extra, -1, c.cause(x.extra, y.extra))
	}
	c.compare(x.content, y.content, where, depth+1)
}

func stamp(t time.Time) string {
	if t.IsZero() || t.Unix() == 0 {
		return "none"
	}
	return t.UTC().Format(time.RFC3339)
}

func tarMembers(b []byte) []member {
	if len(b) < 512 || !bytes.Contains(b[257:265], []byte("ustar")) {
		return nil
	}
	r := tar.NewReader(bytes.NewReader(b))
	var out []member
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			return nil
		}
		content, err := readAll(r)
		if err != nil {
			return nil
		}
		out = append(out, member{
			name: h.Name, mode: fmt.Sprintf("%04o", h.Mode), mtime: h.ModTime, link: h.Linkname, content: content,
			owner: strings.TrimSuffix(fmt.Sprintf("%d:%d %s:%s", h.Uid, h.Gid, h.Uname, h.Gname), " :"),
		})
	}
}

func zipMembers(b []byte) []member {
	if !bytes.HasPrefix(b, []byte("PK")) {
		return nil
	}
	r, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil
	}
	var out []member
	for _, f := range r.File {
		rc, err := f.Open()
		if err != nil {
			return nil
		}
		content, err := readAll(rc)
		rc.Close()
		if err != nil {
			return nil
		}
		m := member{name: f.Name, mode: fmt.Sprintf("%04o", f.Mode().Perm()), mtime: f.Modified, content: content}
		if len(f.Extra) > 0 {
			m.extra = fmt.Sprintf("%x", f.Extra)
		}
		out = append(out, m)
	}
	// An extended time stamp says what the mtime says.
	return withoutTimes(out)
}

// withoutTimes drops extra fields where the time is a difference of its own.
func withoutTimes(list []member) []member {
	for i := range list {
		list[i].extra = ""
	}
	return list
}

// arMembers reads the archives of Unix, which packages and libraries are.
func arMembers(b []byte) []member {
	rest, ok := bytes.CutPrefix(b, []byte("!<arch>\n"))
	if !ok {
		return nil
	}
	var out []member
	for len(rest) >= 60 {
		h := rest[:60]
		field := func(from, to int) string { return strings.TrimSpace(string(h[from:to])) }
		size, err := strconv.Atoi(field(48, 58))
		if err != nil || size < 0 || size > len(rest)-60 {
			return nil
		}
		sec, _ := strconv.ParseInt(field(16, 28), 10, 64)
		out = append(out, member{
			name: field(0, 16), mtime: time.Unix(sec, 0), owner: field(28, 34) + ":" + field(34, 40), mode: field(40, 48),
			content: rest[60 : 60+size],
		})
		rest = rest[min(len(rest), 60+size+size%2):]
	}
	return out
}
