package relay

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxPath is the longest path that is looked at, in bytes. Module paths and
// names of files in bundles stay far below.
const maxPath = 2048

// cleanPath returns the path of a request without its first slash, and whether
// it may be looked at. It is taken as it stands or not at all: nothing is
// cleaned up and redirected, so that what is checked is what is opened.
//
// It must be valid UTF-8 and have no empty segments (but a slash may end it),
// none that begins with a dot, no control characters and no backslashes; a
// slash, backslash or NUL in percent-encoding is refused even where decoding
// would make it harmless. Names that one system treats in its own way are
// refused by os.Root when they are opened.
func cleanPath(u *url.URL) (string, bool) {
	p, ok := strings.CutPrefix(u.Path, "/")
	if !ok || len(p) > maxPath || hidesSlash(u.RawPath) {
		return "", false
	}
	if p == "" {
		return "", true
	}
	return p, cleanName(strings.TrimSuffix(p, "/"))
}

func hidesSlash(raw string) bool {
	raw = strings.ToLower(raw)
	return strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c") || strings.Contains(raw, "%00")
}

// cleanName reports whether a slash-separated relative name is one that a
// relay serves, and that may become a file of a download.
func cleanName(name string) bool {
	if name == "" || len(name) > maxPath || !utf8.ValidString(name) {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment[0] == '.' || strings.ContainsFunc(segment, odd) {
			return false
		}
	}
	return true
}

func odd(r rune) bool { return r < ' ' || r == 0x7f || r == '\\' }
