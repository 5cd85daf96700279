package create

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/lists"
)

// A plan says where every byte of a bundle comes from and into which block it
// goes, before any of it is read. It depends on the Spec and the pack size alone,
// so that creation is deterministic whatever runs at the same time, and can go
// on where it was interrupted: a pack whose recipe is known is known.
type plan struct {
	x      *format.Index // without sums and stored sizes
	inputs []Input       // by content
	comps  []Component
	base   *bundle.RootBase
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
func newPlan(ctx context.Context, dir string, spec Spec, o Options) (*plan, error) {
	p := &plan{x: &format.Index{}}
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
		if err := format.CheckComponentName(c.Name); err != nil {
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
	if total > format.MaxFiles {
		return fmt.Errorf("the bundle would have %d files; %d are allowed", total, format.MaxFiles)
	}
	return nil
}

func checkFiles(c *Component) error {
	seen := format.NewPathSet(format.MaxDirs)
	for _, f := range c.Files {
		if err := format.CheckPath(f.Path); err != nil {
			return fmt.Errorf("it cannot be carried: %w. Rename it or leave it out", err)
		}
		if err := seen.Add(f.Path); err != nil {
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
	return slices.ContainsFunc(magics[:], func(m string) bool { return bytes.HasPrefix(head, []byte(m)) })
}

// An examined is what hashing found out about one input.
type examined struct {
	digest     action.Digest
	compressed bool
}

// hash reads every input, several at once. The result has one list a
// component.
func (p *plan) hash(ctx context.Context, o Options) ([][]examined, error) {
	heads := make([][]examined, len(p.comps))
	files := 0
	var total int64
	for i, c := range p.comps {
		heads[i] = make([]examined, len(c.Files))
		files += len(c.Files)
		for _, f := range c.Files {
			total += f.Digest.Size
		}
	}
	m := progress.NewMeter(o.Progress, progress.PhaseHash, total, files)
	work := pool.New().WithContext(ctx).WithCancelOnError().WithFirstError().WithMaxGoroutines(o.Jobs)
	for i := range p.comps {
		c := &p.comps[i]
		for j := range c.Files {
			work.Go(func(ctx context.Context) (err error) {
				heads[i][j], err = examine(ctx, &c.Files[j])
				m.Add(c.Files[j].Digest.Size)
				m.File()
				if err != nil {
					return fmt.Errorf("component %s: %w", c.Name, err)
				}
				return nil
			})
		}
	}
	err := work.Wait()
	m.End()
	return heads, err
}

// examine hashes an input, or reads only its beginning if its digest is known.
func examine(ctx context.Context, f *Input) (examined, error) {
	l := examined{digest: f.Digest}
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
		whole := io.MultiReader(bytes.NewReader(head[:n]), ctxio.Reader(ctx, r))
		if l.digest, err = action.OfReader(whole); err != nil {
			return l, fmt.Errorf("read %s: %w", f.Path, err)
		}
	}
	l.compressed = l.digest.Size >= compressedFrom && isCompressed(head[:n])
	return l, nil
}

// A found is a content on its way into the plan.
type found struct {
	format.Content // base and patch are places in the same list
	compressed     bool
	input          Input
	number         int // in the index
}

// patch makes patches for contents that are carried, where that is worth while.
// Of each, its base and its patch are added to the list.
func (p *plan) patch(ctx context.Context, dir string, spec Spec, list []found, at map[[32]byte]int, report bundle.ProgressFunc) ([]found, error) {
	wanted := func(f *found) bool {
		return f.Kind == format.ContentPacked && !f.compressed && !f.input.Always && f.Digest.Size >= leastPatched
	}
	var total int64
	var sizes []int64
	for i := range list {
		if wanted(&list[i]) {
			total += list[i].Digest.Size
			sizes = append(sizes, list[i].Digest.Size)
		}
	}
	included := map[[32]byte]bool{} // those that the bundle itself leaves out can be bases
	for i := range list {
		if list[i].Kind != format.ContentBase {
			included[list[i].Digest.Hash] = true
		}
	}
	var err error
	if p.patches, err = newPatcher(ctx, spec, sizes, included, dir); err != nil {
		return nil, err
	}
	m := progress.NewMeter(report, progress.PhasePatch, total, 0)
	defer m.End()
	add := func(in Input, kind byte) int {
		n, ok := at[in.Digest.Hash]
		if !ok {
			n = len(list)
			at[in.Digest.Hash] = n
			list = append(list, found{Content: format.Content{Digest: in.Digest, Kind: kind}, compressed: true, input: in})
		}
		return n
	}
	for i := range len(list) { // not what is added meanwhile
		if !wanted(&list[i]) {
			continue
		}
		got, err := p.patches.patch(ctx, list[i].input, list[i].Digest)
		if err != nil {
			return nil, err
		}
		m.Add(list[i].Digest.Size)
		if got == nil {
			continue
		}
		if _, ok := at[got.patch.Digest.Hash]; ok {
			continue
		}
		base, patch := add(got.base, format.ContentBase), add(got.patch, format.ContentPacked)
		list[i].Kind, list[i].Base, list[i].Patch = format.ContentPatched, base, patch
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
		if a.Kind != b.Kind {
			return cmp.Compare(a.Kind, b.Kind)
		}
		if a.Kind != format.ContentPacked {
			return bytes.Compare(a.Digest.Hash[:], b.Digest.Hash[:])
		}
		return cmp.Compare(asInt(a.compressed), asInt(b.compressed))
	})
	for n, i := range order {
		list[i].number = n
		c := list[i].Content
		if c.Kind == format.ContentPacked {
			c.Start = p.raw
			p.raw += c.Digest.Size
			if !list[i].compressed {
				p.edge = p.raw
			}
		}
		if c.Kind == format.ContentPatched { // the last kind
			c.Base, c.Patch = list[c.Base].number, list[c.Patch].number
		}
		p.x.Contents = append(p.x.Contents, c)
		p.inputs = append(p.inputs, list[i].input)
	}
}

// numbers are those in the index of the contents of a list.
func (p *plan) numbers(list []found) []int {
	return lists.Map(list, func(f found) int { return f.number })
}

// count says what of the base is left out.
func (p *plan) count(base *Base) {
	if base != nil {
		p.base = &bundle.RootBase{Bundles: lists.Unique(append([]string{}, base.bundles...))}
		for _, c := range p.x.Contents {
			if c.Kind == format.ContentBase {
				p.base.Contents++
				p.base.Bytes += c.Digest.Size
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
func (p *plan) distinct(base *Base, heads [][]examined) (list []found, at map[[32]byte]int) {
	at = map[[32]byte]int{}
	plain := map[int]bool{}
	for i, c := range p.comps {
		for j, f := range c.Files {
			l := heads[i][j]
			n, ok := at[l.digest.Hash]
			if !ok {
				n = len(list)
				at[l.digest.Hash] = n
				list = append(list, found{Content: format.Content{Digest: l.digest, Kind: format.ContentPacked}, compressed: l.compressed, input: f})
				if base != nil && l.digest.Size > 0 && base.has(l.digest) {
					list[n].Kind = format.ContentBase
				}
			}
			if f.Always && list[n].Kind == format.ContentBase {
				list[n].Kind = format.ContentPacked
			}
			if c.Plain && l.digest.Size > 0 {
				plain[n] = true
			}
		}
	}
	for n := range plain {
		if list[n].Kind == format.ContentPacked {
			list[n].Kind = format.ContentPlain
		}
	}
	return list, at
}

// list makes the components' files.
func (p *plan) list(heads [][]examined, at map[[32]byte]int, number []int) {
	for i, c := range p.comps {
		t := format.Component{Name: c.Name}
		for j, f := range c.Files {
			d := heads[i][j].digest
			t.Files = append(t.Files, bundle.File{Path: f.Path, Digest: d, Executable: f.Executable, Content: number[at[d.Hash]]})
		}
		p.x.Components = append(p.x.Components, t)
	}
}

// cut cuts the raw bytes into blocks and packs. No block is half of what
// compresses and half of what does not.
func (p *plan) cut(packSize int64) {
	inPack := int64(0)
	for start := int64(0); start < p.raw; {
		n := min(format.BlockSize, p.raw-start, packSize-inPack)
		if start < p.edge {
			n = min(n, p.edge-start)
		}
		if inPack == 0 {
			p.x.Packs = append(p.x.Packs, 0)
		}
		p.x.Blocks = append(p.x.Blocks, format.Block{Start: start, Raw: int(n), Pack: len(p.x.Packs) - 1})
		start += n
		if inPack += n; inPack == packSize {
			inPack = 0
		}
	}
}
