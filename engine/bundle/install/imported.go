package install

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/store"
)

// An Imported is a bundle that was imported into a cache directory.
type Imported struct {
	Digest string
	Root   *bundle.Root
}

// ScopeOf is the scope that results of an imported bundle were put into last: zero
// if they count everywhere, or the bundle brought none.
func ScopeOf(cache, digest string) (store.Scope, error) {
	for _, id := range readSinks(cache, digest) {
		scope, err := scopeOf(id)
		if err != nil {
			return store.Scope{}, format.Refusef("carried/bundles/%s%s: scope of results: %w; import the bundle again", digest, sinksSuffix, err)
		}
		if !scope.IsZero() {
			return scope, nil
		}
	}
	return store.Scope{}, nil
}

// Scopes are the scopes of all imported bundles. Bundles whose files are damaged are
// left out.
func Scopes(cache string) (all []store.Scope) {
	list, err := List(cache)
	if err != nil {
		return nil
	}
	for _, c := range list {
		if scope, err := ScopeOf(cache, c.Digest); err == nil && !scope.IsZero() && !slices.Contains(all, scope) {
			all = append(all, scope)
		}
	}
	return all
}

// What an import leaves below carried/bundles, by the digest of the root:
//
//	<digest>.index    the index, as the bundle has it
//	<digest>.sinks    which sink took which component
//	<digest>.envelope the signatures, if there were any
//	<digest>.custody  the log of the bundle, if there was one
//	<digest>.json     the root's bytes; written last: this is the reference
const (
	refSuffix      = ".json"
	indexSuffix    = ".index"
	sinksSuffix    = ".sinks"
	envelopeSuffix = ".envelope"
	custodySuffix  = ".custody"
)

func importedDir(cache string) string { return filepath.Join(cache, "carried") }

func bundlesDir(cache string) string { return filepath.Join(importedDir(cache), "bundles") }

func journalDir(cache string) string { return filepath.Join(importedDir(cache), "journal") }

// List returns what was imported into a cache directory, by name,
// sequence and digest. A reference that is damaged is an error.
func List(cache string) ([]Imported, error) {
	entries, err := os.ReadDir(bundlesDir(cache))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list imported bundles: %w", err)
	}
	var list []Imported
	for _, e := range entries {
		h, ok := strings.CutSuffix(e.Name(), refSuffix)
		if _, err := action.ParseHash(h); !ok || err != nil {
			continue
		}
		c, err := readImported(cache, h)
		if err != nil {
			return nil, err
		}
		list = append(list, *c)
	}
	slices.SortFunc(list, func(a, b Imported) int {
		return cmp.Or(cmp.Compare(a.Root.Name, b.Root.Name), cmp.Compare(a.Root.Sequence, b.Root.Sequence), cmp.Compare(a.Digest, b.Digest))
	})
	return list, nil
}

// readImported reads a reference, which verifies itself.
func readImported(cache, digest string) (*Imported, error) {
	name := filepath.Join(bundlesDir(cache), digest+refSuffix)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read imported bundle: %w", err)
	}
	if format.Identity(b) != digest {
		return nil, format.Refusef("%s is damaged: remove it and import the bundle again", name)
	}
	r, err := format.DecodeRoot(b)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return &Imported{Digest: digest, Root: r}, nil
}

// index reads the index of an imported bundle.
func (c *Imported) index(cache string) (*format.Index, error) {
	name := filepath.Join(bundlesDir(cache), c.Digest+indexSuffix)
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read imported bundle: %w", err)
	}
	if format.BlobOf(action.Of(b)) != c.Root.Index.RootBlob {
		return nil, format.Refusef("%s is damaged: import the bundle again", name)
	}
	return format.LoadIndex(b, c.Root)
}

// readSinks returns which sink took which component, as far as that is known.
func readSinks(cache, digest string) map[string]string {
	m := map[string]string{}
	b, err := os.ReadFile(filepath.Join(bundlesDir(cache), digest+sinksSuffix))
	if err != nil || format.DecodeCanonical(b, &m) != nil {
		return map[string]string{}
	}
	return m
}
