package media

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
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
)

// A Directory is a layout in a directory.
type Directory struct {
	dir  string
	root *os.Root
}

// OpenDirectory opens the layout in a directory.
func OpenDirectory(dir string) (*Directory, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open bundle: %w", err)
	}
	return &Directory{dir, root}, nil
}

func (m *Directory) Name() string { return m.dir }
func (m *Directory) Close() error { return m.root.Close() }

// open opens a regular file below the directory. Nothing on the way may be a
// link.
func (m *Directory) open(name string) (*os.File, error) {
	for i := 0; i < len(name); i++ {
		if name[i] != '/' {
			continue
		}
		info, err := m.root.Lstat(name[:i])
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, files.ErrNotRegular
		}
	}
	info, err := m.root.Lstat(name)
	if err != nil {
		return nil, err
	}
	return files.OpenIfRegular(info, func() (*os.File, error) { return m.root.Open(name) })
}

func (m *Directory) Index(ctx context.Context, limit int64) ([]byte, error) {
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
		return nil, format.Refusef("%s has more than %d bytes", m.path(oci.ImageIndexFile), limit)
	}
	return b, nil
}

func (m *Directory) path(name string) string { return filepath.Join(m.dir, filepath.FromSlash(name)) }

// damage says why a file could not be opened. Failures of the system stay what
// they are.
func (m *Directory) damage(name string, d action.Digest, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &format.Damage{File: m.path(name), Offset: -1, Blob: d, Reason: "it is missing", Lost: true}
	case errors.Is(err, files.ErrNotRegular):
		return &format.Damage{File: m.path(name), Offset: -1, Blob: d, Reason: err.Error()}
	}
	return fmt.Errorf("open %s: %w", m.path(name), err)
}

func (m *Directory) Blob(ctx context.Context, d action.Digest) (Blob, error) {
	name := format.BlobPath(d)
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
		return nil, &format.Damage{File: m.path(name), Offset: min(info.Size(), d.Size), Blob: d, Reason: wrongSize(info.Size(), d.Size)}
	}
	return NewBlob(f, m.path(name), 0, d.Size, f.Close), nil
}

func wrongSize(got, want int64) string {
	if got < want {
		return fmt.Sprintf("it is cut off: it has %d of %d bytes", got, want)
	}
	return fmt.Sprintf("it has %d bytes instead of %d", got, want)
}
