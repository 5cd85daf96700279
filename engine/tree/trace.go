package tree

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// The kinds of a sight: what a path of the workspace was seen to be.
const (
	sightFile    = 'f' // a file with this content
	sightProgram = 'x' // the same, executable
	sightNone    = '-' // no file, link or directory
	sightDir     = 'd' // a directory, or a link to one, with these entries
	sightSources = 's' // the same, but of its files only those that are sources
	sightNoDir   = 'n' // what would be listed is not there
	sightNotDir  = 'o' // what would be listed is no directory
	sightReal    = 'r' // a directory, no link to one
)

// A sight is one thing that an answer about the workspace rests on.
type sight struct {
	kind byte
	path string
	hash [sha256.Size]byte // of a file's content, of a directory's entries as the stat index has them
}

// hashed reports whether the sight's hash counts.
func (s *sight) hashed() bool {
	return s.kind == sightFile || s.kind == sightProgram || s.kind == sightDir || s.kind == sightSources
}

// A trace notes what was asked of a view of a workspace, and what was seen. Its
// methods are safe for use by several goroutines and do nothing on nil.
type trace struct {
	mu     sync.Mutex
	sights map[traced]sight
	// broken: something was seen that a sight cannot say, such as a link.
	broken bool
}

// traced is what a trace knows once: of one path whether it is a file, its
// entries, and whether it is a directory itself are three questions.
type traced struct {
	path string
	ask  byte
}

func (t *trace) note(ask byte, s sight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := traced{s.path, ask}
	if old, ok := t.sights[key]; ok && old != s {
		t.broken = true // it changed meanwhile
	}
	t.sights[key] = s
}

func (t *trace) fail() {
	t.mu.Lock()
	t.broken = true
	t.mu.Unlock()
}

// file notes the answer of Lookup.
func (t *trace) file(p string, e Entry, err error) {
	switch {
	case t == nil:
	case errors.Is(err, errIsDir):
		t.realDir(p)
	case errors.Is(err, fs.ErrNotExist):
		t.note('f', sight{kind: sightNone, path: p})
	case err != nil || e.IsLink:
		t.fail()
	case e.Executable:
		t.note('f', sight{kind: sightProgram, path: p, hash: e.Digest.Hash})
	default:
		t.note('f', sight{kind: sightFile, path: p, hash: e.Digest.Hash})
	}
}

// dir notes the answer of ReadDir of w.
func (t *trace) dir(w *Workspace, p string, raw []byte, err error) {
	switch {
	case t == nil:
	case errors.Is(err, fs.ErrNotExist):
		t.note('d', sight{kind: sightNoDir, path: p})
	case errors.Is(err, errNotDir):
		t.note('d', sight{kind: sightNotDir, path: p})
	case err != nil:
		t.fail()
	default:
		t.note('d', sight{kind: sightDir, path: p, hash: sha256.Sum256(w.counted(p, raw))})
	}
}

// sources notes the answer of ReadSources of w.
func (t *trace) sources(w *Workspace, p string, raw []byte, err error) {
	switch {
	case t == nil:
	case err != nil:
		t.dir(w, p, raw, err)
	default:
		t.note('s', sight{kind: sightSources, path: p, hash: w.sourcesHash(p, raw)})
	}
}

// counted is what of a directory's listing an answer can rest on: all but what
// is ignored. A fresh checkout has no outputs, and carried sources have no .git.
func (w *Workspace) counted(p string, raw []byte) []byte {
	if p != path.Dir(w.dist) && p != path.Dir(w.cache) && !(w.carried && p == ".") && !bytes.Contains(raw, []byte(".git\x00")) && !bytes.Contains(raw, []byte(TempPrefix)) {
		return raw
	}
	return filter(make([]byte, 0, len(raw)), raw, func(_ byte, name string) bool { return !w.Ignored(path.Join(p, name)) })
}

// sourcesHash is the SHA-256 of what counts of a listing for ReadSources.
func (w *Workspace) sourcesHash(p string, raw []byte) [sha256.Size]byte {
	var buf [2 << 10]byte // no garbage for most directories: this is done for all of them
	out := filter(buf[:0], w.counted(p, raw), func(kind byte, name string) bool { return kind != entryFile || w.IsSource(name) })
	return sha256.Sum256(out)
}

// filter appends the entries of a listing, as the stat index has it, that keep
// chooses.
func filter(out, raw []byte, keep func(kind byte, name string) bool) []byte {
	text := string(raw) // the names point into it
	for at := 0; at < len(text); {
		end := strings.IndexByte(text[at:], 0)
		if end < 1 {
			break // not as appendListing writes it
		}
		end += at
		if keep(text[at], text[at+1:end]) {
			out = append(out, raw[at:end+1]...)
		}
		at = end + 1
	}
	return out
}

// realDir notes that a directory itself is at p.
func (t *trace) realDir(p string) {
	if t != nil {
		t.note('r', sight{kind: sightReal, path: p})
	}
}

// see looks at what a sight is of again and reports whether it is the same.
func (w *Workspace) see(s *sight) bool {
	switch s.kind {
	case sightFile, sightProgram:
		e, err := w.lookup(s.path)
		return err == nil && !e.IsLink && e.Executable == (s.kind == sightProgram) && e.Digest.Hash == s.hash
	case sightNone:
		_, err := w.lookup(s.path)
		return errors.Is(err, fs.ErrNotExist)
	case sightReal:
		dir, err := w.isDir(s.path)
		return err == nil && dir
	}
	_, raw, err := w.list(s.path, false)
	switch s.kind {
	case sightDir:
		return err == nil && sha256.Sum256(w.counted(s.path, raw)) == s.hash
	case sightSources:
		return err == nil && w.IsSource != nil && w.sourcesHash(s.path, raw) == s.hash
	case sightNoDir:
		return errors.Is(err, fs.ErrNotExist)
	case sightNotDir:
		return errors.Is(err, errNotDir)
	}
	return false
}
