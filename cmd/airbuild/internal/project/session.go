package project

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

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/bundle/install"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/memo"
	"github.com/airbuild/airbuild/engine/store"
	"github.com/airbuild/airbuild/engine/tree"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// stateDir is where the project at root keeps what costs only time to lose. A
// project that is reached through a symbolic link is the same project.
func stateDir(cache, root string) string {
	if real, err := filepath.EvalSymlinks(root); err == nil {
		root = real
	}
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(cache, "workspaces", hex.EncodeToString(sum[:8]))
}

// A Session is a project with all that running it needs, open.
type Session struct {
	*Project
	Store     *store.Disk
	Workspace *tree.Workspace
	memo      *memo.Memo // nil if inputs are not remembered
	scratch   *local.Scratch
	salt      []byte // see secretSalt
	// notices are what a run says at its end.
	Notices []string
}

// Open opens the store and the workspace of p. Reading what is remembered has
// begun unless pre is nil.
func (p *Project) Open(pre *Preloaded) (_ *Session, err error) {
	cache, err := p.Options.CacheDir()
	if err != nil {
		return nil, err
	}
	s := &Session{Project: p}
	if s.salt, err = p.secretSalt(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.Store, err = store.Open(cache); err != nil {
		return nil, otherCache(err)
	}
	s.Store.Scopes = func() []store.Scope { return install.Scopes(cache) }
	if p.Carried != nil {
		if s.Store.Scope, err = install.ScopeOf(cache, p.Carried.Bundle); err != nil {
			return nil, err
		}
	}
	if pre == nil {
		pre = p.Options.preload(cache, p.Root)
	}
	if s.Workspace, err = pre.workspace.Open(p.Root, p.Plan.Dist); err != nil {
		return nil, otherCache(err)
	}
	if s.memo = pre.memo; s.memo != nil {
		s.memo.Workspace = s.Workspace
	}
	s.Workspace.IgnoreCache(cache)
	s.Workspace.IsSource = load.SourceName
	s.Store.Paranoid, s.Workspace.Paranoid = p.Options.Paranoid, p.Options.Paranoid
	return s, nil
}

// otherCache adds what to do where the cache is no directory that can be written.
// Looking up writes too: what is remembered of files, so that they are not read
// again.
func otherCache(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); !ok {
		return err
	}
	return fmt.Errorf("%w\nThe cache must be a directory that can be written; --cache or AIRBUILD_CACHE names another one", err)
}

// OpenTargets loads the project, finds the steps that the arguments ask for, with
// the pipeline's name if it is exactly one, and opens what running them needs.
func OpenTargets(ctx context.Context, opts Options, args []string) (*Session, []engine.StepID, string, error) {
	pre := opts.preloadFound()
	p, err := Load(ctx, opts)
	if err != nil {
		return nil, nil, "", err
	}
	ids, name, err := p.Targets(args)
	if err != nil {
		return nil, nil, "", err
	}
	if err := p.RefuseLacking(ids, opts.Show); err != nil {
		return nil, nil, "", err
	}
	edited, err := p.editedNotice(ctx)
	if err != nil {
		return nil, nil, "", err
	}
	s, err := p.Open(pre)
	if err != nil {
		return nil, nil, "", err
	}
	if edited != "" {
		s.Notices = append(s.Notices, edited)
	}
	if text := p.Toolchains.notice(); text != "" {
		s.Notices = append(s.Notices, text)
	}
	return s, ids, name, nil
}

// A Preloaded is what is remembered of a project, read in the background while the
// project is planned.
type Preloaded struct {
	workspace *tree.Preloaded
	memo      *memo.Memo
}

func (o *Options) preload(cache, root string) *Preloaded {
	state := stateDir(cache, root)
	pre := &Preloaded{workspace: tree.Preload(state)}
	if !o.Paranoid { // then nothing that was remembered counts
		pre.memo = memo.Open(state)
	}
	return pre
}

// preloadFound begins to read what is remembered of the project that the options
// name; nil if it or the cache is not found, which is reported later.
func (o *Options) preloadFound() *Preloaded {
	root, _, err := o.FindFile()
	if err != nil {
		return nil
	}
	cache, err := o.CacheDir()
	if err != nil {
		return nil
	}
	return o.preload(cache, root)
}

func (s *Session) Close() error {
	var errs []error
	if s.scratch != nil {
		errs = append(errs, s.scratch.Close())
	}
	if s.memo != nil {
		errs = append(errs, s.memo.Save())
	}
	if s.Workspace != nil {
		errs = append(errs, s.Workspace.Close())
	}
	if s.Store != nil {
		errs = append(errs, s.Store.Close())
	}
	return errors.Join(errs...)
}

// RunOptions are those of a run that looks up only.
func (s *Session) RunOptions() engine.Options {
	file, stamp := program()
	// Inputs that were imported from a bundle are remembered for source of its
	// scope alone.
	if !s.Store.Scope.IsZero() && stamp != "" {
		stamp += " scope " + s.Store.Scope.String()
	}
	names := make([]string, len(s.Plan.Pipelines))
	for i, p := range s.Plan.Pipelines {
		names[i] = p.Name
	}
	return engine.Options{
		File: s.File, Pipelines: names,
		Tracked: tracked(s.Root),
		Store:   s.Store, Workspace: s.Workspace, Memo: s.memo,
		Jobs: s.Options.Jobs, KeepGoing: s.Options.KeepGoing, Program: stamp, ProgramFile: file,
		Memory: s.memory(), SecretSalt: s.salt,
	}
}

// memory is what steps that declare theirs may take together: all that this
// host lets a program use. Zero if no step declares any.
func (s *Session) memory() int64 {
	if !slices.ContainsFunc(s.Plan.Graph.Steps, func(step engine.Step) bool { return step.Memory > 0 }) {
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

// Executor runs steps on this machine.
func (s *Session) Executor() (engine.Executor, error) {
	scratch, err := local.OpenScratch(filepath.Join(s.Store.Dir(), "scratch"))
	if err != nil {
		return nil, err
	}
	s.scratch = scratch
	launchers := map[string]engine.Launcher{"go": closure.NewLauncher(s.Go)}
	hostPaths := map[string]engine.HostPaths{"go": closure.NewHostPaths(s.Go)}
	e := engine.Executor(&local.Executor{
		Store: s.Store, Workspace: s.Workspace, Scratch: scratch,
		Tools:     pipelines.Tools(s.Go, s.keys, s.ExternalSettings),
		Launchers: launchers,
		Environ:   os.Environ(),
		Sandbox:   s.Options.Sandbox.Host(),
		Fixed:     closure.FixedVariables(),
		Tracer:    s.Options.Tracer,
		Vary:      s.Options.Vary,
		Hide:      s.private(),
		HostPaths: hostPaths,
	})
	if e, err = s.withCompileCache(e, launchers, hostPaths); err != nil {
		return nil, err
	}
	if s.Options.Offline {
		e = offlineExecutor{e, s.Go}
	}
	return e, nil
}

// Outcome is the exit code of a run whose failures have been shown.
func Outcome(s *engine.Summary) error {
	switch {
	case s.Interrupted:
		return exit.Silent(exit.Interrupted)
	case s.OK():
		return nil
	}
	for _, f := range s.Failures {
		if isUnavailable(f.Err) {
			return exit.Silent(exit.Offline)
		}
	}
	return exit.Silent(exit.Failed)
}
