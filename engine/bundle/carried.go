package bundle

import "strings"

// A Carried is a bundle that was imported into a cache directory.
type Carried struct {
	Digest string
	Root   *Root
}

// ListCarried returns what was imported into a cache directory, by name,
// sequence and digest. A reference that is damaged is an error.
func ListCarried(cache string) ([]Carried, error) { return listCarried(cache) }

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
