package format

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

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
const IndexMagic = "airbuild-index-1\n"

// The kinds of contents, in the order in which they are listed: packed ones as
// they lie in the blocks, the others by hash.
const (
	ContentPacked  = iota // in blocks
	ContentPlain          // a blob of its own
	ContentBase           // left out: the receiver has it
	ContentPatched        // made of one of the base, by a packed one; see patch.go
	contentKinds
)

// The methods of blocks.
const (
	BlockStored = iota // as it is
	BlockZstd          // one zstd frame that says its size
	blockMethods
)

// The flags of a file.
const FlagExecutable = 1

// The least that one item takes in the index, in bytes: what bounds how much is
// allocated for a count.
const (
	leastBlock     = 2 + 1 + 32
	leastContent   = 1 + 1 + 32
	leastComponent = 2
	leastFile      = 3
)

// A Block is a piece of a pack.
type Block struct {
	Sum         [32]byte // of the stored bytes
	Pack        int
	Offset      int64 // of the stored bytes, in the pack
	Start       int64 // of the raw bytes, in all raw bytes
	Stored, Raw int
	Method      byte
}

// A Content is what one or more files hold.
type Content struct {
	Digest action.Digest
	Start  int64 // in all raw bytes, if it is packed
	Kind   byte
	// base and patch are the numbers of the contents that a patched one is made
	// of, which come before it.
	Base, Patch int
}

// A File is one file of a component.
type File struct {
	Path       string // slash-separated, passed CheckPath
	Digest     action.Digest
	Executable bool

	Content int // in the index
}

// A Component is a component's files.
type Component struct {
	Name  string
	Files []File // by path
}

// An Index is the decoded form.
type Index struct {
	Blocks     []Block
	Packs      []int64 // sizes, in bytes
	Contents   []Content
	Components []Component // by name
}

// Encode returns the bytes of x. Offsets need not be set.
func (x *Index) Encode() []byte {
	b := []byte(IndexMagic)
	b = binary.AppendUvarint(b, uint64(len(x.Blocks)))
	counts := make([]uint64, len(x.Packs))
	for i := range x.Blocks {
		k := &x.Blocks[i]
		b = binary.AppendUvarint(b, uint64(k.Stored))
		b = binary.AppendUvarint(b, uint64(k.Raw))
		b = append(b, k.Method)
		b = append(b, k.Sum[:]...)
		counts[k.Pack]++
	}
	b = binary.AppendUvarint(b, uint64(len(x.Packs)))
	for _, n := range counts {
		b = binary.AppendUvarint(b, n)
	}
	b = binary.AppendUvarint(b, uint64(len(x.Contents)))
	for i := range x.Contents {
		c := &x.Contents[i]
		b = binary.AppendUvarint(b, uint64(c.Digest.Size))
		b = append(b, c.Kind)
		b = append(b, c.Digest.Hash[:]...)
		if c.Kind == ContentPatched {
			b = binary.AppendUvarint(b, uint64(c.Base))
			b = binary.AppendUvarint(b, uint64(c.Patch))
		}
	}
	b = binary.AppendUvarint(b, uint64(len(x.Components)))
	for _, p := range x.Components {
		b = p.encode(b)
	}
	return b
}

