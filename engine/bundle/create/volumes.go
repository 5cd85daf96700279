package create

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/bundle/internal/media"
	"github.com/airbuild/airbuild/engine/bundle/internal/progress"
	"github.com/airbuild/airbuild/internal/atomicfile"
)

// VolumeOptions say how volumes are made.
type VolumeOptions struct {
	Size     int64  // of one volume at most, in bytes; zero: DefaultVolumeSize
	Name     string // of the files; empty: the bundle's name
	Progress bundle.ProgressFunc
}

// Volumes writes a bundle as volumes, NAME-001-of-003.tar and so on, and
// returns their paths. The same bundle and size give the same bytes. Each holds
// the root manifest, the signatures and the table of all volumes, so that it
// verifies by itself; unpacked into one directory they are the layout. Every
// blob is verified while it is copied.
//
// On disk: a volume is written to a temporary file, flushed and renamed.
// Volumes that are there whole, of an interrupted Volumes, are kept.
func Volumes(ctx context.Context, b *bundle.Bundle, dir string, o VolumeOptions) ([]string, error) {
	w, err := newVolumeWriter(ctx, b, dir, o)
	if err != nil {
		return nil, fmt.Errorf("write volumes: %w", err)
	}
	if err := w.checkOthers(); err != nil {
		return nil, fmt.Errorf("write volumes: %w", err)
	}
	var names []string
	for n := range w.table.Volumes {
		name := w.path(n + 1)
		if err := w.volume(n + 1); err != nil {
			return names, fmt.Errorf("write volume %s: %w", name, err)
		}
		names = append(names, name)
	}
	w.meter.End()
	return names, atomicfile.SyncDir(dir)
}

// A volumeWriter writes the volumes of a bundle.
type volumeWriter struct {
	ctx    context.Context
	b      *bundle.Bundle
	dir    string
	stem   string
	small  []smallMember
	memory map[action.Digest][]byte
	table  *format.VolumeTable
	meter  *progress.Meter
}

type smallMember struct {
	name string
	text []byte
}

func newVolumeWriter(ctx context.Context, b *bundle.Bundle, dir string, o VolumeOptions) (*volumeWriter, error) {
	o.Size = cmp.Or(o.Size, bundle.DefaultVolumeSize)
	w := &volumeWriter{ctx: ctx, b: b, dir: dir, stem: o.Name}
	if w.stem == "" {
		w.stem = b.Root().Name
	}
	if reason := format.BadElement(w.stem); reason != "" {
		return nil, fmt.Errorf("name %q %s", w.stem, reason)
	}
	shared, index, err := w.wrap()
	if err != nil {
		return nil, err
	}
	if b.Root().Custody != nil {
		shared = append(shared, *b.Root().Custody)
	}
	shared = append(shared, b.Root().Index.RootBlob)
	own := append(append([]bundle.RootBlob{}, b.Root().Files...), b.Root().Packs...)
	if err := w.assign(shared, own, index, o.Size); err != nil {
		return nil, err
	}
	var total int64
	for n := range w.table.Volumes {
		for _, x := range w.blobs(n + 1) {
			total += x.Size
		}
	}
	w.meter = progress.NewMeter(o.Progress, progress.PhaseVolumes, total, len(w.table.Volumes))
	table, err := format.EncodeCanonical(w.table)
	w.small = []smallMember{{oci.ImageLayoutFile, []byte(format.LayoutFile)}, {oci.ImageIndexFile, index}, {format.VolumeTableName, table}}
	return w, err
}

// wrap makes a new OCI manifest, with all signatures in one envelope, and
// returns the blobs that are in every volume, without those that the root
// names, and index.json.
func (w *volumeWriter) wrap() (shared []bundle.RootBlob, index []byte, err error) {
	var envelopes []action.Digest
	var envelope []byte
	if w.b.Envelope() != nil {
		if envelope, err = w.b.Envelope().Encode(); err != nil {
			return nil, nil, err
		}
		envelopes = append(envelopes, action.Of(envelope))
	}
	manifest, index, err := format.EncodeManifest(w.b.Root(), action.Of(w.b.RootBytes()), envelopes)
	if err != nil {
		return nil, nil, err
	}
	w.memory = map[action.Digest][]byte{}
	for _, text := range [][]byte{manifest, w.b.RootBytes(), envelope} {
		if text != nil {
			w.memory[action.Of(text)] = text
			shared = append(shared, format.BlobOf(action.Of(text)))
		}
	}
	return shared, index, nil
}

// open opens a blob of the media, or of those that wrap made.
func (w *volumeWriter) open(d action.Digest) (bundle.Blob, error) {
	if text, ok := w.memory[d]; ok {
		return media.NewBlob(bytes.NewReader(text), "memory", 0, d.Size, func() error { return nil }), nil
	}
	return w.b.Media().Blob(w.ctx, d)
}

