package sandbox

import (
	"os"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// A setup is what an init process makes of itself: a Spec, worked out against
// this host's files. Paths in Links, Read and Write are in an order in which
// each can be made after those before it.
type setup struct {
	Method  Method
	Network bool
	View    View
	Root    []byte // an empty directory to build the root in; none: the host's stays
	Tmp     []byte
	Links   []symlink
	Read    [][]byte // bound read-only; over what was bound before
	Hide    [][]byte // made empty, after Read's system directories
	Tools   [][]byte // bound read-only, after Hide
	Write   []bind   // bound last
	UID     int
}

// A bind shows one place of the host, without links in it, at another.
type bind struct{ Src, Dst []byte }

// A symlink is made in a Declared root.
type symlink struct{ Path, Target []byte }

// systemDirs hold programs, libraries and what they come with. Those that are
// links on this host become links.
var systemDirs = [...]string{
	"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/libo32", "/nix/store", "/gnu/store",
}

// systemEtc are the parts of /etc, by pattern, that programs and libraries of
// the system cannot do without. What says who uses this host, how it is called
// or where it is (hosts, passwd, localtime, git's and Go's settings) is not
// among them.
var systemEtc = [...]string{
	"ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld-musl-*.path", "alternatives",
	"ssl", "pki", "ca-certificates", "ca-certificates.conf", "crypto-policies",
	"services", "protocols", "mime.types", "magic", "magic.mime", "terminfo",
	"fonts", "java*", "maven", "gradle", "perl", "python*", "php*", "texmf", "ImageMagick-*",
	"gtk-*", "X11", "debian_version", "os-release", "lsb-release", "redhat-release", "alpine-release",
}

// newSetup works a Spec out. What cannot be seen on this host is left out.
func newSetup(m Method, s Spec) *setup {
	u := &setup{Method: m, Network: s.Network, View: s.View, UID: os.Getuid()}
	if s.View != Declared {
		for _, p := range s.Places {
			u.Root = []byte(path.Join(s.Dir, "root"))
			u.Write = append(u.Write, bind{[]byte(resolved(p.Dir)), []byte(p.At)})
		}
		return u
	}
	u.Root, u.Tmp = []byte(path.Join(s.Dir, "root")), []byte(resolvedOrNone(s.Tmp))
	r := &reader{setup: u}
	r.hide = lists.Map(s.Hide, resolved)
	for _, d := range systemDirs {
		r.add(d)
	}
	etc, _ := os.ReadDir("/etc")
	for _, pattern := range systemEtc {
		for _, e := range etc {
			if ok, _ := path.Match(pattern, e.Name()); ok {
				r.add("/etc/" + e.Name())
			}
		}
	}
	system := len(u.Read)
	for _, p := range slices.Concat(s.Read, s.Programs) {
		r.add(p)
	}
	u.Read, u.Tools = u.Read[:system:system], u.Read[system:]
	slices.SortStableFunc(u.Tools, func(a, b []byte) int { return len(a) - len(b) })
	for _, h := range r.hide {
		if slices.ContainsFunc(u.Read, func(d []byte) bool { return paths.Below(string(d), h) && string(d) != h }) {
			u.Hide = append(u.Hide, []byte(h))
		}
	}
	for _, w := range s.Write {
		u.Write = append(u.Write, bind{[]byte(resolved(w)), []byte(w)})
	}
	return u
}

// Shows reports whether the Declared view has a file of the host, by its
// absolute path, for reading, or for writing too.
func (s Spec) Shows(p string, write bool) bool {
	if s.View != Declared {
		return true
	}
	p = resolved(p)
	u := newSetup(Namespaces, s)
	in := func(d []byte) bool { return paths.Below(string(d), p) }
	switch {
	case slices.ContainsFunc(u.Write, func(b bind) bool { return paths.Below(string(b.Src), p) }):
		return true
	case write:
		return paths.Below("/dev", p)
	case slices.ContainsFunc(u.Tools, in):
		return true
	case slices.ContainsFunc(u.Hide, in):
		return false
	}
	return slices.ContainsFunc(u.Read, in) || paths.Below("/proc", p) || paths.Below("/dev", p)
}

// A reader collects what may be read.
type reader struct {
	setup *setup
	hide  []string
}

// shown reports whether something that was added shows p already.
func (r *reader) shown(p string) bool {
	return slices.ContainsFunc(r.setup.Read, func(d []byte) bool { return paths.Below(string(d), p) }) &&
		!slices.ContainsFunc(r.hide, func(h string) bool { return paths.Below(h, p) })
}

// add shows p: the links on the way to it as links, and what is at their end.
func (r *reader) add(p string) {
	end, links := follow(p)
	for _, l := range links {
		if !r.shown(string(l.Path)) && !slices.ContainsFunc(r.setup.Links, func(o symlink) bool { return string(o.Path) == string(l.Path) }) {
			r.setup.Links = append(r.setup.Links, l)
		}
	}
	if _, err := os.Lstat(end); err == nil && !r.shown(end) {
		r.setup.Read = append(r.setup.Read, []byte(end))
	}
}

// resolved is a path with its links resolved.
func resolved(p string) string {
	end, _ := follow(p)
	return end
}

func resolvedOrNone(p string) string {
	if p == "" {
		return ""
	}
	return resolved(p)
}

// maxLinks is how many links lead to a file at most, as in the kernel.
const maxLinks = 40

// follow resolves every link in an absolute path. It returns where that ends,
// and the links in the order they were met.
func follow(p string) (end string, links []symlink) {
	done, rest := "/", strings.Split(strings.Trim(path.Clean(p), "/"), "/")
	for len(rest) > 0 && len(links) < maxLinks {
		name := rest[0]
		rest = rest[1:]
		switch name {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		next := path.Join(done, name)
		target, err := os.Readlink(next)
		if err != nil {
			done = next
			continue
		}
		links = append(links, symlink{[]byte(next), []byte(target)})
		if path.IsAbs(target) {
			done = "/"
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return path.Join(append([]string{done}, rest...)...), links
}
