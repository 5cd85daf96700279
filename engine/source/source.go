// Package source reads the identity of a source tree: of git, or of the
// source.json that bundles and source archives carry in its place, so that an
// unpacked archive builds the same bytes as a clone.
package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// FileName is the name of the file that stands in for git. It lies beside the
// Airbuildfile.
const FileName = "source.json"

// Info is the identity of a source tree. Only what Read was asked for is sure
// to be filled in.
type Info struct {
	Commit   string    // full hash, lower-case hexadecimal
	Short    string    // its first seven digits, in every clone
	Branch   string    // empty on a detached HEAD
	Tag      string    // a tag of this very commit; empty if there is none
	Describe string    // as git describe --tags --always --dirty, of the series of tags that is the directory's
	Dirty    bool      // tracked files differ from the commit
	Time     time.Time // of the commit, UTC, whole seconds

	PreviousTag string // the nearest tag of the series on commits before this one; empty if there is none
	CommitCount int    // commits that this one has in its history, itself among them; zero if not asked for
	URL         string // of the remote origin, without credentials; empty if there is none
	// Go is what the go command writes of the repository into programs; nil if not
	// asked for.
	Go *Build

	// Files is the SHA-256 of the Manifest of a carried source tree; empty for a
	// repository, and where there is none. Edited names, for people, the paths
	// that are not as they were carried: the first three, and how many more.
	Files, Edited string

	has struct{ previousTag, url bool } // of source.json: an empty one is an answer
}

// shortDigits is the length of Short. It is fixed: git's own choice grows with
// the repository, and would differ between a full and a shallow clone.
const shortDigits = 7

// attributes are the names that Read knows, "go" for Info.Go among them.
var attributes = [...]string{"commit", "short", "branch", "tag", "describe", "dirty", "time", "previous_tag", "commit_count", "url", "go"}

// Options are what Read goes by beside the source tree.
type Options struct {
	// Rules say which tags are versions of the source.
	Rules Rules
	// State is a directory for this source tree alone, made if need be, that
	// keeps what git said and everything that it depends on, so that git is not
	// started while none of it has changed. Losing it costs time
	// only. Empty: git is always asked.
	State string
}

// Read returns the identity of the source tree at dir, as far as attrs asks
// for it: any of commit, short, branch, tag, describe, dirty, time, previous_tag,
// commit_count, url and go.
//
// A .git in dir itself comes first, then a source.json in dir, then a
// repository that dir is a part of: an archive unpacked somewhere inside an
// unrelated repository keeps its identity. With none of the three the error
// names the ways out.
func Read(ctx context.Context, dir string, attrs []string, o Options) (*Info, error) {
	for _, a := range attrs {
		if !slices.Contains(attributes[:], a) {
			return nil, fmt.Errorf("read source identity: no attribute %q; there are %s", a, strings.Join(attributes[:], ", "))
		}
	}
	if len(attrs) == 0 {
		return &Info{}, nil
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("read source identity: %w", err)
	}
	if exists(filepath.Join(dir, ".git")) {
		return readGit(ctx, dir, attrs, o)
	}
	b, err := readFile(filepath.Join(dir, FileName))
	switch {
	case err == nil:
		info, err := fromFile(b, attrs)
		if err == nil && info.Files != "" && slices.ContainsFunc(attrs, ofWorkTree) {
			err = info.markEdited(ctx, dir, b, o)
		}
		return info, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	case inRepository(dir):
		return readGit(ctx, dir, attrs, o)
	}
	return nil, &NoIdentityError{Dir: dir}
}

func readGit(ctx context.Context, dir string, attrs []string, o Options) (*Info, error) {
	read := readMemo
	if o.State == "" || slices.Contains(attrs, "go") { // untracked files are not watched
		read = askGit
	}
	info, err := read(ctx, dir, attrs, o)
	if err == nil {
		info.has.previousTag, info.has.url = slices.Contains(attrs, "previous_tag"), slices.Contains(attrs, "url")
	}
	return info, err
}

// ofWorkTree reports whether an attribute depends on the files of the work tree.
func ofWorkTree(attr string) bool { return attr == "dirty" || attr == "describe" || attr == "go" }

// maxFile bounds a source.json, in bytes.
const maxFile = 1 << 20

// readFile reads a regular file of at most maxFile bytes.
func readFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, fmt.Errorf("not a file of at most %d bytes", maxFile)
	}
	return os.ReadFile(name)
}

// fromFile checks that the file says what is asked for. An empty branch, tag,
// previous tag or address is an answer; the rest must be there.
func fromFile(b []byte, attrs []string) (*Info, error) {
	info, err := ParseJSON(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", FileName, err)
	}
	have := map[string]bool{
		"commit": info.Commit != "", "short": info.Short != "", "describe": info.Describe != "",
		"previous_tag": info.has.previousTag, "commit_count": info.CommitCount > 0, "url": info.has.url, "go": info.Go != nil,
	}
	for _, a := range attrs {
		if has, must := have[a]; must && !has {
			return nil, &MissingError{a}
		}
	}
	return info, nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// inRepository reports whether a directory above dir has a .git.
func inRepository(dir string) bool {
	for parent := filepath.Dir(dir); parent != dir; parent = filepath.Dir(dir) {
		if exists(filepath.Join(parent, ".git")) {
			return true
		}
		dir = parent
	}
	return false
}

// A MissingError says that a source.json has not what is asked for.
type MissingError struct{ Name string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("read %s: it has no %q, which this build needs", FileName, e.Name)
}

// A NoIdentityError says that nothing tells where a source tree comes from.
type NoIdentityError struct{ Dir string }

func (e *NoIdentityError) Error() string {
	return fmt.Sprintf("read source identity: %s is in no git repository and has no %s; "+
		"run git init and commit, or put the %s of a bundle or source archive next to the Airbuildfile", e.Dir, FileName, FileName)
}
