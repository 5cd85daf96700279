package affected

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// Since are those among steps and their needs that changes since a commit
// concern, with the reason of each.
func Since(ctx context.Context, s *project.Session, rev string, ids []engine.StepID) ([]Step, error) {
	r, err := source.OpenRevision(ctx, s.Root, rev)
	switch {
	case errors.Is(err, source.ErrNoRevision):
		return nil, exit.UsageError("--affected: %w in this repository.\nIf it is one of another clone, fetch it first; a shallow clone has the newest commits only", err)
	case err != nil && ctx.Err() == nil:
		return nil, exit.UsageError("--affected compares with a commit of git: %w", err)
	case err != nil:
		return nil, err
	}
	q := Query{Graph: s.Plan.Graph, Space: s.Workspace, Top: r.Top}
	if q.Changes, err = r.Changes(ctx); err != nil {
		return nil, fmt.Errorf("compare with %s: %w", rev, err)
	}
	if q.Tracked, err = r.Tracked(ctx); err != nil {
		return nil, fmt.Errorf("compare with %s: %w", rev, err)
	}
	if q.Old, q.Why, err = planAt(ctx, s, r, rev, q.Changes); err != nil {
		return nil, err
	}
	if name := changedVariables(s.Options.VarFiles, r.Top, q.Changes); name != "" {
		q.Old, q.Why = nil, name+" changed"
	}
	// A dry run puts outputs of hits where listings look for them.
	o := s.RunOptions()
	o.DryRun, o.KeepGoing = true, true
	if _, err := engine.Run(ctx, s.Plan.Graph, ids, o); err != nil {
		return nil, err
	}
	defer s.Workspace.Unpretend()
	return Find(ctx, q, ids)
}

// planAt plans the project as it was at a revision, from git's objects, with
// the variables, the host and the identity of the sources that hold now: that a
// commit has another hash is no change of what it holds. Without a graph it
// says why there is none.
func planAt(ctx context.Context, s *project.Session, r *source.Revision, rev string, changes []source.Change) (g *engine.Graph, why string, err error) {
	root, err := filepath.EvalSymlinks(s.Root)
	if err != nil {
		return nil, "", fmt.Errorf("find project: %w", err)
	}
	dir, err := filepath.Rel(r.Top, root)
	if err != nil {
		return nil, "", fmt.Errorf("find project: %w", err)
	}
	none := "there was no " + s.File + " in " + rev
	files, err := r.Files(ctx, filepath.ToSlash(dir))
	if err != nil {
		return nil, none, ctx.Err()
	}
	defer func() { err = exit.First(err, files.Close()) }()
	if _, err := fs.Stat(files, s.File); err != nil {
		return nil, none, nil
	}
	wanted := map[string]string{}
	old := project.New(s.Options, s.Root, s.File, &gocmd.Config{Toolchain: s.Go.Toolchain, LookupEnv: s.Options.LookupEnv, Root: s.Root, Offline: s.Go.Offline, FixedPath: s.Go.FixedPath})
	past := newPastFiles(files, root, filepath.ToSlash(dir), changes)
	plan, diags, err := old.Preview(ctx, past, func(name, version string, _ []string) error {
		wanted[name] = version
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	if i := slices.IndexFunc(diags, func(d *hcl.Diagnostic) bool { return d.Severity == hcl.DiagError }); i >= 0 {
		return nil, fmt.Sprintf("the %s of %s cannot be planned: %s", s.File, rev, diags[i].Summary), nil
	}
	if name := past.unknown(plan.Graph); name != "" {
		return nil, name + " is not known to git, and is read to plan", nil
	}
	for name, version := range s.Wanted {
		if before, ok := wanted[name]; ok && before != version {
			return nil, fmt.Sprintf("toolchain %q changed (%s → %s)", name, orNone(before), orNone(version)), nil
		}
	}
	if plan.Dist != s.Plan.Dist {
		return nil, fmt.Sprintf("dist changed (%s → %s)", plan.Dist, s.Plan.Dist), nil
	}
	return plan.Graph, "", nil
}

// changedVariables returns one of the files of variables that changed, or "": the
// revision is planned with those of now.
func changedVariables(files []string, top string, changes []source.Change) string {
	for _, name := range files {
		abs, err := filepath.Abs(name)
		if err != nil {
			return name
		}
		if real, err := filepath.EvalSymlinks(abs); err == nil {
			abs = real
		}
		rel, err := filepath.Rel(top, abs)
		if err == nil && slices.ContainsFunc(changes, func(c source.Change) bool { return c.Path == filepath.ToSlash(rel) }) {
			return name
		}
	}
	return ""
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}

// pastFiles are a project's files as they were, and beside them those that git
// ignores, of which it is not known how they were. That these are there is taken
// for unchanged; what they hold is not.
type pastFiles struct {
	past, now fs.FS
	added     map[string]bool // paths that were not there

	mu     sync.Mutex
	opened map[string]bool // those that git ignores
}

func newPastFiles(past fs.FS, root, prefix string, changes []source.Change) *pastFiles {
	f := &pastFiles{past: past, now: os.DirFS(root), added: map[string]bool{}, opened: map[string]bool{}}
	for _, c := range changes {
		if rel, err := filepath.Rel(filepath.FromSlash(prefix), filepath.FromSlash(c.Path)); err == nil && c.Added {
			f.added[filepath.ToSlash(rel)] = true
		}
	}
	return f
}

// unknown returns a file that git ignores and that the plan depends on, or "". The
// modules.txt of a vendor directory that a step of the plan fills is none: it is
// looked at before it is known that a stage makes it, and not believed.
func (f *pastFiles) unknown(g *engine.Graph) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(f.opened)) {
		if path.Base(name) != "modules.txt" || !fills(g, path.Dir(name)) {
			return name
		}
	}
	return ""
}

// fills reports whether a step of g makes a project-relative path.
func fills(g *engine.Graph, name string) bool {
	for id := range g.Steps {
		c := &g.Steps[id].Command
		for _, o := range c.OutputPaths {
			if path.Join(c.WorkingDirectory, o) == name {
				return true
			}
		}
	}
	return false
}

// ignored reports whether err says that a file was not there, and it is one that
// git ignores.
func (f *pastFiles) ignored(name string, err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	for p := name; p != "."; p = path.Dir(p) {
		if f.added[p] {
			return false
		}
	}
	info, err := fs.Stat(f.now, name)
	return err == nil && !info.IsDir()
}

// Open implements fs.FS.
func (f *pastFiles) Open(name string) (fs.File, error) {
	file, err := f.past.Open(name)
	if !f.ignored(name, err) {
		return file, err
	}
	f.mu.Lock()
	f.opened[name] = true
	f.mu.Unlock()
	return f.now.Open(name)
}

// Stat implements fs.StatFS.
func (f *pastFiles) Stat(name string) (fs.FileInfo, error) {
	info, err := fs.Stat(f.past, name)
	if !f.ignored(name, err) {
		return info, err
	}
	return fs.Stat(f.now, name)
}

// ReadDir implements fs.ReadDirFS, without what git ignores.
func (f *pastFiles) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(f.past, name) }
