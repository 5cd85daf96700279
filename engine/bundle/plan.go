package bundle

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
)

// A plan says where every byte of a bundle comes from and into which block it
// goes, before any of it is read. It hangs on the Spec and the pack size alone,
// so that creation is deterministic whatever runs at the same time, and can go
// on where it was interrupted: a pack whose recipe is known is known.
type plan struct {
	x      *index  // without sums and stored sizes
	inputs []Input // by content
	comps  []Component
	base   *RootBase
	raw    int64 // bytes in blocks
	edge   int64 // where the contents begin that are compressed already
	// patches is what inputs of patches are read from; nil if there are none.
	patches *patcher
}

// close is called when no input is read any more.
func (p *plan) close() error {
	if p.patches == nil {
		return nil
	}
	return p.patches.close()
}

// newPlan checks the Spec, hashes what has no digest yet, and makes patches, for
// which dir is a place. The plan must be closed.
func newPlan(ctx context.Context, dir string, spec Spec, o CreateOptions) (*plan, error) {
	p := &plan{x: &index{}}
	if err := p.sort(spec.Components); err != nil {
		return nil, err
	}
	heads, err := p.hash(ctx, o)
	if err != nil {
		return nil, err
	}
	list, at := p.distinct(spec.Base, heads)
	if spec.Base != nil && spec.Base.patches && len(spec.Old) > 0 {
		if list, err = p.patch(ctx, dir, spec, list, at, o.Progress); err != nil {
			return nil, errors.Join(err, p.close())
		}
	}
	p.arrange(list)
	p.list(heads, at, p.numbers(list))
	p.count(spec.Base)
	p.cut(o.PackSize)
	return p, nil
}

// sort copies the components and sorts them and their files.
func (p *plan) sort(list []Component) error {
	p.comps = slices.Clone(list)
	slices.SortFunc(p.comps, func(a, b Component) int { return cmp.Compare(a.Name, b.Name) })
	total := 0
	for i := range p.comps {
		c := &p.comps[i]
		if err := CheckComponentName(c.Name); err != nil {
			return err
		}
		if i > 0 && p.comps[i-1].Name == c.Name {
			return fmt.Errorf("component %q occurs twice", c.Name)
		}
		c.Files = slices.Clone(c.Files)
		slices.SortFunc(c.Files, func(a, b Input) int { return cmp.Compare(a.Path, b.Path) })
		if err := checkFiles(c); err != nil {
			return fmt.Errorf("component %s: %w", c.Name, err)
		}
		total += len(c.Files)
	}
	if total > maxFiles {
		return fmt.Errorf("the bundle would have %d files; %d are allowed", total, maxFiles)
	}
	return nil
}

func checkFiles(c *Component) error {
	seen := newNames(maxDirs)
	for _, f := range c.Files {
		if err := CheckPath(f.Path); err != nil {
			return fmt.Errorf("it cannot be carried: %w. Rename it or leave it out", err)
		}
		if err := seen.add(f.Path); err != nil {
			return fmt.Errorf("it cannot be carried: %w. Rename one or leave it out", err)
		}
		if f.Open == nil {
			return fmt.Errorf("file %q has no content", f.Path)
		}
	}
	return nil
}

// compressedFrom is the size in bytes from which on contents are looked at to
// see whether they are compressed already. Smaller ones do not matter.
const compressedFrom = 4 << 10

