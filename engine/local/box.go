package local

import (
	"context"
	"errors"
	"fmt"
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

// boxes are the sandbox of one execution: opened by its first process, closed
// when it is over. All its processes share it.
type boxes struct {
	mu     sync.Mutex // guards all, and is held while the box is opened
	asked  bool
	box    *sandbox.Box
	err    error
	hidden bool // files that were not declared are kept away

	told     sync.Mutex // guards attempts
	attempts []engine.Attempt
}

// maxAttempts bounds how many attempts of one execution are told apart.
const maxAttempts = 100

// box returns the sandbox to run processes in; nil if they need none, or there
// is none.
func (j *job) box(ctx context.Context) (*sandbox.Box, error) {
	if j.e.Sandbox == nil {
		return nil, nil
	}
	b := &j.boxes
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.asked {
		b.box, b.err = j.openBox(ctx)
		b.asked = ctx.Err() == nil
	}
	return b.box, b.err
}

func (j *job) openBox(ctx context.Context) (*sandbox.Box, error) {
	view := j.view()
	if j.p.Step.Network && view == sandbox.Whole && !j.placed {
		j.worker = sandbox.Support{}.Worker(sandbox.Spec{Network: true})
		return nil, nil
	}
	spec, err := j.spec(ctx)
	if err != nil {
		return nil, err
	}
	var box *sandbox.Box
	if !spec.Network || j.e.Sandbox.Support(ctx).FilesHidden() {
		box, err = j.e.Sandbox.Open(ctx, spec, j.blocked)
	}
	if ctx.Err() != nil {
		if box != nil {
			box.Close()
		}
		return nil, context.Cause(ctx)
	}
	if err != nil && !errors.Is(err, sandbox.ErrUnsupported) {
		return nil, err
	}
	support := j.e.Sandbox.Support(ctx)
	if n := support.Notice(); n != "" && j.p.Notice != nil {
		j.e.saidNotice.Do(func() { j.p.Notice("sandbox: " + n) })
	}
	j.worker = support.Worker(spec)
	j.boxes.hidden = box != nil && view == sandbox.Declared && box.FilesHidden()
	return box, nil
}

func (j *job) view() sandbox.View {
	if j.p.Step.Mode == engine.Staged {
		return sandbox.Declared
	}
	return sandbox.Whole
}

// spec is what the step's processes may reach.
func (j *job) spec(ctx context.Context) (sandbox.Spec, error) {
	s := sandbox.Spec{Network: j.p.Step.Network, View: j.view()}
	if j.placed {
		j.showFixed(&s)
		return s, nil
	}
	if s.View == sandbox.Whole {
		return s, nil
	}
	own := j.private()
	s.Dir, s.Tmp = filepath.Join(j.dir, "box"), own[1]
	s.Write = append([]string{j.out}, own...)
	s.Hide = append([]string{j.e.Workspace.Root()}, j.e.Hide...)
	j.showTracer(&s)
	names, trees := j.programs()
	for _, name := range names {
		if r, ok := j.e.Reach[name]; ok {
			read, write, err := r.Reach(ctx, j.p.Step)
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
func (j *job) programs() (names, trees []string) {
	if name := j.p.Command.Arguments[0]; !strings.HasPrefix(name, ToolPrefix) && (filepath.IsAbs(name) || !strings.ContainsAny(name, `/\`)) {
		names = append(names, name)
	}
	for _, f := range j.p.Facts {
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

// blocked takes an attempt to reach the network. One that was told is not told
// again: programs try several times.
func (j *job) blocked(a sandbox.Attempt) {
	at := engine.Attempt{Program: a.Program, PID: a.PID, Op: string(a.Op), Address: a.Address, Host: a.Host}
	b := &j.boxes
	b.told.Lock()
	known := slices.ContainsFunc(b.attempts, func(o engine.Attempt) bool {
		o.PID = at.PID
		return o == at
	})
	if !known && len(b.attempts) < maxAttempts {
		b.attempts = append(b.attempts, at)
	}
	b.told.Unlock()
	if !known && j.p.Blocked != nil {
		j.p.Blocked(at)
	}
}

// closeBox ends all that still runs in the sandbox.
func (j *job) closeBox() {
	b := &j.boxes
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.box != nil {
		b.box.Close()
	}
}

// personal are variables that lead to the user's own files. Where those are
// hidden, a program has its private home.
var personal = [...]string{"HOME", "USERPROFILE", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "LOCALAPPDATA", "APPDATA"}

// outOfReach are variables that name programs which work on the store: they
// could not open it.
var outOfReach = [...]string{"GOCACHEPROG"}

// processInBox is process in a sandbox.
func (j *job) processInBox(ctx context.Context, box *sandbox.Box, name string, argv, extra []string, p *engine.Process) error {
	if j.boxes.hidden {
		extra = slices.DeleteFunc(slices.Clone(extra), func(v string) bool {
			name, _, _ := strings.Cut(v, "=")
			return slices.Contains(personal[:], name) || slices.Contains(outOfReach[:], name)
		})
	}
	dir, env := j.surroundings(p, extra)
	if j.placed {
		env = j.fixed(env)
	}
	stdout, stderr := j.outputs(p)
	err := box.Run(ctx, &sandbox.Cmd{
		Path: name, Args: argv, Env: env, Dir: dir,
		Stdin: p.Stdin, Stdout: stdout, Stderr: stderr, Grace: j.e.grace(),
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var exit *sandbox.ExitError
	if errors.As(err, &exit) {
		code := exit.Code
		if code < 0 { // ended by a signal: a shell's number for it
			fmt.Fprintf(j.log, "%s: %s\n", p.Path, exit)
			code = 128 + int(exit.Signal)
		}
		return &engine.ExitError{Program: p.Path, Code: code}
	}
	var start *sandbox.StartError
	if errors.As(err, &start) {
		return j.notStarted(p.Path, name, start.Err)
	}
	return err
}

// notStarted is startError for a sandbox, which may not show the program.
func (j *job) notStarted(asked, name string, err error) error {
	if j.boxes.hidden && errors.Is(err, os.ErrNotExist) {
		if _, serr := os.Stat(name); serr == nil && !within(j.out, name) {
			return fmt.Errorf("start %s: it is not a declared program of the step, so the sandbox hides %s; to declare it: tools = [%q]", asked, name, asked)
		}
	}
	return startError(asked, name, err)
}

// place says which files the tool of a Staged step may open, and where they
// are: /tmp is the step's own. Nil if that is not enforced here.
func (j *job) place(ctx context.Context) func(string, bool) (string, bool) {
	if j.e.Sandbox == nil || j.view() != sandbox.Declared {
		return nil
	}
	shows := sync.OnceValue(func() func(string, bool) bool {
		spec, err := j.spec(ctx)
		if err != nil || !j.e.Sandbox.Support(ctx).FilesHidden() {
			return nil
		}
		return spec.Shows
	})
	own := j.private()
	return func(p string, write bool) (string, bool) {
		for _, dir := range append([]string{j.out, os.DevNull}, own...) {
			if within(dir, p) {
				return p, true
			}
		}
		f := shows()
		if f == nil {
			return p, true
		}
		if j.e.Sandbox.Support(ctx).Method == sandbox.Namespaces {
			for _, tmp := range [...]string{"/tmp", "/var/tmp"} {
				if within(tmp, p) && !f(p, false) {
					rel, _ := filepath.Rel(tmp, p)
					return filepath.Join(own[1], rel), true
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
