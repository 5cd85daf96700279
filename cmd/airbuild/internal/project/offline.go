package project

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// CarriedDir is what imports of bundles leave below the cache directory.
func CarriedDir(cache string) string { return filepath.Join(cache, "carried") }

// decideOffline makes the run an offline one if the source in root came with a
// bundle that is imported here, unless the user has set --offline or its
// contrary. It returns what the source came with, nil if with none.
func (o *Options) decideOffline(root string) (*source.Carried, error) {
	from, err := source.ReadCarried(root)
	if err != nil {
		return nil, err
	}
	if from == nil {
		return nil, nil
	}
	cache, err := o.CacheDir()
	if err != nil {
		return nil, err
	}
	if !Exists(filepath.Join(CarriedDir(cache), "bundles", from.Bundle+".json")) {
		return nil, nil // imported elsewhere: here the source is like any other
	}
	if o.OfflineSet == nil || !o.OfflineSet() {
		o.Offline = true
	}
	return from, nil
}

// offlineGo is where Go steps find modules when the run is offline; nil when
// it is not. Source that came with a bundle gets what was carried and nothing
// else; other source may also use local trees of the user's GOPROXY and the
// user's module cache.
func (o *Options) offlineGo(from *source.Carried) (*gocmd.Offline, error) {
	if !o.Offline {
		return nil, nil
	}
	cache, err := o.CacheDir()
	if err != nil {
		return nil, err
	}
	g := &gocmd.Offline{}
	if tree := filepath.Join(CarriedDir(cache), "goproxy"); Exists(tree) {
		g.Carried, g.Home = tree, filepath.Join(CarriedDir(cache), "go")
	}
	if from != nil && g.Carried != "" {
		return g, nil
	}
	g.Proxies = localTrees(goProxy(o.LookupEnv))
	if g.Carried != "" {
		if dir := userModules(o.LookupEnv); dir != "" {
			g.Proxies = append(g.Proxies, gocmd.ProxyURL(filepath.Join(dir, "cache", "download")))
		}
	}
	return g, nil
}

// userModules is the user's module cache as the environment has it, "" if
// nothing says.
func userModules(lookup func(string) (string, bool)) string {
	if dir, _ := lookup("GOMODCACHE"); dir != "" {
		return dir
	}
	if list, _ := lookup("GOPATH"); list != "" {
		return filepath.Join(filepath.SplitList(list)[0], "pkg", "mod")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, "go", "pkg", "mod")
	}
	return ""
}

// localTrees are those entries of a GOPROXY that are local trees.
func localTrees(list string) []string {
	var keep []string
	for _, e := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '|' }) {
		if e = strings.TrimSpace(e); strings.HasPrefix(e, "file://") {
			keep = append(keep, e)
		}
	}
	return keep
}

// goProxy is the user's GOPROXY: of the environment, or of the file that
// `go env -w` writes.
func goProxy(lookup func(string) (string, bool)) string {
	if v, ok := lookup("GOPROXY"); ok && v != "" {
		return v
	}
	file, _ := lookup("GOENV")
	if file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return ""
		}
		file = filepath.Join(dir, "go", "env")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return "" // none, or GOENV=off
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "GOPROXY="); ok {
			return v
		}
	}
	return ""
}

// toolchainComponent is the bundle component that brings Go to this host.
func toolchainComponent() string { return "toolchain/" + runtime.GOOS + "-" + runtime.GOARCH }

// An offlineExecutor refuses steps that need the network, and lets none of the
// others reach it.
type offlineExecutor struct {
	engine.Executor
	gocf *gocmd.Config
}

// Execute implements engine.Executor.
func (e offlineExecutor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	if !p.Step.Network {
		return e.Executor.Execute(ctx, p)
	}
	if err := e.gocf.WorksOffline(ctx, p.Step); err != nil {
		return nil, err
	}
	step, inner, output := *p.Step, *p, &tail{}
	step.Network = false
	inner.Step, inner.Log = &step, io.MultiWriter(p.Log, output)
	r, err := e.Executor.Execute(ctx, &inner)
	p.Compiled = inner.Compiled
	if ctx.Err() == nil && (err != nil || r.ExitCode != 0) && gocmd.LacksModules(output.bytes()) {
		return nil, &gocmd.Unavailable{What: "a module that it requires", Component: "modules", Err: err}
	}
	return r, err
}

// A tail keeps the end of what is written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

const tailSize = 32 << 10 // bytes

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	if n := len(t.b) - tailSize; n > tailSize {
		t.b = append(t.b[:0], t.b[n:]...)
	}
	return len(b), nil
}

func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b
}

// A refusal is a step that an offline run cannot do.
type refusal struct {
	id   engine.StepID
	step *engine.Step
	err  error
}