// magics begin contents that are compressed: gzip, zip, xz, zstd, bzip2, png,
// jpeg.
var magics = [...]string{"\x1f\x8b", "PK\x03\x04", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd", "BZh", "\x89PNG", "\xff\xd8\xff"}

func isCompressed(head []byte) bool {
	for _, m := range magics {
		if bytes.HasPrefix(head, []byte(m)) {
			return true
		}
	}
	return false
}

// A look is what hashing found out about one input.
type look struct {
	digest     action.Digest
	compressed bool
}

// hash looks at every input, several at once. The result has one list a
// component.
func (p *plan) hash(ctx context.Context, o CreateOptions) ([][]look, error) {
	looks := make([][]look, len(p.comps))
	files := 0
	var total int64
	for i, c := range p.comps {
		looks[i] = make([]look, len(c.Files))
		files += len(c.Files)
		for _, f := range c.Files {
			total += f.Digest.Size
		}
	}
	m := newMeter(o.Progress, PhaseHash, total, files)
	work := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(o.Jobs)
	for i := range p.comps {
		c := &p.comps[i]
		for j := range c.Files {
			work.Go(func(ctx context.Context) (err error) {
				looks[i][j], err = lookAt(ctx, &c.Files[j])
				m.add(c.Files[j].Digest.Size)
				m.file()
				if err != nil {
					return fmt.Errorf("component %s: %w", c.Name, err)
				}
				return nil
			})
		}
	}
	err := work.Wait()
	m.end()
	return looks, err
}

// lookAt hashes an input, or reads only its beginning if its digest is known.
func lookAt(ctx context.Context, f *Input) (look, error) {
	l := look{digest: f.Digest}
	if !f.Digest.IsZero() && f.Digest.Size < compressedFrom {
		return l, nil
	}
	r, err := f.Open(ctx)
	if err != nil {
		return l, fmt.Errorf("read %s: %w", f.Path, err)
	}
	defer r.Close()
	head := make([]byte, 8)
	n, err := io.ReadFull(r, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return l, fmt.Errorf("read %s: %w", f.Path, err)
	}
	if f.Digest.IsZero() {
		h := sha256.New()
		h.Write(head[:n])
		more, err := io.Copy(h, &contextReader{ctx, r})
		if err != nil {
			return l, fmt.Errorf("read %s: %w", f.Path, err)
		}
		l.digest.Size = int64(n) + more
		h.Sum(l.digest.Hash[:0])
	}
	l.compressed = l.digest.Size >= compressedFrom && isCompressed(head[:n])
	return l, nil
}

// A contextReader ends with its context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *contextReader) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(b)
}

// A found is a content on its way into the plan.
type found struct {
	content    // base and patch are places in the same list
	compressed bool
	input      Input
	number     int // in the index
}

// patch makes patches for contents that are carried, where that is worth while.
// Of each, its base and its patch are added to the list.
func (p *plan) patch(ctx context.Context, dir string, spec Spec, list []found, at map[[32]byte]int, progress ProgressFunc) ([]found, error) {
	wanted := func(f *found) bool {
		return f.kind == contentPacked && !f.compressed && !f.input.Always && f.digest.Size >= leastPatched
	}
	var total int64
	var sizes []int64
	for i := range list {
		if wanted(&list[i]) {
			total += list[i].digest.Size
			sizes = append(sizes, list[i].digest.Size)
		}
	}
	carried := map[[32]byte]bool{} // those that the bundle itself leaves out can be bases
	for i := range list {
		if list[i].kind != contentBase {
			carried[list[i].digest.Hash] = true
		}
	}
	var err error
	if p.patches, err = newPatcher(ctx, spec, sizes, carried, dir); err != nil {
		return nil, err
	}
	m := newMeter(progress, PhasePatch, total, 0)
	defer m.end()
	add := func(in Input, kind byte) int {
		n, ok := at[in.Digest.Hash]
		if !ok {
			n = len(list)
			at[in.Digest.Hash] = n
			list = append(list, found{content: content{digest: in.Digest, kind: kind}, compressed: true, input: in})
		}
		return n
	}
	for i := range len(list) { // not what is added meanwhile
		if !wanted(&list[i]) {
			continue
		}
		got, err := p.patches.patch(ctx, list[i].input, list[i].digest)
		if err != nil {
			return nil, err
		}
		m.add(list[i].digest.Size)
		if got == nil {
			continue
		}
		if _, ok := at[got.patch.Digest.Hash]; ok {
			continue
		}
		base, patch := add(got.base, contentBase), add(got.patch, contentPacked)
		list[i].kind, list[i].base, list[i].patch = contentPatched, base, patch
	}
	return list, nil
}

// arrange gives each distinct content its place: what compresses, then what
// does not, each in the order of components and paths; then the others by hash.
func (p *plan) arrange(list []found) {
	order := make([]int, len(list))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		a, b := &list[i], &list[j]
		if a.kind != b.kind {
			return cmp.Compare(a.kind, b.kind)
		}
		if a.kind != contentPacked {
			return bytes.Compare(a.digest.Hash[:], b.digest.Hash[:])
		}
		return cmp.Compare(asInt(a.compressed), asInt(b.compressed))
	})
	for n, i := range order {
		list[i].number = n
		c := list[i].content
		if c.kind == contentPacked {
			c.start = p.raw
			p.raw += c.digest.Size
			if !list[i].compressed {
				p.edge = p.raw
			}
		}
		if c.kind == contentPatched { // the last kind
			c.base, c.patch = list[c.base].number, list[c.patch].number
		}
		p.x.contents = append(p.x.contents, c)
		p.inputs = append(p.inputs, list[i].input)
	}
}

