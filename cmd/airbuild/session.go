package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/bundle"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks/golang"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// cacheDir is the store's directory: --cache, $AIRBUILD_CACHE, or airbuild in
// the user's cache directory.
func (a *app) cacheDir() (string, error) {
	dir := a.cache
	if dir == "" {
		dir, _ = a.lookupEnv("AIRBUILD_CACHE")
	}
	if dir == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find cache directory: %w; set AIRBUILD_CACHE", err)
		}
		dir = filepath.Join(base, "airbuild")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("find cache directory: %w", err)
	}
	return abs, nil
}

// stateDir is where the project at root keeps what costs only time to lose. A
// project that is reached through a symbolic link is the same project.
func stateDir(cache, root string) string {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(cache, "workspaces", hex.EncodeToString(sum[:8]))
}

// A session is a project with all that running it needs, open.
type session struct {
	*project
	app     *app
	store   *store.Disk
	space   *tree.Workspace
	scratch *local.Scratch
	salt    []byte // see secretSalt
	// notices are what a run says at its end.
	notices []string
}

// open opens the store and the workspace of p.
func (a *app) open(p *project) (*session, error) { return a.openAhead(p, nil) }

// openAhead is open, of which reading what is remembered has begun unless ahead
// is nil.
func (a *app) openAhead(p *project, ahead *tree.Ahead) (_ *session, err error) {
	cache, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	s := &session{project: p, app: a}
	if s.salt, err = a.secretSalt(p); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.store, err = store.Open(cache); err != nil {
		return nil, otherCache(err)
	}
	s.store.Scopes = func() []store.Scope { return bundle.Scopes(cache) }
	if p.from != nil {
		if s.store.Scope, err = bundle.ScopeOf(cache, p.from.Bundle); err != nil {
			return nil, err
		}
	}
	if ahead == nil {
		ahead = tree.ReadAhead(stateDir(cache, p.root))
	}
	if s.space, err = ahead.Open(p.root, p.plan.Dist); err != nil {
		return nil, otherCache(err)
	}
	s.space.IgnoreCache(cache)
	s.space.IsSource = load.SourceName
	s.store.Paranoid, s.space.Paranoid = a.paranoid, a.paranoid
	return s, nil
}

// otherCache adds what to do where the cache is no directory that can be written.
// Looking up writes too: what is remembered of files, so that they are not read
// again.
func otherCache(err error) error {
	var at *fs.PathError
	if !errors.As(err, &at) {
		return err
	}
	return fmt.Errorf("%w\nThe cache must be a directory that can be written; --cache or AIRBUILD_CACHE names another one", err)
}

// openTargets loads the project, finds the steps that the arguments ask for, with
// the pipeline's name if it is exactly one, and opens what running them needs.
func (a *app) openTargets(ctx context.Context, js *ui.JSONSink, args []string) (*session, []engine.StepID, string, error) {
	ahead := a.readAhead()
	p, err := a.load(ctx, js)
	if err != nil {
		return nil, nil, "", err
	}
	ids, name, err := p.targets(args)
	if err != nil {
		return nil, nil, "", err
	}
	if err := a.lacking(p, ids, js); err != nil {
		return nil, nil, "", err
	}
	edited, err := a.editedNotice(ctx, p)
	if err != nil {
		return nil, nil, "", err
	}
	s, err := a.openAhead(p, ahead)
	if err != nil {
		return nil, nil, "", err
	}
	if edited != "" {
		s.notices = append(s.notices, edited)
	}
	if text := p.chosen.notice(); text != "" {
		s.notices = append(s.notices, text)
	}
	return s, ids, name, nil
}

// readAhead begins to read what is remembered of the project while it is
// planned; nil if it is not known where either is, which others tell.
func (a *app) readAhead() *tree.Ahead {
	root, _, err := a.findFile()
	if err != nil {
		return nil
	}
	cache, err := a.cacheDir()
	if err != nil {
		return nil
	}
	return tree.ReadAhead(stateDir(cache, root))
}

func (s *session) close() error {
	var errs []error
	if s.scratch != nil {
		errs = append(errs, s.scratch.Close())
	}
	if s.space != nil {
		errs = append(errs, s.space.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// options are those of a run that looks up only.
func (s *session) options() engine.Options {
	file, stamp := program()
	// What was found out with the help of a bundle's answers is remembered for
	// source of that scope alone.
	if !s.store.Scope.IsZero() && stamp != "" {
		stamp += " scope " + s.store.Scope.String()
	}
	names := make([]string, len(s.plan.Pipelines))
	for i, p := range s.plan.Pipelines {
		names[i] = p.Name
	}
	return engine.Options{
		File: s.file, Pipelines: names,
		Tracked: tracked(s.root),
		Store:   s.store, Workspace: s.space,
		Jobs: s.app.jobs, KeepGoing: s.app.keepGoing, Program: stamp, ProgramFile: file,
		Memory: s.memory(), SecretSalt: s.salt,
	}
}

// memory is what steps that declare theirs may take together: all that this
// host lets a program use. Zero if no step declares any.
func (s *session) memory() int64 {
	if !slices.ContainsFunc(s.plan.Graph.Steps, func(step engine.Step) bool { return step.Memory > 0 }) {
		return 0
	}
	return host.TakeMemory().Usable()
}

// program is airbuild's own executable, and what tells it from another one in
// the same place; both empty if that cannot be known.
func program() (file, stamp string) {
	name, err := os.Executable()
	if err != nil {
		return "", ""
	}
	fi, err := os.Stat(name)
	if err != nil {
		return "", ""
	}
	return filepath.ToSlash(name), fmt.Sprintf("%s %d %d", name, fi.Size(), fi.ModTime().UnixNano())
}

// executor runs steps on this machine.
func (s *session) executor() (engine.Executor, error) {
	scratch, err := local.OpenScratch(filepath.Join(s.store.Dir(), "scratch"))
	if err != nil {
		return nil, err
	}
	s.scratch = scratch
	launchers := map[string]engine.Launcher{"go": golang.NewLauncher(s.gocf)}
	reach := map[string]engine.Reacher{"go": golang.NewReacher(s.gocf)}
	e := engine.Executor(&local.Executor{
		Store: s.store, Workspace: s.space, Scratch: scratch,
		Tools:     pipelines.Tools(s.gocf, s.keys, s.packages, s.outward),
		Launchers: launchers,
		Environ:   os.Environ(),
		Sandbox:   s.app.sandbox(),
		Fixed:     golang.FixedVariables(),
		Tracer:    s.app.tracer,
		Vary:      s.app.vary,
		Hide:      s.private(),
		Reach:     reach,
	})
	if e, err = s.withCompileCache(e, launchers, reach); err != nil {
		return nil, err
	}
	if s.app.offline {
		e = offlineExecutor{e, s.gocf}
	}
	return e, nil
}
