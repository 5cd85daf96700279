package affected

import (
	"bytes"
	"go/build"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/pattern"
	"github.com/airbuild/airbuild/engine/source"
)

// listed says what a step may have read at the revision that is not among what
// it reads now, or "". Its InputDiscoverer tells only the latter; what matters beside it
// are files that were removed, and files that count no more because of what
// they say now.
func (f *finder) listed(s *engine.Step, id engine.StepID, inputs []engine.Input) string {
	l := &listing{f: f, s: s, files: map[string]bool{}, dirs: map[string]bool{}, embeds: map[string]bool{}}
	for i := range inputs {
		if in := &inputs[i]; in.Kind == engine.FromFile {
			p := in.Path
			if in.File != "" {
				p = in.File
			}
			p = f.relative(p)
			l.files[p], l.dirs[path.Dir(p)] = true, true
		}
	}
	if len(l.files) == 0 {
		return "" // it lists no files, such as programs of the host
	}
	paths := make([]string, 0, len(f.changed))
	for p := range f.changed {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		if c := f.changed[p]; !l.files[p] && l.counted(p, c) {
			return changedText(c, p)
		}
	}
	return ""
}

// A listing is what a step's InputDiscoverer found.
type listing struct {
	f      *finder
	s      *engine.Step
	files  map[string]bool
	dirs   map[string]bool // that hold one of files
	embeds map[string]bool // folders by whether a file in them embeds others
}

// counted reports whether a changed file that does not count now may have
// counted before.
func (l *listing) counted(p string, c source.Change) bool {
	dir, name := path.Dir(p), path.Base(p)
	switch {
	case (name == "go.mod" || name == "go.work") && (c.Added || c.Removed):
		return true // the borders of a module moved
	case l.dirs[dir] && c.Removed:
		return true
	case c.Added:
		return false // it is read now or it is not, and it was not there before
	}
	if goSource(name) && l.fits(name) && (l.dirs[dir] || l.wide(p)) {
		return true
	}
	return c.Removed && l.below(dir)
}

// wide reports whether the step goes over all packages below a folder that
// holds p.
func (l *listing) wide(p string) bool {
	wd := l.s.Command.WorkingDirectory
	if wd != "" && wd != "." && !strings.HasPrefix(p, wd+"/") {
		return false
	}
	return slices.ContainsFunc(l.s.Command.Arguments, func(a string) bool { return strings.Contains(a, "...") })
}

// below reports whether a file in dir may have been read by a package above:
// by a test, or by go:embed.
func (l *listing) below(dir string) bool {
	for ; ; dir = path.Dir(dir) {
		if l.dirs[dir] && (!l.s.Traits.EmbedsOnly || l.embedding(dir)) {
			return true
		}
		if dir == "." || dir == path.Dir(dir) {
			return false
		}
	}
}

func (l *listing) embedding(dir string) bool {
	has, ok := l.embeds[dir]
	if ok {
		return has
	}
	for p := range l.files {
		if path.Dir(p) == dir && strings.HasSuffix(p, ".go") {
			b, err := os.ReadFile(filepath.Join(l.f.Space.Root(), filepath.FromSlash(p)))
			if err != nil || bytes.Contains(b, []byte("//go:embed")) {
				has = true
				break
			}
		}
	}
	l.embeds[dir] = has
	return has
}

// goSource reports whether Go compiles or links files of this name.
func goSource(name string) bool {
	switch path.Ext(name) {
	case ".go", ".s", ".S", ".sx", ".c", ".cc", ".cpp", ".cxx", ".m", ".h", ".hh", ".hpp", ".hxx",
		".f", ".F", ".for", ".f90", ".swig", ".swigcxx", ".syso":
		return true
	}
	return false
}

// fits reports whether the step's platform takes files of this name, whatever
// they say; a build takes no tests.
func (l *listing) fits(name string) bool {
	if l.s.Traits.EmbedsOnly && strings.HasSuffix(name, "_test.go") {
		return false
	}
	c := build.Default
	for _, v := range l.s.Command.Env {
		switch v.Name {
		case "GOOS":
			c.GOOS = v.Value
		case "GOARCH":
			c.GOARCH = v.Value
		}
	}
	if path.Ext(name) != ".go" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".") {
		return !strings.HasPrefix(name, "_") && !strings.HasPrefix(name, ".")
	}
	c.OpenFile = func(string) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("package p\n")), nil }
	ok, err := c.MatchFile(".", name)
	return ok || err != nil
}

// matches reports whether patterns below base, as a FromGlob input has them,
// name p.
func matches(base string, patterns []string, p string) bool {
	rel := p
	if base != "." && base != "" {
		var ok bool
		if rel, ok = strings.CutPrefix(p, base+"/"); !ok {
			return false
		}
	}
	hit := false
	for _, pattern := range patterns {
		if not, ok := strings.CutPrefix(pattern, "!"); !ok {
			hit = hit || covers(path.Clean(pattern), rel)
		} else if covers(path.Clean(not), rel) {
			return false
		}
	}
	return hit
}

// covers reports whether the pattern text names rel or a directory above it.
func covers(text, rel string) bool {
	if text == "." {
		return true
	}
	for p := rel; p != "." && p != "/"; p = path.Dir(p) {
		if pattern.Match(text, p) {
			return true
		}
	}
	return false
}
