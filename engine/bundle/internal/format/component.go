package format

import "strings"

// CheckComponentName refuses names of components that are not one of the kinds
// in docs/formats.md.
func CheckComponentName(name string) error {
	kind, rest, below := strings.Cut(name, "/")
	switch kind {
	case "source", "modules", "sumdb", "actions", "artifacts", "sbom":
		if !below {
			return nil
		}
	case "airbuild", "toolchain", "gocache", "extra":
		if below && CheckPath(rest) == nil && !strings.Contains(rest, "/") && len(rest) <= 100 {
			return nil
		}
	}
	return Refusef("component %q: want source, modules, sumdb, actions, artifacts, sbom, or airbuild/, toolchain/, gocache/ or extra/ and a name", name)
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
