package memo

import (
	"errors"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/frames"
)

// exportMagic begins entries in the form that other hosts can read. Frames
// follow as in the file. A path below a root begins with a zero byte and the
// root's name instead of its directory.
const exportMagic = "airbuild-carried-answers-1\n"

// Roots are directories of this host by name, absolute with slashes. On other
// hosts they may be elsewhere while their content is the same, such as GOROOT.
type Roots map[string]string

// portable writes a path for other hosts.
func (rs Roots) portable(file string) string {
	for _, name := range slices.Sorted(maps.Keys(rs)) {
		dir := strings.TrimSuffix(rs[name], "/")
		if rest, ok := strings.CutPrefix(file, dir); ok && dir != "" && (rest == "" || rest[0] == '/') {
			return "\x00" + name + rest
		}
	}
	return file
}

// local is the inverse of portable; ok is false for a root that is not among rs.
func (rs Roots) local(text string) (file string, ok bool) {
	text, ok = strings.CutPrefix(text, "\x00")
	if !ok {
		return text, true
	}
	name, rest, more := strings.Cut(text, "/")
	dir, ok := rs[name]
	if more {
		dir = path.Join(dir, rest)
	}
	return dir, ok
}

// Export encodes entries for other hosts. queries has the portable form of each
// query by the local one. exported are the local queries that have an entry; b is
// nil if none has.
func (m *Memo) Export(queries map[Query]Query, roots Roots) (b []byte, exported []Query) {
	m.load()
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := map[Query]*entry{}
	for local, portable := range queries {
		if e := m.entries[local]; e != nil {
			entries[portable] = e
			exported = append(exported, local)
		}
	}
	if len(entries) == 0 {
		return nil, nil
	}
	return frames.Encode([]byte(exportMagic), encodeBody(entries, roots.portable)), exported
}

// An Exported is entries of another host, or of another checkout on this one, by
// the portable form of their queries.
type Exported struct{ entries map[Query]*entry }

// ReadExported decodes what Export returned. Entries that depend on a root that is
// not among roots are left out.
func ReadExported(b []byte, roots Roots) (*Exported, error) {
	x := &Exported{entries: map[Query]*entry{}}
	if !decodeFile(b, exportMagic, x.entries) {
		return nil, errors.New("decode remembered inputs: damaged or of another version")
	}
	known := map[*dependency]bool{} // whether its root is; then its path is local by now
	for q, e := range x.entries {
		e.each(func(d *dependency) bool {
			ok, done := known[d]
			if !done {
				var file string
				if file, ok = roots.local(d.path); ok {
					d.path = file
				}
				known[d] = ok
			}
			if !ok {
				delete(x.entries, q)
			}
			return ok
		})
	}
	return x, nil
}

// Import keeps the entry that x has for a query. Like any other it is valid only
// if the workspace is as its dependencies say. Import reports whether there is one.
func (m *Memo) Import(local, portable Query, x *Exported) bool {
	e := x.entries[portable]
	if e == nil {
		return false
	}
	own := *e // it shares the dependencies, so that each is checked once
	own.fresh = true
	m.put(local, &own)
	return true
}