// numbers are those in the index of the contents of a list.
func (p *plan) numbers(list []found) []int {
	out := make([]int, len(list))
	for i := range list {
		out[i] = list[i].number
	}
	return out
}

// count says what of the base is left out.
func (p *plan) count(base *Base) {
	if base != nil {
		p.base = &RootBase{Bundles: append([]string{}, base.bundles...)}
		slices.Sort(p.base.Bundles)
		p.base.Bundles = slices.Compact(p.base.Bundles)
		for _, c := range p.x.contents {
			if c.kind == contentBase {
				p.base.Contents++
				p.base.Bytes += c.digest.Size
			}
		}
	}
}

func asInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// distinct returns every content once, in the order in which files first have
// it, and the number of each by hash.
func (p *plan) distinct(base *Base, looks [][]look) (list []found, at map[[32]byte]int) {
	at = map[[32]byte]int{}
	plain := map[int]bool{}
	for i, c := range p.comps {
		for j, f := range c.Files {
			l := looks[i][j]
			n, ok := at[l.digest.Hash]
			if !ok {
				n = len(list)
				at[l.digest.Hash] = n
				list = append(list, found{content: content{digest: l.digest, kind: contentPacked}, compressed: l.compressed, input: f})
				if base != nil && l.digest.Size > 0 && base.has(l.digest.Hash, l.digest.Size) {
					list[n].kind = contentBase
				}
			}
			if f.Always && list[n].kind == contentBase {
				list[n].kind = contentPacked
			}
			if c.Plain && l.digest.Size > 0 {
				plain[n] = true
			}
		}
	}
	for n := range plain {
		if list[n].kind == contentPacked {
			list[n].kind = contentPlain
		}
	}
	return list, at
}

// list makes the components' files.
func (p *plan) list(looks [][]look, at map[[32]byte]int, number []int) {
	for i, c := range p.comps {
		t := part{name: c.Name}
		for j, f := range c.Files {
			d := looks[i][j].digest
			t.files = append(t.files, File{Path: f.Path, Digest: d, Executable: f.Executable, content: number[at[d.Hash]]})
		}
		p.x.parts = append(p.x.parts, t)
	}
}

// cut cuts the raw bytes into blocks and packs. No block is half of what
// compresses and half of what does not.
func (p *plan) cut(packSize int64) {
	inPack := int64(0)
	for start := int64(0); start < p.raw; {
		n := min(blockSize, p.raw-start, packSize-inPack)
		if start < p.edge {
			n = min(n, p.edge-start)
		}
		if inPack == 0 {
			p.x.packs = append(p.x.packs, 0)
		}
		p.x.blocks = append(p.x.blocks, block{start: start, raw: int(n), pack: len(p.x.packs) - 1})
		start += n
		if inPack += n; inPack == packSize {
			inPack = 0
		}
	}
}

// blocksOf returns the first block of a pack and the first behind it.
func (x *index) blocksOf(pack int) (first, end int) {
	first, _ = slices.BinarySearchFunc(x.blocks, pack, func(b block, n int) int { return cmp.Compare(b.pack, n) })
	end, _ = slices.BinarySearchFunc(x.blocks, pack+1, func(b block, n int) int { return cmp.Compare(b.pack, n) })
	return first, end
}

// contentAt returns the number of the packed content that has the raw byte at
// off. Of empty contents at the same place it is the one behind them.
func (x *index) contentAt(off int64) int {
	n, _ := slices.BinarySearchFunc(x.contents, off, func(c content, off int64) int {
		if c.kind != contentPacked || c.start+c.digest.Size > off {
			return 1
		}
		return -1
	})
	return n
}

// recipe names what a pack is made of: two packs of one recipe have the same
// bytes.
func (x *index) recipe(pack int) [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "airbuild-recipe-1 %s\n", codecName)
	first, end := x.blocksOf(pack)
	var n []byte
	for i := first; i < end; i++ {
		n = binary.AppendUvarint(n[:0], uint64(x.blocks[i].raw))
		h.Write(n)
	}
	from := x.blocks[first].start
	to := x.blocks[end-1].start + int64(x.blocks[end-1].raw)
	for i := x.contentAt(from); i < len(x.contents); i++ {
		c := &x.contents[i]
		if c.kind != contentPacked || c.start >= to {
			break
		}
		n = binary.AppendVarint(n[:0], c.start-from)
		n = binary.AppendUvarint(n, uint64(c.digest.Size))
		h.Write(n)
		h.Write(c.digest.Hash[:])
	}
	return [32]byte(h.Sum(nil))
}
