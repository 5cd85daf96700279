package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/internal/paths"
)

// outputs are the outputs of one execution: they are prepared before the command
// runs, and stored afterwards.
type outputs struct {
	*layout
	store     Store
	workspace *tree.Workspace
	log       *logFile
	was       map[string]fs.FileInfo // what was in output directories of the project itself
}

// collect stores the declared outputs and names them in res. An output that
// is missing, or is not what it was declared as, is the step's failure.
func (o *outputs) collect(ctx context.Context, res *action.Result) error {
	for _, p := range o.p.Command.OutputPaths {
		abs := filepath.Join(o.workDir(), filepath.FromSlash(p))
		info, err := os.Lstat(abs)
		if errors.Is(err, fs.ErrNotExist) && o.p.Step.Mode == engine.Workspace {
			// A command that could not be told where to write wrote in place.
			abs = filepath.Join(o.runDir(), filepath.FromSlash(p))
			info, err = os.Lstat(abs)
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return o.wrong("declared output %s was not made", p)
			}
			return fmt.Errorf("collect output: %w", err)
		}
		if err := o.collectOne(ctx, res, p, abs, info); err != nil {
			return err
		}
	}
	return nil
}

// wrong reports a broken declaration in the log and as a failure.
func (o *outputs) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintf(o.log, "airbuild: %v\n", err)
	return &engine.ExitError{Program: o.p.Command.Arguments[0], Code: 1, Err: err}
}

func (o *outputs) collectOne(ctx context.Context, res *action.Result, p, abs string, info fs.FileInfo) error {
	wantDir := slices.Contains(o.p.Command.OutputDirectories, p)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := o.linkTarget(p, abs)
		if err != nil {
			return err
		}
		res.OutputSymlinks = append(res.OutputSymlinks, action.OutputSymlink{Path: p, Target: target})
	case info.IsDir() != wantDir:
		kind := map[bool]string{true: "a directory", false: "a file"}
		return o.wrong("output %s is %s, and declared as %s", p, kind[info.IsDir()], kind[wantDir])
	case info.IsDir():
		return o.collectDir(ctx, res, p, abs)
	case info.Mode().IsRegular():
		d, err := o.store.PutFile(ctx, abs, action.Digest{})
		if err != nil {
			return fmt.Errorf("store output %s: %w", p, err)
		}
		res.OutputFiles = append(res.OutputFiles, action.OutputFile{Path: p, Digest: d, Executable: info.Mode()&0o111 != 0})
	default:
		return o.wrong("output %s is neither a file, a link nor a directory", p)
	}
	return nil
}

// linkTarget reads a link and refuses one that would lead elsewhere on
// another machine, or out of the project.
func (o *outputs) linkTarget(p, abs string) (string, error) {
	target, err := os.Readlink(abs)
	if err != nil {
		return "", fmt.Errorf("collect output: %w", err)
	}
	target = filepath.ToSlash(target)
	to := path.Join(o.p.Command.WorkingDirectory, path.Dir(p), target)
	if path.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(to)) {
		return "", o.wrong("output %s is a link to %s, which is outside the project", p, target)
	}
	return target, nil
}

