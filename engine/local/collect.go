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

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// collect stores the declared outputs and names them in res. An output that
// is missing, or is not what it was declared as, is the step's failure.
func (j *job) collect(ctx context.Context, res *action.Result) error {
	for _, p := range j.p.Command.OutputPaths {
		abs := filepath.Join(j.workDir(), filepath.FromSlash(p))
		info, err := os.Lstat(abs)
		if errors.Is(err, fs.ErrNotExist) && j.p.Step.Mode == engine.Workspace {
			// A command that could not be told where to write wrote in place.
			abs = filepath.Join(j.runDir(), filepath.FromSlash(p))
			info, err = os.Lstat(abs)
		}
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return j.wrong("declared output %s was not made", p)
			}
			return fmt.Errorf("collect output: %w", err)
		}
		if err := j.collectOne(ctx, res, p, abs, info); err != nil {
			return err
		}
	}
	return nil
}

// wrong reports a broken declaration in the log and as a failure.
func (j *job) wrong(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	fmt.Fprintf(j.log, "airbuild: %v\n", err)
	return &engine.ExitError{Program: j.p.Command.Arguments[0], Code: 1, Err: err}
}

func (j *job) collectOne(ctx context.Context, res *action.Result, p, abs string, info fs.FileInfo) error {
	wantDir := slices.Contains(j.p.Command.OutputDirectories, p)
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := j.linkTarget(p, abs)
		if err != nil {
			return err
		}
		res.OutputSymlinks = append(res.OutputSymlinks, action.OutputSymlink{Path: p, Target: target})
	case info.IsDir() != wantDir:
		kind := map[bool]string{true: "a directory", false: "a file"}
		return j.wrong("output %s is %s, and declared as %s", p, kind[info.IsDir()], kind[wantDir])
	case info.IsDir():
		return j.collectDir(ctx, res, p, abs)
	case info.Mode().IsRegular():
		d, err := j.e.Store.PutFile(ctx, abs, action.Digest{})
		if err != nil {
			return fmt.Errorf("store output %s: %w", p, err)
		}
		res.OutputFiles = append(res.OutputFiles, action.OutputFile{Path: p, Digest: d, Executable: info.Mode()&0o111 != 0})
	default:
		return j.wrong("output %s is neither a file, a link nor a directory", p)
	}
	return nil
}

// linkTarget reads a link and refuses one that would lead elsewhere on
// another machine, or out of the project.
func (j *job) linkTarget(p, abs string) (string, error) {
	target, err := os.Readlink(abs)
	if err != nil {
		return "", fmt.Errorf("collect output: %w", err)
	}
	target = filepath.ToSlash(target)
	to := path.Join(j.p.Command.WorkingDirectory, path.Dir(p), target)
	if path.IsAbs(target) || !filepath.IsLocal(filepath.FromSlash(to)) {
		return "", j.wrong("output %s is a link to %s, which is outside the project", p, target)
	}
	return target, nil
}

func (j *job) collectDir(ctx context.Context, res *action.Result, p, root string) error {
	var in tree.Inputs
	err := filepath.WalkDir(root, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		rel = filepath.ToSlash(rel)
		switch {
		case e.IsDir():
			if list, err := os.ReadDir(name); err == nil && len(list) == 0 && rel != "." {
				in.Empty = append(in.Empty, rel)
			}
			return nil
		case j.untouched(name, e):
			return nil
		case e.Type()&fs.ModeSymlink != 0:
			target, err := j.linkTarget(path.Join(p, rel), name)
			in.Links = append(in.Links, tree.Link{Path: rel, Target: target})
			return err
		case !e.Type().IsRegular():
			return j.wrong("output %s is neither a file, a link nor a directory", path.Join(p, rel))
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		d, err := j.e.Store.PutFile(ctx, name, action.Digest{})
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
	d, err := j.e.Store.Put(ctx, bytes.NewReader(msg.Marshal()))
	if err != nil {
		return fmt.Errorf("store output %s: %w", p, err)
	}
	res.OutputDirectories = append(res.OutputDirectories, action.OutputDirectory{Path: p, Tree: d, IsTopologicallySorted: true, Root: t.Root})
	return nil
}
