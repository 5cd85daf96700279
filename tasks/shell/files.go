package shell

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"mvdan.cc/sh/v3/interp"
)

// The interpreter opens files in airbuild's own process. Those that the
// step's programs could not open are not there for it either.

const writing = os.O_WRONLY | os.O_RDWR | os.O_CREATE | os.O_TRUNC | os.O_APPEND

// place is where a file is that the script names.
func (s *shell) place(dir, name, op string, write bool) (string, error) {
	if s.call.Place == nil || name == "" {
		return name, nil
	}
	p := name
	if !filepath.IsAbs(p) {
		p = filepath.Join(dir, p)
	}
	at, ok := s.call.Place(filepath.Clean(p), write)
	if !ok {
		return "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return at, nil
}

// open implements interp.OpenHandlerFunc.
func (s *shell) open(ctx context.Context, name string, flag int, perm os.FileMode) (io.ReadWriteCloser, error) {
	at, err := s.place(interp.HandlerCtx(ctx).Dir, name, "open", flag&writing != 0)
	if err != nil {
		return nil, err
	}
	return interp.DefaultOpenHandler()(ctx, at, flag, perm)
}

// stat implements interp.StatHandlerFunc. The interpreter gives absolute names
// here and to readDir.
func (s *shell) stat(ctx context.Context, name string, follow bool) (fs.FileInfo, error) {
	at, err := s.place(s.call.WorkDir, name, "stat", false)
	if err != nil {
		return nil, err
	}
	return interp.DefaultStatHandler()(ctx, at, follow)
}

// readDir implements interp.ReadDirHandlerFunc2. Patterns are what reads
// directories.
func (s *shell) readDir(ctx context.Context, name string) ([]fs.DirEntry, error) {
	if dir := interp.HandlerCtx(ctx).Dir; filepath.Clean(name) != filepath.Clean(dir) {
		s.mu.Lock()
		s.listed = filepath.ToSlash(name)
		s.mu.Unlock()
	}
	at, err := s.place(s.call.WorkDir, name, "open", false)
	if err != nil {
		return nil, err
	}
	return interp.DefaultReadDirHandler2()(ctx, at)
}
