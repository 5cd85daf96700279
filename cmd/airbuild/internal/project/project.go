package project

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"runtime"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/sign"
)

// A Project is an Airbuildfile that was found and planned.
type Project struct {
	// Options are those it was opened with; Offline is what was decided.
	Options          Options
	Root             string // absolute: the folder of the Airbuildfile
	File             string // its name in root
	Plan             *pipelines.Plan
	Go               *gocmd.Config
	keys             *sign.Config
	ExternalSettings *pipelines.ExternalSettings
	Toolchains       *Toolchains
	// Wanted are the versions of the toolchains that the file asked for.
	Wanted  map[string]string
	Files   *ReadLog        // what planning read
	Carried *source.Carried // the imported bundle that the source came with, or nil
	// identity is what the source was read to be, if whether it is dirty was asked.
	identity *source.Info
	// What planning asked of git, for what stands in git's place elsewhere: the
	// rules for tags, further attributes, and what stages make.
	rules source.Rules
	asked []string
	makes func(name string) bool
	found *source.Info // what git said of the repository for the go command
}

// Load finds and plans a project. Diagnostics are shown; with an error among
// them the error is what showing them gave.
func Load(ctx context.Context, opts Options) (*Project, error) {
	if _, err := opts.Variables(); err != nil {
		return nil, err
	}
	root, name, err := opts.FindFile()
	if err != nil {
		return nil, err
	}
	p := &Project{Options: opts, Root: root, File: name, Wanted: map[string]string{}}
	if p.Carried, err = p.Options.decideOffline(root); err != nil {
		return nil, err
	}
	offline, err := p.Options.offlineGo(p.Carried)
	if err != nil {
		return nil, err
	}
	chosen := p.newToolchains()
	p.Go = &gocmd.Config{Toolchain: chosen.Golang, LookupEnv: opts.LookupEnv, Root: root, Offline: offline, FixedPath: func() bool { return p.Options.Sandbox.Host().FixedPaths(ctx) }}
	p.configure()
	o, err := p.planOptions(ctx, func(name, wanted string, dirs []string) error {
		p.Wanted[name] = wanted
		return chosen.Resolve(name, wanted, dirs)
	})
	if err != nil {
		return nil, err
	}
	p.Files = newReadLog(tasks.ProjectFiles(root))
	plan, diags, err := loadPlan(ctx, p.Files, name, o)
	// What no stage makes any more may have been taken for sources; without it
	// less may be made.
	for range staleRounds {
		if err != nil {
			break
		}
		stale := p.stale(plan, diags)
		if len(stale) <= len(o.Stale) {
			break
		}
		o.Stale = stale
		p.Files = newReadLog(tasks.ProjectFiles(root))
		plan, diags, err = loadPlan(ctx, p.Files, name, o)
	}
	if err != nil {
		return nil, err
	}
	p.Plan, p.Toolchains = plan, chosen
	return p, opts.Show(diags, plan.Sources)
}

// RefuseLacking shows which toolchains steps would need and this host does not have.
func (p *Project) RefuseLacking(ids []engine.StepID, show ShowFunc) error {
	err := show(p.Plan.Lacking(ids), p.Plan.Sources)
	if err != nil && p.Options.Offline {
		return exit.Silent(exit.Offline)
	}
	return err
}

// New is a project for Preview to plan; gocf is how its Go stages see it.
func New(opts Options, root, file string, gocf *gocmd.Config) *Project {
	p := &Project{Options: opts, Root: root, File: file, Go: gocf}
	p.configure()
	return p
}

// Preview plans files as the project's, and toolchain answers for toolchains.
func (p *Project) Preview(ctx context.Context, files fs.FS, toolchain func(name, wanted string, dirs []string) error) (*pipelines.Plan, hcl.Diagnostics, error) {
	o, err := p.planOptions(ctx, toolchain)
	if err != nil {
		return nil, nil, err
	}
	o.Project.Files = files
	return loadPlan(ctx, files, p.File, o)
}

