package store

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// What is younger than these is never pruned: a blob may wait for the entry
// that will name it, a temporary file for its rename.
const (
	blobGrace = time.Hour
	tempGrace = 24 * time.Hour
)

// PruneOptions says what to keep. The zero value removes only what no entry
// names.
type PruneOptions struct {
	MaxBytes int64           // of entries and the blobs that they name; zero: no limit
	MaxAge   time.Duration   // since an entry was last used; zero: no limit
	Keep     []action.Digest // keys of entries that stay, like pinned ones, whatever their size and age
	DryRun   bool            // count only
}

// A PruneReport says what Prune removed, or in a dry run would have.
type PruneReport struct {
	Entries, Blobs, Temps int
	Bytes                 int64 // freed
	KeptEntries           int
	KeptBlobs             int
	KeptBytes             int64
}

// Prune removes the entries that were not used for the longest time until what
// is left fits the options, then the blobs that no entry names and the files
// that killed processes left. It fails with ErrInUse, at once, if another
// process has the store open; no goroutine of this one may use it meanwhile.
// Entries go before their blobs, so that a crash leaves no entry without them.
// What is pinned stays. While a pin is damaged nothing is removed at all; the
// error is then a *DamagedPin.
func (s *Disk) Prune(ctx context.Context, o PruneOptions) (PruneReport, error) {
	p := &pruner{s: s, o: o, pins: map[[sha256.Size]byte]bool{}, used: map[shortHash]struct{}{}}
	for _, key := range o.Keep {
		p.pins[key.Hash] = true
	}
	run := func() error { return p.run(ctx) }
	var err error
	if o.DryRun {
		err = run()
	} else {
		err = s.users.alone(run)
	}
	if err != nil {
		return p.report, fmt.Errorf("prune store %s: %w", s.Dir(), err)
	}
	return p.report, nil
}

type pruner struct {
	s      *Disk
	o      PruneOptions
	report PruneReport
	pins   map[[sha256.Size]byte]bool // keys to keep, by hash: an entry's name does not tell the size
	used   map[shortHash]struct{}     // blobs that a kept entry names
	bytes  int64                      // of these and of the kept entries
}

// A shortHash is half of a blob's hash. Of a store of a million blobs all of
// these are held at once. Two blobs that share one would both be kept, which
// harms nothing.
type shortHash [sha256.Size / 2]byte

func short(d action.Digest) shortHash { return shortHash(d.Hash[:sha256.Size/2]) }

// An ranked is what choosing needs of an entry, without its name and all that
// the file system says of it: all entries are held at once.
type ranked struct {
	hash [sha256.Size]byte
	used int64 // nanoseconds
	size int64 // of the entry's file
}

// key is the entry's, without a size.
func (e *ranked) key() action.Digest { return action.Digest{Hash: e.hash} }

func (p *pruner) run(ctx context.Context) error {
	keys, err := p.s.pinned()
	if err != nil {
		return err
	}
	for _, key := range keys {
		p.pins[key.Hash] = true
	}
	entries, err := p.entries(ctx)
	if err != nil {
		return err
	}
	if err := p.choose(ctx, entries); err != nil {
		return err
	}
	if err := p.blobs(ctx); err != nil {
		return err
	}
	return p.s.eachTemp(func(x stored) error {
		// Not by the modification time: a finished blob has its mark already.
		if p.s.now().Sub(changed(x.info)) < tempGrace {
			return nil
		}
		p.report.Temps++
		return p.remove(x.name, x.info.Size())
	})
}

// entries returns all entries: those to keep first, then the latest used.
func (p *pruner) entries(ctx context.Context) ([]ranked, error) {
	var list []ranked
	err := p.s.each(ctx, "ac", func(x stored) error {
		list = append(list, ranked{x.digest.Hash, x.info.ModTime().UnixNano(), x.info.Size()})
		return nil
	})
	slices.SortStableFunc(list, func(x, y ranked) int {
		if kx, ky := p.pins[x.hash], p.pins[y.hash]; kx != ky {
			if kx {
				return -1
			}
			return 1
		}
		return cmp.Compare(y.used, x.used)
	})
	return list, err
}

