// Package buildvcs makes the go command write into programs what it would write in a
// clone, on hosts without git and without the repository too. It knows which version
// the go command derives from a repository (Repository.Version), and stands in for
// git where the go command asks (Main): so it is the go command that writes, and the
// bytes are its own.
package buildvcs

import (
	"path"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Devel is the version of a program without one.
const Devel = "(devel)"

// A Repository is what a version is derived from. Paths are relative to its top.
type Repository struct {
	Hash     string
	Time     time.Time
	Modified bool
	Root     string // the path of the module at the top; "" without one
	// Tags are those of the commit, Ancestors those of commits before it.
	Tags, Ancestors []string
	// Mod returns the module path in a go.mod of the commit; false: it has none.
	Mod func(file string) (string, bool)
}

// Version is the version of a main module of the repository as go build writes it
// since Go 1.24: that of a tag on the commit, or a pseudo-version after the highest
// tag before it; Devel where the go command leaves it out.
func (r *Repository) Version(modPath string) string {
	v := r.version(modPath)
	switch {
	case v == "":
		return Devel
	case !r.Modified:
		return v
	case strings.HasSuffix(v, "+incompatible"):
		return v + ".dirty"
	}
	return v + "+dirty"
}

func (r *Repository) version(modPath string) string {
	m, ok := place(r.Root, modPath)
	if !ok || len(r.Hash) < 12 || !r.holds(m) {
		return ""
	}
	best, base := "", ""
	for _, tag := range r.Tags {
		v, exact := m.version(tag)
		if v == "" || !r.allows(m, v) {
			continue
		}
		if exact && semver.Compare(best, v) < 0 {
			best = v
		}
		if semver.Compare(base, v) < 0 {
			base = v
		}
	}
	if best == "" {
		for _, tag := range r.Ancestors {
			if v, _ := m.version(tag); v != "" && r.allows(m, v) && semver.Compare(base, v) < 0 {
				base = v
			}
		}
		best = module.PseudoVersion(module.PathMajorPrefix(m.major), base, r.Time, r.Hash[:12])
	}
	if !module.MatchPathMajor(best, m.major) {
		best += "+incompatible"
	}
	return best
}

// A mod is a module as the go command places it in a repository.
type mod struct {
	path  string
	dir   string // by its path, not by where it is; "" is the top
	major string // "/v2", ".v2" or ""
	both  bool   // its go.mod may be in the folder of the major version too
}

// place derives the place of a module from its path and that of the module at the
// top; false: the go command finds none.
func place(root, modPath string) (mod, bool) {
	if root == "" {
		return mod{}, false
	}
	top, _, ok := module.SplitPathVersion(root)
	if !ok || modPath != top && !strings.HasPrefix(modPath, top+"/") {
		return mod{}, false
	}
	prefix, major, ok := module.SplitPathVersion(modPath)
	if !ok {
		return mod{}, false
	}
	m := mod{path: modPath, major: major}
	if top == modPath {
		return m, true
	}
	if prefix != top && !strings.HasPrefix(prefix, top+"/") {
		return mod{}, false
	}
	m.dir = strings.Trim(prefix[len(top):], "/")
	m.both = strings.HasPrefix(major, "/")
	return m, true
}

// prefix begins the module's tags.
func (m mod) prefix() string {
	if m.dir == "" {
		return ""
	}
	return m.dir + "/"
}

// version is the version of the module that a tag names, "" for none. It is exact if
// the tag is the version, without build metadata.
func (m mod) version(tag string) (v string, exact bool) {
	rest, ok := strings.CutPrefix(tag, m.prefix())
	if !ok || module.IsPseudoVersion(tag) {
		return "", false
	}
	if v = semver.Canonical(rest); v == "" || !strings.HasPrefix(rest, v) {
		return "", false
	}
	return v, v == rest
}

// holds reports whether the commit has the module's go.mod, with a path of its major
// version, where the go command looks for it.
func (r *Repository) holds(m mod) bool {
	first, has := r.Mod(path.Join(m.dir, "go.mod"))
	found := has && sameMajor(first, m.major)
	if m.both {
		second, there := r.Mod(path.Join(m.dir, m.major[1:], "go.mod"))
		if ok := there && sameMajor(second, m.major); ok || there {
			return ok && !found
		}
	}
	return found || !has && m.dir == "" && (m.major == "" || m.major[0] == '.')
}

// sameMajor reports whether a module path is one of a major version.
func sameMajor(p, major string) bool {
	_, have, ok := module.SplitPathVersion(p)
	switch {
	case p == "" || !ok:
		return false
	case major == "":
		prefix := module.PathMajorPrefix(have)
		return prefix == "" || prefix == "v0" || prefix == "v1"
	}
	return have != "" && have[1:] == major[1:]
}

// allows reports whether a version may be the module's: one of its major version, or
// of a later one for a module that has no go.mod in the commit.
func (r *Repository) allows(m mod, v string) bool {
	if module.MatchPathMajor(v, m.major) {
		return true
	}
	if m.dir != "" || m.major != "" {
		return false
	}
	if _, has := r.Mod("go.mod"); has {
		return false
	}
	_, has := r.Mod(path.Join(semver.Major(v), "go.mod"))
	return !has
}
