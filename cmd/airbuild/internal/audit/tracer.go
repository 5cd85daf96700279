package audit

import (
	"os"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/trace"
)

// An tracer has processes leave their records in a directory a step.
type tracer struct {
	self, dir string

	mu    sync.Mutex
	steps map[string]*traceOf
}

// A traceOf is what one step's processes and tools leave.
type traceOf struct {
	dir, base string
	opened    map[string]bool
}

func (t *tracer) of(name, base string) (*traceOf, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.steps[name]
	if s == nil || s.base != base { // a second try starts over
		dir, err := os.MkdirTemp(t.dir, "step-")
		if err != nil {
			return nil, err
		}
		s = &traceOf{dir: dir, base: base, opened: map[string]bool{}}
		t.steps[name] = s
	}
	return s, nil
}

// Trace implements local.Tracer.
func (t *tracer) Trace(p *engine.Prepared, dir, path string, argv []string) ([]string, error) {
	s, err := t.of(p.Step.Name, dir)
	if err != nil {
		return nil, err
	}
	return trace.Command(t.self, trace.Options{Dir: s.dir}, path, argv)
}

// Touch implements local.Tracer.
func (t *tracer) Touch(p *engine.Prepared, dir, path string, write bool) {
	s, err := t.of(p.Step.Name, dir)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	s.opened[path] = s.opened[path] || write
}

// HostPaths implements local.Tracer.
func (t *tracer) HostPaths() (read, write []string) { return []string{t.self}, []string{t.dir} }

// readTraces reads what the processes left.
func (u *auditor) readTraces() error {
	t, ok := u.copied.Options.Tracer.(*tracer)
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
			o.base = u.copied.Root
		}
	}
	return nil
}

var _ local.Tracer = &tracer{}
