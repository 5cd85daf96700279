package tree

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// maxLinks is how many links lead to a file at most, as in the kernel.
const maxLinks = 40

// follow adds the link at p and what it leads to: every link on the way and
// what is at the end at their own places in the project. What lies outside of
// it lands where the link that leads out is, since a link would lead elsewhere
// on another machine. A link that leads nowhere, to a directory above itself,
// or to what is never an input, has no content to add.
//
// Each step of the way is looked up, so that one which changes is noticed.
func (b *Inputs) follow(w *Workspace, p, to string) error {
	if filepath.IsAbs(filepath.FromSlash(p)) {
		return b.addOutside(w, w.Abs(p), to)
	}
	y := w.Way(p)
	if len(y.Links) > 0 && y.Links[0].Path != p {
		return b.addOutside(w, w.Abs(p), to) // p itself lies behind a link
	}
	b.Links = append(b.Links, y.Links...)
	switch {
	case y.Outside != "":
		return b.addOutside(w, y.Outside, y.End)
	case y.Nowhere:
		return nil
	}
	return b.addEnd(w, p, y.End)
}

// A Way is where a path of the project leads to.
type Way struct {
	// Links are the links on the way that lead on in the project, in their
	// order, with relative targets.
	Links []Link
	// End is the place at the end, behind all Links.
	End string
	// Outside is the absolute path that stands for End, if the way leads out of
	// the project there.
	Outside string
	Nowhere bool // there is nothing at the end
}

// Way follows the links of a relative path. Each step is looked up.
func (w *Workspace) Way(p string) Way {
	y := Way{End: "."}
	rest := strings.Split(p, "/")
	for len(rest) > 0 {
		next := path.Join(y.End, rest[0])
		rest = rest[1:]
		if next == "." || w.pretendedDir(next) {
			y.End = next
			continue
		}
		e, err := w.Lookup(next)
		if err != nil && !errors.Is(err, ErrIsDir) || e.IsLink && len(y.Links) == maxLinks {
			y.Nowhere = true
			return y
		}
		if !e.IsLink {
			y.End = next
			continue
		}
		target, ok := w.leadsTo(next, e.Link)
		if !ok {
			abs := filepath.FromSlash(e.Link)
			if !filepath.IsAbs(abs) {
				abs = filepath.Join(w.Abs(path.Dir(next)), abs)
			}
			y.Outside = filepath.Join(abs, filepath.FromSlash(path.Join(rest...)))
			y.End = path.Join(append([]string{next}, rest...)...)
			return y
		}
		y.Links = append(y.Links, Link{Path: next, Target: target})
		y.End, rest = path.Dir(next), slices.Concat(strings.Split(target, "/"), rest)
	}
	return y
}

// leadsTo is the target of the link at p as seen from the link's directory,
// also if it is absolute; false if it is outside the project.
func (w *Workspace) leadsTo(p, target string) (string, bool) {
	dir := path.Dir(p)
	if !filepath.IsAbs(filepath.FromSlash(target)) && !path.IsAbs(target) {
		end := path.Join(dir, target)
		return target, end != ".." && !strings.HasPrefix(end, "../")
	}
	for _, root := range w.roots() {
		rel, err := filepath.Rel(root, filepath.FromSlash(target))
		if err != nil || !filepath.IsLocal(rel) {
			continue
		}
		if rel, err = filepath.Rel(filepath.FromSlash(dir), rel); err == nil {
			return filepath.ToSlash(rel), true
		}
	}
	return "", false
}

// roots are the names of the project's root: as given, and without links.
func (w *Workspace) roots() []string {
	roots := []string{w.root}
	if real, err := filepath.EvalSymlinks(w.root); err == nil && real != w.root {
		roots = append(roots, real)
	}
	return roots
}

// addEnd adds the file or directory of the project that the link at p leads
// to, once.
func (b *Inputs) addEnd(w *Workspace, p, end string) error {
	if end == "." || strings.HasPrefix(p, end+"/") {
		return nil
	}
	for dir := end; dir != "."; dir = path.Dir(dir) {
		if w.Ignored(dir) {
			return nil
		}
	}
	if _, done := b.landed(end, end); done {
		return nil
	}
	return b.Add(w, end, end)
}

// landed notes that what is at p lands at the path to, or returns where it did
// before.
func (b *Inputs) landed(p, to string) (first string, before bool) {
	if first, before = b.followed[p]; before {
		return first, true
	}
	if b.followed == nil {
		b.followed = map[string]string{}
	}
	b.followed[p] = to
	return to, false
}

// addOutside adds what is at an absolute path, links followed, at the path to.
func (b *Inputs) addOutside(w *Workspace, abs, to string) error {
	real, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil // leads nowhere
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return err
	case info.Mode().IsRegular():
		return b.addFile(w, filepath.ToSlash(real), to)
	case !info.IsDir():
		return nil
	}
	for _, root := range w.roots() {
		if rel, err := filepath.Rel(real, root); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("link %s: it leads to %s, which holds the project itself: remove the link, or leave it out of the inputs", to, real)
		}
	}
	dir := filepath.ToSlash(real)
	if first, before := b.landed(dir, to); before {
		if first != to { // it may be one of a circle
			b.Links = append(b.Links, Link{Path: to, Target: seenFrom(path.Dir(to), first)})
		}
		return nil
	}
	return b.addDir(w, dir, to)
}

// seenFrom writes a relative path as seen from a relative directory.
func seenFrom(dir, p string) string {
	rel, err := filepath.Rel(filepath.FromSlash(dir), filepath.FromSlash(p))
	if err != nil {
		return p // not reached: both are relative
	}
	return filepath.ToSlash(rel)
}
