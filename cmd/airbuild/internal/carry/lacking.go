package carry

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/lists"
)

// A LackKind says why the source component leaves a file behind.
type LackKind uint8

const (
	Untracked LackKind = iota // git does not know it
	Ignored                   // git ignores it
	Submodule                 // in a submodule that git has not initialized
	Excluded                  // by --exclude, or by exclude of the bundle block
	InDist                    // in the output directory, and no step makes it
	Outside                   // outside the project
)

// A Lack is a file, or a directory with all that is used of it, that is used
// here and that the source component does not carry.
type Lack struct {
	Kind LackKind
	// Path is as seen from the project, slash-separated, with a slash at the end
	// of a directory: "vendor/", "../priv/".
	Path  string
	Files int
	// Users are the steps that read it; none for what planning reads.
	Users []string
	// Named is the line of a go.mod or go.work that names an Outside directory:
	// "go.mod: replace example.com/priv => ../priv".
	Named string
	// Submodule, of a file in one, is its directory.
	Submodule string
}

// A Use is a file that is used: absolute, or as seen from the project. By is
// the name of the step that reads it, empty for the planning itself.
type Use struct{ File, By string }

// Lacking are those of the used files that the source component of spec would
// not carry. made are the paths of steps' outputs: they are carried as results.
func Lacking(ctx context.Context, spec SourceSpec, uses []Use, made []string) ([]Lack, error) {
	spec, err := spec.resolve()
	if err != nil {
		return nil, err
	}
	names, git, err := tracked(ctx, spec.Root)
	if err != nil {
		return nil, err
	}
	if !git {
		if names, err = everything(spec); err != nil {
			return nil, err
		}
	}
	l := &lacking{spec: spec, git: git, names: names, carried: map[string]bool{}, dirs: map[string]bool{".": true}, made: map[string]bool{}, found: map[string]*Lack{}}
	for _, name := range names {
		if spec.excluded(name) {
			continue
		}
		l.carried[name] = true
		for dir := path.Dir(name); !l.dirs[dir]; dir = path.Dir(dir) {
			l.dirs[dir] = true
		}
	}
	for _, p := range made {
		l.made[p] = true
	}
	for _, u := range uses {
		if err := l.look(ctx, u); err != nil {
			return nil, err
		}
	}
	if err := l.ignored(ctx); err != nil {
		return nil, err
	}
	out := make([]Lack, 0, len(l.found))
	for _, p := range slices.Sorted(maps.Keys(l.found)) {
		l.found[p].Users = lists.Unique(l.found[p].Users)
		out = append(out, *l.found[p])
	}
	slices.SortStableFunc(out, func(a, b Lack) int { return cmp.Compare(len(a.Users), len(b.Users)) }) // planning first
	return out, nil
}

type lacking struct {
	spec    SourceSpec
	git     bool
	names   []string        // of git, or of all files
	carried map[string]bool // files
	dirs    map[string]bool // directories that hold carried files
	made    map[string]bool
	found   map[string]*Lack // by Path
	counted map[string]bool
}

// look notes a used file, unless it is carried.
func (l *lacking) look(ctx context.Context, u Use) error {
	abs := filepath.FromSlash(u.File)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(l.spec.Root, abs)
	}
	name, inside := l.name(abs)
	if inside && (l.carried[name] || l.isMade(name)) {
		return nil
	}
	// The source brings links as links: what counts is where they lead.
	if real, err := filepath.EvalSymlinks(abs); err == nil && real != abs {
		if at, ok := l.name(real); !ok || l.carried[at] || l.isMade(at) {
			if ok {
				return nil
			}
			abs, name, inside = real, at, false
		}
	}
	switch {
	case inside && name == source.FileName, inside && name == source.ManifestName:
		return nil // the source component has its own
	case !inside:
		return l.outside(abs, u.By)
	}
	kind, sub := l.kind(name)
	l.add(&Lack{Kind: kind, Path: l.collapse(name, sub), Submodule: sub}, name, u.By)
	return nil
}

// name is an absolute path as seen from the project.
func (l *lacking) name(abs string) (string, bool) {
	rel, err := filepath.Rel(l.spec.Root, abs)
	if err != nil {
		return filepath.ToSlash(abs), false
	}
	return filepath.ToSlash(rel), filepath.IsLocal(rel)
}