// StageTypes are the stage types, by name.
func (p *Project) StageTypes() map[string]tasks.Task {
	return pipelines.Tasks(p.Go, p.keys, p.ExternalSettings)
}

// staleRounds bounds how often a project is planned because of stale files.
const staleRounds = 4

// stale lists what a run of the plan removes first, if the plan is right.
func (p *Project) stale(plan *pipelines.Plan, diags hcl.Diagnostics) []string {
	cache, err := p.Options.CacheDir()
	if err != nil || diags.HasErrors() {
		return nil
	}
	return engine.Stale(p.Root, stateDir(cache, p.Root), plan.Dist, plan.Graph, engine.Options{File: p.File, Tracked: tracked(p.Root)})
}

// tracked asks git which paths of a project it knows.
func tracked(root string) func(paths []string) map[string]bool {
	return func(paths []string) map[string]bool { return source.Tracked(context.Background(), root, paths) }
}

// loadPlan is pipelines.Load that ends when the context does: what the file's
// expressions take is bounded, and still more than somebody who interrupts it
// wants to wait for. What is left of it ends with the program.
func loadPlan(ctx context.Context, files fs.FS, name string, o pipelines.Options) (*pipelines.Plan, hcl.Diagnostics, error) {
	type loaded struct {
		plan  *pipelines.Plan
		diags hcl.Diagnostics
	}
	done := make(chan loaded, 1)
	go func() {
		plan, diags := pipelines.Load(files, name, o)
		done <- loaded{plan, diags}
	}()
	select {
	case l := <-done:
		return l.plan, l.diags, ctx.Err()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

// configure sets what the stage types other than Go's take from outside.
func (p *Project) configure() {
	o := &p.Options
	p.ExternalSettings = &pipelines.ExternalSettings{}
	p.ExternalSettings.Deploy.Environment, p.ExternalSettings.Deploy.DryRun = o.Environment, o.DryDeploy
	p.ExternalSettings.Approval.Environment = o.Environment
	p.ExternalSettings.Publish.DryRun = o.DryPublish
	p.keys = &sign.Config{Password: o.Password}
}

// planOptions are those of planning p from its folder.
func (p *Project) planOptions(ctx context.Context, toolchain func(name, wanted string, dirs []string) error) (pipelines.Options, error) {
	a := &p.Options
	vars, err := a.Variables()
	return pipelines.Options{
		Inputs: dsl.Inputs{
			Vars: vars, VarFiles: a.VarFiles, ReadFile: os.ReadFile, Environment: a.Environment,
			LookupEnv: a.LookupEnv, HostOS: runtime.GOOS, HostArch: runtime.GOARCH,
			Git: func(attrs []string) (*dsl.Git, error) { return p.readGit(ctx, attrs) },
		},
		Project: tasks.Project{
			Root: p.Root, Files: tasks.ProjectFiles(p.Root), Environ: a.LookupEnv,
			FindTool: exec.LookPath, HostOS: runtime.GOOS, HostArch: runtime.GOARCH,
			Confirmed: a.Confirmed(), GoModules: p.Go.ModuleDirs(),
		},
		TagRules:  func(r dsl.TagRules) { p.rules = source.Rules(r) },
		Build:     func(makes func(string) bool) (*tasks.Commit, error) { return p.build(ctx, makes) },
		Tasks:     p.StageTypes(),
		Version:   releaseOf(a.Version),
		Toolchain: toolchain,
	}, err
}

// Targets turns what was asked for into steps, and names the pipeline if it is
// exactly one.
func (p *Project) Targets(args []string) (ids []engine.StepID, name string, err error) {
	ids, names, err := p.Plan.Select(args)
	if err != nil {
		return nil, "", exit.UsageError("%w", err)
	}
	if len(names) == 1 && p.Plan.Pipeline(names[0]) != nil {
		name = names[0]
	}
	return ids, name, nil
}

// Exists reports whether a file is there; an error other than its absence is
// for the one who opens it to tell.
func Exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
