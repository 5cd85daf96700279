package bundle

import (
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/store"
)

// A Carried is a bundle that was imported into a cache directory.
type Carried struct {
	Digest string
	Root   *Root
}

// ListCarried returns what was imported into a cache directory, by name,
// sequence and digest. A reference that is damaged is an error.
func ListCarried(cache string) ([]Carried, error) { return listCarried(cache) }

// ScopeOf is the scope that results of an imported bundle were put into last: zero
// if they count everywhere, or the bundle brought none.
func ScopeOf(cache, digest string) (store.Scope, error) {
	for _, id := range readSinks(cache, digest) {
		scope, err := scopeOf(id)
		if err != nil {
			return store.Scope{}, refusef("carried/bundles/%s%s: scope of results: %w; import the bundle again", digest, sinksSuffix, err)
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
	list, err := listCarried(cache)
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

// Kept reports whether an import keeps the files of a component where later
// deltas can rely on them. Of the others, which users take into their hands, a
// delta leaves out only what a kept component has too.
func Kept(component string) bool {
	kind, _, _ := strings.Cut(component, "/")
	switch kind {
	case "actions", "gocache", "modules", "sumdb", "toolchain", "source", "airbuild":
		return true
	}
	return false
}
