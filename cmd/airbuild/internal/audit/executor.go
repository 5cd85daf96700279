package audit

import (
	"context"
	"fmt"
	"sync"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/trace"
)

// An executor shows Staged steps the whole project, so that what they
// open without declaring it is there, and notes what was declared. Its results
// are of a store that is thrown away.
type executor struct {
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

func (e *executor) of(name string) *observed {
	e.mu.Lock()
	defer e.mu.Unlock()
	o := e.seen[name]
	if o == nil {
		o = &observed{opened: map[string]bool{}}
		e.seen[name] = o
	}
	return o
}

func (e *executor) failed(s *engine.Step, err error) {
	o := e.of(s.Name)
	o.step = s
	o.failure = "it failed"
	if err != nil {
		o.failure = engine.Masked(err.Error(), s)
	}
}

// Execute implements engine.Executor.
func (e *executor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
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
