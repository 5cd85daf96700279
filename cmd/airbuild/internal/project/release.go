package project

import (
	"strings"

	"golang.org/x/mod/module"
)

// releaseOf is the release that a version names, for required_version; "" for a
// build of some commit, which Go gives a version below all releases and git
// none. What git describes as so many commits after a release counts as that.
func releaseOf(version string) string {
	version = strings.TrimSuffix(strings.TrimSuffix(version, "+dirty"), "-dirty")
	if module.IsPseudoVersion(version) || isHex(version) {
		return ""
	}
	parts := strings.Split(version, "-")
	if n := len(parts); n > 2 && isDecimal(parts[n-2]) && strings.HasPrefix(parts[n-1], "g") && isHex(parts[n-1][1:]) {
		version = strings.Join(parts[:n-2], "-")
	}
	return strings.TrimPrefix(version, "v")
}

// isHex reports whether a text can be what git abbreviates a commit to.
func isHex(s string) bool { return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == "" }

func isDecimal(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }
