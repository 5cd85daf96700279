// Package outputs keeps the outputs of steps in a project: it writes what a step
// made, records it, and removes what no step makes any more. Files of the user
// stay.
//
// Outputs replace links. Everything is written and removed by name in directories
// that tree.Workspace.OpenDir opened, so nothing outside the project changes.
//
// Two records in the state directory say what was written. That of the output
// directory (distRecord) is by pipeline and by step, and is written at the end of
// a run: unknown files there are the user's. That of other places (record), which
// are among the user's sources, is written before the files are. Losing them means
// that what is stale by then stays.
package outputs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/paths"
)

// A Set is what a step made, relative to the project.
type Set struct {
	Files []tree.File
	Links []tree.Link
	Empty []string // directories that hold nothing
	Dirs  []Dir    // output directories
}

// A Dir is a directory that is an output.
type Dir struct {
	Path string
	Tree action.Digest // of its Tree message
}

// Blobs is where the content of files comes from.
type Blobs interface {
	Open(context.Context, action.Digest) (io.ReadCloser, error)
}

// A Copier is Blobs that can put a blob into a directory by itself, by reflink or
// copy and rename, never as a link into the store and never through one.
type Copier interface {
	CopyTo(ctx context.Context, d action.Digest, dir *os.Root, name string, executable bool) error
}

// Options say which outputs a Project has.
type Options struct {
	Workspace *tree.Workspace
	Blobs     Blobs
	// Index returns what the steps of the graph declare. It is called when it is
	// needed, by any goroutine.
	Index func() *Index
	// File is the Airbuildfile, relative to the project: outputs are recorded by
	// it.
	File string
	// Pipeline is what is run; empty for single targets. Pipelines are all that
	// File has, or nil if they are not known.
	Pipeline  string
	Pipelines []string
	// Tracked returns those of the paths, and of the files below them, that are
	// under version control; nil if nothing is known. The function may be nil.
	Tracked func(paths []string) map[string]bool
}

// A Project is the outputs in a project during one run. Restore, ReadyInPlace and
// UpToDate may be called by several goroutines at the same time, for different
// steps; RemoveStale only before them, and Sweep only after them.
type Project struct {
	o     Options
	w     *tree.Workspace
	files files
	log   ledger

	mu     sync.Mutex
	edited []string // stale files that stay, because they were edited
}

// Open reads what earlier runs recorded.
func Open(o Options) *Project {
	w := o.Workspace
	return &Project{
		o: o, w: w,
		log: ledger{w: w, file: o.File, rec: loadRecord(w.State())},
		files: files{w: w, blobs: o.Blobs, index: o.Index, recorded: func(p string) bool {
			rec := loadDistRecord(w.State(), o.File)
			return rec.has(p)
		}},
	}
}

// Restore makes the project hold what a step made, writing only what differs, and
// removes what the step made before and does not make now. It returns the files
// that it wrote. Before is what ReadyInPlace returned, or nil.
func (p *Project) Restore(ctx context.Context, step int, set *Set, before map[string]bool) (written []string, err error) {
	s := p.o.Index().Steps[step]
	changes, err := p.changes(s, set, before)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := p.removeStale(c.stale); err != nil {
			return nil, err
		}
	}
	for _, d := range set.Dirs {
		if s.OwnsDirs || paths.Below(p.w.Dist(), d.Path) {
			if err := p.files.removeOthers(set, d.Path); err != nil {
				return nil, err
			}
		}
	}
	if before != nil {
		if err := p.usualModes(s, set); err != nil {
			return nil, err
		}
	}
	if written, err = p.files.write(ctx, set); err != nil {
		return nil, err
	}
	return written, p.settle(changes)
}

// UpToDate reports whether the project holds a file as it was made.
func (p *Project) UpToDate(f tree.File) bool { return p.files.upToDate(f) }

// ReadyInPlace prepares the places of a step's outputs for a command that may
// write them in the project itself: no link leads elsewhere, and directories hold
// nothing that an earlier run made, which the command would add to. It returns the
// files that are there, outside the output directory: they are the user's.
func (p *Project) ReadyInPlace(step int) (map[string]bool, error) {
	before := map[string]bool{}
	for _, out := range p.o.Index().Steps[step].Outputs {
		if out.InPlace {
			continue
		}
		there, err := p.files.unlink(out.Path)
		if err != nil {
			return nil, err
		}
		if !there || paths.Below(p.w.Dist(), out.Path) {
			continue
		}
		if err := p.clear(out.Path); err != nil {
			return nil, err
		}
		for _, f := range p.files.below(out.Path) {
			before[f] = true
		}
	}
	return before, nil
}

// usualModes gives what a command wrote in the project itself the permissions that
// Restore gives to what it writes. A result holds only the executable bit of a file,
// so a copy of a file of mode 0600 would otherwise have that mode where the step ran,
// and 0644 where it was a hit.
func (p *Project) usualModes(s Step, set *Set) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	// The umask cannot be read without setting it, but seen in what it leaves.
	probe := filepath.Join(p.w.State(), fmt.Sprintf("%smode-%d-%p", atomicfile.TempPrefix, os.Getpid(), set))
	if err := os.Mkdir(probe, 0o777); err != nil {
		return fmt.Errorf("find the permissions of new files: %w", err)
	}
	info, err := os.Lstat(probe)
	os.Remove(probe)
	if err != nil {
		return fmt.Errorf("find the permissions of new files: %w", err)
	}
	dirMode := info.Mode().Perm()
	root, err := os.OpenRoot(p.w.Root())
	if err != nil {
		return err
	}
	defer root.Close()
	give := func(at string, mode fs.FileMode) error {
		name := filepath.FromSlash(at)
		info, err := root.Lstat(name)
		if err != nil || info.Mode().Type() != mode.Type() {
			return nil // what is not there, or is something else, is written again
		}
		if mode.IsDir() {
			mode |= info.Mode() & fs.ModeSetgid // inherited
		}
		if info.Mode() == mode {
			return nil
		}
		p.w.Forget(at)
		return root.Chmod(name, mode)
	}
	for _, f := range set.Files {
		if slices.ContainsFunc(s.Outputs, func(d Declared) bool { return d.InPlace && d.Path == f.Path }) {
			continue // a source, which keeps its own
		}
		mode := dirMode & 0o644
		if f.Executable {
			mode = dirMode & 0o755
		}
		if err := give(f.Path, mode); err != nil {
			return err
		}
	}
	for _, d := range set.Dirs {
		for at, isDir := range set.shape(d.Path) {
			if !isDir {
				continue
			}
			if err := give(at, dirMode|fs.ModeDir); err != nil {
				return err
			}
		}
	}
	return nil
}

// gone reports whether an error says that a path is not there.
func gone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || tree.IsNotDir(err)
}

func isLinkError(err error) bool {
	var link *tree.LinkError
	return errors.As(err, &link)
}
