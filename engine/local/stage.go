package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine/tree"
)

// stage lays the inputs out in scratch. Contents are checked while they are
// copied, so that the command sees what was hashed.
func (j *job) stage(ctx context.Context) error { return j.lay(ctx, j.p.Inputs, j.stageFile) }

// lay makes what a tree says in scratch; each file is copied by one.
func (j *job) lay(ctx context.Context, t *tree.Tree, one func(ctx context.Context, dst string, f tree.File) error) error {
	for _, d := range t.Empty {
		if err := os.MkdirAll(filepath.Join(j.out, filepath.FromSlash(d)), 0o777); err != nil {
			return fmt.Errorf("stage inputs: %w", err)
		}
	}
	made := map[string]bool{}
	mkdir := func(file string) error {
		dir := filepath.Dir(file)
		if made[dir] {
			return nil
		}
		made[dir] = true
		return os.MkdirAll(dir, 0o777)
	}
	p := pool.New().WithErrors().WithContext(ctx).WithMaxGoroutines(2 * runtime.GOMAXPROCS(0)).WithCancelOnError().WithFirstError()
	var err error
	for _, f := range t.Files {
		dst := filepath.Join(j.out, filepath.FromSlash(f.Path))
		if err = mkdir(dst); err != nil {
			break
		}
		p.Go(func(ctx context.Context) error { return one(ctx, dst, f) })
	}
	if err = errors.Join(err, p.Wait()); err != nil {
		return fmt.Errorf("stage inputs: %w", err)
	}
	for _, l := range t.Links {
		dst := filepath.Join(j.out, filepath.FromSlash(l.Path))
		if err := mkdir(dst); err != nil {
			return fmt.Errorf("stage inputs: %w", err)
		}
		if err := os.Symlink(filepath.FromSlash(l.Target), dst); err != nil {
			return fmt.Errorf("stage inputs: %w", err)
		}
	}
	return nil
}

func (j *job) stageFile(ctx context.Context, dst string, f tree.File) error {
	src, err := j.open(ctx, f)
	if err != nil {
		return err
	}
	src = tree.Verify(src, f.Digest, f.Path)
	defer src.Close()
	mode := fs.FileMode(0o644)
	if f.Executable {
		mode = 0o755
	}
	return writeFile(dst, src, mode)
}

func copyFile(dst, src string, mode fs.FileMode) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	return writeFile(dst, in, mode)
}

// writeFile makes a file. While a program is written no process is started: it
// would inherit the open file, and the program could not be run until the
// other one had closed it ("text file busy", golang.org/issue/22315).
func writeFile(dst string, r io.Reader, mode fs.FileMode) error {
	if mode&0o111 != 0 {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
	}
	out, err := os.OpenFile(dst, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	return errors.Join(err, out.Close())
}

// removeAll removes a scratch directory, also where a tool left directories
// without write permission (the Go module cache is one).
func removeAll(dir string) {
	if os.RemoveAll(dir) == nil {
		return
	}
	filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err == nil && e.IsDir() {
			os.Chmod(name, 0o777)
		}
		return nil
	})
	os.RemoveAll(dir)
}