func (l *lacking) isMade(name string) bool {
	for p := name; p != "."; p = path.Dir(p) {
		if l.made[p] {
			return true
		}
	}
	return false
}

// kind is why a file of the project is not carried, and the submodule that it
// is in, if it is in one. What git ignores is found out later, for all at once.
func (l *lacking) kind(name string) (LackKind, string) {
	if within(name, l.spec.Dist) {
		return InDist, ""
	}
	for _, p := range l.spec.Exclude {
		if ok, err := doublestar.Match(p, name); err == nil && ok || within(name, p) {
			return Excluded, ""
		}
	}
	// git lists a submodule that it has not initialized as one entry, and the
	// files of others.
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if exists(filepath.Join(l.spec.Root, filepath.FromSlash(dir), ".git")) {
			if l.carried[dir] {
				return Submodule, dir
			}
			return Untracked, dir
		}
	}
	return Untracked, ""
}

// collapse names the topmost directory that holds a file and nothing that is
// carried, as git status does; the file itself if there is none.
func (l *lacking) collapse(name, sub string) string {
	if sub != "" && !l.dirs[sub] {
		return sub + "/"
	}
	for i := range len(name) {
		if name[i] == '/' && !l.dirs[name[:i]] {
			return name[:i+1]
		}
	}
	return name
}

func (l *lacking) add(lack *Lack, file, by string) {
	have := l.found[lack.Path]
	if have == nil {
		have = lack
		l.found[lack.Path] = have
	}
	if l.counted == nil {
		l.counted = map[string]bool{}
	}
	if !l.counted[file] {
		l.counted[file] = true
		have.Files++
	}
	if by != "" {
		have.Users = append(have.Users, by)
	}
}

// outside notes a file outside the project under the directory of its module,
// or its own.
func (l *lacking) outside(abs, by string) error {
	top := filepath.Dir(abs)
	for dir := top; ; dir = filepath.Dir(dir) {
		if rel, err := filepath.Rel(dir, l.spec.Root); err != nil || filepath.IsLocal(rel) {
			break // a directory that holds the project
		}
		if exists(filepath.Join(dir, "go.mod")) {
			top = dir
			break
		}
	}
	p, _ := l.name(top)
	l.add(&Lack{Kind: Outside, Path: p + "/", Named: l.named(top)}, abs, by)
	return nil
}

// named finds the line of the project's go.mod and go.work files that names a
// directory.
func (l *lacking) named(dir string) string {
	for _, name := range l.names {
		base := path.Base(name)
		if base != "go.mod" && base != "go.work" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(l.spec.Root, filepath.FromSlash(name)))
		if err != nil {
			continue
		}
		is := func(p string) bool {
			if !filepath.IsAbs(p) {
				p = filepath.Join(l.spec.Root, filepath.FromSlash(path.Dir(name)), filepath.FromSlash(p))
			}
			real, err := filepath.EvalSymlinks(p)
			return p == dir || err == nil && real == dir
		}
		var replaces []*modfile.Replace
		if base == "go.mod" {
			if f, err := modfile.ParseLax(name, text, nil); err == nil {
				replaces = f.Replace
			}
			// ParseLax leaves replace lines out; a wrong file is the plan's business.
			if f, err := modfile.Parse(name, text, nil); err == nil {
				replaces = f.Replace
			}
		} else if f, err := modfile.ParseWork(name, text, nil); err == nil {
			replaces = f.Replace
			for _, u := range f.Use {
				if is(u.Path) {
					return fmt.Sprintf("%s: use %s", name, u.Path)
				}
			}
		}
		for _, r := range replaces {
			if r.New.Version == "" && is(r.New.Path) {
				return fmt.Sprintf("%s: replace %s => %s", name, r.Old.Path, r.New.Path)
			}
		}
	}
	return ""
}

// ignored finds out which of the files that git does not know it ignores.
func (l *lacking) ignored(ctx context.Context) error {
	if !l.git {
		return nil
	}
	var ask []string
	for p, lack := range l.found {
		if lack.Kind == Untracked && lack.Submodule == "" {
			ask = append(ask, p)
		}
	}
	if len(ask) == 0 {
		return nil
	}
	slices.Sort(ask)
	cmd, err := source.Command(ctx, l.spec.Root, "check-ignore", "-z", "--stdin")
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(strings.Join(ask, "\x00") + "\x00")
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		return ctx.Err() // exit status 1: it ignores none of them
	}
	for name := range bytes.SplitSeq(out, []byte{0}) {
		if lack := l.found[string(name)]; lack != nil {
			lack.Kind = Ignored
		}
	}
	return nil
}

