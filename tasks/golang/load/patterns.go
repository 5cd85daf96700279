package load

import (
	"path/filepath"
	"strings"
)

// roots returns the packages that the patterns name, each once.
func (l *loader) roots() ([]*node, error) {
	var out []*node
	seen := map[*node]bool{}
	for _, p := range l.q.Patterns {
		paths, err := l.expand(p)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			n, err := l.root(path)
			if err != nil {
				return nil, err
			}
			if !seen[n] {
				seen[n] = true
				out = append(out, n)
			}
		}
	}
	if len(out) == 0 {
		return nil, unsure("no packages match")
	}
	return out, nil
}

// expand returns the import paths that a pattern names.
func (l *loader) expand(p string) ([]string, error) {
	switch {
	case p == "std" || p == "cmd":
		return l.expandStd(p)
	case p == "all" || p == "tool" || p == "work" || p == "main" || p == "":
		return nil, unsure("the pattern %q", p)
	case strings.HasSuffix(p, ".go") || strings.ContainsAny(p, `@\`):
		return nil, unsure("the pattern %q", p)
	case p == "." || p == ".." || strings.HasPrefix(p, "./") || strings.HasPrefix(p, "../"):
		return l.expandDir(p)
	case strings.Contains(p, "..."):
		return nil, unsure("the pattern %q, which may name packages of any module", p)
	}
	return []string{strings.TrimSuffix(p, "/")}, nil
}

// expandDir resolves a directory, or all below one.
func (l *loader) expandDir(p string) ([]string, error) {
	base, all := strings.CutSuffix(p, "/...")
	if strings.Contains(base, "...") {
		return nil, unsure("the pattern %q", p)
	}
	dir := filepath.Join(l.q.Dir, filepath.FromSlash(base))
	if !all {
		path, err := l.importPath(dir)
		return []string{path}, err
	}
	main, rel := l.mainOf(dir)
	if main == nil || strings.Contains("/"+rel+"/", "/vendor/") {
		return nil, unsure("the pattern %q", p)
	}
	if len(main.file.Ignore) > 0 {
		return nil, unsure("go.mod ignores directories")
	}
	var out []string
	err := l.walk(dir, true, func(dir string) error {
		if rel, _ := below(main.dir, dir); main.prefix() == "" && rel == "builtin" {
			return nil // documentation in the form of a package
		}
		s, err := l.readSources(dir)
		if err != nil || s.empty() {
			return err
		}
		path, err := l.importPath(dir)
		if err == nil {
			out = append(out, path)
		}
		return err
	})
	return out, err
}

// walk calls f for every directory that a pattern with "..." goes into: not
// into hidden ones, testdata, other modules and below vendor. Its order is
// that of the names.
func (l *loader) walk(dir string, top bool, f func(dir string) error) error {
	list, err := l.files.list(dir)
	if err != nil {
		return err
	}
	if !top {
		if nested, err := l.files.has(dir, "go.mod"); nested || err != nil {
			return err
		}
	}
	if err := f(dir); err != nil || filepath.Base(dir) == "vendor" && !top {
		return err
	}
	for _, e := range list {
		if e.kind != isDir || hidden(e.name) || e.name == "testdata" {
			continue
		}
		if err := l.walk(join(dir, e.name), false, f); err != nil {
			return err
		}
	}
	return nil
}

// mainOf returns the main module that a directory is in, and where.
func (l *loader) mainOf(dir string) (*mainModule, string) {
	var best *mainModule
	var rest string
	for _, main := range l.mods.mains {
		if r, ok := below(main.dir, dir); ok && (best == nil || len(main.dir) > len(best.dir)) {
			best, rest = main, r
		}
	}
	return best, rest
}

// importPath returns the import path of a directory of a main module.
func (l *loader) importPath(dir string) (string, error) {
	main, rel := l.mainOf(dir)
	if main == nil {
		return "", unsure("%s is in no module that is edited", dir)
	}
	if strings.HasPrefix(rel, "vendor/") || strings.Contains(rel, "@") {
		return "", unsure("%s is not part of a module that is edited", dir)
	}
	path := main.prefix()
	switch {
	case path == "" && (rel == "" || rel == "builtin"):
		return "", unsure("%s is not a package", dir)
	case path == "":
		path = rel
	case rel != "":
		path += "/" + rel
	}
	if _, ok, err := l.mods.in(path, main.prefix(), main.dir, true); !ok || err != nil {
		if err == nil {
			err = unsure("no Go files in %s", dir)
		}
		return "", err
	}
	return path, nil
}

// expandStd lists the standard library, or the commands that come with it.
func (l *loader) expandStd(pattern string) ([]string, error) {
	src := filepath.Join(l.q.GOROOT, "src")
	top := src
	if pattern == "cmd" {
		top = filepath.Join(src, "cmd")
	}
	var out []string
	var walk func(dir string) error
	walk = func(dir string) error {
		rel, _ := below(src, dir)
		if rel != "" && rel != "builtin" && (rel != "runtime/cgo" || l.q.Cgo) {
			s, err := l.readSources(dir)
			if err != nil {
				return err
			}
			program := strings.HasPrefix(rel, "cmd/vendor") && s.Name == "main"
			if !s.empty() && !program {
				out = append(out, rel)
			}
		}
		list, err := l.files.list(dir)
		if err != nil {
			return err
		}
		for _, e := range list {
			if e.kind != isDir || hidden(e.name) || e.name == "testdata" || rel == "" && (e.name == "cmd" || strings.Contains(e.name, ".")) {
				continue
			}
			if err := walk(join(dir, e.name)); err != nil {
				return err
			}
		}
		return nil
	}
	err := walk(top)
	return out, err
}
