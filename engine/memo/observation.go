package memo

import (
	"crypto/sha256"
	"errors"
	"io/fs"
	"sync"

	"github.com/airbuild/airbuild/engine/tree"
)

// The kinds of an observation: what was found at a path.
const (
	aFile     = 'f' // a file with this content
	aProgram  = 'x' // the same, executable
	noFile    = '-' // no file, link or directory
	aListing  = 'd' // a directory, or a link to one, with these entries
	aSources  = 's' // the same, but of its files only those that are sources
	noListing = 'n' // what would be listed does not exist
	notADir   = 'o' // what would be listed is not a directory
	aDir      = 'r' // a directory, not a link to one
)

// An observation is one thing that was found in the workspace.
type observation struct {
	kind byte
	path string
	hash [sha256.Size]byte // of a file's content, or as tree.Workspace.ListingHash
}

// hashed reports whether the observation has a hash.
func (o *observation) hashed() bool {
	return o.kind == aFile || o.kind == aProgram || o.kind == aListing || o.kind == aSources
}

// observed is what can be observed of a workspace.
type observed interface {
	Lookup(p string) (tree.Entry, error)
	ListingHash(p string, sources bool) ([sha256.Size]byte, error)
	IsDir(p string) (bool, error)
}

// holds looks at the path again and reports whether it finds the same.
func (o *observation) holds(w observed) bool {
	switch o.kind {
	case aFile, aProgram:
		e, err := w.Lookup(o.path)
		return err == nil && !e.IsLink && e.Executable == (o.kind == aProgram) && e.Digest.Hash == o.hash
	case noFile:
		_, err := w.Lookup(o.path)
		return errors.Is(err, fs.ErrNotExist)
	case aDir:
		dir, err := w.IsDir(o.path)
		return err == nil && dir
	}
	hash, err := w.ListingHash(o.path, o.kind == aSources)
	switch o.kind {
	case aListing, aSources:
		return err == nil && hash == o.hash
	case noListing:
		return errors.Is(err, fs.ErrNotExist)
	case notADir:
		return errors.Is(err, tree.ErrNotDir)
	}
	return false
}

// A Recorder is a tree.Observer that records what a value depends on. The zero
// value is ready for use.
type Recorder struct {
	mu   sync.Mutex
	seen map[subject]observation
	// incomplete: something was found that is not an observation, such as a link.
	incomplete bool
}

var _ tree.Observer = (*Recorder)(nil)

// A subject is what is recorded once: of one path whether it is a file, which
// entries it has and whether it is a directory are different subjects.
type subject struct {
	path string
	as   byte
}

// Len returns the number of observations.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

func (r *Recorder) record(as byte, o observation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[subject]observation{}
	}
	at := subject{o.path, as}
	if old, ok := r.seen[at]; ok && old != o {
		r.incomplete = true // it changed meanwhile
	}
	r.seen[at] = o
}

func (r *Recorder) fail() {
	r.mu.Lock()
	r.incomplete = true
	r.mu.Unlock()
}

// File implements tree.Observer.
func (r *Recorder) File(p string, e tree.Entry, err error) {
	switch {
	case errors.Is(err, tree.ErrIsDir):
		r.Directory(p)
	case errors.Is(err, fs.ErrNotExist):
		r.record(aFile, observation{kind: noFile, path: p})
	case err != nil || e.IsLink:
		r.fail()
	case e.Executable:
		r.record(aFile, observation{kind: aProgram, path: p, hash: e.Digest.Hash})
	default:
		r.record(aFile, observation{kind: aFile, path: p, hash: e.Digest.Hash})
	}
}

// Listing implements tree.Observer.
func (r *Recorder) Listing(p string, sources bool, hash [sha256.Size]byte, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		r.record(aListing, observation{kind: noListing, path: p})
	case errors.Is(err, tree.ErrNotDir):
		r.record(aListing, observation{kind: notADir, path: p})
	case err != nil:
		r.fail()
	case sources:
		r.record(aSources, observation{kind: aSources, path: p, hash: hash})
	default:
		r.record(aListing, observation{kind: aListing, path: p, hash: hash})
	}
}

// Directory implements tree.Observer.
func (r *Recorder) Directory(p string) {
	r.record(aDir, observation{kind: aDir, path: p})
}
