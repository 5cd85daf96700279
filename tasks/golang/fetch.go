package golang

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	modpath "golang.org/x/mod/module"

	"github.com/airbuild/airbuild/engine"
)

// Go stages have no network, and the module cache of a fresh host is empty.
// What go.mod and go.sum pin is the same wherever it comes from, so airbuild
// has the go command fetch it, outside the step and before it: for a list that
// a key needs, and for a step that is no hit. Nothing is fetched for a hit.

// mayFetch reports whether what the module cache lacks may be fetched.
func (c *closure) mayFetch() bool {
	return c.fetch && !c.network && c.Proxy == "" && c.Vendor == "" && c.cfg.Offline == nil
}

// fetchFor fetches what a step needs and the module cache lacks.
func (c *Config) fetchFor(ctx context.Context, tc *Toolchain, s *engine.Step) error {
	all, _ := s.Lister.(listers)
	for _, l := range all {
		list, ok := l.(*closure)
		if !ok || !list.mayFetch() || c.Root == "" {
			continue
		}
		dir, err := c.modCache(ctx, tc)
		if err != nil || list.present(c.Root, dir) {
			return err
		}
		if _, err := list.run(ctx, tc, c.Root, true); err != nil {
			return fmt.Errorf("fetch modules of %s:\n%w", strings.Join(list.Patterns, " "), err)
		}
	}
	return nil
}

// present reports whether the module cache has every module that the go.mod
// files name. Some of them may not be needed: then it says no, and the go
// command finds that there is nothing to fetch.
func (c *closure) present(root, cache string) bool {
	var required []modpath.Version
	own := map[string]bool{}
	instead := map[modpath.Version]modpath.Version{}
	for _, name := range c.ModFiles {
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			continue // go.sum need not be there
		}
		var replace []*modfile.Replace
		switch path.Base(name) {
		case "go.mod":
			f, err := modfile.Parse(name, text, nil)
			if err != nil {
				return false
			}
			if f.Module != nil {
				own[f.Module.Mod.Path] = true
			}
			for _, r := range f.Require {
				required = append(required, r.Mod)
			}
			replace = f.Replace
		case "go.work":
			f, err := modfile.ParseWork(name, text, nil)
			if err != nil {
				return false
			}
			replace = f.Replace
		}
		for _, r := range replace {
			instead[r.Old] = r.New
		}
	}
	for _, m := range required {
		for _, old := range []modpath.Version{m, {Path: m.Path}} {
			if other, ok := instead[old]; ok {
				m = other
				break
			}
		}
		if isDir := m.Version == ""; !isDir && !own[m.Path] && !inModCache(cache, m) {
			return false
		}
	}
	return true
}

// inModCache reports whether a module's files are in the module cache.
func inModCache(cache string, m modpath.Version) bool {
	p, err := modpath.EscapePath(m.Path)
	if err != nil {
		return false
	}
	v, err := modpath.EscapeVersion(m.Version)
	if err != nil {
		return false
	}
	info, err := os.Stat(filepath.Join(cache, filepath.FromSlash(p)+"@"+v))
	return err == nil && info.IsDir()
}