// choose removes the entries that are too old, cannot be a hit any more, or
// are the first not to fit or come after it.
func (p *pruner) choose(ctx context.Context, entries []ranked) error {
	full := false
	for i := range entries {
		x := &entries[i]
		pinned := p.pins[x.hash]
		old := p.o.MaxAge > 0 && p.s.now().Sub(time.Unix(0, x.used)) > p.o.MaxAge
		if !pinned && (full || old) {
			if err := p.drop(x); err != nil {
				return err
			}
			continue
		}
		refs, err := p.references(ctx, x.key())
		if err != nil {
			return err
		}
		if refs == nil {
			if err := p.drop(x); err != nil {
				return err
			}
			continue
		}
		if size := p.size(x, refs); pinned || p.o.MaxBytes <= 0 || p.bytes+size <= p.o.MaxBytes {
			p.keep(x, refs, size)
			continue
		}
		full = true
		if err := p.drop(x); err != nil {
			return err
		}
	}
	return nil
}

func (p *pruner) keep(x *ranked, refs []action.Digest, size int64) {
	for _, d := range refs {
		p.used[short(d)] = struct{}{}
	}
	p.bytes += size
	p.report.KeptEntries++
	p.report.KeptBytes += x.size
}

func (p *pruner) drop(x *ranked) error {
	p.report.Entries++
	return p.remove(p.s.entryFile(x.key()), x.size)
}

// size is what keeping x takes beside what is kept already.
func (p *pruner) size(x *ranked, refs []action.Digest) int64 {
	n := x.size
	for _, d := range refs {
		if _, used := p.used[short(d)]; !used {
			n += d.Size
		}
	}
	return n
}

// references returns what the entry names and, if they are stored, the Action and
// Command that it is the result of, which explain shows. It is nil if it
// is damaged or one of its blobs is gone.
func (p *pruner) references(ctx context.Context, key action.Digest) ([]action.Digest, error) {
	r, _, err := p.s.readEntry(key)
	if _, ok := errors.AsType[*action.Damaged](err); ok || err == nil && r == nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	refs, err := p.s.References(ctx, r)
	if _, ok := errors.AsType[*lostTreeError](err); ok {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, d := range refs {
		if info, err := os.Lstat(p.s.BlobFile(d)); err != nil || info.Size() != d.Size {
			return nil, nil
		}
	}
	return append(refs, p.origin(ctx, key)...), nil
}

// origin returns the digests of the Action with the given hash and of its
// Command, as far as they are stored.
func (p *pruner) origin(ctx context.Context, key action.Digest) []action.Digest {
	info, err := os.Lstat(p.s.BlobFile(key))
	if err != nil {
		return []action.Digest{}
	}
	key.Size = info.Size()
	b, err := p.s.read(ctx, key)
	if err != nil {
		return []action.Digest{}
	}
	a, err := action.UnmarshalAction(b)
	if err != nil {
		return []action.Digest{key}
	}
	if info, err := os.Lstat(p.s.BlobFile(a.Command)); err != nil || info.Size() != a.Command.Size {
		return []action.Digest{key}
	}
	return []action.Digest{key, a.Command}
}

func (p *pruner) blobs(ctx context.Context) error {
	return p.s.each(ctx, "cas", func(x stored) error {
		if _, used := p.used[short(x.digest)]; used || p.s.now().Sub(changed(x.info)) < blobGrace {
			p.report.KeptBlobs++
			p.report.KeptBytes += x.info.Size()
			return nil
		}
		p.report.Blobs++
		return p.remove(x.name, x.info.Size())
	})
}

func (p *pruner) remove(name string, size int64) error {
	p.report.Bytes += size
	if p.o.DryRun {
		return nil
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
