package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/airbuild/airbuild/engine/action"
)

func (b *Bundle) verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	v := &verifier{b: b, r: &Report{}}
	err := v.run(ctx, o)
	if err != nil {
		err = fmt.Errorf("verify bundle %s: %w", b.media.Name(), err)
	}
	return v.r, err
}

// A verifier reads all of a bundle.
type verifier struct {
	b     *Bundle
	r     *Report
	meter *meter
}

func (v *verifier) run(ctx context.Context, o VerifyOptions) error {
	if m, ok := v.b.media.(*volumeMedia); ok {
		for _, d := range m.damage {
			v.damaged(d)
		}
	}
	list := v.b.layoutBlobs()
	var total int64
	for _, d := range list {
		total += d.Size
	}
	v.meter = newMeter(o.Progress, PhaseVerify, total, 0)
	for _, d := range list {
		if err := v.blob(ctx, d); err != nil {
			return err
		}
		v.meter.add(d.Size)
	}
	v.meter.end()
	for _, c := range v.b.index.contents {
		if c.kind == contentPatched {
			v.r.Unmade++
			v.r.UnmadeBytes += c.digest.Size
		}
	}
	v.wrapping()
	if err := v.custody(); err != nil {
		v.damaged(&Damage{File: v.b.media.Name(), Offset: -1, Reason: "custody log: " + err.Error()})
	}
	if o.Deep && len(v.r.Damage) == 0 {
		return v.deep(ctx, o)
	}
	return nil
}

func (v *verifier) damaged(d *Damage) { v.r.Damage = append(v.r.Damage, d) }

// wrapping checks that the OCI manifest lists what the root names: programs
// that copy images would leave the rest behind.
func (v *verifier) wrapping() {
	for _, x := range v.b.root.blobs() {
		if !v.b.wrapper.listed[x.Digest] {
			v.damaged(&Damage{File: v.b.media.Name(), Offset: -1, Reason: "the OCI manifest does not list blob " + x.Digest})
			return
		}
	}
}

func (v *verifier) custody() error {
	if v.b.root.Custody == nil {
		return nil
	}
	var err error
	v.r.Custody, err = v.b.Custody()
	return err
}

// blob reads every copy of a blob.
func (v *verifier) blob(ctx context.Context, d action.Digest) error {
	var copies []Blob
	if m, ok := v.b.media.(*volumeMedia); ok {
		copies = m.copies(d)
	}
	if len(copies) == 0 {
		blob, err := v.b.media.Blob(ctx, d)
		if bad, err := asDamage(err); err != nil {
			return err
		} else if bad != nil {
			v.r.Missing = append(v.r.Missing, d)
			v.damaged(bad)
			return nil
		}
		copies = append(copies, blob)
	}
	v.r.Blobs++
	for _, blob := range copies {
		bad, err := hashBlob(ctx, blob, d, nil)
		v.r.Bytes += d.Size
		if bad != nil {
			v.locate(ctx, blob, d, bad)
		}
		if err := errors.Join(err, blob.Close()); err != nil {
			return err
		}
	}
	return nil
}

// locate reports which blocks of a damaged pack are damaged, or else the blob.
func (v *verifier) locate(ctx context.Context, blob Blob, d action.Digest, bad *Damage) {
	found := false
	for i := range v.b.root.Packs {
		id, err := v.b.pack(i)
		if err != nil || id != d {
			continue
		}
		first, end := v.b.index.blocksOf(i)
		for n := first; n < end && ctx.Err() == nil; n++ {
			k := &v.b.index.blocks[n]
			stored := make([]byte, k.stored)
			if got, err := blob.ReadAt(stored, k.off); got < len(stored) {
				if one, _ := asDamage(readError(blob, d, k.off+int64(got), err)); one != nil {
					v.damaged(one)
					found = true
				}
			} else if sha256.Sum256(stored) != k.sum {
				file, off := blob.Place(k.off)
				v.damaged(&Damage{File: file, Offset: off, Blob: d, Reason: fmt.Sprintf("block %d: its bytes are not those that were signed", n)})
				found = true
			}
		}
	}
	if !found {
		v.damaged(bad)
	}
}

// deep decompresses all packs and hashes the contents.
func (v *verifier) deep(ctx context.Context, o VerifyOptions) error {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	x := v.b.index
	e := &extractor{b: v.b, jobs: o.Jobs, want: newBitmap(len(x.contents))}
	var total int64
	for i, c := range x.contents {
		if c.kind == contentPacked {
			e.want.set(i)
			total += c.digest.Size
		}
	}
	e.meter = newMeter(o.Progress, PhaseVerify, total, 0)
	e.put = func(ctx context.Context, n int, r io.Reader) error {
		return copyExactly(io.Discard, r, x.contents[n].digest)
	}
	err := e.run(ctx)
	e.meter.end()
	for _, d := range e.bad {
		v.damaged(d)
	}
	for _, err := range e.errs {
		v.damaged(&Damage{File: v.b.media.Name(), Offset: -1, Reason: err.Error()})
	}
	return err
}
