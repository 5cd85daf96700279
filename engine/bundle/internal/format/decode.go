package format

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// DecodeIndex reads an index. Every number, path and order is checked; what
// the root says of it LoadIndex compares. Errors wrap ErrRefused.
func DecodeIndex(b []byte) (*Index, error) {
	d := &decoder{rest: string(b)}
	if !strings.HasPrefix(d.rest, IndexMagic) {
		return nil, Refusef("index begins with %.17q instead of %q", d.rest, IndexMagic)
	}
	d.rest = d.rest[len(IndexMagic):]
	x := &Index{}
	raw := d.blocks(x)
	d.packs(x)
	d.contents(x, raw)
	d.parts(x)
	if d.err == nil && d.rest != "" {
		d.fail("has %d trailing bytes", len(d.rest))
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
		d.err = Refusef("index "+format, args...)
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
func (d *decoder) blocks(x *Index) (raw int64) {
	n := d.count(1<<30, leastBlock)
	x.Blocks = make([]Block, n)
	for i := range x.Blocks {
		k := &x.Blocks[i]
		k.Stored = int(d.number(MaxBlock))
		k.Raw = int(d.number(MaxBlock))
		k.Method = d.octet()
		k.Sum = d.hash()
		k.Start = raw
		raw += int64(k.Raw)
		switch {
		case d.err != nil:
			return 0
		case k.Stored == 0 || k.Raw == 0:
			d.fail("has an empty block")
		case k.Method >= blockMethods:
			d.fail("has a block of the unknown method %d", k.Method)
		case k.Method == BlockStored && k.Stored != k.Raw, k.Method == BlockZstd && k.Stored >= k.Raw:
			d.fail("has a block of %d bytes stored as %d with method %d", k.Raw, k.Stored, k.Method)
		}
	}
	return raw
}

func (d *decoder) packs(x *Index) {
	n := d.count(MaxPacks, 1)
	x.Packs = make([]int64, n)
	next := 0
	for i := range x.Packs {
		count := int(d.number(uint64(len(x.Blocks) - next)))
		if d.err == nil && count == 0 {
			d.fail("has an empty pack")
		}
		x.placeBlocks(i, next, count)
		next += count
		if x.Packs[i] > MaxPack {
			d.fail("has a pack of %d bytes", x.Packs[i])
		}
	}
	if next != len(x.Blocks) {
		d.fail("has %d blocks in no pack", len(x.Blocks)-next)
	}
}

// placeBlocks makes count blocks from first on those of a pack.
func (x *Index) placeBlocks(pack, first, count int) {
	off := int64(len(PackHeader))
	for i := first; i < first+count; i++ {
		x.Blocks[i].Pack = pack
		x.Blocks[i].Offset = off
		off += int64(x.Blocks[i].Stored)
	}
	x.Packs[pack] = off
}

func (d *decoder) contents(x *Index, raw int64) {
	n := d.count(MaxFiles, leastContent)
	x.Contents = make([]Content, n)
	seen := make(map[[32]byte]struct{}, n)
	var start int64
	for i := range x.Contents {
		c := &x.Contents[i]
		c.Digest.Size = int64(d.number(maxContent))
		c.Kind = d.octet()
		c.Digest.Hash = d.hash()
		if d.err != nil {
			return
		}
		if _, ok := seen[c.Digest.Hash]; ok {
			d.fail("lists the content sha256:%s twice", c.Digest.Hex())
			return
		}
		seen[c.Digest.Hash] = struct{}{}
		if i > 0 {
			d.order(&x.Contents[i-1], c)
		}
		switch {
		case c.Kind >= contentKinds:
			d.fail("has a content of the unknown kind %d", c.Kind)
		case c.Kind == ContentPacked:
			c.Start = start
			if c.Digest.Size > raw-start {
				d.fail("has contents of more bytes than its blocks, which have %d", raw)
				return
			}
			start += c.Digest.Size
		case c.Kind == ContentPlain && c.Digest.Size > MaxPack:
			d.fail("has a blob of %d bytes", c.Digest.Size)
		case c.Kind == ContentPatched:
			d.patched(x.Contents[:i], c)
		}
	}
	if start != raw {
		d.fail("has blocks of %d bytes for contents of %d", raw, start)
	}
}

// patched reads of what the content c is made; before are those in front of it.
func (d *decoder) patched(before []Content, c *Content) {
	c.Base = int(d.number(MaxFiles))
	c.Patch = int(d.number(MaxFiles))
	switch {
	case d.err != nil:
	case c.Base >= len(before) || before[c.Base].Kind != ContentBase:
		d.fail("makes the content sha256:%s of one that is not of the base", c.Digest.Hex())
	case c.Patch >= len(before) || before[c.Patch].Kind != ContentPacked:
		d.fail("makes the content sha256:%s by one that is not packed", c.Digest.Hex())
	case before[c.Base].Digest.Size > MaxPatchBase:
		d.fail("makes the content sha256:%s of one of %d bytes; %d are allowed", c.Digest.Hex(), before[c.Base].Digest.Size, MaxPatchBase)
	case before[c.Patch].Digest.Size >= c.Digest.Size:
		d.fail("makes the content sha256:%s by one that is not smaller", c.Digest.Hex())
	}
}

func (d *decoder) order(a, b *Content) {
	if a.Kind > b.Kind || a.Kind == b.Kind && a.Kind != ContentPacked && string(a.Digest.Hash[:]) >= string(b.Digest.Hash[:]) {
		d.fail("has contents that are out of order")
	}
}

func (d *decoder) parts(x *Index) {
	n := d.count(maxComponents, leastComponent)
	x.Components = make([]Component, n)
	used := NewBitmap(len(x.Contents))
	total := 0
	for i := range x.Components {
		p := &x.Components[i]
		p.Name = d.text(maxPathElement)
		if d.err != nil {
			return
		}
		if err := CheckComponentName(p.Name); err != nil {
			d.fail("names a component: %w", err)
			return
		}
		if i > 0 && x.Components[i-1].Name >= p.Name {
			d.fail("has component %q out of order or twice", p.Name)
			return
		}
		d.files(x, p, used)
		if total += len(p.Files); total > MaxFiles {
			d.fail("has more than %d files", MaxFiles)
		}
	}
	for i := range x.Contents {
		if c := &x.Contents[i]; c.Kind == ContentPatched && used.Has(i) {
			used.Set(c.Base)
			used.Set(c.Patch)
		}
	}
	if d.err == nil && used.count() != len(x.Contents) {
		d.fail("has %d contents that no file has", len(x.Contents)-used.count())
	}
}

func (d *decoder) files(x *Index, p *Component, used Bitmap) {
	p.Files = make([]File, d.count(MaxFiles, leastFile))
	seen := NewPathSet(MaxDirs - d.dirs)
	defer func() { d.dirs += len(seen.dirs) }()
	for i := range p.Files {
		f := &p.Files[i]
		f.Path = d.text(maxPath)
		flags := d.octet()
		f.Content = int(d.number(MaxFiles))
		if d.err != nil {
			return
		}
		f.Executable = flags&FlagExecutable != 0
		switch {
		case flags > FlagExecutable:
			d.fail("gives file %q the unknown flags %#x", f.Path, flags)
		case f.Content >= len(x.Contents):
			d.fail("gives file %q the content %d of %d", f.Path, f.Content, len(x.Contents))
		default:
			d.refuse(p.Name, CheckPath(f.Path))
			d.refuse(p.Name, seen.Add(f.Path))
		}
		if d.err == nil && i > 0 && p.Files[i-1].Path >= f.Path {
			d.fail("has file %q of component %s out of order", f.Path, p.Name)
		}
		if d.err != nil {
			return
		}
		f.Digest = x.Contents[f.Content].Digest
		used.Set(f.Content)
	}
}

func (d *decoder) refuse(component string, err error) {
	if err != nil {
		d.fail("of component %s: %w", component, err)
	}
}

// LoadIndex decodes the index blob of a root.
func LoadIndex(stored []byte, r *Root) (*Index, error) {
	d, err := NewDecoder(r.Index.Raw, 1)
	if err != nil {
		return nil, fmt.Errorf("read index: %w", err)
	}
	defer d.Close()
	raw, err := DecodeFrame(d, stored, r.Index.Raw)
	if err != nil {
		return nil, Refusef("index: %w", err)
	}
	x, err := DecodeIndex(raw)
	if err != nil {
		return nil, err
	}
	return x, x.check(r)
}
