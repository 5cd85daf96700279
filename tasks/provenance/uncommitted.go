package provenance

import (
	"context"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/tasks"
)

// uncommittedFile is in the input root, beside the actions, if the source has
// files that are in no commit; it lists them.
const uncommittedFile = ".airbuild-uncommitted"

func uncommittedName(actions string) string { return path.Join(path.Dir(actions), uncommittedFile) }

// An uncommitted knows the files of the project that are in no commit, for all
// statements of a plan.
type uncommitted struct {
	makes func(string) bool
	dist  string

	once  sync.Once
	names map[string]bool
	err   error
}

// uncommittedOf returns the one of the project's plan.
func uncommittedOf(p *tasks.Project) *uncommitted {
	type key struct{}
	u := &uncommitted{makes: p.Makes, dist: p.Dist}
	if p.Memo == nil {
		return u
	}
	shared, _ := p.Memo.LoadOrStore(key{}, u)
	return shared.(*uncommitted)
}

// among lists those that the steps behind a statement read. What nothing reads
// does not matter, and what stages make is not source.
func (u *uncommitted) among(ctx context.Context, files engine.Files) ([]string, error) {
	reads, ok := files.(engine.SourceReaders)
	if !ok {
		return nil, nil
	}
	u.once.Do(func() {
		list, err := source.Untracked(ctx, files.Root())
		u.err, u.names = err, map[string]bool{}
		for _, name := range list {
			if !u.made(name, files) {
				u.names[name] = true
			}
		}
	})
	if u.err != nil || len(u.names) == 0 {
		return nil, u.err
	}
	return reads.ReadByProducers(ctx, u.names)
}

// made reports whether a file is an output, airbuild's own or in its cache.
func (u *uncommitted) made(name string, files engine.Files) bool {
	if name == u.dist || strings.HasPrefix(name, u.dist+"/") || strings.HasPrefix(path.Base(name), ".airbuild-") {
		return true
	}
	if first, _, _ := strings.Cut(name, "/"); first != "" {
		rest, err := filepath.Rel(filepath.Join(files.Root(), first), files.State())
		if err == nil && filepath.IsLocal(rest) {
			return true
		}
	}
	return u.makes != nil && u.makes(name)
}
