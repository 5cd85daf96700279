package create

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
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// recordName is the file with the packs that an unfinished Bundle has finished,
// one JSON object a line. It is a hint: what it says is verified, and losing it
// costs time only.
const recordName = atomicfile.TempPrefix + "create"

// A finishedPack is one finished pack.
type finishedPack struct {
	Recipe string          `json:"recipe"`
	Digest string          `json:"digest"` // "<hash>/<size>"
	Blocks []finishedBlock `json:"blocks"`
}

type finishedBlock struct {
	Stored int  `json:"s"`
	Zstd   bool `json:"z"`
}

// A record is the open file. While it is open no other Bundle may use the
// directory.
type record struct {
	dir      string
	lock     *flock.Flock
	f        *os.File
	finished map[string]finishedPack
}

func finishedOf(x *format.Index, pack int, d action.Digest) finishedPack {
	recipe := x.Recipe(pack)
	m := finishedPack{Recipe: hex.EncodeToString(recipe[:]), Digest: d.String()}
	first, end := x.BlocksOf(pack)
	for _, b := range x.Blocks[first:end] {
		m.Blocks = append(m.Blocks, finishedBlock{b.Stored, b.Method == format.BlockZstd})
	}
	return m
}

func openRecord(dir string) (*record, error) {
	name := filepath.Join(dir, recordName)
	r := &record{dir: dir, lock: flock.New(name + ".lock"), finished: map[string]finishedPack{}}
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
		var m finishedPack
		if json.Unmarshal(lines.Bytes(), &m) == nil {
			r.finished[m.Recipe] = m
		}
	}
	return r, nil
}

// add notes a pack that is in its place.
func (r *record) add(p *plan, pack int, d action.Digest) error {
	line, err := json.Marshal(finishedOf(p.x, pack, d))
	if err != nil {
		return err
	}
	// The line feed in front ends a line that a crash cut off.
	if _, err := r.f.Write(append(append([]byte("\n"), line...), '\n')); err != nil {
		return err
	}
	return r.f.Sync()
}

// addBundle notes the packs of a bundle that is there, where they are those of the
// plan.
func (r *record) addBundle(p *plan, b *bundle.Bundle) {
	if len(p.x.Packs) != len(b.Root().Packs) {
		return
	}
	for n := range p.x.Packs {
		d, err := b.Contents().Pack(n)
		if err != nil {
			return
		}
		if x := b.Contents().Index; x.Recipe(n) == p.x.Recipe(n) {
			m := finishedOf(x, n, d)
			r.finished[m.Recipe] = m
		}
	}
}

// reuse looks for a finished pack of the plan, verifies its bytes and notes
// what its blocks are.
func (r *record) reuse(ctx context.Context, p *plan, pack int) (action.Digest, bool) {
	recipe := p.x.Recipe(pack)
	m, ok := r.finished[hex.EncodeToString(recipe[:])]
	first, end := p.x.BlocksOf(pack)
	if !ok || len(m.Blocks) != end-first {
		return action.Digest{}, false
	}
	d, err := action.ParseDigest(m.Digest)
	if err != nil {
		return action.Digest{}, false
	}
	f, err := files.OpenRegular(filepath.Join(r.dir, filepath.FromSlash(format.BlobPath(d))))
	if err != nil {
		return action.Digest{}, false
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Size() != d.Size {
		return action.Digest{}, false
	}
	b := media.NewBlob(f, f.Name(), 0, d.Size, f.Close)
	return d, bytesAreRight(ctx, b, d) && placeBlocks(p.x.Blocks[first:end], m.Blocks, b, d.Size)
}

func bytesAreRight(ctx context.Context, b bundle.Blob, d action.Digest) bool {
	bad, err := media.Verify(ctx, b, d, nil)
	return bad == nil && err == nil
}

// placeBlocks computes the sums of the blocks of a pack from its bytes.
func placeBlocks(blocks []format.Block, finished []finishedBlock, b bundle.Blob, size int64) bool {
	off := int64(len(format.PackHeader))
	buf := make([]byte, format.MaxBlock)
	for i, m := range finished {
		k := &blocks[i]
		if m.Stored <= 0 || m.Stored > k.Raw {
			return false
		}
		stored := buf[:m.Stored]
		if _, err := b.ReadAt(stored, off); err != nil {
			return false
		}
		k.Stored, k.Offset, k.Sum, k.Method = m.Stored, off, action.Of(stored).Hash, format.BlockStored
		if m.Zstd {
			k.Method = format.BlockZstd
		}
		off += int64(m.Stored)
	}
	return off == size
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
