package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/module"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang"
	"github.com/airbuild/airbuild/tasks/linuxpkg"
	"github.com/airbuild/airbuild/tasks/sign"
)

// fileName is the Airbuildfile's.
const fileName = "Airbuildfile"

// A project is an Airbuildfile that was found and planned.
type project struct {
	root string // absolute: the folder of the Airbuildfile
	file string // its name in root
	plan *pipelines.Plan
	gocf *golang.Config
	keys *sign.Config
	// packages tells the tools of package stages which keys sign.
	packages *linuxpkg.Config
	outward  *pipelines.Outward
	chosen   *toolchains
	// wanted are the versions of the toolchains that the file asked for.
	wanted map[string]string
	env    func(string) (string, bool) // for Go
	read   *readLog                    // what planning read
	from   *source.Carried             // the imported bundle that the source came with, or nil
	// identity is what the source was read to be, if whether it is dirty was asked.
	identity *source.Info
}

// findFile returns the project's root and the file's name in it: the file that
// was asked for, or the nearest one, walking up from the working directory.
func (a *app) findFile() (root, name string, err error) {
	if a.file != "" {
		abs, err := filepath.Abs(a.file)
		if err != nil {
			return "", "", fmt.Errorf("find %s: %w", a.file, err)
		}
		if fi, err := os.Stat(abs); err != nil {
			return "", "", exit.UsageError("--file: %w", err)
		} else if fi.IsDir() {
			return "", "", exit.UsageError("--file: %s is a directory", a.file)
		}
		return filepath.Dir(abs), filepath.Base(abs), nil
	}
	wd, err := os.Getwd()
	if err != nil {
		return "", "", fmt.Errorf("find %s: %w", fileName, err)
	}
	for dir := wd; ; {
		if fi, err := os.Stat(filepath.Join(dir, fileName)); err == nil && fi.Mode().IsRegular() {
			return dir, fileName, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", "", exit.UsageError("there is no %s in %s or above it.\nTo write one: airbuild init", fileName, wd)
		}
		dir = up
	}
}

// load finds and plans the project. Diagnostics are shown, on js if it is not
// nil; with an error among them the command ends with exitUsage.
func (a *app) load(ctx context.Context, js *ui.JSONSink) (*project, error) {
	vars, err := a.variables()
	if err != nil {
		return nil, err
	}
	root, name, err := a.findFile()
	if err != nil {
		return nil, err
	}
	p := &project{root: root, file: name, wanted: map[string]string{}, env: a.lookupEnv}
	from, err := a.decideOffline(root)
	if err != nil {
		return nil, err
	}
	p.from = from
	offline, err := a.offlineGo(from)
	if err != nil {
		return nil, err
	}
	chosen := a.toolchains(p, from)
	p.gocf = &golang.Config{Toolchain: chosen.golang, LookupEnv: p.env, Root: root, Offline: offline, FixedPath: func() bool { return a.sandbox().FixedPaths(ctx) }}
	a.configure(p)
	o := a.planOptions(ctx, p, vars, func(name, wanted string, dirs []string) error {
		p.wanted[name] = wanted
		return chosen.resolve(name, wanted, dirs)
	})
	p.read = newReadLog(tasks.ProjectFiles(root))
	plan, diags, err := loadPlan(ctx, p.read, name, o)
	// What no stage makes any more may have been taken for sources; without it
	// less may be made.
	for range staleRounds {
		if err != nil {
			break
		}
		stale := a.stale(p, plan, diags)
		if len(stale) <= len(o.Stale) {
			break
		}
		o.Stale = stale
		p.read = newReadLog(tasks.ProjectFiles(root))
		plan, diags, err = loadPlan(ctx, p.read, name, o)
	}
	if err != nil {
		return nil, err
	}
	p.plan, p.chosen = plan, chosen
	return p, a.show(diags, plan.Sources, js)
}

// lacking shows which toolchains steps would need and this host does not have.
func (a *app) lacking(p *project, ids []engine.StepID, js *ui.JSONSink) error {
	err := a.show(p.plan.Lacking(ids), p.plan.Sources, js)
	if err != nil && a.offline {
		return exit.Silent(exit.Offline)
	}
	return err
}

// staleRounds bounds how often a project is planned because of stale files.
const staleRounds = 4

