package tree

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/internal/lists"
)

// Glob returns the files below base that the patterns name, sorted, relative
// to the root. A pattern that begins with "!" takes files away again; one
// that names a directory means all below it. With a *NoMatchError come the
// files that the other patterns name. What hide names, and all below it, is
// left out; hide may be nil.
func (w *Workspace) Glob(base string, patterns []string, hide func(p string) bool) ([]string, error) {
	var take, drop []string
	for _, p := range patterns {
		not := strings.HasPrefix(p, "!")
		p = path.Clean(strings.TrimPrefix(p, "!"))
		if err := pattern.Check(p); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", p, err)
		}
		if not {
			drop = append(drop, p)
		} else {
			take = append(take, p)
		}
	}
	matched := make([]bool, len(take))
	var out []string
	visit := func(rel string) {
		hit := false
		for i, p := range take {
			if covers(p, rel) {
				matched[i], hit = true, true
			}
		}
		if hit && !slices.ContainsFunc(drop, func(p string) bool { return covers(p, rel) }) {
			out = append(out, path.Join(base, rel))
		}
	}
	for _, start := range Starts(take) {
		if inHidden(path.Join(base, start), hide) {
			continue
		}
		if err := w.contained(path.Join(base, start)); err != nil {
			return nil, err
		}
		if err := w.walk(path.Join(base, start), start, hide, visit); err != nil {
			return nil, err
		}
	}
	out = lists.Unique(out)
	if i := slices.Index(matched, false); i >= 0 {
		return out, &NoMatchError{Pattern: take[i], Base: base}
	}
	return out, nil
}

// Names reports whether the patterns of a Glob name a file at rel.
func Names(patterns []string, rel string) bool {
	named := false
	for _, p := range patterns {
		not := strings.HasPrefix(p, "!")
		if covers(path.Clean(strings.TrimPrefix(p, "!")), rel) {
			if not {
				return false
			}
			named = true
		}
	}
	return named
}

// A NoMatchError is a pattern that names no file.
type NoMatchError struct{ Pattern, Base string }

func (e *NoMatchError) Error() string {
	return fmt.Sprintf("pattern %q matches no file below %s", e.Pattern, e.Base)
}

// covers reports whether the pattern text names rel or a directory above it.
func covers(text, rel string) bool {
	if text == "." {
		return true
	}
	for p := rel; p != "."; p = path.Dir(p) {
		if pattern.Match(text, p) {
			return true
		}
	}
	return false
}

// Starts returns the directories (or files) below which a walk finds all that
// the patterns can match, none inside another.
func Starts(patterns []string) []string {
	var dirs []string
	for _, p := range patterns {
		if strings.HasPrefix(p, "!") {
			continue
		}
		dir := path.Clean(p)
		if strings.ContainsAny(p, `*?[{\`) {
			dir, _ = pattern.Base(p)
		}
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	var out []string
	for _, d := range slices.Compact(dirs) {
		inside := slices.ContainsFunc(out, func(o string) bool { return o == "." || d == o || strings.HasPrefix(d, o+"/") })
		if !inside {
			out = append(out, d)
		}
	}
	return out
}

// inHidden reports whether p, or a directory that it is in, is hidden.
func inHidden(p string, hide func(p string) bool) bool {
	if hide == nil {
		return false
	}
	for ; p != "."; p = path.Dir(p) {
		if hide(p) {
			return true
		}
	}
	return false
}

// walk calls visit for every file at or below p; rel is p relative to the
// base of the patterns. What is not there is passed over.
func (w *Workspace) walk(p, rel string, hide func(p string) bool, visit func(rel string)) error {
	entries, err := w.ReadDir(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if _, lerr := w.Lookup(p); lerr == nil {
			visit(rel)
			return nil
		}
		return err
	}
	for _, e := range entries {
		child := path.Join(p, e.Name())
		if w.Ignored(child) || hide != nil && hide(child) {
			continue
		}
		if e.IsDir() {
			if err := w.walk(child, path.Join(rel, e.Name()), hide, visit); err != nil {
				return err
			}
		} else {
			visit(path.Join(rel, e.Name()))
		}
	}
	return nil
}