// String says what is lacking and why: "vendor/ (12 files): git ignores it".
func (l *Lack) String() string {
	what := l.Path
	if strings.HasSuffix(l.Path, "/") && l.Kind != Outside { // only what is used of it is known
		what += fmt.Sprintf(" (%d %s)", l.Files, plural(l.Files, "file"))
	}
	why := map[LackKind]string{
		Untracked: "not tracked by git", Ignored: "ignored by git",
		Submodule: "in a submodule that is not initialized", Excluded: "excluded from the bundle",
		InDist: "in the output directory, and no stage makes it", Outside: "outside the project",
	}[l.Kind]
	if l.Kind == Untracked && l.Submodule != "" {
		why = fmt.Sprintf("not tracked by the git repository in %s/", l.Submodule)
	}
	if l.Named != "" {
		why += " (" + l.Named + ")"
	}
	text := what + ": " + why
	switch n := len(l.Users); {
	case n == 1:
		text += "; read by " + l.Users[0]
	case n > 1:
		text += fmt.Sprintf("; read by %s and %d more %s", l.Users[0], n-1, plural(n-1, "step"))
	}
	return text
}

func plural(n int, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}

// Advice are the lines that say what to do.
func (l *Lack) Advice() []string {
	clean := strings.TrimSuffix(l.Path, "/")
	switch l.Kind {
	case Ignored:
		lines := []string{"To carry it, remove it from .gitignore, and: git add " + clean}
		if path.Base(clean) == "vendor" {
			lines = append(lines,
				"Without it, Go steps use -mod=readonly on the other side, and -mod=vendor here.",
				`Or have it made there too: a go_vendor stage, and modules = stage.<name> in the Go stages; or delete it.`)
		}
		return lines
	case Untracked:
		if l.Submodule != "" {
			return []string{fmt.Sprintf("To carry it: git -C %s add %s; or make %s a submodule of this repository.", l.Submodule, strings.TrimPrefix(clean, l.Submodule+"/"), l.Submodule)}
		}
		return []string{"To carry it: git add " + clean}
	case Submodule:
		return []string{"To carry it: git submodule update --init " + l.Submodule}
	case Excluded:
		return []string{"Change the --exclude pattern, or exclude in the bundle block."}
	case InDist:
		return []string{"Move it out of the output directory, or declare the stage that makes it."}
	}
	lines := []string{}
	if up, ok := upward(l.Path); ok {
		lines = append(lines, fmt.Sprintf("Put the Airbuildfile %s up, so that %s is in the project, and set dir in its stages;", up, clean))
	}
	return append(lines,
		"or copy it into the project, or add it as a submodule, and name that place instead;",
		fmt.Sprintf("or carry it apart: in a bundle block, an extra block %q with dir = %q and files = [\"**\"], with --no-rehearse;", path.Base(clean), clean),
		"then put it at the same place, as seen from the project, on the other side.")
}

// upward counts how far a path leads up.
func upward(p string) (string, bool) {
	n := 0
	for ; strings.HasPrefix(p, "../"); p = p[3:] {
		n++
	}
	if n == 1 {
		return "one folder", true
	}
	return fmt.Sprintf("%d folders", n), n > 0
}

// Uses are the files that steps read, as uses.
func Uses(g *engine.Graph, rs []engine.Reading) []Use {
	var uses []Use
	for _, r := range rs {
		for _, f := range r.Files {
			uses = append(uses, Use{File: f, By: g.Steps[r.ID].Name})
		}
	}
	return uses
}

// MadeBy are the paths of all outputs of steps, as seen from the project.
func MadeBy(g *engine.Graph, ids []engine.StepID) []string {
	var out []string
	for _, id := range ids {
		c := &g.Steps[id].Command
		for _, p := range c.OutputPaths {
			out = append(out, path.Join(c.WorkingDirectory, p))
		}
	}
	return out
}
