package local

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
	"github.com/airbuild/airbuild/engine/tree"
)

// confinement is the sandbox of one execution: opened by its first process, closed
// when it is over. All its processes share it, and any goroutine may call its
// methods.
type confinement struct {
	*layout
	e   *Executor
	env *environ

	mu      sync.Mutex // guards what follows, and is held while the sandbox is opened
	opened  bool
	sandbox *sandbox.Sandbox
	err     error
	hidden  bool   // files that were not declared are kept away
	worker  string // how processes were kept apart; empty without any

	reported sync.Mutex // guards attempts
	attempts []engine.Attempt
}

// maxAttempts bounds how many attempts of one execution are reported.
const maxAttempts = 100

// open returns the sandbox to run processes in; nil if they need none, or there is
// none. extra is what the Launcher of the process adds to the environment.
func (c *confinement) open(ctx context.Context, extra []string) (*sandbox.Sandbox, error) {
	if c.e.Sandbox == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.opened {
		c.sandbox, c.err = c.start(ctx, extra)
		c.opened = ctx.Err() == nil
	}
	return c.sandbox, c.err
}

func (c *confinement) start(ctx context.Context, extra []string) (*sandbox.Sandbox, error) {
	view := c.view()
	if c.p.Step.Network && view == sandbox.Whole && !c.fixed {
		c.worker = sandbox.Support{}.Worker(sandbox.Spec{Network: true})
		return nil, nil
	}
	spec, err := c.spec(ctx, extra)
	if err != nil {
		return nil, err
	}
	var sb *sandbox.Sandbox
	if !spec.Network || c.e.Sandbox.Support(ctx).FilesHidden() {
		sb, err = c.e.Sandbox.Open(ctx, spec, c.blocked)
	}
	if ctx.Err() != nil {
		if sb != nil {
			sb.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, sandbox.ErrUnsupported) {
		return nil, err
	}
	support := c.e.Sandbox.Support(ctx)
	if n := support.Notice(); n != "" && c.p.Notice != nil {
		c.e.notice.Do(func() { c.p.Notice("sandbox: " + n) })
	}
	c.worker = support.Worker(spec)
	c.hidden = sb != nil && view == sandbox.Declared && sb.FilesHidden()
	return sb, nil
}

func (c *confinement) view() sandbox.View {
	if c.p.Step.Mode == engine.Staged {
		return sandbox.Declared
	}
	return sandbox.Whole
}

// spec is what the step's processes may reach.
func (c *confinement) spec(ctx context.Context, extra []string) (sandbox.Spec, error) {
	s := sandbox.Spec{Network: c.p.Step.Network, View: c.view()}
	switch {
	case c.fixed:
		s.Dir, s.Places = filepath.Join(c.dir, "box"), c.env.places(extra)
		return s, nil
	case s.View == sandbox.Whole:
		return s, nil
	}
	s.Dir, s.Tmp = filepath.Join(c.dir, "box"), c.tmp
	s.Write = append([]string{c.out}, c.private()...)
	s.Hide = append([]string{c.project}, c.e.Hide...)
	if c.e.Tracer != nil {
		read, write := c.e.Tracer.HostPaths()
		s.Read, s.Write = append(s.Read, read...), append(s.Write, write...)
	}
	names, trees := c.programs()
	for _, name := range names {
		if r, ok := c.e.HostPaths[name]; ok {
			read, write, err := r.HostPaths(ctx, c.p.Step)
			if err != nil {
				return s, err
			}
			s.Read, s.Write = append(s.Read, read...), append(s.Write, write...)
		}
		if p, err := exec.LookPath(name); err == nil {
			if p, err = filepath.Abs(p); err == nil {
				s.Programs = append(s.Programs, p)
				if slices.Contains(trees, name) {
					s.Read = append(s.Read, installed(p, s.Hide)...)
				}
			}
		}
	}
	return s, nil
}

// installed is the tree of a program, unless it holds what is hidden or lies in
// the project or the cache.
func installed(program string, hide []string) []string {
	real, err := filepath.EvalSymlinks(program)
	if err != nil {
		return nil
	}
	home, _ := os.UserHomeDir()
	t, ok := tree.TreeOf(real)
	if !ok || slices.ContainsFunc(hide, func(h string) bool {
		below := h != home // of a home, what was installed in it is shown
		if end, err := filepath.EvalSymlinks(h); err == nil {
			h = end
		}
		return within(t.Dir, h) || below && within(h, t.Dir)
	}) {
		return nil
	}
	return []string{t.Dir}
}

// toolFact begins the name of a fact that identifies a program of the host,
// treeFact that of one that says what is in its tree.
const toolFact, treeFact = "tool ", "tree "

// programs are the host's programs that the step declares: its command, and
// what its key names as tools; and those of them whose tree the step sees,
// because the key says what is in it: a digest, or a release of Go.
func (c *confinement) programs() (names, trees []string) {
	if name := c.p.Command.Arguments[0]; !strings.HasPrefix(name, ToolPrefix) && (filepath.IsAbs(name) || !strings.ContainsAny(name, `/\`)) {
		names = append(names, name)
	}
	for _, f := range c.p.Facts {
		if tool, ok := strings.CutPrefix(f.Name, toolFact); ok {
			names = append(names, tool)
			if strings.HasPrefix(f.Value, "go1") {
				trees = append(trees, tool)
			}
		}
		if tool, ok := strings.CutPrefix(f.Name, treeFact); ok {
			trees = append(trees, tool)
		}
	}
	return names, trees
}

// blocked takes an attempt to reach the network. One that was reported is not
// reported again: programs try several times.
func (c *confinement) blocked(a sandbox.Attempt) {
	at := engine.Attempt{Program: a.Program, PID: a.PID, Op: string(a.Op), Address: a.Address, Host: a.Host}
	c.reported.Lock()
	known := slices.ContainsFunc(c.attempts, func(o engine.Attempt) bool {
		o.PID = at.PID
		return o == at
	})
	if !known && len(c.attempts) < maxAttempts {
		c.attempts = append(c.attempts, at)
	}
	c.reported.Unlock()
	if !known && c.p.Blocked != nil {
		c.p.Blocked(at)
	}
}

// close ends all that still runs in the sandbox.
func (c *confinement) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sandbox != nil {
		c.sandbox.Close()
	}
}

// personal are variables that lead to the user's own files. Where those are
// hidden, a program has its private home.
var personal = [...]string{"HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA"}

// outOfReach are variables that name programs which work on the store: they
// could not open it.
var outOfReach = [...]string{"GOCACHEPROG"}

// place says which files the tool of a Staged step may open, and where they
// are: /tmp is the step's own. Nil if that is not enforced here.
func (c *confinement) place(ctx context.Context) func(string, bool) (string, bool) {
	if c.e.Sandbox == nil || c.view() != sandbox.Declared {
		return nil
	}
	shows := sync.OnceValue(func() func(string, bool) bool {
		spec, err := c.spec(ctx, nil)
		if err != nil || !c.e.Sandbox.Support(ctx).FilesHidden() {
			return nil
		}
		return spec.Shows
	})
	own := c.private()
	return func(p string, write bool) (string, bool) {
		for _, dir := range append([]string{c.out, os.DevNull}, own...) {
			if within(dir, p) {
				return p, true
			}
		}
		f := shows()
		if f == nil {
			return p, true
		}
		if c.e.Sandbox.Support(ctx).Method == sandbox.Namespaces {
			for _, tmp := range [...]string{"/tmp", "/var/tmp"} {
				if within(tmp, p) && !f(p, false) {
					rel, _ := filepath.Rel(tmp, p)
					return filepath.Join(c.tmp, rel), true
				}
			}
		}
		return p, f(p, write)
	}
}

// within reports whether p is dir or below it.
func within(dir, p string) bool {
	rel, err := filepath.Rel(dir, p)
	return err == nil && filepath.IsLocal(rel)
}
