package format

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// CheckPath refuses paths that are not relative, slash-separated and below
// their root on every system that airbuild runs on: absolute ones, "..", empty
// and "." elements, backslashes and colons, characters and names that Windows
// does not have, control characters, and what is not UTF-8.
func CheckPath(p string) error {
	switch {
	case p == "":
		return Refusef("a path is empty")
	case len(p) > maxPath:
		return Refusef("path %.40q… has %d bytes; %d are allowed", p, len(p), maxPath)
	case !utf8.ValidString(p):
		return Refusef("path %q is not UTF-8", p)
	case p[0] == '/':
		return Refusef("path %q is absolute", p)
	}
	for element := range strings.SplitSeq(p, "/") {
		if reason := BadElement(element); reason != "" {
			return Refusef("path %q %s", p, reason)
		}
	}
	return nil
}

// BadElement says what is wrong with one element of a path, or nothing.
func BadElement(e string) string {
	switch {
	case e == "":
		return "has an empty element"
	case e == ".", e == "..":
		return "has an element " + e
	case len(e) > maxPathElement:
		return fmt.Sprintf("has an element of %d bytes; %d are allowed", len(e), maxPathElement)
	}
	for _, r := range e {
		switch {
		case r < 0x20 || r == 0x7f:
			return "has a control character"
		case strings.ContainsRune(`\:*?"<>|`, r):
			return fmt.Sprintf("has the character %q, which file names of Windows cannot have", r)
		}
	}
	if last := e[len(e)-1]; last == '.' || last == ' ' {
		return "has an element that ends in a dot or a blank, which Windows drops"
	}
	if reservedOnWindows(e) {
		return fmt.Sprintf("has the element %q, which is a device of Windows", e)
	}
	return ""
}

// reservedOnWindows reports whether Windows takes a name for a device, whatever
// its extension is.
func reservedOnWindows(e string) bool {
	base, _, _ := strings.Cut(e, ".")
	base = strings.ToUpper(strings.TrimRight(base, " "))
	switch base {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	for _, device := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(base, device); ok && strings.Contains("0123456789¹²³", n) && utf8.RuneCountInString(n) == 1 {
			return true
		}
	}
	return false
}

// A PathSet notices paths that are one file, or a file and a directory, on a file
// system that ignores case or normalises Unicode.
type PathSet struct {
	fold cases.Caser
	room int               // how many directories there may be
	dirs map[string]string // folded to actual, as below
	file map[string]string
}

// NewPathSet returns an empty set of paths with at most room directories.
func NewPathSet(room int) *PathSet {
	return &PathSet{fold: cases.Fold(), room: room, dirs: map[string]string{}, file: map[string]string{}}
}

// Add refuses a path that collides with an earlier one.
func (n *PathSet) Add(p string) error {
	folded := n.folded(p)
	if other, ok := n.file[folded]; ok {
		if other == p {
			return Refusef("path %q occurs twice", p)
		}
		return Refusef("paths %q and %q differ in nothing but case or form: they would be one file on some systems", other, p)
	}
	if other, ok := n.dirs[folded]; ok {
		return Refusef("path %q is a file, and %q a directory", p, other)
	}
	n.file[folded] = p
	return n.addParents(p)
}

func (n *PathSet) addParents(p string) error {
	for i := strings.LastIndexByte(p, '/'); i > 0; i = strings.LastIndexByte(p[:i], '/') {
		dir := p[:i]
		folded := n.folded(dir)
		if other, ok := n.file[folded]; ok {
			return Refusef("path %q is a file, and a directory in %q", other, p)
		}
		if other, ok := n.dirs[folded]; ok {
			if other == dir {
				return nil // so are its parents
			}
			return Refusef("the directories %q and %q differ in nothing but case or form", other, dir)
		}
		if len(n.dirs) >= n.room {
			return Refusef("the paths have more than %d directories", MaxDirs)
		}
		n.dirs[folded] = dir
	}
	return nil
}

func (n *PathSet) folded(p string) string {
	for i := range len(p) {
		if p[i] >= utf8.RuneSelf {
			return norm.NFC.String(n.fold.String(norm.NFD.String(p)))
		}
	}
	return strings.ToLower(p)
}
