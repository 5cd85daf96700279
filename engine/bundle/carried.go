package bundle

import (
	"slices"

	"github.com/airbuild/airbuild/engine/bundle/internal/format"
	"github.com/airbuild/airbuild/engine/store"
)

// A Carried is a bundle that was imported into a cache directory.
type Carried struct {
	Digest string
	Root   *format.Root
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
	list, err := ListCarried(cache)
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
