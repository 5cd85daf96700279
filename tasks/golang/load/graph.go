package load

import (
	"go/version"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// selectVersions finds the versions of the modules: those that go.mod requires
// where it states them all, else by minimal version selection over the go.mod
// files of all modules. If one of these is missing, it is not sure.
func (m *modules) selectVersions() error {
	if m.work == nil && version.Compare("go"+m.goVersion(), "go1.17") >= 0 {
		m.lazy = true
		m.selected = map[string]string{}
		for _, r := range m.requires(m.mains[0]) {
			if _, dup := m.selected[r.Path]; dup || m.main(r.Path) != nil {
				return unsure("go.mod requires %s twice, or itself", r.Path)
			}
			m.selected[r.Path] = r.Version
		}
		return nil
	}
	g := &graph{m: m, selected: map[string]string{}, edges: map[module.Version][]module.Version{}, seen: map[visit]bool{}}
	if err := g.build(); err != nil {
		return err
	}
	m.selected = g.selected
	if m.work == nil {
		for _, r := range m.requires(m.mains[0]) {
			if g.selected[r.Path] != r.Version {
				return unsure("go.mod requires %s %s, the build needs %s", r.Path, r.Version, g.selected[r.Path])
			}
		}
	}
	return nil
}

// requires returns what a main module requires and does not exclude.
func (m *modules) requires(main *mainModule) []module.Version {
	var out []module.Version
	for _, r := range main.file.Require {
		if !m.excluded(r.Mod) {
			out = append(out, r.Mod)
		}
	}
	return out
}

// A graph is the part of the requirements between modules that counts.
//
// How far it goes below a module is said by a visit: a module at Go 1.17 or
// later is asked for its own requirements but theirs are left out (they are
// pruned), unless it is seen from one that is older.
type graph struct {
	m        *modules
	selected map[string]string
	edges    map[module.Version][]module.Version
	seen     map[visit]bool
	queue    []visit
}

type visit struct {
	mod     module.Version
	pruning pruning
}

type pruning byte

const (
	pruned    pruning = iota // the requirements of requirements do not count
	unpruned                 // they all count
	workspace                // a main module of a workspace: as each requirement says
)

func (g *graph) build() error {
	how := unpruned
	if g.m.work != nil {
		how = workspace
	}
	for _, main := range g.m.mains {
		g.enqueue(visit{module.Version{Path: main.path}, how})
	}
	if err := g.run(); err != nil {
		return err
	}
	if g.m.work == nil {
		return nil
	}
	return g.reload()
}

func (g *graph) enqueue(v visit) {
	if !g.seen[v] {
		g.seen[v] = true
		g.queue = append(g.queue, v)
	}
}

// run works the queue off.
func (g *graph) run() error {
	for len(g.queue) > 0 {
		v := g.queue[0]
		g.queue = g.queue[1:]
		requires, own, err := g.read(v.mod)
		if err != nil {
			return err
		}
		next := own
		if v.pruning == unpruned {
			next = unpruned
		}
		for _, r := range requires {
			if v.pruning != pruned || own == unpruned {
				g.enqueue(visit{r, next})
			}
		}
	}
	return nil
}

// read returns the requirements of a module and how it is pruned.
func (g *graph) read(v module.Version) ([]module.Version, pruning, error) {
	var goMod *goMod
	if main := g.m.main(v.Path); main != nil && v.Version == "" {
		goMod = mainGoMod(main)
	} else {
		var err error
		if goMod, err = g.m.goMod(v); err != nil {
			return nil, 0, err
		}
	}
	own := unpruned
	if goMod.pruned() {
		own = pruned
	}
	if out, ok := g.edges[v]; ok {
		return out, own, nil
	}
	out := []module.Version{}
	for _, r := range goMod.requires {
		if g.m.excluded(r) {
			continue
		}
		out = append(out, r)
		if g.m.main(r.Path) != nil {
			continue // it is its own version, whatever is asked for
		}
		if have, ok := g.selected[r.Path]; !ok || semver.Compare(r.Version, have) > 0 {
			g.selected[r.Path] = r.Version
		}
	}
	g.edges[v] = out
	return out, own, nil
}

func mainGoMod(main *mainModule) *goMod {
	g := &goMod{path: main.path, goVersion: main.file.Go.Version}
	for _, r := range main.file.Require {
		g.requires = append(g.requires, r.Mod)
	}
	return g
}

// reload takes the requirements of selected modules in that were not asked for
// at the version that is selected, as far as the workspace's modules see them.
func (g *graph) reload() error {
	relevant := map[string]bool{}
	for _, main := range g.m.mains {
		relevant[main.path] = true
	}
	seen := map[module.Version]bool{}
	at := func(path string) module.Version {
		return module.Version{Path: path, Version: g.selected[path]}
	}
	for {
		var more []module.Version
		for path := range relevant {
			v := at(path)
			if !seen[v] {
				more = append(more, v)
				continue
			}
			for _, r := range g.edges[v] {
				s := at(r.Path)
				if (s.Version == "" || semver.Compare(s.Version, r.Version) > 0) && !seen[s] {
					more = append(more, s)
				}
			}
		}
		if len(more) == 0 {
			return nil
		}
		for _, v := range more {
			g.enqueue(visit{v, workspace})
			seen[v] = true
			relevant[v.Path] = true
		}
		if err := g.run(); err != nil {
			return err
		}
	}
}
