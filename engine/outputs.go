package engine

import (
	"bufio"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine/inuse"
	"github.com/airbuild/airbuild/engine/tree"
)

// A workspace records what airbuild made in it outside dist, so that what a run
// no longer makes is removed and the user's own files stay. (Of dist see
// sweep.) Losing the record means that what is stale by then stays.
//
// The file holds it whole. What a run is about to write is appended to madeLog
// first, so that a killed run leaves nothing unrecorded; the log is taken into
// the file at the end of the next run. The files of an output directory are in
// a list of their own below madeLists, which is read only when the directory
// changes.
const (
	madeName  = "made.json"
	madeLog   = "made.log"
	madeLists = "made"
)

// madeVersion is of all three.
const madeVersion = 1

// madeRecord is the content of the file.
type madeRecord struct {
	Version int `json:"version"`
	// Files are the outputs by Airbuildfile, then by path as declared. They
	// belong to the file and not to a pipeline: any of its steps may see them.
	Files map[string]map[string]madeOutput `json:"files,omitempty"`

	logged bool // the log had something
}

// A madeOutput is one output.
type madeOutput struct {
	ID    string `json:"id,omitempty"`  // of what it holds; of a directory empty while it is written
	Was   string `json:"was,omitempty"` // of what a file held before that, in case it was not written
	Dir   bool   `json:"dir,omitempty"`
	Owned bool   `json:"owned,omitempty"` // a directory that is wholly the step's own
	Found bool   `json:"found,omitempty"` // something was there before airbuild wrote it
}

// A madeFile is a file or link of an output.
type madeFile struct {
	Path  string `json:"path"`
	ID    string `json:"id"`
	Was   string `json:"was,omitempty"`
	Found bool   `json:"found,omitempty"`
}

// logLine is a line of the log.
type logLine struct {
	Version int    `json:"version"`
	File    string `json:"file"`
	Path    string `json:"path"`
	madeOutput
}

// outputs is the record as the run's workers share it.
type outputs struct {
	mu      sync.Mutex // guards what follows
	rec     *madeRecord
	removed []string
	kept    []string // edited since they were made
}

func linkID(target string) string { return "-> " + target }

// loadMade reads the record.
func loadMade(state string) *madeRecord {
	rec := &madeRecord{}
	if b, err := inuse.ReadFile(filepath.Join(state, madeName)); err == nil {
		if json.Unmarshal(b, rec) != nil || rec.Version != madeVersion {
			rec = &madeRecord{}
		}
	}
	rec.Version = madeVersion
	rec.readLog(filepath.Join(state, madeLog))
	return rec
}

// of returns what a file's steps made.
func (rec *madeRecord) of(file string) map[string]madeOutput {
	m := rec.Files[file]
	if m == nil {
		if rec.Files == nil {
			rec.Files = map[string]map[string]madeOutput{}
		}
		m = map[string]madeOutput{}
		rec.Files[file] = m
	}
	return m
}

// readLog takes in what killed and unfinished runs logged. A line that cannot
// be read was cut off, and what it is about was not written.
func (rec *madeRecord) readLog(name string) {
	f, err := os.Open(name)
	if err != nil {
		return
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l logLine
		if json.Unmarshal(lines.Bytes(), &l) == nil && l.Version == madeVersion {
			rec.of(l.File)[l.Path] = l.madeOutput
			rec.logged = true
		}
	}
}

