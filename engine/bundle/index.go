package bundle

import (
	"cmp"
	"encoding/binary"
	"errors"
	"iter"
	"math/bits"
	"slices"
	"sort"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
)

// The index says what is in the packs and what files there are:
//
//	indexMagic
//	blocks      count, then for each: stored size, raw size, method (1 byte),
//	            SHA-256 of the stored bytes (32 bytes)
//	packs       count, then for each how many of the blocks, in order, it has
//	contents    count, then for each: size, kind (1 byte), SHA-256 (32 bytes);
//	            for those of kind patched the numbers of base and patch too
//	components  count, then for each: name, count of files, then for each:
//	            path, flags (1 byte), number of its content
//
// Counts, sizes and numbers are varints as in protocol buffers, in their
// shortest form; names and paths have their length in front.
//
// No offset is written down. The contents of kind packed, one behind the other,
// are the raw bytes of the blocks, one behind the other; the blocks of a pack
// follow its header without gaps. So there is nothing that could point
// elsewhere.
const indexMagic = "airbuild-index-1\n"

// The kinds of contents, in the order in which they are listed: packed ones as
// they lie in the blocks, the others by hash.
const (
	contentPacked  = iota // in blocks
	contentPlain          // a blob of its own
	contentBase           // left out: the receiver has it
	contentPatched        // made of one of the base, by a packed one; see patch.go
	contentKinds
)

// The methods of blocks.
const (
	blockStored = iota // as it is
	blockZstd          // one zstd frame that says its size
	blockMethods
)

// The flags of a file.
const flagExecutable = 1

// The least that one item takes in the index, in bytes: what bounds how much is
// allocated for a count.
const (
	leastBlock     = 2 + 1 + 32
	leastContent   = 1 + 1 + 32
	leastComponent = 2
	leastFile      = 3
)

// A block is a piece of a pack.
type block struct {
	sum         [32]byte // of the stored bytes
	pack        int
	off         int64 // of the stored bytes, in the pack
	start       int64 // of the raw bytes, in all raw bytes
	stored, raw int
	method      byte
}

// A content is what one or more files hold.
type content struct {
	digest action.Digest
	start  int64 // in all raw bytes, if it is packed
	kind   byte
	// base and patch are the numbers of the contents that a patched one is made
	// of, which come before it.
	base, patch int
}

// A part is a component's files.
type part struct {
	name  string
	files []File // by path
}

// An index is the decoded form.
type index struct {
	blocks   []block
	packs    []int64 // sizes, in bytes
	contents []content
	parts    []part // by name
}

// encode returns the bytes of x. Offsets need not be set.
func (x *index) encode() []byte {
	b := []byte(indexMagic)
	b = binary.AppendUvarint(b, uint64(len(x.blocks)))
	counts := make([]uint64, len(x.packs))
	for i := range x.blocks {
		k := &x.blocks[i]
		b = binary.AppendUvarint(b, uint64(k.stored))
		b = binary.AppendUvarint(b, uint64(k.raw))
		b = append(b, k.method)
		b = append(b, k.sum[:]...)
		counts[k.pack]++
	}
	b = binary.AppendUvarint(b, uint64(len(x.packs)))
	for _, n := range counts {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(x.contents)))
	for i := range x.contents {
		c := &x.contents[i]
		b = binary.AppendUvarint(b, uint64(c.digest.Size))
		b = append(b, c.kind)
		b = append(b, c.digest.Hash[:]...)
		if c.kind == contentPatched {
			b = binary.AppendUvarint(b, uint64(c.base))
			b = binary.AppendUvarint(b, uint64(c.patch))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(x.parts)))
	for _, p := range x.parts {
		b = p.encode(b)
	}
	return b
}

