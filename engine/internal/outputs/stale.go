package outputs

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// A Place is where a project and its state are.
type Place struct {
	Root, State string // absolute
	Dist        string // the output directory, relative to Root
}

// Stale lists what earlier runs of an Airbuildfile made outside dist, is still as
// they made it, and is not an output any more: RemoveStale removes it. Index and
// Tracked are those of Options.
func Stale(at Place, file string, index func() *Index, tracked func([]string) map[string]bool) []string {
	rec := loadRecord(at.State)
	if len(rec.Files) == 0 {
		return nil
	}
	x := index()
	var out []string
	for _, l := range rec.leftovers(at.Root, at.Dist, file, x) {
		if !l.Owned {
			stale, _, _ := removable(at.Root, x.without(filesOf(at.State, l.file, l.path, l.entry)), tracked)
			out = append(out, stale...)
		} else if l.removable(tracked) {
			out = append(out, l.path)
		}
	}
	return out
}

// A leftover is a recorded output that nothing makes any more.
type leftover struct {
	file, path string
	entry
	shared bool // another Airbuildfile makes it
}

// removable reports whether a directory that was wholly a step's own may be
// removed.
func (l *leftover) removable(track func([]string) map[string]bool) bool {
	if track != nil {
		if tracked := track([]string{l.path}); tracked != nil {
			return len(tracked) == 0
		}
	}
	return !l.Found
}

// leftovers lists the recorded outputs outside dist that nothing makes any more.
// file is the Airbuildfile whose outputs are known.
func (rec *record) leftovers(root, dist, file string, x *Index) []leftover {
	var out []leftover
	for of, m := range rec.Files {
		missing := vanished(root, file, of)
		if of != file && !missing {
			continue
		}
		for p, e := range m {
			if !paths.Local(p) || paths.Below(dist, p) {
				continue
			}
			now, made := x.outputs[p]
			if missing || !made || e.ID != "" && now.Dir != e.Dir {
				out = append(out, leftover{of, p, e, rec.madeByOther(root, file, of, p)})
			}
		}
	}
	return out
}

// madeByOther reports whether another Airbuildfile than but makes the same output.
func (rec *record) madeByOther(root, file, but, output string) bool {
	for other, m := range rec.Files {
		if _, ok := m[output]; ok && other != but && !vanished(root, file, other) {
			return true
		}
	}
	return false
}

// vanished reports whether an Airbuildfile, other than the present one, is not
// there any more.
func vanished(root, present, file string) bool {
	if file == present || file == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(root, filepath.FromSlash(file)))
	return errors.Is(err, fs.ErrNotExist)
}

// RemoveStale removes what Stale lists. It must be called before any step is
// keyed: nothing must be compiled from what is there only here.
func (p *Project) RemoveStale() error {
	if len(p.log.rec.Files) == 0 || len(p.log.rec.leftovers(p.w.Root(), p.w.Dist(), p.o.File, p.o.Index())) == 0 {
		return nil
	}
	var err error
	lockErr := p.w.Exclusive(lockName, func() { err = p.removeLeftovers() })
	return errors.Join(err, lockErr)
}

func (p *Project) removeLeftovers() error {
	state, x := p.w.State(), p.o.Index()
	rec := loadRecord(state)
	p.log.rec = rec
	var errs []error
	for _, l := range rec.leftovers(p.w.Root(), p.w.Dist(), p.o.File, x) {
		var err error
		switch {
		case l.shared:
		case !l.Owned:
			err = p.removeStale(x.without(filesOf(state, l.file, l.path, l.entry)))
		case l.removable(p.o.Tracked):
			err = p.files.removeOwned(l.path)
		}
		if err != nil {
			errs = append(errs, err) // it stays recorded
			continue
		}
		delete(rec.Files[l.file], l.path)
		os.Remove(listFile(state, l.file, l.path))
	}
	return errors.Join(append(errs, rec.save(state))...)
}

// removeStale removes files outside dist that an earlier run made and the file does not declare.
func (p *Project) removeStale(list []recordedFile) error {
	if len(list) == 0 {
		return nil
	}
	stale, edited, err := removable(p.w.Root(), list, p.o.Tracked)
	p.mu.Lock()
	p.edited = append(p.edited, edited...)
	p.mu.Unlock()
	slices.Sort(stale)
	for _, f := range slices.Backward(stale) { // what is in a directory before it
		if rerr := p.files.remove(f); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove stale output %s: %w", f, rerr))
		}
	}
	return err
}

// removable divides what airbuild made: what may be removed, and what was edited
// since and is the user's. What is under version control, or was there before
// where nothing knows about version control, is neither; nor is what is not there
// any more. A file that another program keeps from being read is an error: nothing
// is known about it.
func removable(root string, list []recordedFile, track func([]string) map[string]bool) (stale, edited []string, err error) {
	names := lists.Map(list, func(f recordedFile) string { return f.Path })
	var tracked map[string]bool
	if track != nil {
		tracked = track(names)
	}
	for i := range list {
		f := &list[i]
		if tracked[f.Path] || tracked == nil && f.Found {
			continue
		}
		var id string
		read := inuse.Do(func() (err error) {
			id, err = idAt(filepath.Join(root, filepath.FromSlash(f.Path)))
			return err
		})
		switch {
		case errors.Is(read, fs.ErrNotExist):
		case errors.Is(read, inuse.ErrInUse):
			err = errors.Join(err, fmt.Errorf("remove stale output %s: %w", f.Path, read))
		case read == nil && (id == f.ID || id == f.Was):
			stale = append(stale, f.Path)
		default:
			edited = append(edited, f.Path)
		}
	}
	return stale, edited, err
}

// idAt identifies what is at a path, as recordedFile.ID does.
func idAt(name string) (string, error) {
	info, err := os.Lstat(name)
	if err != nil {
		return "", err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(name)
		return linkID(filepath.ToSlash(target)), err
	}
	if !info.Mode().IsRegular() {
		return "", errors.New("not a file")
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
