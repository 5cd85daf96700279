package publish

import (
	"archive/zip"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	publishing "github.com/airbuild/airbuild/engine/publish"
	"github.com/airbuild/airbuild/engine/source"
)

// A moduleSource is where a module's files come from: a commit, or the project
// where the source came without git.
type moduleSource struct {
	commit *source.Revision // nil without git
	folder string           // the module's in the repository; "." for its top
	other  error            // why the version is not of this commit

	files   []string // without git: project-relative
	license string   // without git: the LICENSE of the project, if the module has none
}

// inputs are the files of the project that are read.
func (s *moduleSource) inputs() []string {
	if s.license == "" {
		return s.files
	}
	return append(slices.Clone(s.files), s.license)
}

// findModule finds the source of a module. A version is of a commit, so that a
// work tree that differs from it is refused, and so is a commit that is not
// the one which the version names.
func findModule(ctx context.Context, root, state string, m *mod, dist string) (*moduleSource, error) {
	at := filepath.Join(root, filepath.FromSlash(m.Dir))
	if !inGit(root, at) {
		return withoutGit(root, m.Dir, dist, state)
	}
	commit, err := source.OpenRevision(ctx, at, "HEAD")
	if err != nil {
		return nil, err
	}
	real, err := filepath.EvalSymlinks(at)
	if err != nil {
		return nil, err
	}
	folder, err := filepath.Rel(commit.Top, real)
	if err != nil {
		return nil, err
	}
	s := &moduleSource{commit: commit, folder: filepath.ToSlash(folder)}
	if err := s.unchanged(ctx, at); err != nil {
		return nil, err
	}
	s.other, err = s.named(ctx, m)
	return s, err
}

// unchanged refuses files that differ from the commit.
func (s *moduleSource) unchanged(ctx context.Context, at string) error {
	c, err := source.Command(ctx, at, "status", "--porcelain", "--untracked-files=no", "--", ".")
	if err != nil {
		return err
	}
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("git status: %w", err)
	}
	if len(out) > 0 {
		return fmt.Errorf("tracked files have changes that are in no commit:\n%s\ncommit them first: a published version never changes", strings.TrimRight(string(out), "\n"))
	}
	return nil
}

// named says why a version names another commit, by a tag or as a
// pseudo-version.
func (s *moduleSource) named(ctx context.Context, m *mod) (other, err error) {
	if module.IsPseudoVersion(m.Version) {
		rev, err := module.PseudoVersionRev(m.Version)
		if err != nil || !strings.HasPrefix(s.commit.Commit, rev) {
			return fmt.Errorf("the version %s names commit %s, and %.12s is checked out: check out that commit, or set another version", m.Version, rev, s.commit.Commit), nil
		}
		return nil, nil
	}
	tag := s.tag(m)
	commit, err := s.commit.Tagged(ctx, tag)
	if err != nil || commit == "" || commit == s.commit.Commit {
		return nil, err
	}
	return fmt.Errorf("the tag %s is of commit %.12s, and %.12s is checked out: check out the tag, or set another version", tag, commit, s.commit.Commit), nil
}

// tag is what the go command takes for the tag of a version: after the module's
// folder, without a last element that is the major version.
func (s *moduleSource) tag(m *mod) string {
	folder := s.folder
	if _, major, ok := module.SplitPathVersion(m.Path); ok && strings.HasPrefix(major, "/") && path.Base(folder) == major[1:] {
		folder = path.Dir(folder)
	}
	return path.Join(folder, strings.TrimSuffix(m.Version, "+incompatible"))
}

// version opens what is published. done ends it.
func (s *moduleSource) version(ctx context.Context, m *mod, in fs.FS) (v publishing.Module, done func(), err error) {
	v = publishing.Module{Path: m.Path, Version: m.Version, FS: in, Dir: m.Dir, Files: s.files}
	if s.commit == nil {
		if s.license != "" {
			v.License, err = fs.ReadFile(in, s.license)
		}
		return v, func() {}, err
	}
	tmp, err := os.CreateTemp("", "airbuild-commit-*.zip")
	if err != nil {
		return v, nil, err
	}
	done = func() { tmp.Close(); os.Remove(tmp.Name()) }
	defer func() {
		if err != nil {
			done()
		}
	}()
	if err = s.commit.Archive(ctx, s.folder, tmp); err != nil {
		return v, nil, err
	}
	info, err := tmp.Stat()
	if err != nil {
		return v, nil, err
	}
	files, err := zip.NewReader(tmp, info.Size())
	if err != nil {
		return v, nil, fmt.Errorf("read the commit: %w", err)
	}
	v.FS, v.Dir, v.Files = files, s.folder, nil
	for _, f := range files.File {
		if !strings.HasSuffix(f.Name, "/") {
			v.Files = append(v.Files, f.Name)
		}
	}
	if s.folder != "." {
		if v.License, err = s.commit.Blob(ctx, "LICENSE"); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	return v, done, err
}

// inGit reports whether a directory of the project is in a git checkout that
// the project's source is of: a source.json comes before a repository around it.
func inGit(root, dir string) bool {
	there := func(name string) bool {
		_, err := os.Lstat(name)
		return err == nil
	}
	for ; ; dir = filepath.Dir(dir) {
		switch {
		case there(filepath.Join(dir, ".git")):
			return true
		case dir == root && there(filepath.Join(dir, source.FileName)), dir == filepath.Dir(dir):
			return false
		}
	}
}

// withoutGit takes the files of a source that came without git: all but outputs
// and what airbuild put there, its cache included. As a bundle unpacks them, they
// are those of the commit.
func withoutGit(root, dir, dist, state string) (*moduleSource, error) {
	s := &moduleSource{}
	holds := func(name string) bool {
		rest, err := filepath.Rel(filepath.Join(root, filepath.FromSlash(name)), state)
		return err == nil && filepath.IsLocal(rest)
	}
	err := fs.WalkDir(os.DirFS(root), dir, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != dir && (name == dist || d.Name() == ".git" || holds(name)):
			return fs.SkipDir
		case d.Type().IsRegular() && name != source.FileName && !strings.HasPrefix(d.Name(), ".airbuild-"):
			s.files = append(s.files, name)
		}
		return nil
	})
	if err != nil || dir == "." {
		return s, err
	}
	if _, none := os.Lstat(filepath.Join(root, filepath.FromSlash(dir), "LICENSE")); none != nil {
		if info, err := os.Lstat(filepath.Join(root, "LICENSE")); err == nil && info.Mode().IsRegular() {
			s.license = "LICENSE"
		}
	}
	return s, nil
}
