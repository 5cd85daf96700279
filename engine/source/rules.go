package source

import (
	"fmt"
	"path"
	"strings"
)

// Rules say which tags of a repository are versions of the source, and how they are
// ordered. The zero Rules are those of a project without a git block.
type Rules struct {
	// Prefix begins the tags of one component of the repository, "cmd/a/" or
	// "chart-", and is not part of the version. Empty: see series.
	Prefix string
	// Ignore are patterns of tags that do not count: * stands for any
	// characters, slashes among them, and ? for one.
	Ignore []string
	// PrereleaseSuffix begins what makes a tag a pre-release, beside the hyphen of
	// semantic versions: "rc" in v1.0.0rc1.
	PrereleaseSuffix string
	// SkipPrereleases: before a release comes the last release, not its pre-release.
	SkipPrereleases bool
}

// ignores reports whether a tag is one of Ignore, as git's --exclude has it.
func (r Rules) ignores(tag string) bool {
	flat := strings.NewReplacer("/", "\x01") // * stands for slashes too
	for _, pattern := range r.Ignore {
		if ok, err := path.Match(flat.Replace(pattern), flat.Replace(tag)); ok && err == nil {
			return true
		}
	}
	return false
}

// key identifies the rules.
func (r Rules) key() string {
	return fmt.Sprintf("%q %q %q %t", r.Prefix, r.Ignore, r.PrereleaseSuffix, r.SkipPrereleases)
}
