package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
)

// VerifyOptions say how thoroughly.
type VerifyOptions struct {
	// Deep decompresses everything and hashes each file's content too. Without,
	// each blob is hashed: whoever trusts the signers needs no more.
	Deep     bool
	Jobs     int
	Progress ProgressFunc
}

// A Report is what Verify found.
type Report struct {
	Blobs   int
	Bytes   int64 // of the blobs that were read
	Damage  []*Damage
	Custody []custody.Event // that the bundle carries, verified with the bundle's trust
	Missing []action.Digest
	// Patched is how many contents, of how many bytes, are made of what the
	// receiver has. What to do to it was verified like all else that is carried;
	// what comes of it is verified by the import.
	Patched      int
	PatchedBytes int64
}

// OK reports whether all was as it should be.
func (r *Report) OK() bool { return len(r.Damage) == 0 }

// Verify reads every blob and reports all that is wrong. The error is for what
// kept it from going on; damage is none.
func (b *Bundle) Verify(ctx context.Context, o VerifyOptions) (*Report, error) {
	v := &verifier{b: b, r: &Report{}}
	err := v.run(ctx, o)
	if err != nil {
		err = fmt.Errorf("verify bundle %s: %w", b.src.Media.Name(), err)
	}
	return v.r, err
}

// A verifier reads all of a bundle.
type verifier struct {
	b     *Bundle
	r     *Report
	meter *progress.Meter
}

func (v *verifier) run(ctx context.Context, o VerifyOptions) error {
	if m, ok := v.b.src.Media.(*media.Volumes); ok {
		for _, d := range m.Damage {
			v.damaged(d)
		}
	}
	list := v.b.LayoutBlobs()
	var total int64
	for _, d := range list {
		total += d.Size
	}
	v.meter = progress.NewMeter(o.Progress, progress.PhaseVerify, total, 0)
	for _, d := range list {
		if err := v.blob(ctx, d); err != nil {
			return err
		}
		v.meter.Add(d.Size)
	}
	v.meter.End()
	for _, c := range v.b.src.Index.Contents {
		if c.Kind == format.ContentPatched {
			v.r.Patched++
			v.r.PatchedBytes += c.Digest.Size
		}
	}
	v.wrapping()
	if err := v.custody(); err != nil {
		v.damaged(&Damage{File: v.b.src.Media.Name(), Offset: -1, Reason: "custody log: " + err.Error()})
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
	for _, x := range v.b.src.Root.Blobs() {
		if !v.b.manifest.Listed[x.Digest] {
			v.damaged(&Damage{File: v.b.src.Media.Name(), Offset: -1, Reason: "the OCI manifest does not list blob " + x.Digest})
			return
		}
	}
}

func (v *verifier) custody() error {
	if v.b.src.Root.Custody == nil {
		return nil
	}
	var err error
	v.r.Custody, err = v.b.Custody()
	return err
}

// blob reads every copy of a blob.
func (v *verifier) blob(ctx context.Context, d action.Digest) error {
	var copies []Blob
	if m, ok := v.b.src.Media.(*media.Volumes); ok {
		copies = m.Copies(d)
	}
	if len(copies) == 0 {
		blob, err := v.b.src.Media.Blob(ctx, d)
		if bad, err := format.AsDamage(err); err != nil {
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
		bad, err := media.Verify(ctx, blob, d, nil)
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
	for i := range v.b.src.Root.Packs {
		id, err := v.b.src.Pack(i)
		if err != nil || id != d {
			continue
		}
		first, end := v.b.src.Index.BlocksOf(i)
		for n := first; n < end && ctx.Err() == nil; n++ {
			k := &v.b.src.Index.Blocks[n]
			stored := make([]byte, k.Stored)
			if got, err := blob.ReadAt(stored, k.Offset); got < len(stored) {
				if one, _ := format.AsDamage(media.ReadError(blob, d, k.Offset+int64(got), err)); one != nil {
					v.damaged(one)
					found = true
				}
			} else if sha256.Sum256(stored) != k.Sum {
				file, off := blob.Place(k.Offset)
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
	x := v.b.src.Index
	e := &contents.Extractor{Source: &v.b.src, Jobs: o.Jobs, Want: format.NewBitmap(len(x.Contents))}
	var total int64
	for i, c := range x.Contents {
		if c.Kind == format.ContentPacked {
			e.Want.Set(i)
			total += c.Digest.Size
		}
	}
	e.Meter = progress.NewMeter(o.Progress, progress.PhaseVerify, total, 0)
	e.Put = func(ctx context.Context, n int, r io.Reader) error {
		return contents.CopyVerified(io.Discard, r, x.Contents[n].Digest)
	}
	err := e.Run(ctx)
	e.Meter.End()
	for _, d := range e.Damage {
		v.damaged(d)
	}
	for _, err := range e.Errors {
		v.damaged(&Damage{File: v.b.src.Media.Name(), Offset: -1, Reason: err.Error()})
	}
	return err
}
