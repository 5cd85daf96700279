package install

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/contents"
	"github.com/airbuild/airbuild/engine/bundle/internal/files"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/ctxio"
)

// DirOptions say how a directory takes files in.
type DirOptions struct {
	// Strict refuses an import if a file is there with another content.
	// Without, it is replaced.
	Strict bool
	// Merge returns, for paths whose files grow with every bundle, the content
	// made of what is there and what comes; nil for paths that are replaced. A
	// merge must be idempotent: merging the same again changes nothing.
	// Such files have at most 16 MiB.
	Merge func(path string) func(old, new []byte) ([]byte, error)
}

// maxMerge bounds files that are merged, in bytes.
const maxMerge = 16 << 20

// A DirSink puts files below a directory. It writes to temporary files
// (".airbuild-…"), and renames them; links are never followed, and one in the
// place of a file is replaced.
type DirSink struct {
	dir  string
	root *os.Root
	o    DirOptions

	mu   sync.Mutex // guards made; never held during I/O
	made map[string]bool

	merging sync.Mutex // held while a file is read, merged and written
}

// NewDirSink makes the directory and returns its sink, which must be closed.
func NewDirSink(dir string, o DirOptions) (*DirSink, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	return &DirSink{dir: dir, root: root, o: o, made: map[string]bool{}}, nil
}

// Close closes the directory.
func (s *DirSink) Close() error { return s.root.Close() }

// ID is "dir" and the directory.
func (s *DirSink) ID() string { return "dir " + s.dir }

// Dir is the directory.
func (s *DirSink) Dir() string { return s.dir }

// Late is false: no file of a directory depends on others.
func (s *DirSink) Late(f bundle.File) bool { return false }

// Has looks at the file; see Sink.
func (s *DirSink) Has(ctx context.Context, f bundle.File, flushed bool) (bool, error) {
	if err := s.check(f); err != nil {
		return false, err
	}
	info, err := s.root.Lstat(f.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look at %s: %w", s.path(f), err)
	case info.IsDir():
		return false, fmt.Errorf("%s is a directory, but the bundle has a file there: remove it", s.path(f))
	case !info.Mode().IsRegular():
		return false, s.conflict(f)
	}
	if s.merge(f) != nil {
		return flushed, nil // if not, Put finds out
	}
	if info.Size() != f.Digest.Size || !s.modeFits(info, f) {
		return false, s.conflict(f)
	}
	if flushed {
		return true, nil
	}
	same, err := s.holds(ctx, f)
	if err == nil && !same {
		err = s.conflict(f)
	}
	return same, err
}

// check refuses paths that a bundle cannot have, and directories on the way that are
// links or files.
func (s *DirSink) check(f bundle.File) error {
	if err := format.CheckPath(f.Path); err != nil {
		return err
	}
	for i := 0; i < len(f.Path); i++ {
		if f.Path[i] != '/' {
			continue
		}
		dir := f.Path[:i]
		if s.isMade(dir) {
			continue
		}
		info, err := s.root.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil:
			return fmt.Errorf("look at %s: %w", s.path(f), err)
		case !info.IsDir():
			return fmt.Errorf("%s is not a directory, and files must be written into it: remove it", filepath.Join(s.dir, filepath.FromSlash(dir)))
		}
		s.setMade(dir)
	}
	return nil
}

func (s *DirSink) isMade(dir string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.made[dir]
}

func (s *DirSink) setMade(dir string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made[dir] = true
}

func (s *DirSink) path(f bundle.File) string { return filepath.Join(s.dir, filepath.FromSlash(f.Path)) }

func (s *DirSink) conflict(f bundle.File) error {
	if !s.o.Strict {
		return nil
	}
	return fmt.Errorf("%s already exists and differs from the bundle's: move it away, or choose another directory", s.path(f))
}

func (s *DirSink) modeFits(info fs.FileInfo, f bundle.File) bool {
	return runtime.GOOS == "windows" || info.Mode()&0o100 != 0 == f.Executable && info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) == 0
}

