// Package audit runs steps under observation in a copy of their project, and finds
// what they open or make and do not declare.
package audit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/workcopy"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/trace"
)

// Options say what is observed, and whether it is corrected.
type Options struct {
	Session *project.Session
	Targets []engine.StepID
	Write   bool               // correct inputs and outputs in the Airbuildfile
	Reload  project.Options    // those of planning the corrected file
	OnEvent func(engine.Event) // gets the events of all runs
	Started func(steps int)    // is called before steps run in the copy
	Watched func()             // is called when they have run
	// Replace replaces a file as a whole, or not at all.
	Replace func(name string, content []byte) error
}

// An auditor runs steps in a copy of the project, and looks at what they open.
type auditor struct {
	*workcopy.Selection
	o        Options
	copy     *workcopy.Copy
	copied   *project.Session
	executor *executor
	report   Report
}

// Run observes the targets, and returns what they do not declare. With an error
// there is a report if only tidying up failed.
func Run(ctx context.Context, o Options) (*Report, error) {
	u := &auditor{o: o, Selection: workcopy.Select(o.Session, o.Targets, nil)}
	report, err := u.run(ctx)
	if u.copy != nil {
		err = exit.First(err, u.copy.Remove())
	}
	return report, err
}

func (u *auditor) run(ctx context.Context) (*Report, error) {
	if err := u.Record(ctx, true, u.o.OnEvent); err != nil {
		return nil, err
	}
	if err := u.watch(ctx); err != nil {
		return nil, err
	}
	u.o.Watched()
	u.examine()
	if u.o.Write {
		if err := u.correctAll(ctx); err != nil {
			return nil, err
		}
	}
	u.report.OK = u.report.clean()
	return &u.report, nil
}

// watch runs the targets in a copy of the project.
func (u *auditor) watch(ctx context.Context) (err error) {
	if u.copy, err = u.Prepare(ctx); err != nil {
		return err
	}
	there, err := u.copyOptions(ctx)
	if err != nil {
		return err
	}
	p, err := project.Load(ctx, there)
	if err != nil {
		return err
	}
	if u.copied, err = p.Open(nil); err != nil {
		return err
	}
	defer func() { err = exit.First(err, u.copied.Close()) }()
	inner, err := u.copied.Executor()
	if err != nil {
		return err
	}
	u.executor = &executor{inner: inner, session: u.copied, seen: map[string]*observed{}}
	o := u.copied.RunOptions()
	o.Executor, o.KeepGoing = u.executor, true
	var ids []engine.StepID
	for _, name := range u.StepNames() {
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
		u.o.OnEvent(e)
	}
	u.o.Started(len(ids))
	sum, err := engine.Run(ctx, p.Plan.Graph, ids, o)
	if err != nil {
		return err
	}
	if sum.Interrupted {
		return project.Outcome(sum)
	}
	for name, list := range blocked {
		u.executor.of(name).attempts = list
	}
	return u.readTraces()
}

// copyOptions are those of opening the copy of the project.
func (u *auditor) copyOptions(ctx context.Context) (project.Options, error) {
	p, b := u.copy, u.Options
	b.File, b.Cache, b.CompileCache = filepath.Join(p.Project, u.File), p.Cache, "off"
	b.LookupEnv = func(name string) (string, bool) {
		if name == "GOCACHE" {
			return p.GoCache, true // nothing is compiled yet, so that compilers run
		}
		return u.Options.LookupEnv(name)
	}
	if info, err := u.SourceInfo(ctx); err == nil {
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
	dir := filepath.Join(p.Dir, "traces")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return b, err
	}
	b.Tracer = &tracer{self: self, dir: dir, steps: map[string]*traceOf{}}
	return b, nil
}

// clean reports whether every step was observed, and nothing is left to correct.
func (r *Report) clean() bool {
	for _, s := range r.Steps {
		if s.Status == Unaudited || slices.ContainsFunc(s.Findings, func(f Finding) bool { return !f.Corrected }) {
			return false
		}
	}
	return true
}

// runsProcess reports whether a step does anything that can be watched: the
// others are tools of airbuild's own, which open what they declare and nothing
// else.
func runsProcess(s *engine.Step) bool {
	return s.Mode != engine.InProcess || !strings.HasPrefix(s.Command.Arguments[0], local.ToolPrefix)
}

var errNoStage = errors.New("the stage's block was not found")
