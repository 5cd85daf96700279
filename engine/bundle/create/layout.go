package create

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/ctxio"
	"github.com/airbuild/airbuild/internal/lists"
)

// A layoutWriter writes a layout.
type layoutWriter struct {
	dir string
	old []action.Digest // blobs of the bundle that was there before
}

func (w *layoutWriter) blobDir() string { return filepath.Join(w.dir, oci.ImageBlobsDir, "sha256") }

func (w *layoutWriter) create(ctx context.Context, r *bundle.Root, p *plan, o Options) error {
	if err := os.MkdirAll(w.blobDir(), 0o777); err != nil {
		return err
	}
	rec, err := openRecord(w.dir)
	if err != nil {
		return err
	}
	err = w.createLocked(ctx, r, p, rec, o)
	return errors.Join(err, rec.close(err == nil))
}

func (w *layoutWriter) createLocked(ctx context.Context, r *bundle.Root, p *plan, rec *record, o Options) error {
	before, err := w.before(ctx, p, rec, o.Replace)
	if err != nil {
		return err
	}
	if before != nil && !o.Replace && !same(unpacked(before), r) {
		return errOther(before)
	}
	if err := w.writeBlobs(ctx, r, p, rec, o); err != nil {
		return err
	}
	same := before != nil && same(before, r)
	switch {
	case before != nil && !same && !o.Replace:
		return errOther(before)
	case !same:
		if err := w.publish(r, nil); err != nil {
			return err
		}
	}
	return w.sweep(rec)
}

func errOther(r *bundle.Root) error {
	return fmt.Errorf("the directory already holds another bundle (%s of %s): choose another directory, or replace it", r.Name, r.Created)
}

// unpacked is r without what is known only after packing.
func unpacked(r *bundle.Root) *bundle.Root {
	u := *r
	u.Packs, u.Index = []bundle.RootBlob{}, bundle.RootIndex{}
	return &u
}

