package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A ProgramTree is the directory that a program of the host was installed in,
// with libraries or data beside it: what a step that runs the program may read
// of it is in the step's key.
type ProgramTree struct{ Dir string }

// ErrTreeTooLarge says that a directory has too many files to be one program's.
var ErrTreeTooLarge = errors.New("too many files for the tree of one program")

// maxTreeFiles and maxTreeSize bound a ProgramTree. The largest that programs
// are installed in, those of language run-times, are well below.
const (
	maxTreeFiles = 20000
	maxTreeSize  = 8 << 30 // bytes
)

// systemDirs belong to the system, whose package manager is answerable for what
// a program finds there. In /usr/local every directory is its own.
var systemDirs = [...]string{"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/nix/store", "/gnu/store"}

// TreeOf is the tree that a program came in, by the absolute path of its file
// without links: the parent of a directory of programs, else the directory that
// holds it. There is none in directories of the system, and none where programs
// of many origins share one: a home, ~/.local, ~/.cargo, GOPATH.
func TreeOf(program string) (ProgramTree, bool) {
	dir := filepath.Dir(program)
	switch filepath.Base(dir) {
	case "bin", "sbin", "libexec", "shims":
		dir = filepath.Dir(dir)
	}
	slashed := strings.TrimPrefix(filepath.ToSlash(dir), filepath.VolumeName(dir))
	if strings.Count(slashed, "/") < 2 {
		return ProgramTree{}, false // "/", "/opt", "/home"
	}
	if slices.ContainsFunc(systemDirs[:], func(s string) bool { return slashed == s || strings.HasPrefix(slashed, s+"/") }) &&
		(slashed == "/usr/local" || !strings.HasPrefix(slashed, "/usr/local/")) {
		return ProgramTree{}, false
	}
	if slices.Contains([]string{"/usr/local/lib", "/usr/local/share", "/usr/local/etc"}, slashed) || isShared(dir) {
		return ProgramTree{}, false
	}
	return ProgramTree{dir}, true
}

// isShared reports whether a directory holds programs of many origins.
func isShared(dir string) bool {
	home, err := os.UserHomeDir()
	if err != nil {
		return false
	}
	shared := []string{filepath.Join(home, ".local"), filepath.Join(home, ".cargo"), filepath.Join(home, "go")}
	shared = append(shared, filepath.SplitList(os.Getenv("GOPATH"))...)
	if real, err := filepath.EvalSymlinks(home); err == nil {
		home = real
	}
	rel, err := filepath.Rel(dir, home)
	return slices.Contains(shared, dir) || err == nil && filepath.IsLocal(rel)
}

// walk calls visit for all in the tree, in the same order on every host, and
// counts.
func (t ProgramTree) walk(visit func(name string, d fs.DirEntry) error) error {
	files := 0
	return filepath.WalkDir(t.Dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			if d != nil && errors.Is(err, fs.ErrPermission) {
				return fs.SkipDir // closed to the step, too
			}
			return err
		}
		if files++; files > maxTreeFiles {
			return fmt.Errorf("%s: %w", t.Dir, ErrTreeTooLarge)
		}
		return visit(name, d)
	})
}

// add writes one line of a description.
func (t ProgramTree) add(h hash.Hash, name string, about ...any) {
	rel, _ := filepath.Rel(t.Dir, name)
	fmt.Fprintf(h, "%q %q\n", filepath.ToSlash(rel), fmt.Sprint(about...))
}

// Digest is of all that the tree holds: names, contents, what is executable,
// targets of links. Contents are known through the stat index. The view should be
// a fresh one: thousands of files are not noted for every answer, but State is.
func (t ProgramTree) Digest(w *Workspace) (string, error) {
	h, size := sha256.New(), int64(0)
	err := t.walk(func(name string, d fs.DirEntry) error {
		if d.IsDir() {
			t.add(h, name, "directory")
			return nil
		}
		if !d.Type().IsRegular() && d.Type()&fs.ModeSymlink == 0 {
			return nil
		}
		e, err := w.Lookup(filepath.ToSlash(name))
		switch {
		case errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		case e.IsLink:
			t.add(h, name, "link ", e.Link)
			return nil
		}
		if size += e.Digest.Size; size > maxTreeSize {
			return fmt.Errorf("%s: %w", t.Dir, ErrTreeTooLarge)
		}
		t.add(h, name, e.Executable, " ", e.Digest)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("read the tree of a program: %w", err)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), nil
}

// State differs when Digest may differ; it reads no file. An error means that
// it cannot be known, as shortly after a change.
func (t ProgramTree) State() (string, error) {
	at := time.Now().UnixNano()
	h := sha256.New()
	err := t.walk(func(name string, _ fs.DirEntry) error {
		st, err := lstat(name)
		if err != nil {
			return err
		}
		if racy(st, at) {
			return fmt.Errorf("%s has just changed", name)
		}
		t.add(h, name, st)
		return nil
	})
	return hex.EncodeToString(h.Sum(nil)), err
}
