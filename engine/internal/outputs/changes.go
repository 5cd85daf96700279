package outputs

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/paths"
)

// A change is an output outside dist that gets another content.
type change struct {
	path       string
	to         entry
	new, stale []recordedFile // of a directory
}

// changes compares what a step made with the record, and records that the outputs
// which differ are about to be written.
func (p *Project) changes(s Step, set *Set, before map[string]bool) ([]change, error) {
	var out []change
	for _, c := range made(p.w.Dist(), s, set) {
		old, known := p.log.get(c.path)
		if known && old.ID == c.to.ID {
			continue
		}
		c.to.Found = old.Found || !known && p.found(c.path, before)
		pending := c.to
		if !c.to.Dir || c.to.Owned {
			c.to.Was, pending.Was = old.ID, old.ID
		} else {
			p.compare(&c, set, old, before)
			pending.ID = ""
			if err := p.log.putList(c.path, slices.Concat(c.new, c.stale)); err != nil {
				return nil, err
			}
		}
		if err := p.log.append(c.path, pending); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// compare finds out which files of a directory are new and which are stale.
func (p *Project) compare(c *change, set *Set, old entry, before map[string]bool) {
	c.new = set.below(c.path)
	was := map[string]recordedFile{}
	if old.Dir || old.ID != "" { // else nothing is known of what is there
		for _, f := range p.log.filesOf(c.path, old) {
			was[f.Path] = f
		}
	}
	for i := range c.new {
		f := &c.new[i]
		if o, ok := was[f.Path]; ok {
			f.Found = o.Found
			delete(was, f.Path)
		} else {
			f.Found = p.found(f.Path, before)
		}
	}
	c.stale = slices.Collect(maps.Values(was))
}

// settle records that directories hold what they are to hold.
func (p *Project) settle(list []change) error {
	for _, c := range list {
		if !c.to.Dir || c.to.Owned {
			continue
		}
		if err := p.log.putList(c.path, c.new); err != nil {
			return err
		}
		if err := p.log.append(c.path, c.to); err != nil {
			return err
		}
	}
	return nil
}

// clear removes what an earlier run made in a directory that a step makes again.
func (p *Project) clear(dir string) error {
	e, known := p.log.get(dir)
	if !known || !e.Dir || e.Owned {
		return nil
	}
	stale, _, err := removable(p.w.Root(), p.log.filesOf(dir, e), p.o.Tracked)
	if err != nil {
		return err
	}
	for _, f := range stale {
		if err := p.files.removeAll(f); err != nil && !gone(err) && !isLinkError(err) {
			return fmt.Errorf("remove old output: %w", err)
		}
	}
	return nil
}

// found reports whether a file is there that airbuild did not make.
func (p *Project) found(name string, before map[string]bool) bool {
	if before != nil {
		return before[name]
	}
	_, err := os.Lstat(p.w.Abs(name))
	return err == nil
}

// made lists what a step made outside dist, by the outputs that it declares.
func made(dist string, s Step, set *Set) []change {
	var out []change
	for _, d := range s.Outputs {
		if d.InPlace || paths.Below(dist, d.Path) {
			continue
		}
		if e, ok := set.entry(d.Path); ok {
			e.Owned = e.Dir && s.OwnsDirs
			out = append(out, change{path: d.Path, to: e})
		}
	}
	return out
}

// entry identifies what was made at a path.
func (set *Set) entry(p string) (entry, bool) {
	for _, d := range set.Dirs {
		if d.Path == p {
			return entry{ID: d.Tree.Hex(), Dir: true}, true
		}
	}
	for i := range set.Files {
		if f := &set.Files[i]; f.Path == p {
			return entry{ID: f.Digest.Hex()}, true
		}
	}
	for _, l := range set.Links {
		if l.Path == p {
			return entry{ID: linkID(l.Target)}, true
		}
	}
	return entry{}, false
}

// below lists the files and links that were made in a directory.
func (set *Set) below(dir string) []recordedFile {
	var out []recordedFile
	for i := range set.Files {
		if f := &set.Files[i]; strings.HasPrefix(f.Path, dir+"/") {
			out = append(out, recordedFile{Path: f.Path, ID: f.Digest.Hex()})
		}
	}
	for _, l := range set.Links {
		if strings.HasPrefix(l.Path, dir+"/") {
			out = append(out, recordedFile{Path: l.Path, ID: linkID(l.Target)})
		}
	}
	return out
}
