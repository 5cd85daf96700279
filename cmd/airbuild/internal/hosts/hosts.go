// Package hosts asks engine/host what commands want to know: of this host for a
// project, and of binaries for a host.
package hosts

import (
	"cmp"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/host/want"
)

// Options are those of a fingerprint of this host and, if there is one, the
// project.
func Options(p *project.Options, root string) host.Options {
	o := host.Options{Airbuild: p.Version, Disks: map[string]string{"tmp": os.TempDir()}}
	if cache, err := p.CacheDir(); err == nil {
		o.Disks["cache"] = cache
	}
	root = cmp.Or(root, ".")
	o.Disks["project"] = root
	return o
}

// WantedBy are those of a fingerprint that holds what w asks about. Of an
// environment variable the value is looked at only if one is wanted; a value
// that has the name of a secret is compared here and shown nowhere.
func WantedBy(p *project.Options, root string, w *want.Host) host.Options {
	o := Options(p, root)
	o.Tools = []string{}
	for _, c := range w.Commands {
		o.Tools = append(o.Tools, c.Name)
	}
	for _, v := range w.Env {
		if v.Exact && !host.IsSecretName(v.Name) {
			o.Env = append(o.Env, v.Name)
		}
	}
	o.Environ = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasSuffix(v, "=") }) // empty is not set
	return o
}

// ComparedWith are those of a fingerprint that holds what another one does.
func ComparedWith(p *project.Options, root string, there *host.Fingerprint) host.Options {
	o := Options(p, root)
	o.Tools = []string{}
	for name, t := range there.Tools {
		if t.Found {
			o.Tools = append(o.Tools, name)
		}
	}
	slices.Sort(o.Tools)
	for _, name := range slices.Sorted(maps.Keys(there.Env.Values)) {
		if !host.IsSecretName(name) {
			o.Env = append(o.Env, name)
		}
	}
	return o
}
