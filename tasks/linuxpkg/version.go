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
	meta   string // "gabcdef0", "dirty"; sorts after base
}

// The patterns are compiled when a package is planned and not when the program
// starts.
const (
	describedPattern = `^(.+)-([0-9]+)-(g[0-9a-f]{7,64})$`
	numberedPattern  = `^([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z][0-9A-Za-z.-]*))?(?:\+([0-9A-Za-z][0-9A-Za-z.-]*))?$`
	hashPattern      = `^[0-9a-f]{7,64}$`
)

// parseVersion reads a tag, a semantic version or what git describe says. A
// commit without any tag is 0.0.0 and its hash.
func parseVersion(s string) (v version, err error) {
	rest, dirty := strings.CutSuffix(s, "-dirty")
	if m := regexp.MustCompile(describedPattern).FindStringSubmatch(rest); m != nil {
		rest, v.behind, v.meta = m[1], m[2], m[3]
		if v.behind == "0" {
			v.behind, v.meta = "", ""
		}
	}
	rest = strings.TrimPrefix(rest, "v")
	switch m := regexp.MustCompile(numberedPattern).FindStringSubmatch(rest); {
	case m != nil:
		v.base, v.pre = m[1], m[2]
		v.meta = join(".", m[3], v.meta)
	case regexp.MustCompile(hashPattern).MatchString(rest):
		v.base, v.meta = "0.0.0", "g"+rest
	default:
		return v, fmt.Errorf("%q does not begin with a number", s)
	}
	if dirty {
		v.meta = join(".", v.meta, "dirty")
	}
	return v, nil
}

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

// in writes the version for a format, without epoch and release. In all of
// them 1.2.3-rc.1 sorts before 1.2.3, and what git describe calls
// v1.2.3-4-gabcdef0 after it.
func (v version) in(format string) string {
	switch format {
	case apk:
		return v.apk()
	case archlinux:
		s := v.base
		if v.pre != "" {
			pre := strings.ReplaceAll(v.pre, "-", "_")
			if pre[0] <= '9' { // a number would be one more part of base
				pre = "pre" + pre
			}
			s += pre
		}
		return s + prefixed("+", strings.ReplaceAll(join(".", prefixed("r", v.behind), v.meta), "-", "_"))
	}
	// A dash would begin the release.
	dots := strings.NewReplacer("-", ".").Replace
	return v.base + prefixed("~", dots(v.pre)) + prefixed("+", dots(join(".", v.behind, v.meta)))
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
		s += "_" + word + number
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