func (p *Component) encode(b []byte) []byte {
	b = appendText(b, p.Name)
	b = binary.AppendUvarint(b, uint64(len(p.Files)))
	for i := range p.Files {
		f := &p.Files[i]
		b = appendText(b, f.Path)
		var flags byte
		if f.Executable {
			flags |= FlagExecutable
		}
		b = append(b, flags)
		b = binary.AppendUvarint(b, uint64(f.Content))
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// check refuses an index that says something else than the root.
func (x *Index) check(r *Root) error {
	if err := x.checkBlobs(r); err != nil {
		return err
	}
	base, bytes := 0, int64(0)
	for _, c := range x.Contents {
		if c.Kind == ContentBase {
			base++
			bytes += c.Digest.Size
		}
	}
	if patched := x.Patched() > 0; patched != slices.Contains(r.Features.Critical, FeaturePatches) {
		return Refusef("the index and the root manifest disagree on whether there are patches")
	}
	switch {
	case r.Base == nil && base > 0:
		return Refusef("the index leaves %d contents out, and the root manifest names no base", base)
	case r.Base != nil && (r.Base.Contents != base || r.Base.Bytes != bytes):
		return Refusef("the index leaves %d contents of %d bytes out, the root manifest says %d of %d", base, bytes, r.Base.Contents, r.Base.Bytes)
	case len(r.Components) != len(x.Components):
		return Refusef("the index has %d components, the root manifest %d", len(x.Components), len(r.Components))
	}
	for i, c := range r.Components {
		p := &x.Components[i]
		total, included := x.Size(p)
		if c.Name != p.Name || c.Files != len(p.Files) || c.Bytes != total || c.Carried != included {
			return Refusef("component %q is not what the root manifest says it is", p.Name)
		}
	}
	return nil
}

func (x *Index) checkBlobs(r *Root) error {
	if len(r.Packs) != len(x.Packs) {
		return Refusef("the index has %d packs, the root manifest %d", len(x.Packs), len(r.Packs))
	}
	for i, p := range r.Packs {
		if p.Size != x.Packs[i] {
			return Refusef("pack %d has %d bytes by the index and %d by the root manifest", i, x.Packs[i], p.Size)
		}
	}
	var plain []RootBlob
	for _, c := range x.Contents {
		if c.Kind == ContentPlain {
			plain = append(plain, BlobOf(c.Digest))
		}
	}
	if !slices.Equal(plain, r.Files) {
		return Refusef("the index has other blobs of their own than the root manifest")
	}
	return nil
}

// Size sums the files of p, and those that are in the bundle.
func (x *Index) Size(p *Component) (total, included int64) {
	for i := range p.Files {
		f := &p.Files[i]
		total += f.Digest.Size
		included += x.Contents[x.Stored(f.Content)].included()
	}
	return total, included
}

// Component returns the component of that name, or nil.
func (x *Index) Component(component string) *Component {
	i, ok := slices.BinarySearchFunc(x.Components, component, func(p Component, name string) int { return cmp.Compare(p.Name, name) })
	if !ok {
		return nil
	}
	return &x.Components[i]
}

// Stored is the content that has to be read for another: the patch of one that
// is patched.
func (x *Index) Stored(content int) int {
	if c := &x.Contents[content]; c.Kind == ContentPatched {
		return c.Patch
	}
	return content
}

// included is how many bytes of it the bundle has.
func (c *Content) included() int64 {
	if c.Kind == ContentBase {
		return 0
	}
	return c.Digest.Size
}

// Patched counts the contents that are patched.
func (x *Index) Patched() int {
	n := 0
	for i := range x.Contents {
		if x.Contents[i].Kind == ContentPatched {
			n++
		}
	}
	return n
}

// BlockAt returns the number of the block that has the raw byte at off.
func (x *Index) BlockAt(off int64) int {
	return sort.Search(len(x.Blocks), func(i int) bool { return x.Blocks[i].Start+int64(x.Blocks[i].Raw) > off })
}

// BlocksOf returns the first block of a pack and the first behind it.
func (x *Index) BlocksOf(pack int) (first, end int) {
	first, _ = slices.BinarySearchFunc(x.Blocks, pack, func(b Block, n int) int { return cmp.Compare(b.Pack, n) })
	end, _ = slices.BinarySearchFunc(x.Blocks, pack+1, func(b Block, n int) int { return cmp.Compare(b.Pack, n) })
	return first, end
}

// ContentAt returns the number of the packed content that has the raw byte at
// off. Of empty contents at the same place it is the one behind them.
func (x *Index) ContentAt(off int64) int {
	n, _ := slices.BinarySearchFunc(x.Contents, off, func(c Content, off int64) int {
		if c.Kind != ContentPacked || c.Start+c.Digest.Size > off {
			return 1
		}
		return -1
	})
	return n
}

// Recipe names what a pack is made of: two packs of one recipe have the same
// bytes.
func (x *Index) Recipe(pack int) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "airbuild-recipe-1 %s\n", codecName)
	first, end := x.BlocksOf(pack)
	var n []byte
	for i := first; i < end; i++ {
		n = binary.AppendUvarint(n[:0], uint64(x.Blocks[i].Raw))
		h.Write(n)
	}
	from := x.Blocks[first].Start
	to := x.Blocks[end-1].Start + int64(x.Blocks[end-1].Raw)
	for i := x.ContentAt(from); i < len(x.Contents); i++ {
		c := &x.Contents[i]
		if c.Kind != ContentPacked || c.Start >= to {
			break
		}
		n = binary.AppendVarint(n[:0], c.Start-from)
		n = binary.AppendUvarint(n, uint64(c.Digest.Size))
		h.Write(n)
		h.Write(c.Digest.Hash[:])
	}
	return [32]byte(h.Sum(nil))
}
