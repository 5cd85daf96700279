package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/trace"
)

func (a *app) auditCommand() *cobra.Command {
	write := false
	c := &cobra.Command{
		Use:   "audit [TARGET…]",
		Short: "Run steps under observation, and tell what they do not declare",
		Long: "Run the targets in a copy of the project, with nothing taken from the cache, and watch\n" +
			"which files their processes open. Told are files that were opened and not declared, declared\n" +
			"and not opened, made and not declared, attempts to reach the network and variables that\n" +
			"scripts read, each with the change of the Airbuildfile that mends it. A step that cannot be\n" +
			"watched is called unaudited. Ends with exit code 3 unless every step that runs a process was\n" +
			"watched and nothing was found, or all of it was mended with --write.",
		Example:           "  airbuild audit release\n  airbuild audit generate --write",
		ValidArgsFunction: a.completeTargets,
		RunE:              func(c *cobra.Command, args []string) error { return a.audit(c.Context(), args, write) },
	}
	c.Flags().BoolVar(&write, "write", false, "change inputs and outputs in the Airbuildfile as they should be")
	declareSandbox(&a.Sandbox, c.Flags())
	return c
}

// An audit is one at work.
type audit struct {
	*verification // the copy of the project, and what is left out
	there         *project.Session
	executor      *auditExecutor
	report        auditReport
}

func (a *app) audit(ctx context.Context, args []string, write bool) (err error) {
	sink, js := a.sideSink()
	defer func() { err = endOutput(sink, err) }()
	s, ids, _, err := a.openTargets(ctx, js, args)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	// With files to compare with, only what is taken as recorded is made first.
	v := &verification{Session: s, app: a, f: &verifyFlags{}, ids: s.Plan.Graph.Closure(ids), left: map[engine.StepID]string{},
		keys: map[engine.StepID]action.Digest{}, carried: map[string]carriedFile{}}
	defer func() { err = exit.First(err, v.end()) }()
	u := &audit{verification: v}
	v.leaveOut()
	if err := v.reference(ctx, sink); err != nil {
		return err
	}
	if err := u.watch(ctx, sink); err != nil {
		return err
	}
	sink.Close()
	u.examine()
	if write {
		if err := u.write(ctx); err != nil {
			return err
		}
	}
	return u.tell()
}

// watch runs the targets in a copy of the project.
func (u *audit) watch(ctx context.Context, sink ui.Sink) (err error) {
	v := u.verification
	if v.place, err = v.newPlace(ctx); err != nil {
		return err
	}
	if v.again, err = v.openAgain(); err != nil {
		return err
	}
	if err := v.seed(ctx); err != nil {
		return err
	}
	if err := v.again.Close(); err != nil {
		return err
	}
	v.again = nil
	there, err := u.optionsThere(ctx)
	if err != nil {
		return err
	}
	p, err := project.Load(ctx, there)
	if err != nil {
		return err
	}
	if u.there, err = p.Open(nil); err != nil {
		return err
	}
	defer func() { err = exit.First(err, u.there.Close()) }()
	inner, err := u.there.Executor()
	if err != nil {
		return err
	}
	u.executor = &auditExecutor{inner: inner, session: u.there, seen: map[string]*observed{}}
	o := u.there.RunOptions()
	o.Executor, o.KeepGoing = u.executor, true
	var ids []engine.StepID
	for _, name := range v.targets() {
		if id, ok := p.Plan.Graph.Lookup(name); ok {
			ids = append(ids, id)
		}
	}
	blocked := map[string][]engine.Attempt{}
	o.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepBlocked {
			blocked[e.Step.Name] = append(blocked[e.Step.Name], *e.Blocked)
		}
		if e.Kind == engine.StepFinished && e.Status == engine.Failed {
			u.executor.failed(e.Step, e.Err)
		}
		sink.OnEvent(e)
	}
	fmt.Fprintf(v.app.err, "watching %s in a copy of the project\n", human.Count(len(ids), "step"))
	sum, err := engine.Run(ctx, p.Plan.Graph, ids, o)
	if err != nil {
		return err
	}
	if sum.Interrupted {
		return outcome(sum)
	}
	for name, list := range blocked {
		u.executor.of(name).attempts = list
	}
	return u.readTraces()
}

// optionsThere are those of opening the copy of the project.
func (u *audit) optionsThere(ctx context.Context) (project.Options, error) {
	p, b := u.place, u.Options
	b.File, b.Cache, b.CompileCache = filepath.Join(p.project, u.File), p.cache, "off"
	b.LookupEnv = func(name string) (string, bool) {
		if name == "GOCACHE" {
			return p.gocache, true // nothing is compiled yet, so that compilers run
		}
		return u.Options.LookupEnv(name)
	}
	if info, err := carry.SourceInfo(ctx, u.Root); err == nil {
		b.Source = info
	}
	u.report.Unaudited = ""
	if err := trace.Supported(ctx); err != nil {
		if ctx.Err() != nil {
			return b, ctx.Err()
		}
		u.report.Unaudited = "processes cannot be watched here: " + err.Error()
		return b, nil
	}
	self, err := os.Executable()
	if err != nil {
		return b, fmt.Errorf("find airbuild's own program: %w", err)
	}
	dir := filepath.Join(p.top, "traces")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return b, err
	}
	b.Tracer = &auditTracer{self: self, dir: dir, steps: map[string]*touchedBy{}}
	return b, nil
}

