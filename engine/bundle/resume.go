package bundle

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/airbuild/airbuild/engine/action"
)

// recordName is the file with the packs that an unfinished Create has finished,
// one JSON object a line. It is a hint: what it says is verified, and losing it
// costs time only.
const recordName = tempPrefix + "create"

// A madePack is one finished pack.
type madePack struct {
	Recipe string      `json:"recipe"`
	Digest string      `json:"digest"` // "<hash>/<size>"
	Blocks []madeBlock `json:"blocks"`
}

type madeBlock struct {
	Stored int  `json:"s"`
	Zstd   bool `json:"z"`
}

// A record is the open file. While it is open no other Create may use the
// directory.
type record struct {
	dir  string
	lock *flock.Flock
	f    *os.File
	made map[string]madePack
}

func openRecord(dir string) (*record, error) {
	name := filepath.Join(dir, recordName)
	r := &record{dir: dir, lock: flock.New(name + ".lock"), made: map[string]madePack{}}
	ok, err := r.lock.TryLock()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("another airbuild is making a bundle there")
	}
	if r.f, err = os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o666); err != nil {
		return nil, errors.Join(err, r.lock.Close())
	}
	lines := bufio.NewScanner(r.f)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var m madePack
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			r.made[m.Recipe] = m
		}
	}
	return r, nil
}

// add notes a pack that is in its place.
func (r *record) add(p *plan, pack int, d action.Digest) error {
	recipe := p.x.recipe(pack)
	m := madePack{Recipe: hex.EncodeToString(recipe[:]), Digest: d.String()}
	first, end := p.x.blocksOf(pack)
	for _, b := range p.x.blocks[first:end] {
		m.Blocks = append(m.Blocks, madeBlock{b.stored, b.method == blockZstd})
	}
	line, err := json.Marshal(m)
	if err != nil {
		return err
	}
	// The line feed in front ends a line that a crash cut off.
	if _, err := r.f.Write(append(append([]byte("\n"), line...), '\n')); err != nil {
		return err
	}
	return r.f.Sync()
}

// know notes the packs of a bundle that is there, where they are those of the
// plan.
func (r *record) know(p *plan, b *Bundle) {
	if len(p.x.packs) != len(b.root.Packs) {
		return
	}
	for n := range p.x.packs {
		d, err := b.pack(n)
		if err != nil {
			return
		}
		recipe := p.x.recipe(n)
		m := madePack{Recipe: hex.EncodeToString(recipe[:]), Digest: d.String()}
		first, end := b.index.blocksOf(n)
		for _, k := range b.index.blocks[first:end] {
			m.Blocks = append(m.Blocks, madeBlock{k.stored, k.method == blockZstd})
		}
		if theirs := b.index.recipe(n); theirs == recipe {
			r.made[m.Recipe] = m
		}
	}
}

// reuse looks for a finished pack of the plan, verifies its bytes and notes
// what its blocks are.
func (r *record) reuse(ctx context.Context, p *plan, pack int) (action.Digest, bool) {
	recipe := p.x.recipe(pack)
	m, ok := r.made[hex.EncodeToString(recipe[:])]
	first, end := p.x.blocksOf(pack)
	if !ok || len(m.Blocks) != end-first {
		return action.Digest{}, false
	}
	d, err := action.ParseDigest(m.Digest)
	if err != nil {
		return action.Digest{}, false
	}
	f, err := openRegular(filepath.Join(r.dir, filepath.FromSlash(blobPath(d))))
	if err != nil {
		return action.Digest{}, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != d.Size {
		return action.Digest{}, false
	}
	b := &fileBlob{f, f.Name(), 0, d.Size, f.Close}
	return d, bytesAreRight(ctx, b, d) && placeMade(p.x.blocks[first:end], m.Blocks, b)
}

func bytesAreRight(ctx context.Context, b Blob, d action.Digest) bool {
	bad, err := hashBlob(ctx, b, d, nil)
	return bad == nil && err == nil
}

// placeMade computes the sums of the blocks of a pack from its bytes.
func placeMade(blocks []block, made []madeBlock, b *fileBlob) bool {
	off := int64(len(packHeader))
	buf := make([]byte, maxBlock)
	for i, m := range made {
		k := &blocks[i]
		if m.Stored <= 0 || m.Stored > k.raw {
			return false
		}
		stored := buf[:m.Stored]
		if _, err := b.ReadAt(stored, off); err != nil {
			return false
		}
		k.stored, k.off, k.sum, k.method = m.Stored, off, action.Of(stored).Hash, blockStored
		if m.Zstd {
			k.method = blockZstd
		}
		off += int64(m.Stored)
	}
	return off == b.size
}

// close gives the directory free. done removes the record: the bundle is
// finished.
func (r *record) close(done bool) error {
	err := r.f.Close()
	if done {
		err = errors.Join(err, os.Remove(filepath.Join(r.dir, recordName)))
	}
	err = errors.Join(err, r.lock.Close())
	if done {
		// Whoever has opened it meanwhile finds a finished bundle.
		_ = os.Remove(r.lock.Path())
	}
	if err != nil {
		return fmt.Errorf("close %s: %w", recordName, err)
	}
	return nil
}