// before returns the root of the bundle that is there, or nil. Its packs can be
// used again.
func (w *layoutWriter) before(ctx context.Context, p *plan, rec *record, replace bool) (*bundle.Root, error) {
	_, err := os.Lstat(filepath.Join(w.dir, oci.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	b, err := bundle.Open(ctx, bundle.Trust{AllowUnsigned: true}, w.dir)
	switch {
	case err == nil:
		defer b.Close()
		w.old = b.LayoutBlobs()
		rec.addBundle(p, b)
		return b.Root(), nil
	case replace && errors.Is(err, bundle.ErrRefused):
		return nil, nil
	}
	return nil, fmt.Errorf("the directory already holds a damaged or unfinished bundle: %w. Choose another directory, or replace it", err)
}

// same reports whether r, which is not finished, holds the same as one that is.
func same(finished, r *bundle.Root) bool {
	a, b := *finished, *r
	a.Custody, b.Custody = nil, nil
	// Finishing adds metadata; it does not take any away.
	for k, v := range b.Metadata {
		if a.Metadata[k] != v {
			return false
		}
	}
	a.Metadata = b.Metadata
	x, errA := format.EncodeCanonical(a)
	y, errB := format.EncodeCanonical(b)
	return errA == nil && errB == nil && string(x) == string(y)
}

// writeBlobs writes packs, files and the index, and completes the root.
func (w *layoutWriter) writeBlobs(ctx context.Context, r *bundle.Root, p *plan, rec *record, o Options) error {
	total := p.raw
	for _, f := range r.Files {
		total += f.Size
	}
	k := &packer{p: p, jobs: o.Jobs, meter: progress.NewMeter(o.Progress, progress.PhasePack, total, 0)}
	defer k.close()
	for n := range p.x.Packs {
		d, err := w.pack(ctx, k, n, rec)
		if err != nil {
			return err
		}
		r.Packs = append(r.Packs, format.BlobOf(d))
	}
	for i, c := range p.x.Contents {
		if c.Kind != format.ContentPlain {
			continue
		}
		if err := w.plain(ctx, p.inputs[i], c.Digest); err != nil {
			return err
		}
		k.meter.Add(c.Digest.Size)
	}
	k.meter.End()
	e, err := format.NewEncoder(format.IndexLevel)
	if err != nil {
		return err
	}
	raw := p.x.Encode()
	if len(raw) > format.MaxIndex {
		return fmt.Errorf("the index would have %d bytes; %d are allowed. Carry fewer files", len(raw), format.MaxIndex)
	}
	d, err := w.blob(e.EncodeAll(raw, nil))
	r.Index = bundle.RootIndex{RootBlob: format.BlobOf(d), Raw: int64(len(raw))}
	return err
}

func (w *layoutWriter) pack(ctx context.Context, k *packer, n int, rec *record) (action.Digest, error) {
	if d, ok := rec.reuse(ctx, k.p, n); ok {
		first, end := k.p.x.BlocksOf(n)
		last := k.p.x.Blocks[end-1]
		k.meter.Add(last.Start + int64(last.Raw) - k.p.x.Blocks[first].Start)
		return d, nil
	}
	// A pack's name is known when it is whole.
	f, err := atomicfile.Create(w.blobDir(), atomicfile.Options{Sync: true, SyncDir: true, Temp: atomicfile.TempPrefix + "pack"})
	if err != nil {
		return action.Digest{}, err
	}
	defer f.Discard()
	d, err := k.pack(ctx, n, f)
	if err == nil {
		err = f.Commit(filepath.Join(w.blobDir(), d.Hex()))
	}
	if err == nil {
		err = rec.add(k.p, n, d)
	}
	return d, err
}

// plain writes a content that is a blob of its own.
func (w *layoutWriter) plain(ctx context.Context, in Input, d action.Digest) error {
	if w.has(ctx, d) {
		return nil
	}
	src, err := in.Open(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", in.Path, err)
	}
	defer src.Close()
	return files.Write(w.blobDir(), d.Hex(), func(f io.Writer) error {
		if err := contents.CopyVerified(f, ctxio.Reader(ctx, src), d); err != nil {
			return fmt.Errorf("read %s: %w", in.Path, err)
		}
		return nil
	})
}

// has reports whether a blob is there, whole.
func (w *layoutWriter) has(ctx context.Context, d action.Digest) bool {
	m, err := media.OpenDirectory(w.dir)
	if err != nil {
		return false
	}
	defer m.Close()
	b, err := m.Blob(ctx, d)
	if err != nil {
		return false
	}
	defer b.Close()
	return bytesAreRight(ctx, b, d)
}

// blob writes a small blob.
func (w *layoutWriter) blob(b []byte) (action.Digest, error) {
	d := action.Of(b)
	return d, files.WriteBytes(w.blobDir(), d.Hex(), b)
}

// publish writes what is around the blobs; index.json last.
func (w *layoutWriter) publish(r *bundle.Root, envelope *sign.Envelope) error {
	root, err := r.Encode()
	if err != nil {
		return err
	}
	if _, err := w.blob(root); err != nil {
		return err
	}
	var envelopes []action.Digest
	if envelope != nil {
		text, err := envelope.Encode()
		if err != nil {
			return err
		}
		d, err := w.blob(text)
		if err != nil {
			return err
		}
		envelopes = append(envelopes, d)
	}
	manifest, index, err := format.EncodeManifest(r, action.Of(root), envelopes)
	if err != nil {
		return err
	}
	if _, err := w.blob(manifest); err != nil {
		return err
	}
	if err := files.WriteBytes(w.dir, oci.ImageLayoutFile, []byte(format.LayoutFile)); err != nil {
		return err
	}
	if err := atomicfile.SyncDir(w.blobDir()); err != nil {
		return err
	}
	if err := files.WriteBytes(w.dir, oci.ImageIndexFile, index); err != nil {
		return err
	}
	return atomicfile.SyncDir(w.dir)
}

// sweep removes the blobs of the bundle that was there before, and packs of an
// earlier attempt with its temporary files, unless the bundle that is there now has them.
func (w *layoutWriter) sweep(rec *record) error {
	b, err := bundle.Open(context.Background(), bundle.Trust{AllowUnsigned: true}, w.dir)
	if err != nil {
		return err
	}
	defer b.Close()
	keep := lists.Set(b.LayoutBlobs())
	gone := w.old
	if rec != nil {
		for _, m := range rec.finished {
			if d, err := action.ParseDigest(m.Digest); err == nil {
				gone = append(gone, d)
			}
		}
	}
	var names []string
	for _, d := range gone {
		if !keep[d] {
			names = append(names, d.Hex())
		}
	}
	if rec != nil {
		temps, err := filepath.Glob(filepath.Join(w.blobDir(), atomicfile.TempPrefix+"*"))
		if err != nil {
			return err
		}
		for _, t := range temps {
			names = append(names, filepath.Base(t))
		}
	}
	var errs []error
	for _, name := range names {
		if err := os.Remove(filepath.Join(w.blobDir(), name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
