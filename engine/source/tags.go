package source

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/semver"
)

// A series is those of a repository's tags that are versions of the source in
// one directory. A repository with several modules tags each version with the
// module's folder, "cmd/foo/v1.2.3", and such a tag says nothing about the
// rest. There are three series, in the order in which they are looked for:
//
//   - the tags of the directory's own folder, named without it;
//   - all tags but those of folders;
//   - all tags, unless the nearest is that of a folder of the commit: a tag
//     like release/v1.2.3 looks the same and is a version of everything.
//
// With Rules.Prefix there is one series: the tags that begin with it, but for
// those of folders below. Rules.Ignore are tags of none.
type series struct {
	prefix string // of its tags, which is not part of the version; of a folder it ends in a slash
	given  bool   // the prefix is that of the rules
	whole  bool   // the tags of folders too
	rules  Rules
}

// arguments make git describe look at the tags of the series alone.
func (s series) arguments() []string {
	var argv []string
	switch {
	case s.given:
		argv = []string{"--match=" + s.prefix + "*", "--exclude=" + s.prefix + "*/v[0-9]*"}
	case s.prefix != "":
		argv = []string{"--match=" + s.prefix + "v[0-9]*", "--exclude=" + s.prefix + "v[0-9]*/*"}
	case !s.whole:
		argv = []string{"--exclude=*/v[0-9]*"}
	}
	for _, pattern := range s.rules.Ignore {
		argv = append(argv, "--exclude="+pattern)
	}
	return argv
}

// has reports whether a tag is of the series, as arguments has git do it.
func (s series) has(tag string) bool {
	rest, ok := strings.CutPrefix(tag, s.prefix)
	switch {
	case !ok || rest == "" || s.rules.ignores(tag):
		return false
	case s.given:
		return !ofFolder(rest)
	case s.prefix != "":
		return isVersionTag(rest) && !strings.Contains(rest, "/")
	}
	return s.whole || !ofFolder(tag)
}

// ofFolder reports whether a name is matched by */v[0-9]*.
func ofFolder(tag string) bool {
	for i := range len(tag) {
		if tag[i] == '/' && isVersionTag(tag[i+1:]) {
			return true
		}
	}
	return false
}

// isVersionTag reports whether a name is matched by v[0-9]*.
func isVersionTag(name string) bool {
	return len(name) > 1 && name[0] == 'v' && '0' <= name[1] && name[1] <= '9'
}

// highest returns which tag of the series stands for the commit of the given one,
// which git chose: the highest version of those that the commit has. Tags that are
// no versions, and equal ones, are left to git.
func (g *git) highest(ctx context.Context, chosen string, s series) (string, error) {
	out, err := g.run(ctx, "for-each-ref", "--points-at=refs/tags/"+chosen+"^{}", "--format=%(refname:strip=2)", "refs/tags")
	if err != nil {
		return "", err
	}
	for tag := range strings.Lines(out) {
		if tag = strings.TrimSuffix(tag, "\n"); s.has(tag) && semver.Compare(s.version(tag), s.version(chosen)) > 0 {
			chosen = tag
		}
	}
	return chosen, nil
}

// version is a tag of the series as a semantic version, "" for one that is none.
func (s series) version(tag string) string {
	v := strings.TrimPrefix(tag, s.prefix)
	v = v[strings.LastIndexByte(v, '/')+1:]
	if i := strings.Index(v, s.rules.PrereleaseSuffix); s.rules.PrereleaseSuffix != "" && i > 0 {
		v = v[:i] + "-" + strings.TrimLeft(v[i:], "-._+")
	}
	if !strings.HasPrefix(v, "v") {
		v = "v" + v
	}
	if !semver.IsValid(v) {
		return ""
	}
	return v
}

// previous answers for previous_tag.
func (g *git) previous(ctx context.Context) error {
	if err := g.complete(ctx, "previous_tag"); err != nil {
		return err
	}
	commit, err := g.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	d, s, err := g.nearest(ctx, commit)
	if err != nil {
		return err
	}
	tag, _, err := g.released(ctx, commit, s, d)
	g.info.PreviousTag = strings.TrimPrefix(tag, s.prefix)
	return err
}