// assign spreads the blobs over volumes, in order. The table has no more bytes
// than with one blob a volume, so that is what is set aside for it.
func (w *volumeWriter) assign(shared, own []bundle.RootBlob, index []byte, size int64) error {
	t := &format.VolumeTable{Bundle: w.b.Digest(), Format: 1, Shared: shared, Volumes: [][]bundle.RootBlob{}}
	for _, x := range own {
		t.Volumes = append(t.Volumes, []bundle.RootBlob{x})
	}
	table, err := format.EncodeCanonical(t)
	if err != nil {
		return err
	}
	fixed := format.TarSize(int64(len(format.VolumeMagic))) + format.TarSize(int64(len(format.LayoutFile))) + format.TarSize(int64(len(index))) + format.TarSize(int64(len(table))) + format.TarTrailer
	for _, x := range shared {
		fixed += format.TarSize(x.Size)
	}
	t.Volumes = [][]bundle.RootBlob{{}}
	used := fixed
	for _, x := range own {
		need := format.TarSize(x.Size)
		if fixed+need > size {
			return fmt.Errorf("volumes of %d bytes are too small: blob %s needs one of %d. Make larger volumes, or the bundle with smaller packs", size, x.Digest, fixed+need)
		}
		if used+need > size {
			t.Volumes = append(t.Volumes, []bundle.RootBlob{})
			used = fixed
		}
		last := len(t.Volumes) - 1
		t.Volumes[last] = append(t.Volumes[last], x)
		used += need
	}
	switch {
	case fixed > size:
		return fmt.Errorf("volumes of %d bytes are too small: %d are needed for what is in each", size, fixed)
	case len(t.Volumes) > format.MaxVolumes:
		return fmt.Errorf("%d volumes of %d bytes would be needed; %d are allowed", len(t.Volumes), size, format.MaxVolumes)
	}
	w.table = t
	return nil
}

func (w *volumeWriter) blobs(n int) []bundle.RootBlob {
	return append(append([]bundle.RootBlob{}, w.table.Shared...), w.table.Volumes[n-1]...)
}

func (w *volumeWriter) path(n int) string {
	return filepath.Join(w.dir, format.VolumeFile(w.stem, n, len(w.table.Volumes)))
}

// checkOthers refuses to add to volumes of another set, which a reader could
// not tell apart.
func (w *volumeWriter) checkOthers() error {
	if err := os.MkdirAll(w.dir, 0o777); err != nil {
		return err
	}
	found, err := media.FindVolumes(w.dir)
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for n := range w.table.Volumes {
		ours[filepath.Base(w.path(n+1))] = true
	}
	for _, name := range found {
		if base := filepath.Base(name); !ours[base] && strings.HasPrefix(base, w.stem+"-") {
			return fmt.Errorf("%s is a volume of another set: remove it, or choose another name or directory", name)
		}
	}
	return nil
}

// volume writes one volume, unless it is there.
func (w *volumeWriter) volume(n int) error {
	if same, err := w.same(n); same || err != nil {
		return err
	}
	return files.Write(w.dir, filepath.Base(w.path(n)), func(f io.Writer) error { return w.write(n, f, w.meter.Add) })
}

// same reports whether a volume is there with the bytes that it would have.
func (w *volumeWriter) same(n int) (bool, error) {
	f, err := files.OpenRegular(w.path(n))
	if err != nil {
		return false, nil // it is made, or making it says what is wrong
	}
	defer f.Close()
	c := &comparer{r: f}
	err = w.write(n, c, func(int64) {})
	switch {
	case errors.Is(err, errDiffers):
		return false, nil
	case err != nil:
		return false, err
	}
	if n, _ := f.Read(make([]byte, 1)); n > 0 {
		return false, nil
	}
	for _, x := range w.blobs(n) {
		w.meter.Add(x.Size)
	}
	return true, nil
}

var errDiffers = errors.New("the bytes differ")

// A comparer fails when it is given other bytes than r has.
type comparer struct {
	r   io.Reader
	buf []byte
}

func (c *comparer) Write(b []byte) (int, error) {
	if len(c.buf) < len(b) {
		c.buf = make([]byte, len(b))
	}
	if _, err := io.ReadFull(c.r, c.buf[:len(b)]); err != nil || !bytes.Equal(c.buf[:len(b)], b) {
		return 0, errDiffers
	}
	return len(b), nil
}

func (w *volumeWriter) write(n int, f io.Writer, add func(int64)) error {
	t := &tarWriter{w: f}
	t.bytes(format.VolumeMark(n, len(w.table.Volumes)), []byte(format.VolumeMagic))
	for _, m := range w.small {
		t.bytes(m.name, m.text)
	}
	for _, x := range w.blobs(n) {
		d, err := x.Parse()
		if err != nil {
			return err
		}
		if err := w.copyBlob(t, d, add); err != nil {
			return err
		}
	}
	return t.end()
}

func (w *volumeWriter) copyBlob(t *tarWriter, d action.Digest, add func(int64)) error {
	src, err := w.open(d)
	if err != nil {
		return err
	}
	defer src.Close()
	t.header(format.BlobPath(d), d.Size)
	bad, err := media.Verify(w.ctx, src, d, func(b []byte) error {
		add(int64(len(b)))
		return t.data(b)
	})
	if err == nil && bad != nil {
		err = bad
	}
	t.pad(d.Size)
	return errors.Join(err, t.err)
}

// A tarWriter writes the members of a volume; it remembers the first error.
type tarWriter struct {
	w   io.Writer
	err error
}

func (t *tarWriter) data(b []byte) error {
	if t.err == nil {
		_, t.err = t.w.Write(b)
	}
	return t.err
}

func (t *tarWriter) header(name string, size int64) {
	h, err := format.TarHeader(name, size)
	if err != nil && t.err == nil {
		t.err = err
	}
	t.data(h)
}

func (t *tarWriter) pad(size int64) { t.data(make([]byte, format.TarPadding(size))) }

func (t *tarWriter) bytes(name string, b []byte) {
	t.header(name, int64(len(b)))
	t.data(b)
	t.pad(int64(len(b)))
}

func (t *tarWriter) end() error {
	return t.data(make([]byte, format.TarTrailer))
}
