package linuxpkg

import (
	"fmt"
	"regexp"
	"strings"
)

// A version is what the formats write in different ways.
type version struct {
	base   string // "1.2.3"
	pre    string // "rc.1"; sorts before base
	behind string // commits since the tag that base is from; sorts after base
	commit string // "gabcdef0", "dirty", or both; says which of those commits
	meta   string // build metadata of the tag, "build.5"; sorts after base
}

// The patterns are compiled when a package is planned and not when the program
// starts.
const (
	describedPattern = `^(.+)-([0-9]+)-(g[0-9a-f]{7,64})$`
	numberedPattern  = `^([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z][0-9A-Za-z.-]*))?(?:\+([0-9A-Za-z][0-9A-Za-z.-]*))?$`
	hashPattern      = `^[0-9a-f]{7,64}$`
)

// parseVersion reads a tag, a semantic version or what git describe says. A
// commit without any tag is 0.0.0 and its hash. A hash of digits only looks like
// a version, so commit returns the project's own, or "" where it is not known; it
// is asked for such versions only.
func parseVersion(s string, commit func() string) (v version, err error) {
	rest, dirty := strings.CutSuffix(s, "-dirty")
	isHash := regexp.MustCompile(hashPattern).MatchString(rest)
	if isHash && strings.Trim(rest, "0123456789") == "" {
		isHash = strings.HasPrefix(commit(), rest)
	}
	if m := regexp.MustCompile(describedPattern).FindStringSubmatch(rest); m != nil {
		rest, v.behind, v.commit = m[1], m[2], m[3]
		if v.behind == "0" {
			v.behind, v.commit = "", ""
		}
	}
	rest = strings.TrimPrefix(rest, "v")
	switch m := regexp.MustCompile(numberedPattern).FindStringSubmatch(rest); {
	case isHash:
		v.base, v.commit = "0.0.0", "g"+rest
	case m != nil:
		v.base, v.pre, v.meta = m[1], m[2], m[3]
	default:
		return v, fmt.Errorf("%q does not begin with a number", s)
	}
	if dirty {
		if v.behind == "" && v.commit == "" {
			v.behind = "0" // so that the next commit is newer
		}
		v.commit = join(".", v.commit, "dirty")
	}
	return v, nil
}

// noCommit is for versions that cannot be a commit.
func noCommit() string { return "" }

// join joins what is not empty.
func join(sep string, parts ...string) string {
	var full []string
	for _, p := range parts {
		if p != "" {
			full = append(full, p)
		}
	}
	return strings.Join(full, sep)
}

// in writes the version for a format, without epoch and release. In all of them
// 1.2.3-rc.1 sorts before 1.2.3, and what git describe calls v1.2.3-4-gabcdef0
// between 1.2.3 and whatever may be released next, be it 1.2.3.1 or 1.2.4-rc.1.
func (v version) in(format string) string {
	switch format {
	case apk:
		return v.apk()
	case archlinux:
		pre := strings.ReplaceAll(v.pre, "-", "_")
		if pre != "" && pre[0] <= '9' { // a number would be one more part of base
			pre = "pre" + pre
		}
		after := strings.ReplaceAll(join(".", v.meta, prefixed("r", v.behind), v.commit), "-", "_")
		return v.base + numbered(pre, after) + prefixed("+", after)
	}
	dots := strings.NewReplacer("-", ".").Replace // a dash would begin the release
	pre, after := dots(v.pre), dots(join(".", v.meta, v.behind, v.commit))
	if format == rpm {
		// rpm takes + for a separator like the dot, so that 1.2+4 is newer than
		// 1.2.1. What follows ^ is newer than nothing and older than anything.
		return v.base + prefixed("~", pre) + prefixed("^", after)
	}
	return v.base + prefixed("~", numbered(pre, after)) + prefixed("+", after)
}

// numbered gives a prerelease the number 0 where it has none and something
// follows: rc+4 is newer than rc1, and rc0+4 is not.
func numbered(pre, after string) string {
	if pre == "" || after == "" || '0' <= pre[len(pre)-1] && pre[len(pre)-1] <= '9' {
		return pre
	}
	return pre + "0"
}

// apk knows numbers, a few words with a number, and no free text.
func (v version) apk() string {
	s := v.base
	if v.pre != "" {
		word := strings.TrimRight(strings.ToLower(v.pre), "0123456789.-")
		number := strings.Trim(v.pre[len(word):], ".-")
		number, _, _ = strings.Cut(strings.ReplaceAll(number, "-", "."), ".")
		switch word {
		case "alpha", "beta", "rc", "pre":
		default:
			word = "pre"
		}
		s += numbered("_"+word+number, v.behind)
	}
	return s + prefixed("_p", v.behind)
}

// prefixed is p and s, or nothing if s is empty.
func prefixed(p, s string) string {
	if s == "" {
		return ""
	}
	return p + s
}
