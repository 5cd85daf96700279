package oci

import (
	"archive/tar"
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/airbuild/airbuild/internal/ctxio"
)

// A made is a layer that was made: its bytes are in a file.
type made struct {
	file   string
	digest v1.Hash // of the bytes
	diffID v1.Hash // of what they unpack to
	size   int64
	media  types.MediaType
}

var _ v1.Layer = (*made)(nil)

func (m *made) Digest() (v1.Hash, error)            { return m.digest, nil }
func (m *made) DiffID() (v1.Hash, error)            { return m.diffID, nil }
func (m *made) Size() (int64, error)                { return m.size, nil }
func (m *made) MediaType() (types.MediaType, error) { return m.media, nil }
func (m *made) Compressed() (io.ReadCloser, error)  { return os.Open(m.file) }
func (m *made) Uncompressed() (_ io.ReadCloser, err error) {
	f, err := os.Open(m.file)
	if err != nil {
		return nil, err
	}
	r, err := unpacker(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return readCloser{r, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

// unpacker reads what is compressed as its first bytes say.
func unpacker(r io.Reader) (io.Reader, error) {
	b := bufio.NewReader(r)
	head, err := b.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b:
		return gzip.NewReader(b)
	case len(head) == 4 && string(head) == "\x28\xb5\x2f\xfd":
		z, err := zstd.NewReader(b, zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, err
		}
		return z, nil
	}
	return b, nil
}

// A layerWriter compresses in the caller's goroutine, with the same bytes
// everywhere.
func newCompressor(w io.Writer, kind string) (io.WriteCloser, types.MediaType, error) {
	switch kind {
	case compressGzip:
		z, err := gzip.NewWriterLevel(w, 6)
		if err == nil {
			z.ModTime = time.Unix(0, 0)
		}
		return z, types.OCILayer, err
	case compressZstd:
		z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
		return z, types.OCILayerZStd, err
	case compressNone:
		return nopCloser{w}, types.OCIUncompressedLayer, nil
	}
	return nil, "", fmt.Errorf("unknown compression %q", kind)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// makeLayer writes members into a new file in the directory tmp.
func makeLayer(ctx context.Context, tmp string, in fs.FS, list []member, sp *spec) (_ *made, err error) {
	f, err := os.CreateTemp(tmp, "layer-")
	if err != nil {
		return nil, err
	}
	defer func() { err = cmp.Or(err, f.Close()) }()
	packed, plain := sha256.New(), sha256.New()
	buf := bufio.NewWriterSize(io.MultiWriter(f, packed), 1<<18)
	z, media, err := newCompressor(buf, sp.Compression)
	if err != nil {
		return nil, err
	}
	if err := writeTar(ctx, io.MultiWriter(z, plain), in, list, sp.Time); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if err := buf.Flush(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return &made{file: f.Name(), digest: sum(packed), diffID: sum(plain), size: info.Size(), media: media}, nil
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}

// writeTar writes the plain POSIX form where it suffices and PAX records only
// for long or non-ASCII names and large files.
func writeTar(ctx context.Context, w io.Writer, in fs.FS, list []member, seconds int64) error {
	t := tar.NewWriter(w)
	for _, m := range list {
		if err := m.write(ctx, t, in, seconds); err != nil {
			return fmt.Errorf("add /%s: %w", m.name, err)
		}
	}
	return t.Close()
}

func (m *member) write(ctx context.Context, t *tar.Writer, in fs.FS, seconds int64) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Size: m.size, Mode: m.mode, Uid: m.uid, Gid: m.gid, ModTime: time.Unix(seconds, 0).UTC()}
	switch {
	case m.isDir:
		h.Typeflag, h.Name = tar.TypeDir, m.name+"/"
	case m.link != "":
		h.Typeflag, h.Linkname = tar.TypeSymlink, m.link
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if m.isDir || m.link != "" {
		return nil
	}
	f, err := in.Open(m.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(t, ctxio.Reader(ctx, f))
	return err
}

// A baseLayer is a layer of a base, under the media type that OCI has for it.
type baseLayer struct {
	v1.Layer
	media types.MediaType
}

func (l *baseLayer) MediaType() (types.MediaType, error) { return l.media, nil }

// ociLayer is the media type of a layer in the words of OCI.
func ociLayer(t types.MediaType) (types.MediaType, error) {
	switch t {
	case types.DockerLayer:
		return types.OCILayer, nil
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer, nil
	case types.OCILayer, types.OCILayerZStd, types.OCIUncompressedLayer:
		return t, nil
	}
	return "", fmt.Errorf("the base has a layer of type %q, which cannot be carried", t)
}