func (p *part) encode(b []byte) []byte {
	b = appendText(b, p.name)
	b = binary.AppendUvarint(b, uint64(len(p.files)))
	for i := range p.files {
		f := &p.files[i]
		b = appendText(b, f.Path)
		var flags byte
		if f.Executable {
			flags |= flagExecutable
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(f.content))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// decodeIndex reads an index. Every number, path and order is checked; what
// the root says of it checkIndex compares. Errors wrap ErrRefused.
func decodeIndex(b []byte) (*index, error) {
	d := &decoder{rest: string(b)}
	if !strings.HasPrefix(d.rest, indexMagic) {
		return nil, refusef("index begins with %.17q instead of %q", d.rest, indexMagic)
	}
	d.rest = d.rest[len(indexMagic):]
	x := &index{}
	raw := d.blocks(x)
	d.packs(x)
	d.contents(x, raw)
	d.parts(x)
	if d.err == nil && d.rest != "" {
		d.fail("has %d bytes behind its end", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	return x, nil
}

// A decoder reads an index from its front; after an error it reads zeros.
type decoder struct {
	rest string
	err  error
	dirs int // directories of the paths so far
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = refusef("index "+format, args...)
	}
	d.rest = ""
}

func (d *decoder) number(limit uint64) uint64 {
	var v uint64
	for i := 0; i < len(d.rest) && i < binary.MaxVarintLen64; i++ {
		c := d.rest[i]
		v |= uint64(c&0x7f) << (7 * i)
		if c >= 0x80 {
			continue
		}
		if c == 0 && i > 0 || i == 9 && c > 1 {
			d.fail("has a number that is not in its shortest form")
			return 0
		}
		d.rest = d.rest[i+1:]
		if v > limit {
			d.fail("has the number %d where up to %d are allowed", v, limit)
			return 0
		}
		return v
	}
	d.fail("is cut off")
	return 0
}

// count reads how many items follow, which take at least the given bytes each.
func (d *decoder) count(limit, least int) int {
	n := int(d.number(uint64(limit)))
	if n > len(d.rest)/least {
		d.fail("is cut off: %d items do not fit in its last %d bytes", n, len(d.rest))
		return 0
	}
	return n
}

func (d *decoder) octet() byte {
	if d.rest == "" {
		d.fail("is cut off")
		return 0
	}
	c := d.rest[0]
	d.rest = d.rest[1:]
	return c
}

func (d *decoder) hash() (h [32]byte) {
	if len(d.rest) < len(h) {
		d.fail("is cut off")
		return h
	}
	copy(h[:], d.rest)
	d.rest = d.rest[len(h):]
	return h
}

func (d *decoder) text(limit int) string {
	n := int(d.number(uint64(limit)))
	if n > len(d.rest) {
		d.fail("is cut off")
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

// blocks returns how many raw bytes they have in all.
func (d *decoder) blocks(x *index) (raw int64) {
	n := d.count(1<<30, leastBlock)
	x.blocks = make([]block, n)
	for i := range x.blocks {
		k := &x.blocks[i]
		k.stored = int(d.number(maxBlock))
		k.raw = int(d.number(maxBlock))
		k.method = d.octet()
		k.sum = d.hash()
		k.start = raw
		raw += int64(k.raw)
		switch {
		case d.err != nil:
			return 0
		case k.stored == 0 || k.raw == 0:
			d.fail("has an empty block")
		case k.method >= blockMethods:
			d.fail("has a block of the unknown method %d", k.method)
		case k.method == blockStored && k.stored != k.raw, k.method == blockZstd && k.stored >= k.raw:
			d.fail("has a block of %d bytes stored as %d with method %d", k.raw, k.stored, k.method)
		}
	}
	return raw
}

func (d *decoder) packs(x *index) {
	n := d.count(maxPacks, 1)
	x.packs = make([]int64, n)
	next := 0
	for i := range x.packs {
		count := int(d.number(uint64(len(x.blocks) - next)))
		if d.err == nil && count == 0 {
			d.fail("has an empty pack")
		}
		x.placeBlocks(i, next, count)
		next += count
		if x.packs[i] > maxPack {
			d.fail("has a pack of %d bytes", x.packs[i])
		}
	}
	if next != len(x.blocks) {
		d.fail("has %d blocks in no pack", len(x.blocks)-next)
	}
}

// placeBlocks makes count blocks from first on those of a pack.
func (x *index) placeBlocks(pack, first, count int) {
	off := int64(len(packHeader))
	for i := first; i < first+count; i++ {
		x.blocks[i].pack = pack
		x.blocks[i].off = off
		off += int64(x.blocks[i].stored)
	}
	x.packs[pack] = off
}

func (d *decoder) contents(x *index, raw int64) {
	n := d.count(maxFiles, leastContent)
	x.contents = make([]content, n)
	seen := make(map[[32]byte]struct{}, n)
	var start int64
	for i := range x.contents {
		c := &x.contents[i]
		c.digest.Size = int64(d.number(maxContent))
		c.kind = d.octet()
		c.digest.Hash = d.hash()
		if d.err != nil {
			return
		}
		if _, ok := seen[c.digest.Hash]; ok {
			d.fail("lists the content sha256:%s twice", c.digest.Hex())
			return
		}
		seen[c.digest.Hash] = struct{}{}
		if i > 0 {
			d.order(&x.contents[i-1], c)
		}
		switch {
		case c.kind >= contentKinds:
			d.fail("has a content of the unknown kind %d", c.kind)
		case c.kind == contentPacked:
			c.start = start
			if c.digest.Size > raw-start {
				d.fail("has contents of more bytes than its blocks, which have %d", raw)
				return
			}
			start += c.digest.Size
		case c.kind == contentPlain && c.digest.Size > maxPack:
			d.fail("has a blob of %d bytes", c.digest.Size)
		case c.kind == contentPatched:
			d.patched(x.contents[:i], c)
		}
	}
	if start != raw {
		d.fail("has blocks of %d bytes for contents of %d", raw, start)
	}
}

// patched reads of what the content c is made; before are those in front of it.
func (d *decoder) patched(before []content, c *content) {
	c.base = int(d.number(maxFiles))
	c.patch = int(d.number(maxFiles))
	switch {
	case d.err != nil:
	case c.base >= len(before) || before[c.base].kind != contentBase:
		d.fail("makes the content sha256:%s of one that is not of the base", c.digest.Hex())
	case c.patch >= len(before) || before[c.patch].kind != contentPacked:
		d.fail("makes the content sha256:%s by one that is not packed", c.digest.Hex())
	case before[c.base].digest.Size > maxPatchBase:
		d.fail("makes the content sha256:%s of one of %d bytes; %d are allowed", c.digest.Hex(), before[c.base].digest.Size, maxPatchBase)
	case before[c.patch].digest.Size >= c.digest.Size:
		d.fail("makes the content sha256:%s by one that is no smaller", c.digest.Hex())
	}
}

func (d *decoder) order(a, b *content) {
	if a.kind > b.kind || a.kind == b.kind && a.kind != contentPacked && string(a.digest.Hash[:]) >= string(b.digest.Hash[:]) {
		d.fail("has contents that are out of order")
	}
}

func (d *decoder) parts(x *index) {
	n := d.count(maxComponents, leastComponent)
	x.parts = make([]part, n)
	used := newBitmap(len(x.contents))
	total := 0
	for i := range x.parts {
		p := &x.parts[i]
		p.name = d.text(maxPathElement)
		if d.err != nil {
			return
		}
		if err := CheckComponentName(p.name); err != nil {
			d.fail("names a component: %w", err)
			return
		}
		if i > 0 && x.parts[i-1].name >= p.name {
			d.fail("has component %q out of order or twice", p.name)
			return
		}
		d.files(x, p, used)
		if total += len(p.files); total > maxFiles {
			d.fail("has more than %d files", maxFiles)
		}
	}
	for i := range x.contents {
		if c := &x.contents[i]; c.kind == contentPatched && used.has(i) {
			used.set(c.base)
			used.set(c.patch)
		}
	}
	if d.err == nil && used.count() != len(x.contents) {
		d.fail("has %d contents that no file has", len(x.contents)-used.count())
	}
}

func (d *decoder) files(x *index, p *part, used bitmap) {
	p.files = make([]File, d.count(maxFiles, leastFile))
	seen := newNames(maxDirs - d.dirs)
	defer func() { d.dirs += len(seen.dirs) }()
	for i := range p.files {
		f := &p.files[i]
		f.Path = d.text(maxPath)
		flags := d.octet()
		f.content = int(d.number(maxFiles))
		if d.err != nil {
			return
		}
		f.Executable = flags&flagExecutable != 0
		switch {
		case flags > flagExecutable:
			d.fail("gives file %q the unknown flags %#x", f.Path, flags)
		case f.content >= len(x.contents):
			d.fail("gives file %q the content %d of %d", f.Path, f.content, len(x.contents))
		default:
			d.refuse(p.name, CheckPath(f.Path))
			d.refuse(p.name, seen.add(f.Path))
		}
		if d.err == nil && i > 0 && p.files[i-1].Path >= f.Path {
			d.fail("has file %q of component %s out of order", f.Path, p.name)
		}
		if d.err != nil {
			return
		}
		f.Digest = x.contents[f.content].digest
		used.set(f.content)
	}
}

func (d *decoder) refuse(component string, err error) {
	if err != nil {
		d.fail("of component %s: %w", component, err)
	}
}

// A bitmap is a set of small numbers.
type bitmap []uint64

func newBitmap(n int) bitmap { return make(bitmap, (n+63)/64) }

func (b bitmap) set(i int)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i int) bool { return b[i/64]&(1<<(i%64)) != 0 }

func (b bitmap) count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// check refuses an index that says something else than the root.
func (x *index) check(r *Root) error {
	if err := x.checkBlobs(r); err != nil {
		return err
	}
	base, bytes := 0, int64(0)
	for _, c := range x.contents {
		if c.kind == contentBase {
			base++
			bytes += c.digest.Size
		}
	}
	if patched := x.patched() > 0; patched != slices.Contains(r.Features.Critical, FeaturePatches) {
		return refusef("the index and the root manifest disagree on whether there are patches")
	}
	switch {
	case r.Base == nil && base > 0:
		return refusef("the index leaves %d contents out, and the root manifest names no base", base)
	case r.Base != nil && (r.Base.Contents != base || r.Base.Bytes != bytes):
		return refusef("the index leaves %d contents of %d bytes out, the root manifest says %d of %d", base, bytes, r.Base.Contents, r.Base.Bytes)
	case len(r.Components) != len(x.parts):
		return refusef("the index has %d components, the root manifest %d", len(x.parts), len(r.Components))
	}
	for i, c := range r.Components {
		p := &x.parts[i]
		total, carried := x.size(p)
		if c.Name != p.name || c.Files != len(p.files) || c.Bytes != total || c.Carried != carried {
			return refusef("component %q is not what the root manifest says it is", p.name)
		}
	}
	return nil
}

func (x *index) checkBlobs(r *Root) error {
	if len(r.Packs) != len(x.packs) {
		return refusef("the index has %d packs, the root manifest %d", len(x.packs), len(r.Packs))
	}
	for i, p := range r.Packs {
		if p.Size != x.packs[i] {
			return refusef("pack %d has %d bytes by the index and %d by the root manifest", i, x.packs[i], p.Size)
		}
	}
	var plain []RootBlob
	for _, c := range x.contents {
		if c.kind == contentPlain {
			plain = append(plain, rootBlob(c.digest))
		}
	}
	if !slices.Equal(plain, r.Files) {
		return refusef("the index has other blobs of their own than the root manifest")
	}
	return nil
}

// size sums the files of p, and those that are carried.
func (x *index) size(p *part) (total, carried int64) {
	for i := range p.files {
		f := &p.files[i]
		total += f.Digest.Size
		carried += x.contents[x.carrier(f.content)].carried()
	}
	return total, carried
}

func (x *index) part(component string) *part {
	i, ok := slices.BinarySearchFunc(x.parts, component, func(p part, name string) int { return cmp.Compare(p.name, name) })
	if !ok {
		return nil
	}
	return &x.parts[i]
}

func (x *index) files(component string) iter.Seq[File] {
	return func(yield func(File) bool) {
		p := x.part(component)
		if p == nil {
			return
		}
		for _, f := range p.files {
			if !yield(f) {
				return
			}
		}
	}
}

func (x *index) find(component, path string) (File, bool) {
	p := x.part(component)
	if p == nil {
		return File{}, false
	}
	i, ok := slices.BinarySearchFunc(p.files, path, func(f File, path string) int { return cmp.Compare(f.Path, path) })
	if !ok {
		return File{}, false
	}
	return p.files[i], true
}

// carries reports whether the content of f is in the bundle, and nothing else is
// needed to have it.
func (x *index) carries(f File) bool {
	k := x.contents[f.content].kind
	return k == contentPacked || k == contentPlain
}

// carrier is the content that has to be read for another: the patch of one that
// is patched.
func (x *index) carrier(content int) int {
	if c := &x.contents[content]; c.kind == contentPatched {
		return c.patch
	}
	return content
}

// carried is how many bytes of it the bundle has.
func (c *content) carried() int64 {
	if c.kind == contentBase {
		return 0
	}
	return c.digest.Size
}

// patched counts the contents that are patched.
func (x *index) patched() int {
	n := 0
	for i := range x.contents {
		if x.contents[i].kind == contentPatched {
			n++
		}
	}
	return n
}

// blockAt returns the number of the block that has the raw byte at off.
func (x *index) blockAt(off int64) int {
	return sort.Search(len(x.blocks), func(i int) bool { return x.blocks[i].start+int64(x.blocks[i].raw) > off })
}

// errSize says that a compressed text is not as large as it says.
var errSize = errors.New("it does not have the size that it should have")
