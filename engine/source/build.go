package source

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A Build is what the go command takes from a repository for the version of a
// program, beside the commit and its time. Paths are relative to the top of the
// repository, with slashes.
type Build struct {
	// Modified: tracked files differ from the commit anywhere in the repository, or
	// files are neither tracked nor ignored. The latter are in Untracked until Count.
	Modified  bool
	Untracked []string
	Folder    string // of the source tree; empty for the top
	Module    string // the path of the module at the top; empty if there is none
	// Tags are versions of modules that this commit has; Ancestors those that commits
	// before it have, of each folder and major version the highest. Sorted.
	Tags, Ancestors []string
	// Mods are the go.mod files that differ from the commit, with the module path
	// that it has there; empty: it has none.
	Mods map[string]string
}

// build answers for go.
func (g *git) build(ctx context.Context) error {
	out, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	top := filepath.FromSlash(out)
	if out, err = g.run(ctx, "rev-parse", "--show-prefix"); err != nil {
		return err
	}
	b := &Build{Folder: strings.TrimSuffix(out, "/")}
	if text, err := os.ReadFile(filepath.Join(top, "go.mod")); err == nil {
		b.Module = modfile.ModulePath(text)
	}
	if err := b.tags(ctx, g); err != nil {
		return err
	}
	if err := b.workTree(ctx, g); err != nil {
		return err
	}
	g.info.Go = b
	return nil
}

// tags finds the versions of modules.
func (b *Build) tags(ctx context.Context, g *git) error {
	head, err := g.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	out, err := g.run(ctx, "for-each-ref", "--merged="+head, "--format=%(refname:strip=2) %(objectname) %(*objectname)", "refs/tags")
	if err != nil {
		return err
	}
	highest := map[string]string{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || moduleVersion(f[0]) == "" {
			continue
		}
		if f[len(f)-1] == head {
			b.Tags = append(b.Tags, f[0])
			continue
		}
		series := path.Dir(f[0]) + " " + semver.Major(moduleVersion(f[0]))
		// The last name of equal versions, in every clone.
		if old := highest[series]; old == "" || cmp.Or(semver.Compare(moduleVersion(f[0]), moduleVersion(old)), strings.Compare(f[0], old)) > 0 {
			highest[series] = f[0]
		}
	}
	for _, tag := range highest {
		b.Ancestors = append(b.Ancestors, tag)
	}
	slices.Sort(b.Tags)
	slices.Sort(b.Ancestors)
	return nil
}

// moduleVersion is the version of a module that a tag names, "" for a tag that the
// go command does not look at. It takes pseudo-versions for none at the top only.
func moduleVersion(tag string) string {
	v := path.Base(tag)
	if c := semver.Canonical(v); c == "" || !strings.HasPrefix(v, c) || module.IsPseudoVersion(tag) {
		return ""
	}
	return v
}

// workTree finds what of the work tree differs from the commit.
func (b *Build) workTree(ctx context.Context, g *git) error {
	at := git{dir: g.dir} // its arguments are its own: others run at the same time
	if err := at.guard(ctx); err != nil {
		return err
	}
	out, err := at.run(ctx, "status", "--porcelain=v2", "--untracked-files=all", "--no-renames", "-z")
	if err != nil || out == "" {
		return err
	}
	var tracked, mods []string
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		name, untracked := strings.CutPrefix(entry, "? ")
		switch {
		case untracked:
			b.Untracked = append(b.Untracked, name)
		default:
			tracked = append(tracked, entry)
			name = changedName(entry)
		}
		if path.Base(name) == "go.mod" {
			mods = append(mods, name)
		}
	}
	if len(tracked) > 0 {
		if b.Modified, err = at.differs(ctx, tracked); err != nil {
			return err
		}
	}
	for _, name := range mods {
		text, err := at.answer(ctx, "cat-file", "blob", "HEAD:"+name)
		if err != nil {
			return err
		}
		if b.Mods == nil {
			b.Mods = map[string]string{}
		}
		b.Mods[name] = modfile.ModulePath([]byte(text))
	}
	return nil
}

// changedName is the path in an entry of git status --porcelain=v2 -z about a tracked
// file.
func changedName(entry string) string {
	fields := 9 // 1 XY sub mH mI mW hH hI path
	if strings.HasPrefix(entry, "u ") {
		fields = 11 // u XY sub m1 m2 m3 mW h1 h2 h3 path
	}
	f := strings.SplitN(entry, " ", fields)
	return f[len(f)-1]
}

// Count decides whether untracked files make the source modified: those do not that
// are ours, relative to the source tree, as airbuild's outputs are.
func (b *Build) Count(ours func(name string) bool) {
	prefix := ""
	if b.Folder != "" {
		prefix = b.Folder + "/"
	}
	b.Modified = b.Modified || slices.ContainsFunc(b.Untracked, func(name string) bool {
		rel, inside := strings.CutPrefix(name, prefix)
		return !inside || !ours(rel)
	})
	b.Untracked = nil
}

// check holds the rules of a source.json.
func (b *Build) check() error {
	if !isRefName(b.Folder) || b.Folder != "" && path.Clean(b.Folder) != b.Folder {
		return fmt.Errorf(`"folder" is %q, which is not a folder of a repository`, b.Folder)
	}
	for _, tag := range slices.Concat(b.Tags, b.Ancestors) {
		if !isRefName(tag) || moduleVersion(tag) == "" {
			return fmt.Errorf("the tag %q is not the version of a module", tag)
		}
	}
	for name, p := range b.Mods {
		if path.Base(name) != "go.mod" || path.Clean(name) != name || len(name)+len(p) > 4*maxName {
			return fmt.Errorf(`"mods" has %.200q, which is not a go.mod of a repository`, name)
		}
	}
	if len(b.Module) > maxName {
		return fmt.Errorf(`"module" is longer than %d bytes`, maxName)
	}
	return nil
}