// save writes the record whole, which takes the log in.
func (rec *madeRecord) save(state string) error {
	maps.DeleteFunc(rec.Files, func(_ string, m map[string]madeOutput) bool { return len(m) == 0 })
	b, err := json.Marshal(rec)
	if err == nil {
		err = replaceFile(filepath.Join(state, madeName), b)
	}
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(state, madeLog)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func listFile(state, file, output string) string {
	sum := sha256.Sum256([]byte(file + "\x00" + output))
	return filepath.Join(state, madeLists, hex.EncodeToString(sum[:]))
}

// filesOf returns the files of a recorded output.
func filesOf(state, file, output string, o madeOutput) []madeFile {
	if !o.Dir {
		return []madeFile{{Path: output, ID: o.ID, Was: o.Was, Found: o.Found}}
	}
	var list []madeFile
	if b, err := inuse.ReadFile(listFile(state, file, output)); err == nil {
		json.Unmarshal(b, &list)
	}
	return slices.DeleteFunc(list, func(f madeFile) bool { return !localPath(f.Path) })
}

// A change is an output outside dist that comes to hold something else.
type change struct {
	path       string
	to         madeOutput
	new, stale []madeFile // of a directory
}

// changes compares what the step made with what the record says, and logs that
// the outputs which differ are about to be written. Those of before are files
// that were there before the step ran; nil if it did not write in place.
func (r *run) changes(s *Step, m *made, before map[string]bool) ([]change, error) {
	var out []change
	for _, c := range r.tops(s, m) {
		r.outs.mu.Lock()
		old, known := r.outs.rec.of(r.o.File)[c.path]
		r.outs.mu.Unlock()
		if known && old.ID == c.to.ID {
			continue
		}
		c.to.Found = old.Found || !known && r.found(c.path, before)
		pending := c.to
		if !c.to.Dir || c.to.Owned {
			c.to.Was, pending = old.ID, c.to
			pending.Was = old.ID
		} else {
			r.compare(&c, m, old, before)
			pending.ID = ""
			if err := r.writeList(c.path, slices.Concat(c.new, c.stale)); err != nil {
				return nil, err
			}
		}
		if err := r.logMade(c.path, pending); err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// compare finds out what of a directory is stale.
func (r *run) compare(c *change, m *made, old madeOutput, before map[string]bool) {
	c.new = m.below(c.path)
	was := map[string]madeFile{}
	if old.Dir || old.ID != "" { // else nothing is known of what is there
		for _, f := range filesOf(r.o.Workspace.State(), r.o.File, c.path, old) {
			was[f.Path] = f
		}
	}
	for i := range c.new {
		f := &c.new[i]
		if o, ok := was[f.Path]; ok {
			f.Found = o.Found
			delete(was, f.Path)
		} else {
			f.Found = r.found(f.Path, before)
		}
	}
	c.stale = slices.Collect(maps.Values(was))
}

// readyInPlace makes the places of outputs fit for a command that may write
// them in the project itself: no link leads elsewhere, and of directories
// nothing is there that an earlier run made, which the command would add to. It
// returns which files are there, outside dist: the user's.
func (r *run) readyInPlace(s *Step) (map[string]bool, error) {
	w := r.o.Workspace
	before := map[string]bool{}
	for _, out := range s.Command.OutputPaths {
		p := path.Join(s.Command.WorkingDirectory, out)
		if inPlace(s, p) {
			continue
		}
		if _, err := os.Lstat(w.Abs(path.Dir(p))); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		parent, err := r.openDir(&made{}, path.Dir(p))
		if err != nil {
			return nil, err
		}
		info, err := parent.Lstat(path.Base(p))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			err = parent.Remove(path.Base(p))
			w.Forget(p)
		}
		parent.Close()
		if errors.Is(err, fs.ErrNotExist) || err == nil && underDist(w, p) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("replace link %s: %w", p, err)
		}
		if err := r.clearMade(s, p); err != nil {
			return nil, err
		}
		filepath.WalkDir(w.Abs(p), func(name string, e fs.DirEntry, err error) error {
			if rel, rerr := filepath.Rel(w.Root(), name); err == nil && rerr == nil && !e.IsDir() {
				before[filepath.ToSlash(rel)] = true
			}
			return nil
		})
	}
	return before, nil
}

// clearMade removes what airbuild made in a directory that the step makes
// again.
func (r *run) clearMade(s *Step, dir string) error {
	r.outs.mu.Lock()
	o, known := r.outs.rec.of(r.o.File)[dir]
	r.outs.mu.Unlock()
	if !known || !o.Dir || o.Owned {
		return nil
	}
	stale, _, err := removable(r.o.Workspace.Root(), filesOf(r.o.Workspace.State(), r.o.File, dir, o), r.o.Tracked)
	if err != nil {
		return err
	}
	for _, p := range stale {
		if err := r.removeAll(p); err != nil && !gone(err) && !isLinkError(err) {
			return fmt.Errorf("remove old output: %w", err)
		}
	}
	return nil
}

// found reports whether a file is there that airbuild did not make.
func (r *run) found(p string, before map[string]bool) bool {
	if before != nil {
		return before[p]
	}
	_, err := os.Lstat(r.o.Workspace.Abs(p))
	return err == nil
}

// tops lists what the step made outside dist by the outputs that it declares.
func (r *run) tops(s *Step, m *made) []change {
	var out []change
	for i := range m.tops {
		top := &m.tops[i]
		if underDist(r.o.Workspace, top.Path) || inPlace(s, top.Path) {
			continue
		}
		out = append(out, change{path: top.Path, to: madeOutput{ID: top.Digest.Hex(), Dir: top.Dir, Owned: top.Dir && s.OwnsDirs}})
	}
	for _, l := range m.links {
		if slices.Contains(s.Command.OutputPaths, relativeTo(s, l.Path)) && !underDist(r.o.Workspace, l.Path) {
			out = append(out, change{path: l.Path, to: madeOutput{ID: linkID(l.Target)}})
		}
	}
	return out
}

// below lists the files and links that were made in a directory.
func (m *made) below(dir string) []madeFile {
	var out []madeFile
	for _, f := range m.files {
		if strings.HasPrefix(f.Path, dir+"/") {
			out = append(out, madeFile{Path: f.Path, ID: f.Digest.Hex()})
		}
	}
	for _, l := range m.links {
		if strings.HasPrefix(l.Path, dir+"/") {
			out = append(out, madeFile{Path: l.Path, ID: linkID(l.Target)})
		}
	}
	return out
}

// relativeTo is a project-relative path as the step's command declares it.
func relativeTo(s *Step, p string) string {
	if s.Command.WorkingDirectory == "" {
		return p
	}
	return strings.TrimPrefix(p, s.Command.WorkingDirectory+"/")
}

// inPlace reports whether a step reads the file that it writes: its work is to
// change it, and the file is a source.
func inPlace(s *Step, output string) bool {
	return slices.ContainsFunc(s.Inputs, func(i Input) bool { return i.Kind == FromFile && cmp.Or(i.File, i.Path) == output })
}

// settle records that directories hold what they are to hold.
func (r *run) settle(list []change) error {
	for _, c := range list {
		if !c.to.Dir || c.to.Owned {
			continue
		}
		if err := r.writeList(c.path, c.new); err != nil {
			return err
		}
		if err := r.logMade(c.path, c.to); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) writeList(output string, list []madeFile) error {
	b, err := json.Marshal(list)
	if err != nil {
		return err
	}
	name := listFile(r.o.Workspace.State(), r.o.File, output)
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return replaceFile(name, b)
}

// logMade appends a line to the log.
func (r *run) logMade(output string, o madeOutput) error {
	b, err := json.Marshal(logLine{Version: madeVersion, File: r.o.File, Path: output, madeOutput: o})
	if err != nil {
		return err
	}
	r.outs.mu.Lock()
	defer r.outs.mu.Unlock()
	r.outs.rec.of(r.o.File)[output] = o
	// Another process may be taking the log in.
	lockErr := r.o.Workspace.Exclusive("outputs.lock", func() { err = appendTo(filepath.Join(r.o.Workspace.State(), madeLog), append(b, '\n')) })
	if err = errors.Join(err, lockErr); err != nil {
		return fmt.Errorf("record outputs: %w", err)
	}
	return nil
}

func appendTo(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// removeMade removes files outside dist that airbuild made and makes no longer.
func (r *run) removeMade(list []madeFile) error {
	if len(list) == 0 {
		return nil
	}
	w := r.o.Workspace
	stale, kept, err := removable(w.Root(), list, r.o.Tracked)
	r.outs.mu.Lock()
	r.outs.kept = append(r.outs.kept, kept...)
	r.outs.mu.Unlock()
	slices.Sort(stale)
	for _, p := range slices.Backward(stale) { // what is in a directory before it
		if rerr := r.removeOne(p); rerr != nil {
			err = errors.Join(err, fmt.Errorf("remove stale output %s: %w", p, rerr))
		}
	}
	return err
}

// removable divides what airbuild made: what may be removed, and what was
// edited since and is the user's. What is under version control, or was there
// before where nothing knows about version control, is neither; nor is what is
// not there any more. A file that another program keeps from being read is an
// error: nothing is known about it.
func removable(root string, list []madeFile, track func([]string) map[string]bool) (stale, edited []string, err error) {
	paths := make([]string, len(list))
	for i, f := range list {
		paths[i] = f.Path
	}
	var tracked map[string]bool
	if track != nil {
		tracked = track(paths)
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

// idAt identifies what is at a path, as madeFile.ID does.
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

// removeOne removes a stale file or empty directory, and the directories that
// are empty without it. What a link leads to stays: it is somewhere else.
func (r *run) removeOne(p string) error {
	dir, err := r.o.Workspace.OpenDir(path.Dir(p), nil)
	if isLinkError(err) || gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	err = inuse.Remove(dir, path.Base(p))
	dir.Close() // Windows keeps an open directory, which may be empty now
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	r.forget(p)
	r.outs.mu.Lock()
	r.outs.removed = append(r.outs.removed, p)
	r.outs.mu.Unlock()
	r.removeEmptyParents(p)
	return nil
}

// gone reports whether an error says that a path is not there.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || tree.IsNotDir(err)
}

func isLinkError(err error) bool {
	var link *tree.LinkError
	return errors.As(err, &link)
}

// Stale lists what earlier runs of the Airbuildfile made outside dist, what is
// still as they made it, and what the graph no longer makes: the next run
// removes it before anything else. Options are those of that run; of them only
// File and Tracked count. A plan must not look at what is listed, so it is made
// again if it was made before.
func Stale(root, state, dist string, g *Graph, o Options) []string {
	rec := loadMade(state)
	if len(rec.Files) == 0 {
		return nil
	}
	own := ownersOf(g, dist)
	var out []string
	for _, l := range rec.leftovers(root, dist, o.File, own) {
		if !l.Owned {
			stale, _, _ := removable(root, own.notMade(filesOf(state, l.file, l.path, l.madeOutput)), o.Tracked)
			out = append(out, stale...)
		} else if l.mayGo(o.Tracked) {
			out = append(out, l.path)
		}
	}
	return out
}

// A leftover is a recorded output that nothing makes any more.
type leftover struct {
	file, path string
	madeOutput
	shared bool // another Airbuildfile makes it
}

// mayGo reports whether a directory that was wholly a step's own may be
// removed.
func (l *leftover) mayGo(track func([]string) map[string]bool) bool {
	if track != nil {
		if tracked := track([]string{l.path}); tracked != nil {
			return len(tracked) == 0
		}
	}
	return !l.Found
}

// leftovers lists the recorded outputs outside dist that nothing makes any
// more. file is the Airbuildfile whose outputs are known.
func (rec *madeRecord) leftovers(root, dist, file string, own *owners) []leftover {
	var out []leftover
	for of, m := range rec.Files {
		missing := vanished(root, file, of)
		if of != file && !missing {
			continue
		}
		for p, o := range m {
			kind, made := own.kinds[p]
			if !localPath(p) || p == dist || strings.HasPrefix(p, dist+"/") {
				continue
			}
			if missing || !made || o.ID != "" && kind != o.Dir {
				out = append(out, leftover{of, p, o, rec.makesToo(root, file, of, p)})
			}
		}
	}
	return out
}

// makesToo reports whether another Airbuildfile makes the same output.
func (rec *madeRecord) makesToo(root, file, but, output string) bool {
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

// notMade leaves out what is an output now.
func (o *owners) notMade(list []madeFile) []madeFile {
	return slices.DeleteFunc(list, func(f madeFile) bool {
		_, made := o.paths[f.Path]
		return made && !o.kinds[f.Path]
	})
}

// sweepFirst removes what Stale lists, before any step is keyed: nothing must
// be compiled from what is there only here.
func (r *run) sweepFirst() error {
	w := r.o.Workspace
	if len(r.outs.rec.Files) == 0 || len(r.outs.rec.leftovers(w.Root(), w.Dist(), r.o.File, r.owners())) == 0 {
		return nil
	}
	var err error
	lockErr := w.Exclusive("outputs.lock", func() { err = r.sweepLeftovers() })
	return errors.Join(err, lockErr)
}

func (r *run) sweepLeftovers() error {
	w := r.o.Workspace
	rec := loadMade(w.State())
	r.outs.rec = rec
	var errs []error
	for _, l := range rec.leftovers(w.Root(), w.Dist(), r.o.File, r.owners()) {
		var err error
		switch {
		case l.shared:
		case !l.Owned:
			err = r.removeMade(r.owners().notMade(filesOf(w.State(), l.file, l.path, l.madeOutput)))
		case l.mayGo(r.o.Tracked):
			err = r.removeOwned(l.path)
		}
		if err != nil {
			errs = append(errs, err) // it stays recorded
			continue
		}
		delete(rec.Files[l.file], l.path)
		os.Remove(listFile(w.State(), l.file, l.path))
	}
	return errors.Join(append(errs, rec.save(w.State()))...)
}

// removeOwned removes a directory that was wholly a step's own.
func (r *run) removeOwned(p string) error {
	dir, err := r.o.Workspace.OpenDir(path.Dir(p), nil)
	if isLinkError(err) || gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := dir.Lstat(path.Base(p)); err != nil || !info.IsDir() {
		dir.Close()
		return nil
	}
	err = inuse.RemoveAll(dir, path.Base(p))
	dir.Close() // as in removeOne
	if err != nil {
		return fmt.Errorf("remove stale output %s: %w", p, err)
	}
	r.forget(p)
	r.outs.removed = append(r.outs.removed, p)
	r.removeEmptyParents(p)
	return nil
}
