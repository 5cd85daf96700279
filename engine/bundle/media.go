package bundle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	oci "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/airbuild/airbuild/engine/action"
)

// openMedia tells a layout from volumes.
func openMedia(paths []string) (Media, error) {
	if len(paths) == 0 {
		return nil, errors.New("open bundle: no path is given")
	}
	var tars []string
	for _, p := range paths {
		info, err := os.Stat(p)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		if !info.IsDir() {
			tars = append(tars, p)
			continue
		}
		_, err = os.Lstat(filepath.Join(p, oci.ImageIndexFile))
		if err == nil && len(paths) == 1 {
			return openDirMedia(p)
		}
		found, err := findVolumes(p)
		if err != nil {
			return nil, fmt.Errorf("open bundle: %w", err)
		}
		if len(found) == 0 && len(paths) == 1 {
			return nil, refusef("open bundle %s: it has neither an index.json nor volumes (*.tar): it is no bundle, or one that was not finished", p)
		}
		tars = append(tars, found...)
	}
	slices.Sort(tars)
	return openVolumes(slices.Compact(tars))
}

// findVolumes returns the files of a directory that begin like volumes.
func findVolumes(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if strings.HasSuffix(e.Name(), ".tar") && (looksLikeVolume(name) || volumeNumber(e.Name()) > 0) {
			list = append(list, name)
		}
	}
	return list, nil
}

// openRegular opens a file that must be one, and no link.
func openRegular(name string) (*os.File, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return nil, err
	}
	f, err := openIfRegular(info, func() (*os.File, error) { return os.Open(name) })
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return f, nil
}

var errNotRegular = errors.New("it is a link, a device or something else that is no regular file")

func openIfRegular(info fs.FileInfo, open func() (*os.File, error)) (*os.File, error) {
	if !info.Mode().IsRegular() {
		return nil, errNotRegular
	}
	f, err := open()
	if err != nil {
		return nil, err
	}
	if now, err := f.Stat(); err != nil || !os.SameFile(now, info) {
		f.Close()
		return nil, errors.Join(err, errors.New("it changed while it was opened"))
	}
	return f, nil
}

// A dirMedia is a layout in a directory.
type dirMedia struct {
	dir  string
	root *os.Root
}

func openDirMedia(dir string) (*dirMedia, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return &dirMedia{dir, root}, nil
}

func (m *dirMedia) Name() string { return m.dir }
func (m *dirMedia) Close() error { return m.root.Close() }

// open opens a regular file below the directory. Nothing on the way may be a
// link.
func (m *dirMedia) open(name string) (*os.File, error) {
	for i := 0; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		info, err := m.root.Lstat(name[:i])
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, errNotRegular
		}
	}
	info, err := m.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	return openIfRegular(info, func() (*os.File, error) { return m.root.Open(name) })
}

func (m *dirMedia) Index(ctx context.Context, limit int64) ([]byte, error) {
	f, err := m.open(oci.ImageIndexFile)
	if err != nil {
		return nil, m.damage(oci.ImageIndexFile, action.Digest{}, err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", m.path(oci.ImageIndexFile), err)
	}
	if int64(len(b)) > limit {
		return nil, refusef("%s has more than %d bytes", m.path(oci.ImageIndexFile), limit)
	}
	return b, nil
}

func (m *dirMedia) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

// damage says why a file could not be opened. Failures of the system stay what
// they are.
func (m *dirMedia) damage(name string, d action.Digest, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &Damage{File: m.path(name), Offset: -1, Blob: d, Reason: "it is missing", Lost: true}
	case errors.Is(err, errNotRegular):
		return &Damage{File: m.path(name), Offset: -1, Blob: d, Reason: err.Error()}
	}
	return fmt.Errorf("open %s: %w", m.path(name), err)
}

func (m *dirMedia) Blob(ctx context.Context, d action.Digest) (Blob, error) {
	name := blobPath(d)
	f, err := m.open(name)
	if err != nil {
		return nil, m.damage(name, d, err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("open %s: %w", m.path(name), err)
	}
	if info.Size() != d.Size {
		f.Close()
		return nil, &Damage{File: m.path(name), Offset: min(info.Size(), d.Size), Blob: d, Reason: wrongSize(info.Size(), d.Size)}
	}
	return &fileBlob{f, m.path(name), 0, d.Size, f.Close}, nil
}

func wrongSize(got, want int64) string {
	if got < want {
		return fmt.Sprintf("it is cut off: %d of %d bytes are there", got, want)
	}
	return fmt.Sprintf("it has %d bytes instead of %d", got, want)
}

// A fileBlob is a piece of a file.
type fileBlob struct {
	f     io.ReaderAt
	name  string
	off   int64
	size  int64
	close func() error
}

func (b *fileBlob) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.size {
		return 0, io.EOF
	}
	short := int64(len(p)) > b.size-off
	if short {
		p = p[:b.size-off]
	}
	n, err := b.f.ReadAt(p, b.off+off)
	if err == nil && short {
		err = io.EOF
	}
	return n, err
}

func (b *fileBlob) Close() error                    { return b.close() }
func (b *fileBlob) Place(off int64) (string, int64) { return b.name, b.off + off }

// readBlob reads a small blob and verifies it.
func readBlob(ctx context.Context, m Media, d action.Digest) ([]byte, error) {
	b, err := m.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	// Grown as it is read: a size alone must not cost memory.
	var buf bytes.Buffer
	if _, err := io.Copy(&buf, io.NewSectionReader(b, 0, d.Size)); err != nil {
		return nil, readError(b, d, int64(buf.Len()), err)
	}
	if action.Of(buf.Bytes()) != d {
		file, off := b.Place(0)
		return nil, &Damage{File: file, Offset: off, Blob: d, Reason: "its bytes are not those that its digest names"}
	}
	return buf.Bytes(), nil
}

// readError says where reading a blob failed. A medium that cannot be read is
// damaged.
func readError(b Blob, d action.Digest, off int64, err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	file, at := b.Place(off)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return &Damage{File: file, Offset: at, Blob: d, Reason: "it ends too early"}
	}
	return &Damage{File: file, Offset: at, Blob: d, Reason: "it cannot be read: " + err.Error()}
}

// copySize is how much is read at once, in bytes.
const copySize = 1 << 20

// hashBlob reads a blob to its end and verifies it. each, if there is one, gets
// the bytes as they come, before they are known to be right. The error is that
// of each or of ctx; everything else is damage.
func hashBlob(ctx context.Context, b Blob, d action.Digest, each func([]byte) error) (*Damage, error) {
	h := sha256.New()
	buf := make([]byte, min(copySize, d.Size))
	for off := int64(0); off < d.Size; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p := buf[:min(int64(len(buf)), d.Size-off)]
		if n, err := b.ReadAt(p, off); n < len(p) {
			return asDamage(readError(b, d, off+int64(n), err))
		}
		h.Write(p)
		off += int64(len(p))
		if each != nil {
			if err := each(p); err != nil {
				return nil, err
			}
		}
	}
	if [32]byte(h.Sum(nil)) != d.Hash {
		file, off := b.Place(0)
		return &Damage{File: file, Offset: off, Blob: d, Reason: "its bytes are not those that its digest names"}, nil
	}
	return nil, nil
}

// asDamage splits an error into damage and others.
func asDamage(err error) (*Damage, error) {
	var bad *Damage
	if errors.As(err, &bad) {
		return bad, nil
	}
	return nil, err
}