// stale lists what a run of the plan removes first, if the plan is right.
func (a *app) stale(p *project, plan *pipelines.Plan, diags hcl.Diagnostics) []string {
	cache, err := a.cacheDir()
	if err != nil || diags.HasErrors() {
		return nil
	}
	return engine.Stale(p.root, stateDir(cache, p.root), plan.Dist, plan.Graph, engine.Options{File: p.file, Tracked: tracked(p.root)})
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

// configure gives p what its stage types other than Go's take from outside.
func (a *app) configure(p *project) {
	p.packages, p.outward = &linuxpkg.Config{}, a.outward()
	p.keys = &sign.Config{Password: func(ctx context.Context, name string) (string, error) { return a.keyPassword(ctx, name)() }}
}

// planOptions are those of planning p from its folder.
func (a *app) planOptions(ctx context.Context, p *project, vars map[string]string, toolchain func(name, wanted string, dirs []string) error) pipelines.Options {
	return pipelines.Options{
		Inputs: dsl.Inputs{
			Vars: vars, VarFiles: a.varFiles, ReadFile: os.ReadFile, Environment: a.environment,
			LookupEnv: a.lookupEnv, HostOS: runtime.GOOS, HostArch: runtime.GOARCH,
			Git: func(attrs []string) (*dsl.Git, error) { return a.readGit(ctx, p, attrs) },
		},
		Project: tasks.Project{
			Root: p.root, Files: tasks.ProjectFiles(p.root), Environ: a.lookupEnv,
			FindTool: exec.LookPath, HostOS: runtime.GOOS, HostArch: runtime.GOARCH,
			Confirmed: a.confirmed(), GoModules: p.gocf.ModuleDirs(),
		},
		Tasks:     pipelines.Tasks(p.gocf, p.keys, p.packages, p.outward),
		Version:   releaseOf(readVersion().Version),
		Toolchain: toolchain,
	}
}

// confirmed reports whether stages may send things out: the user said so, or
// this is CI, where somebody decided it by what starts the job.
func (a *app) confirmed() bool {
	ci, _ := a.lookupEnv("CI")
	return a.yes || ci != "" && ci != "false" && ci != "0"
}

// releaseOf is the release that a version names, for required_version; "" for a
// build of some commit, which Go gives a version below all releases and git
// none. What git describes as so many commits after a release counts as that.
func releaseOf(version string) string {
	version = strings.TrimSuffix(strings.TrimSuffix(version, "+dirty"), "-dirty")
	if module.IsPseudoVersion(version) || isHex(version) {
		return ""
	}
	parts := strings.Split(version, "-")
	if n := len(parts); n > 2 && isDecimal(parts[n-2]) && strings.HasPrefix(parts[n-1], "g") && isHex(parts[n-1][1:]) {
		version = strings.Join(parts[:n-2], "-")
	}
	return strings.TrimPrefix(version, "v")
}

// isHex reports whether a text can be what git abbreviates a commit to.
func isHex(s string) bool { return len(s) >= 4 && strings.Trim(s, "0123456789abcdef") == "" }

func isDecimal(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// variables reads the --var flags.
func (a *app) variables() (map[string]string, error) {
	vars := map[string]string{}
	for _, v := range a.vars {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" {
			return nil, exit.UsageError("--var %q: want NAME=VALUE", v)
		}
		vars[name] = value
	}
	return vars, nil
}

// readGit is source.Read in the language's words, with git's answers remembered
// in the workspace's state. Without git and without source.json there is none,
// which is for the language to say.
func (a *app) readGit(ctx context.Context, p *project, attrs []string) (*dsl.Git, error) {
	if i := a.source; i != nil {
		return gitOf(i), nil
	}
	var o source.Options
	if cache, err := a.cacheDir(); err == nil && !a.paranoid {
		o.State = stateDir(cache, p.root)
	}
	info, err := source.Read(ctx, p.root, attrs, o)
	if err != nil {
		return nil, err
	}
	if slices.Contains(attrs, "dirty") || slices.Contains(attrs, "describe") {
		p.identity = info
	}
	return gitOf(info), nil
}

// editedNotice says that carried source is not what was carried, "" if it is.
func (a *app) editedNotice(ctx context.Context, p *project) (string, error) {
	if p.from == nil || a.source != nil {
		return "", nil
	}
	if p.identity == nil {
		var none *source.NoIdentityError
		if _, err := a.readGit(ctx, p, []string{"dirty"}); errors.As(err, &none) {
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

// toolchains remembers the Go toolchain that the file asked for.
type toolchains struct {
	env     func(string) (string, bool)
	root    string // the project's
	carried string // where imports leave toolchains
	// prefer is the version that the source's bundle was made with: any other
	// that would do finds nothing in the cache.
	prefer  string
	offline bool
	mu      sync.Mutex
	found   *golang.Toolchain
	// required is what made found another one than the go command on PATH.
	required golang.Requirement
}

// toolchains looks for Go where the user and imports put it.
func (a *app) toolchains(p *project, from *source.Carried) *toolchains {
	t := &toolchains{env: p.env, root: p.root, offline: a.offline}
	if cache, err := a.cacheDir(); err == nil {
		t.carried = filepath.Join(carriedDir(cache), "toolchains")
	}
	if from != nil && a.offline {
		t.prefer = from.Go
	}
	return t
}

// resolve finds the toolchain of a program. Only Go's is known. Without a wanted
// version it is what the modules of dirs, relative to the project, require.
func (t *toolchains) resolve(name, wanted string, dirs []string) error {
	if name != "go" {
		return fmt.Errorf("find toolchain %q: only \"go\" is known", name)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.prefer != "" && golang.Satisfies(wanted, t.prefer) {
		if found, err := golang.FindToolchain(t.prefer, t.env, exec.LookPath, t.carried); err == nil {
			t.found = found
			return nil
		}
	}
	found, err := t.find(wanted, dirs)
	if err == nil {
		t.found = found
		return nil
	}
	if t.offline {
		return fmt.Errorf("%w; this run is offline: a bundle with the component %q would bring it", err, toolchainComponent())
	}
	return err
}

func (t *toolchains) find(wanted string, dirs []string) (*golang.Toolchain, error) {
	if wanted != "" {
		return golang.FindToolchain(wanted, t.env, exec.LookPath, t.carried)
	}
	required, err := golang.Required(t.root, dirs, t.env)
	if err != nil {
		return nil, err
	}
	found, err := golang.ChooseToolchain(required, t.env, exec.LookPath, t.carried)
	if err == nil && required.Version != "" {
		if usual, err := golang.FindToolchain("", t.env, exec.LookPath, t.carried); err != nil || usual.Root != found.Root {
			t.required = required
		}
	}
	return found, err
}

// notice says which toolchain was taken where nobody would expect it; "" if it is
// the one on PATH, or the one that a toolchain block names.
func (t *toolchains) notice() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.required.Version == "" || t.found == nil {
		return ""
	}
	return fmt.Sprintf("using %s from %s, because of %s; a toolchain block in the Airbuildfile would pin it", t.found.Version, t.found.Root, t.required)
}

// golang is the toolchain that was resolved, or whatever is there.
func (t *toolchains) golang() (*golang.Toolchain, error) {
	t.mu.Lock()
	found := t.found
	t.mu.Unlock()
	if found != nil {
		return found, nil
	}
	if err := t.resolve("go", "", nil); err != nil {
		return nil, err
	}
	return t.found, nil
}

// show tells diagnostics, and returns an error if one of them is.
func (a *app) show(diags hcl.Diagnostics, sources map[string][]byte, js *ui.JSONSink) error {
	if js != nil {
		for _, d := range diags {
			js.Diagnostic(jsonDiagnostic(d))
		}
	} else if len(diags) > 0 {
		p := ui.NewPalette(a.paintErrors())
		style := dsl.Style{Bold: p.Bold, Error: p.Red, Warning: p.Yellow, Dim: p.Dim}
		if err := dsl.WriteDiagnostics(a.err, diags, sources, style); err != nil {
			return err
		}
	}
	if !diags.HasErrors() {
		return nil
	}
	for _, d := range diags {
		if _, host := hcl.DiagnosticExtra[pipelines.HostProblem](d); d.Severity == hcl.DiagError && !host {
			return exit.Silent(exit.Usage)
		}
	}
	return exit.Silent(exit.Failed) // the file is right, the machine lacks something
}

func jsonDiagnostic(d *hcl.Diagnostic) ui.Diagnostic {
	out := ui.Diagnostic{Severity: "error", Summary: d.Summary, Detail: d.Detail}
	if d.Severity == hcl.DiagWarning {
		out.Severity = "warning"
	}
	if s := d.Subject; s != nil {
		out.File, out.Line, out.Column = s.Filename, s.Start.Line, s.Start.Column
	}
	return out
}

// targets turns what was asked for into steps, and names the pipeline if it is
// exactly one.
func (p *project) targets(args []string) (ids []engine.StepID, name string, err error) {
	ids, names, err := p.plan.Select(args)
	if err != nil {
		return nil, "", exit.UsageError("%w", err)
	}
	if len(names) == 1 && p.plan.Pipeline(names[0]) != nil {
		name = names[0]
	}
	return ids, name, nil
}

// exists reports whether a file is there; an error other than its absence is
// for the one who opens it to tell.
func exists(name string) bool {
	_, err := os.Stat(name)
	return !errors.Is(err, fs.ErrNotExist)
}
