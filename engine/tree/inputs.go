package tree

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"strings"
)

// Inputs collects what goes into a Tree.
type Inputs struct {
	Files []File
	Links []Link
	Empty []string
	// Follow adds with a link what it leads to, for a command that reads
	// through links and sees more than the tree.
	Follow bool
	// Hide names what is left out of directories, with all below it, as if it
	// were not there. It may be nil.
	Hide func(p string) bool

	followed map[string]string // what links led to → where it landed
}

// link adds a symbolic link, unless it leads out of the tree.
func (b *Inputs) link(at, target string) error {
	if path.IsAbs(target) || filepath.IsAbs(target) {
		return fmt.Errorf("link %s: its target %s is absolute: it would not lead anywhere on another machine", at, target)
	}
	if to := path.Join(path.Dir(at), target); to == ".." || strings.HasPrefix(to, "../") {
		return fmt.Errorf("link %s: its target %s is outside the project", at, target)
	}
	b.Links = append(b.Links, Link{Path: at, Target: target})
	return nil
}

// Add appends what the workspace holds at p to files, links and empty: one
// file or link, or a directory with all below it. It lands at the path to.
// Links that lead out of what is added stay links; absolute ones are refused.
func (b *Inputs) Add(w *Workspace, p, to string) error {
	if !b.Follow { // what sees the whole host has as input what a link leads to
		if err := w.contained(path.Dir(p)); err != nil {
			return err
		}
	}
	if !w.pretendedDir(p) {
		if err := b.addFile(w, p, to); !errors.Is(err, ErrIsDir) {
			return err
		}
	}
	if w.observer != nil {
		w.observer.Directory(p)
	}
	return b.addDir(w, p, to)
}

func (b *Inputs) addFile(w *Workspace, p, to string) error {
	e, err := w.Lookup(p)
	if err != nil {
		return err
	}
	if e.IsLink {
		if b.Follow {
			return b.follow(w, p, to)
		}
		return b.link(to, e.Link)
	}
	b.Files = append(b.Files, File{Path: to, Digest: e.Digest, Executable: e.Executable, Source: Source{Path: w.Abs(p)}})
	return nil
}

// addDir adds a directory; the output directory, version control and
// airbuild's own temporary files below it are left out.
func (b *Inputs) addDir(w *Workspace, p, to string) error {
	entries, err := w.ReadDir(p)
	if err != nil {
		return err
	}
	n := 0
	hidden := false
	for _, e := range entries {
		child := path.Join(p, e.Name())
		if w.Ignored(child) {
			continue
		}
		if b.Hide != nil && b.Hide(child) {
			hidden = true
			continue
		}
		n++
		if e.IsDir() {
			err = b.addDir(w, child, path.Join(to, e.Name()))
		} else {
			err = b.addFile(w, child, path.Join(to, e.Name()))
		}
		if err != nil {
			return err
		}
	}
	if n == 0 && to != "." && !hidden {
		b.Empty = append(b.Empty, to)
	}
	return nil
}