// An auditExecutor shows Staged steps the whole project, so that what they
// open without declaring it is there, and notes what was declared. Its results
// are of a store that is thrown away.
type auditExecutor struct {
	inner   engine.Executor
	session *project.Session

	mu   sync.Mutex
	seen map[string]*observed // by step
}

// An observed is what is known of one step.
type observed struct {
	step     *engine.Step
	declared []string // input files and links
	ran      bool
	failure  string
	attempts []engine.Attempt
	record   *trace.Record
	base     string          // where the step saw the project
	opened   map[string]bool // by tools, absolute: whether for writing
}

func (e *auditExecutor) of(name string) *observed {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.seen[name]
	if o == nil {
		o = &observed{opened: map[string]bool{}}
		e.seen[name] = o
	}
	return o
}

func (e *auditExecutor) failed(s *engine.Step, err error) {
	o := e.of(s.Name)
	o.step = s
	o.failure = "it failed"
	if err != nil {
		o.failure = engine.Masked(err.Error(), s)
	}
}

// Execute implements engine.Executor.
func (e *auditExecutor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	o := e.of(p.Step.Name)
	o.step, o.ran = p.Step, true
	for _, f := range p.Inputs.Files {
		o.declared = append(o.declared, f.Path)
	}
	for _, l := range p.Inputs.Links {
		o.declared = append(o.declared, l.Path)
	}
	if p.Step.Mode != engine.Staged {
		return e.inner.Execute(ctx, p)
	}
	whole := *p
	t, err := e.wholeProject(p)
	if err != nil {
		return nil, fmt.Errorf("show the whole project: %w", err)
	}
	whole.Inputs = t
	res, err := e.inner.Execute(ctx, &whole)
	p.Compiled = whole.Compiled
	return res, err
}

// An auditTracer has processes leave their records in a directory a step.
type auditTracer struct {
	self, dir string

	mu    sync.Mutex
	steps map[string]*touchedBy
}

// A touchedBy is what one step's processes and tools leave.
type touchedBy struct {
	dir, base string
	opened    map[string]bool
}

var _ local.Tracer = &auditTracer{}

func (t *auditTracer) of(name, base string) (*touchedBy, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.steps[name]
	if s == nil || s.base != base { // a second try begins anew
		dir, err := os.MkdirTemp(t.dir, "step-")
		if err != nil {
			return nil, err
		}
		s = &touchedBy{dir: dir, base: base, opened: map[string]bool{}}
		t.steps[name] = s
	}
	return s, nil
}

// Trace implements local.Tracer.
func (t *auditTracer) Trace(p *engine.Prepared, dir, path string, argv []string) ([]string, error) {
	s, err := t.of(p.Step.Name, dir)
	if err != nil {
		return nil, err
	}
	return trace.Command(t.self, trace.Options{Dir: s.dir}, path, argv)
}

// Touch implements local.Tracer.
func (t *auditTracer) Touch(p *engine.Prepared, dir, path string, write bool) {
	s, err := t.of(p.Step.Name, dir)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.opened[path] = s.opened[path] || write
}

// Reach implements local.Tracer.
func (t *auditTracer) Reach() (read, write []string) { return []string{t.self}, []string{t.dir} }

// readTraces reads what the processes left.
func (u *audit) readTraces() error {
	t, ok := u.there.Options.Tracer.(*auditTracer)
	if !ok {
		return nil
	}
	for name, s := range t.steps {
		r, err := trace.Read(s.dir)
		if err != nil {
			return err
		}
		o := u.executor.of(name)
		o.record, o.base, o.opened = r, s.base, s.opened
		if o.step != nil && o.step.Mode != engine.Staged {
			o.base = u.there.Root
		}
	}
	return nil
}

// outcomeOf is the exit code of an audit.
func (u *audit) outcomeOf() error {
	r := &u.report
	for _, s := range r.Steps {
		if s.Status == auditUnaudited || slices.ContainsFunc(s.Findings, func(f auditFinding) bool { return !f.Mended }) {
			return exit.Silent(exit.Unverified)
		}
	}
	return nil
}

// runsProcess reports whether a step does anything that can be watched: the
// others are tools of airbuild's own, which open what they declare and nothing
// else.
func runsProcess(s *engine.Step) bool {
	return s.Mode != engine.InProcess || !strings.HasPrefix(s.Command.Arguments[0], local.ToolPrefix)
}

var errNoStage = errors.New("the stage's block was not found")
