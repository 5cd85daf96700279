package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/airbuild/airbuild/engine/bundle/custody"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"

	oci "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/rogpeppe/go-internal/robustio"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/sign"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// Create makes a bundle in a directory: an OCI image layout, not signed yet
// (see Seal). Other files in the directory are left alone. What can be carried
// is checked before anything is written.
//
// On disk: blobs are written to temporary files, flushed and renamed; then the
// OCI manifest; index.json last, so that a directory with an index.json holds
// all of a bundle. What an interrupted Create of the same Spec finished is used
// again, after its bytes were verified.
func Create(ctx context.Context, dir string, spec Spec, o CreateOptions) (_ *format.Root, err error) {
	if o.Jobs <= 0 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	if o.PackSize == 0 {
		o.PackSize = format.DefaultPackSize
	}
	if o.PackSize < 1 || o.PackSize > format.MaxPack/2 {
		return nil, fmt.Errorf("create bundle: packs of %d bytes: want 1 to %d", o.PackSize, int64(format.MaxPack/2))
	}
	p, err := newPlan(ctx, dir, spec, o)
	if err != nil {
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	defer func() { err = errors.Join(err, p.close()) }()
	r := newRoot(spec, p)
	if _, err := withBlanks(*r).Encode(); err != nil {
		return nil, fmt.Errorf("create bundle: %w", err)
	}
	w := &layoutWriter{dir: dir}
	if err := w.create(ctx, r, p, o); err != nil {
		return nil, fmt.Errorf("create bundle in %s: %w", dir, err)
	}
	return r, nil
}

// newRoot is the root as far as it is known before any pack is.
func newRoot(spec Spec, p *plan) *format.Root {
	r := &format.Root{
		Format: format.FormatVersion, Name: spec.Name, Sequence: spec.Sequence,
		Created:  spec.Created.UTC().Format(time.RFC3339),
		Metadata: orEmpty(spec.Metadata), Parents: append([]string{}, spec.Parents...), Base: p.base,
		Packs: []format.RootBlob{}, Files: []format.RootBlob{},
	}
	slices.Sort(r.Parents)
	r.Features.Critical, r.Features.Optional = []string{}, orEmpty(spec.Optional)
	if p.x.Patched() > 0 {
		r.Features.Critical = append(r.Features.Critical, format.FeaturePatches)
	}
	for i := range p.x.Components {
		t := &p.x.Components[i]
		total, carried := p.x.Size(t)
		r.Components = append(r.Components, format.RootComponent{Name: t.Name, Files: len(t.Files), Bytes: total, Carried: carried, Metadata: orEmpty(p.comps[i].Metadata)})
	}
	for _, c := range p.x.Contents {
		if c.Kind == format.ContentPlain {
			r.Files = append(r.Files, format.BlobOf(c.Digest))
		}
	}
	return r
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// withBlanks puts something in the place of what is not known yet, so that what
// the caller gave can be checked before anything is written.
func withBlanks(r format.Root) *format.Root {
	r.Index = format.RootIndex{RootBlob: format.BlobOf(action.Of(nil)), Raw: int64(len(format.IndexMagic))}
	return &r
}

// A layoutWriter writes a layout.
type layoutWriter struct {
	dir string
	old []action.Digest // blobs of the bundle that was there before
}

func (w *layoutWriter) blobDir() string { return filepath.Join(w.dir, oci.ImageBlobsDir, "sha256") }

func (w *layoutWriter) create(ctx context.Context, r *format.Root, p *plan, o CreateOptions) error {
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

func (w *layoutWriter) createLocked(ctx context.Context, r *format.Root, p *plan, rec *record, o CreateOptions) error {
	before, err := w.before(ctx, p, rec, o.Replace)
	if err != nil {
		return err
	}
	if before != nil && !o.Replace && !same(unpacked(before), r) {
		return errOther(before)
	}
	if err := w.fill(ctx, r, p, rec, o); err != nil {
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

func errOther(r *format.Root) error {
	return fmt.Errorf("another bundle is there already (%s of %s): choose another directory, or replace it", r.Name, r.Created)
}

// unpacked is r without what only packing tells.
func unpacked(r *format.Root) *format.Root {
	u := *r
	u.Packs, u.Index = []format.RootBlob{}, format.RootIndex{}
	return &u
}

// before returns the root of the bundle that is there, or nil. Its packs can be
// used again.
func (w *layoutWriter) before(ctx context.Context, p *plan, rec *record, replace bool) (*format.Root, error) {
	_, err := os.Lstat(filepath.Join(w.dir, oci.ImageIndexFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	b, err := Open(ctx, Trust{AllowUnsigned: true}, w.dir)
	switch {
	case err == nil:
		defer b.Close()
		w.old = b.layoutBlobs()
		rec.know(p, b)
		return b.src.Root, nil
	case replace && errors.Is(err, format.ErrRefused):
		return nil, nil
	}
	return nil, fmt.Errorf("what is there already is no sound bundle: %w. Choose another directory, or replace it", err)
}

// same reports whether r, which is not sealed, holds the same as sealed.
func same(sealed, r *format.Root) bool {
	a, b := *sealed, *r
	a.Custody, b.Custody = nil, nil
	// Sealing adds metadata; it does not take any away.
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

// fill writes packs, files and the index, and completes the root.
func (w *layoutWriter) fill(ctx context.Context, r *format.Root, p *plan, rec *record, o CreateOptions) error {
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
	r.Index = format.RootIndex{RootBlob: format.BlobOf(d), Raw: int64(len(raw))}
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
	const name = "pack"
	var d action.Digest
	err := files.Write(w.blobDir(), files.TempPrefix+name, func(f io.Writer) (err error) {
		d, err = k.pack(ctx, n, f)
		return err
	})
	if err == nil {
		err = robustio.Rename(filepath.Join(w.blobDir(), files.TempPrefix+name), filepath.Join(w.blobDir(), d.Hex()))
	}
	if err == nil {
		err = files.SyncDir(w.blobDir())
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
func (w *layoutWriter) publish(r *format.Root, envelope *sign.Envelope) error {
	root, err := r.Encode()
	if err != nil {
		return err
	}
	if _, err := w.blob(root); err != nil {
		return err
	}
	var seals []action.Digest
	if envelope != nil {
		text, err := envelope.Encode()
		if err != nil {
			return err
		}
		d, err := w.blob(text)
		if err != nil {
			return err
		}
		seals = append(seals, d)
	}
	manifest, index, err := format.EncodeManifest(r, action.Of(root), seals)
	if err != nil {
		return err
	}
	if _, err := w.blob(manifest); err != nil {
		return err
	}
	if err := files.WriteBytes(w.dir, oci.ImageLayoutFile, []byte(format.LayoutFile)); err != nil {
		return err
	}
	if err := files.SyncDir(w.blobDir()); err != nil {
		return err
	}
	if err := files.WriteBytes(w.dir, oci.ImageIndexFile, index); err != nil {
		return err
	}
	return files.SyncDir(w.dir)
}

// sweep removes the blobs of the bundle that was there before, and packs of an
// earlier attempt with its temporary files, unless the bundle that is there now has them.
func (w *layoutWriter) sweep(rec *record) error {
	b, err := Open(context.Background(), Trust{AllowUnsigned: true}, w.dir)
	if err != nil {
		return err
	}
	defer b.Close()
	keep := map[action.Digest]bool{}
	for _, d := range b.layoutBlobs() {
		keep[d] = true
	}
	gone := w.old
	if rec != nil {
		for _, m := range rec.made {
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
		temps, err := filepath.Glob(filepath.Join(w.blobDir(), files.TempPrefix+"*"))
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

// Seal finishes the bundle in a directory: adds what became known after Create,
// such as the rehearsal's outcome, begins the custody log, and signs the root's
// exact bytes. Earlier signatures go, because they were over other bytes. It
// reads no pack. index.json is replaced last, in one step.
func Seal(ctx context.Context, dir string, o SealOptions) (*format.Root, error) {
	w := &layoutWriter{dir: dir}
	r, err := w.seal(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("seal bundle in %s: %w", dir, err)
	}
	return r, nil
}

func (w *layoutWriter) seal(ctx context.Context, o SealOptions) (*format.Root, error) {
	b, err := Open(ctx, Trust{AllowUnsigned: true}, w.dir)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	w.old = b.layoutBlobs()
	r := b.src.Root
	for k, v := range o.Metadata {
		r.Metadata[k] = v
	}
	r.Custody = nil
	if len(o.Keys) > 0 {
		if err := w.beginCustody(r, o); err != nil {
			return nil, err
		}
	}
	root, err := r.Encode()
	if err != nil {
		return nil, err
	}
	var envelope *sign.Envelope
	if len(o.Keys) > 0 {
		if envelope, err = sign.Seal(format.RootType, root, o.Keys...); err != nil {
			return nil, err
		}
	}
	if err := w.publish(r, envelope); err != nil {
		return nil, err
	}
	return r, w.sweep(nil)
}

// beginCustody writes the log's first event. It is about the index, because the
// root, which names the log, is not known yet; the index stands for all
// contents.
func (w *layoutWriter) beginCustody(r *format.Root, o SealOptions) error {
	e := custody.Event{Kind: custody.Created, Subject: r.Index.Digest, Name: r.Name, Time: r.Created, Actor: o.Actor}
	if !o.Time.IsZero() {
		e.Time = o.Time.UTC().Format(time.RFC3339)
	}
	line, err := custody.Encode(e, "", o.Keys[0])
	if err != nil {
		return err
	}
	d, err := w.blob(line)
	x := format.BlobOf(d)
	r.Custody = &x
	return err
}

// Sign adds signatures to a sealed bundle in a directory, by people who were
// not there. The bundle's identity stays.
func Sign(ctx context.Context, dir string, keys ...*sign.SecretKey) error {
	w := &layoutWriter{dir: dir}
	if err := w.addSignatures(ctx, keys); err != nil {
		return fmt.Errorf("sign bundle in %s: %w", dir, err)
	}
	return nil
}

func (w *layoutWriter) addSignatures(ctx context.Context, keys []*sign.SecretKey) error {
	b, err := Open(ctx, Trust{AllowUnsigned: true}, w.dir)
	if err != nil {
		return err
	}
	defer b.Close()
	w.old = b.layoutBlobs()
	e := b.envelope
	if e == nil {
		if e, err = sign.Seal(format.RootType, b.bytes); err != nil {
			return err
		}
	}
	for _, k := range keys {
		if err := e.Sign(k); err != nil {
			return err
		}
	}
	if err := w.publish(b.src.Root, e); err != nil {
		return err
	}
	return w.sweep(nil)
}
