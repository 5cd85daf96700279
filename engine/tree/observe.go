package tree

import (
	"bytes"
	"crypto/sha256"
	"path"
	"strings"

	"github.com/airbuild/airbuild/internal/atomicfile"
)

// An Observer receives what a workspace was asked for and what it found. Several
// goroutines may call its methods at the same time.
type Observer interface {
	// File receives what Lookup or Content found at p.
	File(p string, e Entry, err error)
	// Listing receives what ReadDir, or with sources ReadSources, found at p: the
	// hash that ListingHash returns.
	Listing(p string, sources bool, hash [sha256.Size]byte, err error)
	// Directory is called if a directory, not a link to one, was found at p.
	Directory(p string)
}

// Observed returns a view of w that reports to o what it is asked for.
func (w *Workspace) Observed(o Observer) *Workspace {
	v := *w
	v.observer = o
	return &v
}

// ListingHash returns the SHA-256 of the names and types of the entries that
// ReadDir, or with sources ReadSources, lists at p. Ignored entries do not count: a
// fresh checkout has no outputs, and a source tree from a bundle has no .git.
func (w *Workspace) ListingHash(p string, sources bool) (hash [sha256.Size]byte, err error) {
	_, raw, err := w.list(p, false)
	if err != nil {
		return hash, err
	}
	return w.hashListing(p, raw, sources), nil
}

func (w *Workspace) observeListing(p string, raw []byte, sources bool, err error) {
	if w.observer == nil {
		return
	}
	var hash [sha256.Size]byte
	if err == nil {
		hash = w.hashListing(p, raw, sources)
	}
	w.observer.Listing(p, sources, hash, err)
}

func (w *Workspace) hashListing(p string, raw []byte, sources bool) [sha256.Size]byte {
	ignores := p == path.Dir(w.dist) || p == path.Dir(w.cache) || w.carried && p == "." ||
		bytes.Contains(raw, []byte(".git\x00")) || bytes.Contains(raw, []byte(atomicfile.TempPrefix))
	sources = sources && w.IsSource != nil
	if !ignores && !sources {
		return sha256.Sum256(raw)
	}
	var buf [2 << 10]byte // on the stack: most directories fit, and all of them are hashed
	return sha256.Sum256(filterListing(buf[:0], raw, func(kind byte, name string) bool {
		return !(ignores && w.Ignored(path.Join(p, name))) && !(sources && kind == entryFile && !w.IsSource(name))
	}))
}

// filterListing appends to out the entries of a listing, as the stat index has
// them, that keep chooses.
func filterListing(out, raw []byte, keep func(kind byte, name string) bool) []byte {
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