// An offlineCheck looks at a dry run for steps that an offline run cannot do.
// Of a step whose key is not known yet nothing is said: its result may turn
// out to be in the cache, and if not, the executor refuses it.
type offlineCheck struct {
	ctx      context.Context
	gocf     *gocmd.Config
	refusals []refusal
}

// see takes in one event. The engine calls it from one goroutine.
func (c *offlineCheck) see(e engine.Event) {
	if e.Kind != engine.StepFinished {
		return
	}
	switch e.Status {
	case engine.WouldRun:
		if e.Step.Network && !e.Key.IsZero() {
			if err := c.gocf.WorksOffline(c.ctx, e.Step); err != nil {
				c.refusals = append(c.refusals, refusal{e.ID, e.Step, err})
			}
		}
	case engine.Failed:
		if isUnavailable(e.Err) {
			c.refusals = append(c.refusals, refusal{e.ID, e.Step, e.Err})
		}
	}
}

// isUnavailable reports whether a step failed for want of the network.
func isUnavailable(err error) bool {
	var u *gocmd.Unavailable
	return errors.As(err, &u)
}

// Err is what ends the command: each step, the reason, and what would help.
func (c *offlineCheck) Err() error {
	if len(c.refusals) == 0 {
		return nil
	}
	slices.SortFunc(c.refusals, func(a, b refusal) int { return int(a.id - b.id) })
	return exit.With(exit.Offline, errors.New(strings.Join(lists.Map(c.refusals, func(r refusal) string { return r.text() }), "\n")))
}

func (r refusal) text() string {
	text := fmt.Sprintf("%s (%s): ", r.step.Name, r.step.Type)
	if r.step.Network {
		text += "it needs the network, is not in the cache, and "
	}
	if u, ok := errors.AsType[*gocmd.Unavailable](r.err); ok {
		return text + u.Reason()
	}
	return text + r.err.Error()
}

// RefuseOffline looks up the steps among targets and their needs that an
// offline run may not be able to do, and fails with exitOffline before
// anything runs if one of them is not in the store. Where all modules are at
// hand it looks at nothing.
func (s *Session) RefuseOffline(ctx context.Context, targets []engine.StepID) error {
	doubtful, err := s.doubtful(ctx, targets)
	if err != nil || len(doubtful) == 0 {
		return err
	}
	check := &offlineCheck{ctx: ctx, gocf: s.Go}
	o := s.RunOptions()
	o.DryRun, o.KeepGoing, o.OnEvent = true, true, check.see
	if _, err := engine.Run(ctx, s.Plan.Graph, doubtful, o); err != nil {
		return err
	}
	return check.Err()
}

// ForceOffline are the steps that an offline run with --force makes again: all
// but those that cannot run without the network. Their results are taken from the
// cache, and a notice says so.
func (s *Session) ForceOffline(ctx context.Context, targets []engine.StepID) (map[engine.StepID]bool, error) {
	forced := map[engine.StepID]bool{}
	for _, id := range s.Plan.Graph.Closure(targets) {
		step := &s.Plan.Graph.Steps[id]
		forced[id] = !step.Network || s.Go.WorksOffline(ctx, step) == nil
		if !forced[id] && !step.NoCache {
			s.Notices = append(s.Notices, fmt.Sprintf("%s was not run again, because it needs the network: its result in the cache is used", step.Name))
		}
	}
	return forced, ctx.Err()
}

// CheckDryRun looks along at the events of a dry run that is shown, if the run
// is offline. In other runs it sees nothing and finds nothing.
func (s *Session) CheckDryRun(ctx context.Context, o *engine.Options) *offlineCheck {
	check := &offlineCheck{ctx: ctx, gocf: s.Go}
	if s.Options.Offline && o.DryRun {
		show := o.OnEvent
		o.OnEvent = func(e engine.Event) {
			check.see(e)
			if show != nil {
				show(e)
			}
		}
	}
	return check
}

// doubtful are the steps that use the network, and those whose modules are not
// all at hand.
func (s *Session) doubtful(ctx context.Context, targets []engine.StepID) ([]engine.StepID, error) {
	g := s.Plan.Graph
	short := map[string]bool{} // directories whose modules are not all here
	var out []engine.StepID
	for _, id := range g.Closure(targets) {
		step := &g.Steps[id]
		if step.Network {
			out = append(out, id)
			continue
		}
		if !gocmd.UsesModules(step) {
			continue
		}
		dir := step.Command.WorkingDirectory
		lacks, known := short[dir]
		if !known {
			dir = cmp.Or(dir, ".")
			missing, err := s.Go.MissingModules(ctx, dir)
			// What is wrong with the module's files, the step itself says.
			lacks = err == nil && len(missing) > 0
			short[step.Command.WorkingDirectory] = lacks
		}
		if lacks {
			out = append(out, id)
		}
	}
	return out, ctx.Err()
}
