package archive

import (
	"archive/tar"
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"time"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// A format is one kind of archive.
type format struct {
	min, max, level int // of compression; max 0: none
	open            func(io.Writer, int) (archiver, error)
}

// formatOrder is the order in which formats are offered.
var formatOrder = [...]string{"tar.gz", "tar.zst", "tar.xz", "zip", "tar", binary}

// binary is no archive: the one file as it is, under the name of a release.
const binary = "binary"

var formats = map[string]format{
	"tar.gz":  {1, 9, 6, tarWith(newGzip)},
	"tar.zst": {1, 22, 3, tarWith(newZstd)},
	"tar.xz":  {0, 9, 6, tarWith(newXz)},
	"tar":     {0, 0, 0, tarWith(func(w io.Writer, _ int) (io.WriteCloser, error) { return nopCloser{w}, nil })},
	"zip":     {0, 9, 6, newZip},
	binary:    {},
}

// newGzip writes a header without name and time (which is a zero in the
// format, not the zero of Go) and with an unknown system.
func newGzip(w io.Writer, level int) (io.WriteCloser, error) {
	z, err := gzip.NewWriterLevel(w, level)
	if err == nil {
		z.ModTime = time.Unix(0, 0)
	}
	return z, err
}

// newZstd compresses in the caller's goroutine: with more, block borders
// could hang on the machine.
func newZstd(w io.Writer, level int) (io.WriteCloser, error) {
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)))
}

// xzDictionary is the dictionary in bytes by level: the sizes of the xz
// program's presets.
var xzDictionary = [...]int{256 << 10, 1 << 20, 2 << 20, 4 << 20, 4 << 20, 8 << 20, 8 << 20, 16 << 20, 32 << 20, 64 << 20}

func newXz(w io.Writer, level int) (io.WriteCloser, error) {
	if level < 0 || level >= len(xzDictionary) {
		return nil, fmt.Errorf("xz level %d", level)
	}
	return xz.WriterConfig{DictCap: xzDictionary[level]}.NewWriter(w)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// A tarArchiver writes the plain POSIX form where it suffices and PAX records
// only for long or non-ASCII names and large files.
type tarArchiver struct {
	*tar.Writer
	compress io.WriteCloser
}

func tarWith(compress func(io.Writer, int) (io.WriteCloser, error)) func(io.Writer, int) (archiver, error) {
	return func(w io.Writer, level int) (archiver, error) {
		c, err := compress(w, level)
		if err != nil {
			return nil, err
		}
		return &tarArchiver{Writer: tar.NewWriter(c), compress: c}, nil
	}
}

func (t *tarArchiver) add(m member, mtime time.Time, body io.Reader) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: m.name, Size: m.size, Mode: int64(m.mode.Perm()), ModTime: mtime}
	switch {
	case m.mode.IsDir():
		h.Typeflag, h.Name, h.Size = tar.TypeDir, m.name+"/", 0
	case m.mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, m.link, 0
	}
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	if body == nil {
		return nil
	}
	_, err := io.Copy(t.Writer, body)
	return err
}

func (t *tarArchiver) Close() error {
	if err := t.Writer.Close(); err != nil {
		return err
	}
	return t.compress.Close()
}

type zipArchiver struct {
	*zip.Writer
	method uint16
}

func newZip(w io.Writer, level int) (archiver, error) {
	z := &zipArchiver{Writer: zip.NewWriter(w), method: zip.Deflate}
	if level == 0 {
		z.method = zip.Store
	}
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, level) })
	return z, nil
}

func (z *zipArchiver) add(m member, mtime time.Time, body io.Reader) error {
	h := &zip.FileHeader{Name: m.name, Method: z.method, Modified: mtime}
	h.SetMode(m.mode)
	if m.mode.IsDir() {
		h.Name += "/"
		h.Method = zip.Store
	}
	if m.link != "" {
		h.Method = zip.Store
	}
	w, err := z.CreateHeader(h)
	if err != nil {
		return err
	}
	if m.link != "" {
		_, err = io.WriteString(w, m.link)
		return err
	}
	if body == nil {
		return nil
	}
	_, err = io.Copy(w, body)
	return err
}
