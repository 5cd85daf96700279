package project

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine/source"
)

// readGit is source.Read in the language's words, with git's answers remembered
// in the workspace's state. Without git and without source.json there is none,
// which is for the language to say.
func (p *Project) readGit(ctx context.Context, attrs []string) (*dsl.Git, error) {
	if i := p.Options.Source; i != nil {
		return gitOf(i), nil
	}
	var o source.Options
	if cache, err := p.Options.CacheDir(); err == nil && !p.Options.Paranoid {
		o.State = stateDir(cache, p.Root)
	}
	info, err := source.Read(ctx, p.Root, attrs, o)
	if err != nil {
		return nil, err
	}
	if slices.Contains(attrs, "dirty") || slices.Contains(attrs, "describe") {
		p.identity = info
	}
	return gitOf(info), nil
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
	name := p.identity.Describe
	if name == "" {
		name = "dirty"
	}
	return fmt.Sprintf("this source is %s: it was edited since it was carried (%s)", name, p.identity.Edited), nil
}

// gitOf is the identity of a source in the language's words.
func gitOf(info *source.Info) *dsl.Git {
	return &dsl.Git{
		Commit: info.Commit, Short: info.Short, Branch: info.Branch, Tag: info.Tag,
		Describe: info.Describe, Dirty: info.Dirty, Time: info.Time,
	}
}
