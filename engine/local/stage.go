package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/sourcegraph/conc/pool"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/tree"
)

// inputs reads the inputs of one execution, and stages them in scratch.
type inputs struct {
	*layout
	store     engine.Store
	workspace *tree.Workspace
}

// stage lays the inputs out in scratch, if the command does not run in the project
// itself. Contents are checked while they are copied, so that the command sees what
// was hashed.
func (in *inputs) stage(ctx context.Context) error {
	switch {
	case in.copied:
		return in.stageCopy(ctx)
	case in.p.Step.Mode == engine.Staged:
		return in.lay(ctx, in.p.Inputs, in.stageFile)
	}
	return nil
}

// lay makes what a tree says in scratch; each file is copied by one.
func (in *inputs) lay(ctx context.Context, t *tree.Tree, one func(ctx context.Context, dst string, f tree.File) error) error {
	for _, d := range t.Empty {
		if err := os.MkdirAll(filepath.Join(in.out, filepath.FromSlash(d)), 0o777); err != nil {
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
		dst := filepath.Join(in.out, filepath.FromSlash(f.Path))
		if err = mkdir(dst); err != nil {
			break
		}
		p.Go(func(ctx context.Context) error { return one(ctx, dst, f) })
	}
	if err = errors.Join(err, p.Wait()); err != nil {
		return fmt.Errorf("stage inputs: %w", err)
	}
	for _, l := range t.Links {
		dst := filepath.Join(in.out, filepath.FromSlash(l.Path))
		if err := mkdir(dst); err != nil {
			return fmt.Errorf("stage inputs: %w", err)
		}
		if err := os.Symlink(filepath.FromSlash(l.Target), dst); err != nil {
			return fmt.Errorf("stage inputs: %w", err)
		}
	}
	return nil
}

func (in *inputs) stageFile(ctx context.Context, dst string, f tree.File) error {
	src, err := in.open(ctx, f)
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

// stageCopy lays the inputs of a Hermetic step out as they are in the project, links
// included: the tree may name what is behind a link by the path through it.
func (in *inputs) stageCopy(ctx context.Context) error {
	t := *in.p.Inputs
	links := map[string]string{}
	for _, l := range t.Links {
		links[l.Path] = l.Target
	}
	dirs := map[string]string{}
	real := func(p string) string {
		dir := path.Dir(p)
		at, ok := dirs[dir]
		if !ok {
			y := in.workspace.Way(dir)
			at = y.End
			if y.Nowhere {
				at = dir // another step's output that is not restored
			}
			for _, l := range y.Links {
				links[l.Path] = l.Target
			}
			dirs[dir] = at
		}
		return path.Join(at, path.Base(p))
	}
	files := map[string]bool{}
	t.Files = nil
	for _, f := range in.p.Inputs.Files {
		if f.Source.Inline != nil {
			continue // a text for the key: in the project there is none either
		}
		if f.Path = real(f.Path); !files[f.Path] {
			files[f.Path] = true
			t.Files = append(t.Files, f)
		}
	}
	t.Links = nil
	for p, target := range links {
		t.Links = append(t.Links, tree.Link{Path: p, Target: target})
	}
	var mu sync.Mutex
	return in.lay(ctx, &t, func(ctx context.Context, dst string, f tree.File) error {
		err := in.stageFile(ctx, dst, f)
		if _, ok := errors.AsType[*tree.ChangedError](err); !ok || f.Source.Path == "" {
			return err
		}
		// As in the project itself, the step goes on with what is there now.
		mu.Lock()
		defer mu.Unlock()
		in.p.Altered = f.Path
		if err := os.Remove(dst); err != nil {
			return err
		}
		return copyFile(dst, f.Source.Path, 0o644)
	})
}

// open reads an input file: from the workspace, from the store, or inline.
func (in *inputs) open(ctx context.Context, f tree.File) (io.ReadCloser, error) {
	switch {
	case f.Source.Path != "":
		return os.Open(f.Source.Path)
	case f.Source.Blob:
		return in.store.Open(ctx, f.Digest)
	}
	return io.NopCloser(strings.NewReader(string(f.Source.Inline))), nil
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
