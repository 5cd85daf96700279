package load

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// godebug returns the default GODEBUG of a program, from the Go version and
// the settings of its module or workspace and the //go:debug lines of its
// files, by the toolchain's own table.
func (l *loader) godebug(lists ...[]string) (string, error) {
	goVersion := l.mods.goVersion()
	set := map[string]string{}
	for _, s := range l.mods.godebugs() {
		if err := l.setDebug(set, s.Key, s.Value); err != nil {
			return "", err
		}
	}
	for _, lines := range lists {
		for _, line := range lines {
			if err := l.debugLine(set, line); err != nil {
				return "", err
			}
		}
	}
	if v, ok := set["default"]; ok {
		delete(set, "default")
		goVersion = strings.TrimPrefix(v, "go")
	}
	minor, ok := minorVersion(goVersion)
	if !ok {
		return "", unsure("the Go version %q is not of the form 1.N", goVersion)
	}
	all := map[string]string{}
	for _, s := range l.tc.settings {
		if minor < s.changed {
			all[s.name] = s.old
		}
	}
	maps.Copy(all, set)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(name + "=" + all[name])
	}
	return b.String(), nil
}

// debugLine takes a //go:debug line in.
func (l *loader) debugLine(set map[string]string, line string) error {
	rest := strings.TrimPrefix(line, "//go:debug")
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return nil // another directive
	}
	k, v, ok := strings.Cut(strings.TrimSpace(rest), "=")
	if !ok {
		return unsure("odd line %s", line)
	}
	return l.setDebug(set, k, v)
}

// setDebug refuses settings that the go command might.
func (l *loader) setDebug(set map[string]string, k, v string) error {
	if strings.ContainsAny(k, " \t,\"'`=") || strings.ContainsAny(v, " \t,\"'`=") || v == "" {
		return unsure("odd GODEBUG setting %s=%s", k, v)
	}
	if k == "default" {
		if _, ok := minorVersion(strings.TrimPrefix(v, "go")); !ok || !strings.HasPrefix(v, "go") {
			return unsure("odd GODEBUG setting %s=%s", k, v)
		}
	} else if !slices.ContainsFunc(l.tc.settings, func(s setting) bool { return s.name == k }) {
		return unsure("unknown GODEBUG setting %s", k)
	}
	set[k] = v
	return nil
}

// minorVersion returns N of a version 1.N or 1.N.P. A release candidate is no
// such version.
func minorVersion(v string) (int, bool) {
	rest, ok := strings.CutPrefix(v, "1.")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	return n, ok && err == nil
}