func (o *outputs) collectDir(ctx context.Context, res *action.Result, p, root string) error {
	var in tree.Inputs
	err := paths.Walk(root, func(name, rel string, e fs.DirEntry) error {
		switch {
		case e.IsDir():
			if list, err := os.ReadDir(name); err == nil && len(list) == 0 && rel != "." {
				in.Empty = append(in.Empty, rel)
			}
			return nil
		case o.untouched(name, e):
			return nil
		case e.Type()&fs.ModeSymlink != 0:
			target, err := o.linkTarget(path.Join(p, rel), name)
			in.Links = append(in.Links, tree.Link{Path: rel, Target: target})
			return err
		case !e.Type().IsRegular():
			return o.wrong("output %s is neither a file, a link nor a directory", path.Join(p, rel))
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		d, err := o.store.PutFile(ctx, name, action.Digest{})
		in.Files = append(in.Files, tree.File{Path: rel, Digest: d, Executable: info.Mode()&0o111 != 0})
		return err
	})
	if err != nil {
		return fmt.Errorf("store output %s: %w", p, err)
	}
	t, err := tree.Build(in.Files, in.Links, in.Empty)
	if err != nil {
		return fmt.Errorf("store output %s: %w", p, err)
	}
	msg, err := t.Message()
	if err != nil {
		return err
	}
	d, err := o.store.Put(ctx, bytes.NewReader(msg.Marshal()))
	if err != nil {
		return fmt.Errorf("store output %s: %w", p, err)
	}
	res.OutputDirectories = append(res.OutputDirectories, action.OutputDirectory{Path: p, Tree: d, IsTopologicallySorted: true, Root: t.Root})
	return nil
}

// redirect replaces arguments that name an output by its place in scratch.
func (o *outputs) redirect(args []string) []string {
	out := make([]string, len(args))
	for i, a := range args {
		out[i] = a
		flag, value, ok := strings.Cut(a, "=")
		for _, p := range o.p.Command.OutputPaths {
			place := filepath.Join(o.workDir(), filepath.FromSlash(p))
			switch {
			case a == p:
				out[i] = place
			case a == p+"/":
				out[i] = place + string(filepath.Separator)
			case ok && value == p && strings.HasPrefix(flag, "-"):
				out[i] = flag + "=" + place
			}
		}
	}
	return out
}

// clearInPlace removes the declared output files that the command will write in
// the project itself, because no argument names them: what an earlier run left
// must not be taken for this one's.
func (o *outputs) clearInPlace(argv []string) error {
	redirected := slices.Concat(argv, o.redirect(argv))
	for _, p := range o.p.Command.OutputFiles {
		place := filepath.Join(o.runDir(), filepath.FromSlash(p))
		scratch := filepath.Join(o.workDir(), filepath.FromSlash(p))
		inProject := path.Join(o.p.Command.WorkingDirectory, p)
		if o.input(place) != nil || o.inputLink(inProject) || slices.ContainsFunc(redirected, func(a string) bool { return strings.HasSuffix(a, scratch) }) {
			continue
		}
		if err := o.removeInPlace(inProject); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove old output: %w", err)
		}
	}
	if !o.p.Step.OwnsDirs {
		o.snapshot()
	}
	return nil
}

// removeInPlace removes a file of the project, which no link leads to.
func (o *outputs) removeInPlace(p string) error {
	dir, err := o.workspace.OpenDir(path.Dir(p), nil)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Remove(path.Base(p))
}

// snapshot notes what is in the project's own directories that outputs land in:
// what the command does not touch there is not an output.
func (o *outputs) snapshot() {
	o.was = map[string]fs.FileInfo{}
	for _, p := range o.p.Command.OutputDirectories {
		filepath.WalkDir(filepath.Join(o.runDir(), filepath.FromSlash(p)), func(name string, e fs.DirEntry, err error) error {
			if err == nil && !e.IsDir() {
				if info, err := e.Info(); err == nil {
					o.was[name] = info
				}
			}
			return nil
		})
	}
}

// untouched reports whether a file was there before the command, and is as it
// was.
func (o *outputs) untouched(name string, e fs.DirEntry) bool {
	was, ok := o.was[name]
	if !ok {
		return false
	}
	now, err := e.Info()
	return err == nil && os.SameFile(was, now) && was.ModTime().Equal(now.ModTime()) && was.Size() == now.Size() && was.Mode() == now.Mode()
}

// seed copies inputs that are outputs too into scratch, so that a step
// that changes a file in place does it there.
func (o *outputs) seed() error {
	for _, p := range o.p.Command.OutputFiles {
		src := filepath.Join(o.runDir(), filepath.FromSlash(p))
		in := o.input(src)
		if in == nil {
			continue
		}
		mode := fs.FileMode(0o644)
		if in.Executable {
			mode = 0o755
		}
		if err := copyFile(filepath.Join(o.workDir(), filepath.FromSlash(p)), src, mode); err != nil {
			return err
		}
	}
	return nil
}

// inputLink reports whether a link at the project's path p is an input, or what it
// leads to outside the project is in its place.
func (o *outputs) inputLink(p string) bool {
	return slices.ContainsFunc(o.p.Inputs.Links, func(l tree.Link) bool { return l.Path == p }) ||
		slices.ContainsFunc(o.p.Inputs.Files, func(f tree.File) bool { return f.Path == p })
}

// input is the input file of the project at abs, or nil.
func (o *outputs) input(abs string) *tree.File {
	for i := range o.p.Inputs.Files {
		if f := &o.p.Inputs.Files[i]; f.Source.Path == abs {
			return f
		}
	}
	return nil
}
