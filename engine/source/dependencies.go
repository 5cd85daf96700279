package source

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/internal/lists"
)

// errNotWatchable is why nothing is remembered: the repository has something whose
// changes are not watched.
var errNotWatchable = errors.New("find what git's result depends on: not everything can be watched")

// dependencies finds everything that git's result depends on and looks at it. It
// returns nil where that is uncertain: submodules, which are repositories of their own; refs
// that are not files; configuration that cannot be followed; an old git.
func dependencies(ctx context.Context, dir string, attrs []string) *memo {
	s := &finder{git: git{dir: dir, asked: attrs}}
	if err := s.all(ctx); err != nil {
		return nil
	}
	m := &memo{top: s.top, marks: len(s.marks), watch: append(s.marks, s.tree...)}
	if _, err := m.update(); err != nil {
		return nil
	}
	return m
}

type finder struct {
	git
	top, gitDir, common string // absolute: the work tree, its .git, and the main work tree's
	commit              string // the full hash of HEAD
	marks, tree         []watched
}

func (s *finder) mark(kind watchKind, name string) {
	s.marks = append(s.marks, watched{kind: kind, path: name})
}

func (s *finder) all(ctx context.Context) error {
	if err := s.places(ctx); err != nil {
		return err
	}
	if err := s.head(); err != nil {
		return err
	}
	if s.asks("tag", "describe", "previous_tag") {
		if err := s.tags(); err != nil {
			return err
		}
	}
	if !s.asks("dirty", "describe") {
		if s.asks("url") {
			return s.configuration(ctx)
		}
		return nil
	}
	if s.asks("describe") {
		if err := s.objects(filepath.Join(s.common, "objects"), map[string]bool{}); err != nil {
			return err
		}
	}
	s.mark(watchEntry, filepath.Join(s.gitDir, "index"))
	var wg sync.WaitGroup
	var tracked, configured error
	wg.Go(func() { tracked = s.tracked(ctx) })
	wg.Go(func() { configured = s.configuration(ctx) })
	wg.Wait()
	return errors.Join(tracked, configured)
}

// places finds the repository and watches that it is the one found from dir.
func (s *finder) places(ctx context.Context) error {
	out, err := s.run(ctx, "rev-parse", "--path-format=absolute", "--show-toplevel", "--git-dir", "--git-common-dir", "HEAD")
	if err != nil {
		return err
	}
	lines := strings.Split(out, "\n")
	if len(lines) != 4 || slices.ContainsFunc(lines[:3], func(l string) bool { return !filepath.IsAbs(filepath.FromSlash(l)) }) || !isHash(lines[3]) {
		return errNotWatchable // a git that does not know these options
	}
	s.commit = lines[3]
	s.top, s.gitDir, s.common = filepath.FromSlash(lines[0]), filepath.FromSlash(lines[1]), filepath.FromSlash(lines[2])
	s.mark(watchTargetPlace, s.dir)
	if err := s.discovery(); err != nil {
		return err
	}
	for _, dir := range slices.Compact([]string{s.top, s.gitDir, s.common}) {
		s.mark(watchPlace, dir)
	}
	s.mark(watchEntry, filepath.Join(s.gitDir, "commondir"))
	s.mark(watchTarget, filepath.Join(s.common, "config"))
	s.mark(watchTarget, filepath.Join(s.gitDir, "config.worktree"))
	return nil
}

// discovery watches that no other repository comes between dir and the top.
func (s *finder) discovery() error {
	real, err := filepath.EvalSymlinks(s.dir)
	if err != nil {
		return err
	}
	for ; real != s.top; real = filepath.Dir(real) {
		if real == filepath.Dir(real) || exists(filepath.Join(real, ".git")) {
			return errNotWatchable
		}
		s.mark(watchEntry, filepath.Join(real, ".git"))
	}
	name := filepath.Join(s.top, ".git")
	info, err := os.Lstat(name)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		s.mark(watchPlace, name)
	case info.Mode().IsRegular(): // of a linked work tree
		s.mark(watchEntry, name)
	default:
		return errNotWatchable
	}
	return nil
}

