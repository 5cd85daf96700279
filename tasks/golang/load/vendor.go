package load

import (
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A vendorList is what vendor/modules.txt says.
type vendorList struct {
	packages map[string]module.Version // import path → module
	modules  []module.Version          // that provide packages
	meta     map[module.Version]*vendored
	replaced []module.Version
}

// A vendored module has the annotations of its lines.
type vendored struct {
	explicit    bool
	replacement module.Version
	goVersion   string
}

// parseModulesTxt reads a vendor/modules.txt. As the go command does, it looks
// away from lines that it does not know.
func parseModulesTxt(text string) *vendorList {
	v := &vendorList{packages: map[string]module.Version{}, meta: map[module.Version]*vendored{}}
	versions := map[string]string{}
	var mod module.Version
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "# ") {
			mod = v.moduleLine(strings.Fields(line)[1:], mod)
			continue
		}
		if mod.Path == "" {
			continue
		}
		if notes, ok := strings.CutPrefix(line, "## "); ok {
			v.noteLine(notes, mod)
			continue
		}
		f := strings.Fields(line)
		if len(f) != 1 || module.CheckImportPath(f[0]) != nil {
			continue
		}
		v.packages[f[0]] = mod
		if have, ok := versions[mod.Path]; !ok || semver.Compare(have, mod.Version) < 0 {
			versions[mod.Path] = mod.Version
			v.modules = append(v.modules, mod)
		}
	}
	return v
}

// of returns what is known of a module, to be added to.
func (v *vendorList) of(mod module.Version) *vendored {
	m := v.meta[mod]
	if m == nil {
		m = &vendored{}
		v.meta[mod] = m
	}
	return m
}

// moduleLine reads "path version", "path version => …" or "path => …" and
// returns the module that the lines below speak of; before is the one above.
func (v *vendorList) moduleLine(f []string, before module.Version) module.Version {
	if len(f) < 2 {
		return before
	}
	mod := module.Version{Path: f[0]}
	switch {
	case semver.IsValid(f[1]):
		mod.Version = f[1]
		f = f[2:]
	case f[1] == "=>":
		f = f[1:]
	default:
		return module.Version{}
	}
	if len(f) < 2 || f[0] != "=>" {
		return mod
	}
	switch {
	case len(f) == 2:
		v.of(mod).replacement = module.Version{Path: f[1]}
	case len(f) == 3 && semver.IsValid(f[2]):
		v.of(mod).replacement = module.Version{Path: f[1], Version: f[2]}
	default:
		return mod
	}
	v.replaced = append(v.replaced, mod)
	return mod
}

func (v *vendorList) noteLine(notes string, mod module.Version) {
	m := v.of(mod)
	for note := range strings.SplitSeq(notes, ";") {
		note = strings.TrimSpace(note)
		if note == "explicit" {
			m.explicit = true
		}
		if goVersion, ok := strings.CutPrefix(note, "go "); ok {
			m.goVersion = goVersion
		}
	}
}

// readVendor reads the vendor directory's list and holds it against go.mod and
// go.work.
func (m *modules) readVendor() error {
	name := filepath.Join(m.vendorDir, "modules.txt")
	text, ok, err := m.l.files.text(name)
	if err != nil {
		return err
	}
	if !ok && len(m.mains) == 1 && len(m.mains[0].file.Require) > 0 {
		return unsure("no %s", name)
	}
	m.vendor = parseModulesTxt(string(text))
	for mod, meta := range m.vendor.meta {
		if meta.goVersion != "" {
			if err := m.tooNew(meta.goVersion, mod.Path); err != nil {
				return err
			}
		}
	}
	for _, check := range []func() error{m.checkRequires, m.checkReplaced, m.checkVendored} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (m *modules) inconsistent(v module.Version) error {
	return unsure("vendor/modules.txt and go.mod differ in %s", v.Path)
}

// checkRequires holds what go.mod requires against the list.
func (m *modules) checkRequires() error {
	for _, main := range m.mains {
		for _, r := range main.file.Require {
			if meta := m.vendor.meta[r.Mod]; meta == nil || !meta.explicit {
				return m.inconsistent(r.Mod)
			}
		}
	}
	return nil
}

// checkReplaced holds all replacements against the list: one that the build
// does not use may still have changed which versions it uses.
func (m *modules) checkReplaced() error {
	all := []*modfile.Replace{}
	for _, main := range m.mains {
		all = append(all, main.file.Replace...)
	}
	if m.work != nil {
		all = append(all, m.work.Replace...)
	}
	for _, r := range all {
		want, ok, err := m.replacement(r.Old)
		if err != nil {
			return err
		}
		var have module.Version
		if meta := m.vendor.meta[r.Old]; meta != nil {
			have = meta.replacement
		}
		if ok && have != want || !ok && have.Path != "" {
			return m.inconsistent(r.Old)
		}
	}
	return nil
}

// checkVendored holds the list against what go.mod says.
func (m *modules) checkVendored() error {
	required := map[module.Version]bool{}
	selected := map[string]string{}
	for _, main := range m.mains {
		for _, r := range main.file.Require {
			required[r.Mod] = true
			selected[r.Mod.Path] = r.Mod.Version
		}
	}
	pruned := m.work == nil && mainGoMod(m.mains[0]).pruned()
	for _, v := range m.vendor.modules {
		if m.vendor.meta[v] != nil && m.vendor.meta[v].explicit && !required[v] {
			return m.inconsistent(v)
		}
		if pruned && selected[v.Path] != v.Version {
			return m.inconsistent(v)
		}
	}
	for _, v := range m.vendor.replaced {
		if _, ok, err := m.replacement(v); !ok || err != nil {
			if err == nil {
				err = m.inconsistent(v)
			}
			return err
		}
	}
	return nil
}

// vendorInfo describes a module with vendored packages. Where its own files
// would be is not said: the vendor directory mixes the trees of all modules.
func (m *modules) vendorInfo(v module.Version) (*Module, error) {
	if info := m.infos[v]; info != nil {
		return info, nil
	}
	info := &Module{Path: v.Path, Version: v.Version}
	if meta := m.vendor.meta[v]; meta != nil {
		info.GoVersion = meta.goVersion
	}
	r, ok, err := m.replacement(v)
	if err != nil {
		return nil, err
	}
	if ok {
		info.Replace = &Module{Path: r.Path, Version: r.Version, GoVersion: info.GoVersion}
		if r.Version == "" {
			info.Replace.Dir = m.localDir(r)
			info.Replace.GoMod = filepath.Join(info.Replace.Dir, "go.mod")
		}
	}
	m.infos[v] = info
	return info, nil
}
