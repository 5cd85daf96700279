package linuxpkg

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/goreleaser/chglog"
	"github.com/goreleaser/nfpm/v2"

	"github.com/airbuild/airbuild/internal/lists"
)

// changelog adds the changelog: to an rpm as it is, to a deb in Debian's form.
// A deb has one always, because Debian wants one; without a file it says which
// version this is.
func (l *layout) changelog(i *nfpm.Info) error {
	if l.p.Format != deb && l.p.Format != rpm || l.p.Format == rpm && l.p.Changelog == "" {
		return nil
	}
	var entries chglog.ChangeLogEntries
	if l.p.Changelog != "" {
		name, err := l.copy(l.p.Changelog)
		if err != nil {
			return fmt.Errorf("read changelog: %w", err)
		}
		if entries, err = chglog.Parse(name); err != nil {
			return fmt.Errorf("read changelog %s: it is not in the YAML of chglog: %w", l.p.Changelog, err)
		}
		if len(entries) == 0 {
			return fmt.Errorf("read changelog %s: it has no entries", l.p.Changelog)
		}
		if i.Changelog = name; l.p.Format == rpm {
			return nil
		}
	}
	i.Changelog = "" // nfpm would give a native package the other kind's name
	text, err := debChangelog(l.p, entries, l.mtime)
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	z, err := gzip.NewWriterLevel(&zipped, gzip.BestCompression)
	if err == nil {
		_, err = z.Write([]byte(text))
		err = errors.Join(err, z.Close())
	}
	if err != nil {
		return fmt.Errorf("write changelog: %w", err)
	}
	name := "changelog.gz"
	if l.p.Release != "" {
		name = "changelog.Debian.gz"
	}
	return l.file(content{Dst: "/usr/share/doc/" + l.p.Name + "/" + name}, zipped.Bytes())
}

// debChangelog writes the form that dpkg-parsechangelog reads. The first entry
// is this package's own version.
func debChangelog(p *pkg, entries chglog.ChangeLogEntries, t time.Time) (string, error) {
	version := join(":", p.Epoch, join("-", p.Version, p.Release))
	var b strings.Builder
	write := func(version, by string, when time.Time, notes []string) {
		fmt.Fprintf(&b, "%s (%s) unstable; urgency=medium\n\n", p.Name, version)
		for _, note := range notes {
			lines := strings.Split(strings.TrimSpace(note), "\n")
			fmt.Fprintf(&b, "  * %s\n", strings.TrimSpace(lines[0]))
			for _, line := range lines[1:] {
				if line = strings.TrimSpace(line); line != "" {
					fmt.Fprintf(&b, "    %s\n", line)
				}
			}
		}
		fmt.Fprintf(&b, "\n -- %s  %s\n\n", by, when.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	}
	if len(entries) == 0 {
		write(version, p.Maintainer, t, []string{"Version " + p.Version + "."})
	}
	for n, e := range entries {
		notes := lists.Map(e.Changes, func(c *chglog.ChangeLogChange) string { return c.Note })
		by, at := e.Packager, version
		by = cmp.Or(by, p.Maintainer)
		if n > 0 {
			v, err := parseVersion(e.Semver, noCommit)
			if err != nil {
				return "", fmt.Errorf("read changelog %s: %w", p.Changelog, err)
			}
			at = join("-", v.in(deb), p.Release)
		}
		write(at, by, e.Date, notes)
	}
	return strings.TrimSpace(b.String()) + "\n", nil
}