// head watches what says which commit is checked out.
func (s *finder) head() error {
	if exists(filepath.Join(s.common, "reftable")) {
		return errNotWatchable
	}
	s.mark(watchEntry, filepath.Join(s.common, "reftable"))
	for _, name := range []string{"packed-refs", "shallow", "info/grafts"} {
		if err := s.plain(filepath.Join(s.common, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	name := filepath.Join(s.gitDir, "HEAD")
	if err := s.plain(name); err != nil {
		return err
	}
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	text := strings.TrimSpace(string(b))
	if isHash(text) {
		return nil
	}
	ref, ok := strings.CutPrefix(text, "ref: refs/heads/")
	if !ok || !filepath.IsLocal(filepath.FromSlash(ref)) {
		return errNotWatchable
	}
	return s.ref("refs/heads/" + ref)
}

// ref watches one ref, which must be a file with a hash or packed, in folders
// that are no links.
func (s *finder) ref(name string) error {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if err := s.folder(filepath.Join(s.common, filepath.FromSlash(dir))); err != nil {
			return err
		}
	}
	file := filepath.Join(s.common, filepath.FromSlash(name))
	if err := s.plain(file); err != nil {
		return err
	}
	b, err := os.ReadFile(file)
	if err == nil && !isHash(strings.TrimSpace(string(b))) {
		return errNotWatchable // a name for another ref
	}
	return nil
}

// objects watches what the length of the commit's abbreviation depends on: how
// many objects are packed, and which others begin alike. Those that are not
// packed lie in folders by their first two digits.
func (s *finder) objects(dir string, seen map[string]bool) error {
	if seen[dir] {
		return nil
	}
	seen[dir] = true
	s.mark(watchTarget, filepath.Join(dir, "pack"))
	s.mark(watchTarget, filepath.Join(dir, s.commit[:2]))
	name := filepath.Join(dir, "info", "alternates")
	s.mark(watchTarget, name)
	b, err := os.ReadFile(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		other := filepath.FromSlash(strings.TrimSuffix(line, "\n"))
		switch {
		case other == "" || strings.HasPrefix(other, "#"):
			continue
		case strings.HasPrefix(other, `"`):
			return errNotWatchable // quoted
		case !filepath.IsAbs(other):
			other = filepath.Join(dir, other)
		}
		if err := s.objects(filepath.Clean(other), seen); err != nil {
			return err
		}
	}
	return err
}

// plain watches a regular file, or that there is none.
func (s *finder) plain(name string) error {
	if info, err := os.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return errNotWatchable
	}
	s.mark(watchEntry, name)
	return nil
}

// folder watches that a directory is the same one, or that there is none.
func (s *finder) folder(name string) error {
	if info, err := os.Lstat(name); err == nil && !info.IsDir() {
		return errNotWatchable
	}
	s.mark(watchPlace, name)
	return nil
}

// tags watches every tag that is not packed, and that none comes.
func (s *finder) tags() error {
	if err := s.folder(filepath.Join(s.common, "refs")); err != nil {
		return err
	}
	return s.tagsIn(filepath.Join(s.common, "refs", "tags"))
}

func (s *finder) tagsIn(dir string) error {
	s.mark(watchEntry, dir)
	info, err := os.Lstat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil || !info.IsDir() {
		return errNotWatchable
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		name := filepath.Join(dir, e.Name())
		if e.IsDir() {
			err = s.tagsIn(name)
		} else {
			err = s.plain(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tracked watches every file of the index, the directories that they are in,
// and the attributes that may lie there without being tracked.
func (s *finder) tracked(ctx context.Context) error {
	out, err := s.run(ctx, "ls-files", "-z", "--stage", "--full-name", "--", ":/")
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	s.directory(".", seen)
	last := ""
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		mode, name, ok := strings.Cut(entry, "\t")
		if entry == "" || ok && name == last { // nothing, or another side of a conflict
			continue
		}
		if last = name; !ok || !strings.HasPrefix(mode, "1") || strings.HasPrefix(mode, "16") {
			return errNotWatchable // a submodule or a folder of a sparse index
		}
		s.directory(path.Dir(name), seen)
		s.tree = append(s.tree, watched{kind: watchEntry, path: name})
	}
	return nil
}

func (s *finder) directory(dir string, seen map[string]bool) {
	for ; !seen[dir]; dir = path.Dir(dir) {
		seen[dir] = true
		s.tree = append(s.tree,
			watched{kind: watchPlace, path: dir},
			watched{kind: watchTarget, path: path.Join(dir, ".gitattributes")})
	}
}

// configuration watches the files that say how git compares: those that give
// a value now, those that they include, and the usual ones that may come.
func (s *finder) configuration(ctx context.Context) error {
	out, err := s.run(ctx, "config", "--list", "--show-origin", "-z")
	if err != nil {
		return err
	}
	files := usualConfiguration(os.Getenv)
	values := strings.Split(strings.TrimSuffix(out, "\x00"), "\x00")
	for i := 0; i+1 < len(values); i += 2 {
		origin, ok := strings.CutPrefix(values[i], "file:")
		if !ok {
			if values[i] != "command line:" {
				return errNotWatchable
			}
			continue
		}
		if origin = filepath.FromSlash(origin); !filepath.IsAbs(origin) {
			origin = filepath.Join(s.top, origin)
		}
		files = append(files, origin)
		key, value, _ := strings.Cut(values[i+1], "\n")
		if key == "include.path" || strings.HasPrefix(key, "includeif.") && strings.HasSuffix(key, ".path") || key == "core.attributesfile" {
			named, err := expandPath(value, filepath.Dir(origin))
			if err != nil {
				return err
			}
			files = append(files, named)
		}
	}
	files = append(files, filepath.Join(s.common, "info", "attributes"), filepath.Join(s.gitDir, "info", "sparse-checkout"))
	for _, f := range lists.Unique(files) {
		s.mark(watchTarget, f)
	}
	return nil
}

// expandPath is a path of git's configuration, relative to the file's folder.
func expandPath(value, dir string) (string, error) {
	if rest, ok := strings.CutPrefix(value, "~/"); ok {
		home, err := os.UserHomeDir()
		return filepath.Join(home, filepath.FromSlash(rest)), err
	}
	if value == "" || strings.HasPrefix(value, "~") || strings.HasPrefix(value, "%(") {
		return "", errNotWatchable
	}
	if value = filepath.FromSlash(value); filepath.IsAbs(value) {
		return value, nil
	}
	return filepath.Join(dir, value), nil
}

// usualConfiguration is where git looks for the system's and the user's
// configuration and attributes.
func usualConfiguration(getenv func(string) string) []string {
	roots := []string{"/"}
	if name, err := exec.LookPath("git"); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(name)))
		if real, err := filepath.EvalSymlinks(name); err == nil {
			roots = append(roots, filepath.Dir(filepath.Dir(real)))
		}
	}
	var files []string
	for _, root := range roots {
		files = append(files, filepath.Join(root, "etc", "gitconfig"), filepath.Join(root, "etc", "gitattributes"))
	}
	home, _ := os.UserHomeDir()
	config := getenv("XDG_CONFIG_HOME")
	if config == "" && home != "" {
		config = filepath.Join(home, ".config")
	}
	if config != "" {
		files = append(files, filepath.Join(config, "git", "config"), filepath.Join(config, "git", "attributes"))
	}
	if home != "" {
		files = append(files, filepath.Join(home, ".gitconfig"))
	}
	for _, name := range []string{"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"} {
		if v := getenv(name); v != "" && filepath.IsAbs(v) {
			files = append(files, v)
		}
	}
	return files
}