// holds hashes the file that is there.
func (s *DirSink) holds(ctx context.Context, f bundle.File) (bool, error) {
	r, err := s.Open(ctx, f)
	if err != nil {
		return false, err
	}
	defer r.Close()
	err = contents.CopyVerified(io.Discard, ctxio.Reader(ctx, r), f.Digest)
	if errors.Is(err, bundle.ErrRefused) {
		return false, nil
	}
	return err == nil, err
}

// Open opens the file.
func (s *DirSink) Open(ctx context.Context, f bundle.File) (io.ReadCloser, error) {
	info, err := s.root.Lstat(f.Path)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path(f), err)
	}
	r, err := files.OpenIfRegular(info, func() (*os.File, error) { return s.root.Open(f.Path) })
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.path(f), err)
	}
	return r, nil
}

func (s *DirSink) merge(f bundle.File) func(old, new []byte) ([]byte, error) {
	if s.o.Merge == nil {
		return nil
	}
	return s.o.Merge(f.Path)
}

// Put stores a file; see Sink.
func (s *DirSink) Put(ctx context.Context, f bundle.File, r io.Reader) error {
	if err := s.check(f); err != nil {
		return err
	}
	if dir := path.Dir(f.Path); !s.isMade(dir) {
		if err := s.root.MkdirAll(dir, 0o777); err != nil {
			return fmt.Errorf("put %s: %w", s.path(f), err)
		}
	}
	var err error
	if merge := s.merge(f); merge != nil {
		err = s.putMerged(ctx, f, r, merge)
	} else {
		err = s.write(f, func(w io.Writer) error { return contents.CopyVerified(w, ctxio.Reader(ctx, r), f.Digest) })
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", s.path(f), err)
	}
	return nil
}

// Merges reports whether files of that path are merged.
func (s *DirSink) Merges(path string) bool { return s.o.Merge != nil && s.o.Merge(path) != nil }

// putMerged puts what is made of the file that is there and the one that comes.
func (s *DirSink) putMerged(ctx context.Context, f bundle.File, r io.Reader, merge func(old, new []byte) ([]byte, error)) error {
	if f.Digest.Size > maxMerge {
		return format.Refusef("it has %d bytes where %d are allowed", f.Digest.Size, maxMerge)
	}
	var b bytes.Buffer
	if err := contents.CopyVerified(&b, ctxio.Reader(ctx, r), f.Digest); err != nil {
		return err
	}
	text := b.Bytes()
	s.merging.Lock()
	defer s.merging.Unlock()
	old, err := s.old(ctx, f)
	if err != nil {
		return err
	}
	if old != nil {
		if text, err = merge(old, text); err != nil {
			return err
		}
	}
	if old != nil && bytes.Equal(old, text) {
		return nil
	}
	return s.write(f, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
}

// old is the content of the file that is there, or nil.
func (s *DirSink) old(ctx context.Context, f bundle.File) ([]byte, error) {
	r, err := s.Open(ctx, f)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, files.ErrNotRegular):
		return nil, nil
	case err != nil:
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, 2*maxMerge))
}

// write writes a file next to its place and renames it. Its temporary name depends
// on the path alone, so that the next import removes what a crash left.
func (s *DirSink) write(f bundle.File, content func(io.Writer) error) error {
	sum := sha256.Sum256([]byte(f.Path))
	o := atomicfile.Options{Root: s.root, Temp: atomicfile.TempPrefix + hex.EncodeToString(sum[:8]), Sync: !flushesAll}
	if f.Executable {
		o.Perm = 0o777
	}
	return atomicfile.WriteFunc(filepath.FromSlash(f.Path), o, content)
}

// Flush flushes the file system. Where that is not possible every file was
// flushed when it was put.
func (s *DirSink) Flush(ctx context.Context) error { return flushAll(s.dir) }
