package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
)

func writeVolumes(ctx context.Context, b *Bundle, dir string, o VolumeOptions) ([]string, error) {
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
	w.meter.end()
	return names, syncDir(dir)
}

// A volumeWriter writes the volumes of a bundle.
type volumeWriter struct {
	ctx    context.Context
	b      *Bundle
	dir    string
	stem   string
	small  []smallMember
	memory map[action.Digest][]byte
	table  *volumeTable
	meter  *meter
}

type smallMember struct {
	name string
	text []byte
}

func newVolumeWriter(ctx context.Context, b *Bundle, dir string, o VolumeOptions) (*volumeWriter, error) {
	if o.Size == 0 {
		o.Size = DefaultVolumeSize
	}
	w := &volumeWriter{ctx: ctx, b: b, dir: dir, stem: o.Name}
	if w.stem == "" {
		w.stem = b.root.Name
	}
	if reason := badElement(w.stem); reason != "" {
		return nil, fmt.Errorf("name %q %s", w.stem, reason)
	}
	shared, index, err := w.wrap()
	if err != nil {
		return nil, err
	}
	if b.root.Custody != nil {
		shared = append(shared, *b.root.Custody)
	}
	shared = append(shared, b.root.Index.RootBlob)
	own := append(append([]RootBlob{}, b.root.Files...), b.root.Packs...)
	if err := w.assign(shared, own, index, o.Size); err != nil {
		return nil, err
	}
	var total int64
	for n := range w.table.Volumes {
		for _, x := range w.blobs(n + 1) {
			total += x.Size
		}
	}
	w.meter = newMeter(o.Progress, PhaseVolumes, total, len(w.table.Volumes))
	table, err := encodeCanonical(w.table)
	w.small = []smallMember{{oci.ImageLayoutFile, []byte(layoutFile)}, {oci.ImageIndexFile, index}, {volumeTableName, table}}
	return w, err
}

// wrap makes the OCI manifest anew, with all signatures in one envelope, and
// returns the blobs that are in every volume, without those that the root
// names, and index.json.
func (w *volumeWriter) wrap() (shared []RootBlob, index []byte, err error) {
	var seals []action.Digest
	var envelope []byte
	if w.b.sealed != nil {
		if envelope, err = w.b.sealed.Encode(); err != nil {
			return nil, nil, err
		}
		seals = append(seals, action.Of(envelope))
	}
	manifest, index, err := encodeWrapper(w.b.root, action.Of(w.b.bytes), seals)
	if err != nil {
		return nil, nil, err
	}
	w.memory = map[action.Digest][]byte{}
	for _, text := range [][]byte{manifest, w.b.bytes, envelope} {
		if text != nil {
			w.memory[action.Of(text)] = text
			shared = append(shared, rootBlob(action.Of(text)))
		}
	}
	return shared, index, nil
}

// open opens a blob of the media, or of those that wrap made.
func (w *volumeWriter) open(d action.Digest) (Blob, error) {
	if text, ok := w.memory[d]; ok {
		return &fileBlob{bytes.NewReader(text), "memory", 0, d.Size, func() error { return nil }}, nil
	}
	return w.b.media.Blob(w.ctx, d)
}

// assign spreads the blobs over volumes, in order. The table has no more bytes
// than with one blob a volume, so that is what is set aside for it.
func (w *volumeWriter) assign(shared, own []RootBlob, index []byte, size int64) error {
	t := &volumeTable{Bundle: w.b.Digest(), Format: 1, Shared: shared, Volumes: [][]RootBlob{}}
	for _, x := range own {
		t.Volumes = append(t.Volumes, []RootBlob{x})
	}
	table, err := encodeCanonical(t)
	if err != nil {
		return err
	}
	fixed := tarSize(int64(len(volumeMagic))) + tarSize(int64(len(layoutFile))) + tarSize(int64(len(index))) + tarSize(int64(len(table))) + tarTrailer
	for _, x := range shared {
		fixed += tarSize(x.Size)
	}
	t.Volumes = [][]RootBlob{{}}
	used := fixed
	for _, x := range own {
		need := tarSize(x.Size)
		if fixed+need > size {
			return fmt.Errorf("volumes of %d bytes are too small: blob %s needs one of %d. Make larger volumes, or the bundle with smaller packs", size, x.Digest, fixed+need)
		}
		if used+need > size {
			t.Volumes = append(t.Volumes, []RootBlob{})
			used = fixed
		}
		last := len(t.Volumes) - 1
		t.Volumes[last] = append(t.Volumes[last], x)
		used += need
	}
	switch {
	case fixed > size:
		return fmt.Errorf("volumes of %d bytes are too small: %d are needed for what is in each", size, fixed)
	case len(t.Volumes) > maxVolumes:
		return fmt.Errorf("%d volumes of %d bytes would be needed; %d are allowed", len(t.Volumes), size, maxVolumes)
	}
	w.table = t
	return nil
}

func (w *volumeWriter) blobs(n int) []RootBlob {
	return append(append([]RootBlob{}, w.table.Shared...), w.table.Volumes[n-1]...)
}

func (w *volumeWriter) path(n int) string {
	return filepath.Join(w.dir, volumeFile(w.stem, n, len(w.table.Volumes)))
}

// checkOthers refuses to add to volumes of another set, which a reader could
// not tell apart.
func (w *volumeWriter) checkOthers() error {
	if err := os.MkdirAll(w.dir, 0o777); err != nil {
		return err
	}
	found, err := findVolumes(w.dir)
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
	return writeFile(w.dir, filepath.Base(w.path(n)), func(f io.Writer) error { return w.write(n, f, w.meter.add) })
}

// same reports whether a volume is there with the bytes that it would have.
func (w *volumeWriter) same(n int) (bool, error) {
	f, err := openRegular(w.path(n))
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
		w.meter.add(x.Size)
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
	t.bytes(volumeMark(n, len(w.table.Volumes)), []byte(volumeMagic))
	for _, m := range w.small {
		t.bytes(m.name, m.text)
	}
	for _, x := range w.blobs(n) {
		d, err := x.blob()
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
	t.header(blobPath(d), d.Size)
	bad, err := hashBlob(w.ctx, src, d, func(b []byte) error {
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
	h, err := tarHeader(name, size)
	if err != nil && t.err == nil {
		t.err = err
	}
	t.data(h)
}

func (t *tarWriter) pad(size int64) { t.data(make([]byte, tarPadding(size))) }

func (t *tarWriter) bytes(name string, b []byte) {
	t.header(name, int64(len(b)))
	t.data(b)
	t.pad(int64(len(b)))
}

func (t *tarWriter) end() error {
	return t.data(make([]byte, tarTrailer))
}
