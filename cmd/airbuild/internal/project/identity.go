package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks"
)

// readGit is source.Read in the language's words, with git's answers remembered
// in the workspace's state. Without git and without source.json there is none,
// which is for the language to say.
func (p *Project) readGit(ctx context.Context, attrs []string) (*dsl.Git, error) {
	if i := p.Options.Source; i != nil {
		return gitOf(i), nil
	}
	o := source.Options{Rules: p.rules}
	if cache, err := p.Options.CacheDir(); err == nil && !p.Options.Paranoid {
		o.State = stateDir(cache, p.Root)
	}
	info, err := source.Read(ctx, p.Root, attrs, o)
	if err != nil {
		return nil, err
	}
	p.note(attrs)
	if slices.Contains(attrs, "dirty") || slices.Contains(attrs, "describe") {
		p.identity = info
	}
	return gitOf(info), nil
}

// basic are the attributes that every identity has that stands in git's place.
var basic = []string{"commit", "short", "branch", "tag", "describe", "dirty", "time"}

// note remembers which attributes beside basic planning asked for.
func (p *Project) note(attrs []string) {
	for _, a := range attrs {
		if !slices.Contains(basic, a) && !slices.Contains(p.asked, a) {
			p.asked = append(p.asked, a)
		}
	}
}

// SourceInfo is the identity of the source, with all that the plan asked for: what
// takes git's place in a bundle or a copy.
func (p *Project) SourceInfo(ctx context.Context) (*source.Info, error) {
	info, err := source.Read(ctx, p.Root, slices.Concat(basic, p.asked), source.Options{Rules: p.rules})
	if err == nil && info.Go != nil {
		info.Go.Count(p.ours)
	}
	return info, err
}

// build is tasks.Project.FindBuild. Git is asked once; what stages make may be known
// only later.
func (p *Project) build(ctx context.Context, makes func(string) bool) (*tasks.Commit, error) {
	p.makes = makes
	info := p.Options.Source
	if info == nil {
		if p.found == nil {
			var none *source.NoIdentityError
			var missing *source.MissingError
			found, err := source.Read(ctx, p.Root, []string{"commit", "time", "go"}, source.Options{})
			if errors.As(err, &none) || errors.As(err, &missing) {
				return nil, nil
			}
			if err != nil {
				return nil, err
			}
			p.found = found
			p.note([]string{"go"})
		}
		info = p.found
	}
	if info.Go == nil || info.Commit == "" {
		return nil, nil
	}
	b := *info.Go
	b.Count(p.ours)
	return &tasks.Commit{
		Hash: info.Commit, Time: info.Time, Modified: b.Modified, Folder: b.Folder, Module: b.Module,
		Tags: b.Tags, Ancestors: b.Ancestors, Mods: b.Mods,
	}, nil
}

// ours reports whether a file of the project that git does not track is one that
// airbuild makes, so that a run does not make the source modified.
func (p *Project) ours(name string) bool {
	if strings.HasPrefix(path.Base(name), atomicfile.TempPrefix) {
		return true
	}
	if cache, err := p.Options.CacheDir(); err == nil {
		if rel, err := filepath.Rel(cache, filepath.Join(p.Root, filepath.FromSlash(name))); err == nil && filepath.IsLocal(rel) {
			return true
		}
	}
	return p.makes != nil && p.makes(name)
}

// editedNotice says that carried source is not what was carried, "" if it is.
func (p *Project) editedNotice(ctx context.Context) (string, error) {
	if p.Carried == nil || p.Options.Source != nil {
		return "", nil
	}
	if p.identity == nil {
		var none *source.NoIdentityError
		if _, err := p.readGit(ctx, []string{"dirty"}); errors.As(err, &none) {
			return "", nil // nothing to compare with: what needs the identity says so
		} else if err != nil {
			return "", err
		}
	}
	if p.identity.Edited == "" {
		return "", nil
	}
	name := cmp.Or(p.identity.Describe, "dirty")
	return fmt.Sprintf("this source is %s: it was edited since it was carried (%s)", name, p.identity.Edited), nil
}

// gitOf is the identity of a source in the language's words.
func gitOf(info *source.Info) *dsl.Git {
	return &dsl.Git{
		Commit: info.Commit, Short: info.Short, Branch: info.Branch, Tag: info.Tag,
		Describe: info.Describe, Dirty: info.Dirty, Time: info.Time,
		PreviousTag: info.PreviousTag, CommitCount: info.CommitCount, URL: info.URL,
	}
}