// describe answers for describe and tag.
func (g *git) describe(ctx context.Context) error {
	d, _, err := g.nearest(ctx, "HEAD")
	if err != nil {
		return err
	}
	g.info.Describe = d.String()
	if d.distance == 0 {
		g.info.Tag = d.tag
	}
	return nil
}

// nearest describes a commit by the nearest tag of the first series that has
// one, without the prefix of the series.
func (g *git) nearest(ctx context.Context, commit string) (description, series, error) {
	top := series{rules: g.rules}
	if g.rules.Prefix != "" {
		top.prefix, top.given = g.rules.Prefix, true
		d, err := g.describeBy(ctx, commit, top)
		return d, top, err
	}
	folder, err := g.folder(ctx)
	if err != nil {
		return description{}, top, err
	}
	if folder != "" {
		own := series{prefix: folder, rules: g.rules}
		if d, err := g.describeBy(ctx, commit, own); err != nil || d.tag != "" {
			return d, own, err
		}
	}
	plain, err := g.describeBy(ctx, commit, top)
	if err != nil || plain.tag != "" {
		return plain, top, err
	}
	all := series{whole: true, rules: g.rules}
	d, err := g.describeBy(ctx, commit, all)
	if err != nil || d.tag == "" {
		return plain, top, err
	}
	of := d.tag[:strings.LastIndexByte(d.tag, '/')]
	kind, err := g.answer(ctx, "cat-file", "-t", commit+":"+of)
	if err != nil || kind == "tree" {
		return plain, top, err
	}
	return d, all, nil
}

// folder is the directory's path in its repository with a slash behind it; ""
// for the top, and for a name that no tag can have.
func (g *git) folder(ctx context.Context) (string, error) {
	if exists(g.dir + "/.git") {
		return "", nil
	}
	folder, err := g.run(ctx, "rev-parse", "--show-prefix")
	if err != nil || !isRefName(strings.TrimSuffix(folder, "/")) {
		return "", err
	}
	return folder, nil
}

// describeBy asks in the long form, in which the commit follows every tag.
func (g *git) describeBy(ctx context.Context, commit string, s series) (description, error) {
	out, err := g.run(ctx, slices.Concat([]string{"describe", "--tags", "--always", "--long"}, s.arguments(), []string{commit})...)
	if err != nil {
		return description{}, err
	}
	d, err := parseDescription(out)
	if err != nil || d.tag == "" {
		return d, err
	}
	d.tag, err = g.highest(ctx, d.tag, s)
	d.tag = strings.TrimPrefix(d.tag, s.prefix)
	return d, err
}

// A description is what git describe --long says.
type description struct {
	tag      string // the nearest; empty if there is none
	distance int    // commits since tag
	commit   string // abbreviated by git
}

// parseDescription reads "v1.2-3-g<hash>" or "<hash>".
func parseDescription(s string) (d description, err error) {
	rest := s
	if isHex(rest) {
		d.commit = rest
		return d, nil
	}
	i := strings.LastIndex(rest, "-g")
	if i < 0 || !isHex(rest[i+2:]) {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	d.commit, rest = rest[i+2:], rest[:i]
	i = strings.LastIndexByte(rest, '-')
	if i <= 0 {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	d.tag = rest[:i]
	if d.distance, err = strconv.Atoi(rest[i+1:]); err != nil || d.distance < 0 {
		return d, fmt.Errorf("git describe gave %q", s)
	}
	return d, nil
}

// String is the short form, as git describe --tags --always gives it.
func (d description) String() string {
	switch {
	case d.tag == "":
		return d.commit
	case d.distance > 0:
		return fmt.Sprintf("%s-%d-g%s", d.tag, d.distance, d.commit)
	}
	return d.tag
}

// isHash reports whether s is a whole SHA-1 or SHA-256 in hexadecimal.
func isHash(s string) bool { return (len(s) == 40 || len(s) == 64) && isHex(s) }

// isHex reports whether s can be what git abbreviates a hash to.
func isHex(s string) bool { return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == "" }
