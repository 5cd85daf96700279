package linuxpkg

import (
	"time"

	"github.com/goreleaser/nfpm/v2"
)

// buildHost stands where an rpm says on which machine it was made.
const buildHost = "localhost"

// info is all of the package that hangs on no file. The version is complete,
// and nfpm is told nothing of prereleases: it would write them in its own way.
func (p *pkg) info(seconds int64) *nfpm.Info {
	description := p.Summary
	if p.Details != "" {
		description += "\n" + p.Details
	}
	i := &nfpm.Info{
		Name: p.Name, Arch: p.Arch, Platform: "linux",
		Epoch: p.Epoch, Version: p.Version, VersionSchema: "none", Release: p.Release,
		Section: p.Section, Priority: p.Priority,
		Maintainer: p.Maintainer, Vendor: p.Vendor, Homepage: p.Homepage, License: p.License,
		Description: description, DisableGlobbing: true, MTime: time.Unix(seconds, 0).UTC(),
	}
	i.Depends, i.Recommends, i.Suggests = p.Depends, p.Recommends, p.Suggests
	i.Conflicts, i.Replaces, i.Provides = p.Conflicts, p.Replaces, p.Provides
	switch p.Format {
	case deb:
		if p.Compression == "" || p.Compression == "gzip" {
			p.Compression = "gzip:6" // nfpm's 9 takes three times as long for 1 %
		}
		i.Deb.Predepends, i.Deb.Breaks, i.Deb.Compression = p.PreDepends, p.Breaks, p.Compression
		if p.Variant != "" {
			i.Deb.ArchVariant = p.Arch + p.Variant
		}
	case rpm:
		i.RPM.Summary, i.RPM.Group, i.RPM.BuildHost, i.RPM.Compression = p.Summary, p.Section, buildHost, p.Compression
		if p.Details == "" {
			i.Description = p.Summary
		} else {
			i.Description = p.Details
		}
	case apk:
		i.Description = p.Summary
	case archlinux:
		i.Description = p.Summary
		i.ArchLinux.Packager = p.Maintainer
	}
	return i
}
