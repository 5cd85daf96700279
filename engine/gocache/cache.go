package gocache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A Cache has the go commands of steps served out of the store. It needs both
// decorators: Launcher around that of the go command, Executor around the
// executor that calls it. Until a step starts a go command it does nothing at
// all. Fields are set before the first use.
type Cache struct {
	// Store is this process's own view of the store in Dir.
	Store engine.Store
	Dir   string
	// Command is the command line of a program that serves the store in Dir
	// (see Server); behind it come "-report DIR" and, if there is one,
	// "-ambient DIR", the user's own GOCACHE.
	Command []string
	// TempDir makes a directory for one step.
	TempDir func() (string, error)
	// Wants says which steps are served: those whose go command compiles. Nil
	// means all. The go command of others uses the user's GOCACHE, or an empty one.
	Wants func(*engine.Step) bool
	// Off: steps use the user's own GOCACHE. It only keeps those apart from it
	// whose packages it cannot tell apart.
	Off bool

	place sync.Once
	err   error // of making the place
}

// A session is one execution of a step. It travels in the context from the
// Executor to the Launcher, which has no other way to know the execution.
type session struct {
	salts *salts
	alone bool // do not serve
	// native is set for a step whose packages are not known: whether its go command
	// must not use the user's GOCACHE.
	native func() bool

	mu    sync.Mutex
	dir   string // for reports; empty until a go command is launched
	cache string // a GOCACHE for this session alone, or ""
	notes []string
}

// sessionKey is the context's key of the *session.
type sessionKey struct{}

// Launcher adds GOCACHEPROG to the environment that l gives.
func (c *Cache) Launcher(l engine.Launcher) engine.Launcher { return launcher{c, l} }

type launcher struct {
	c *Cache
	engine.Launcher
}

// Launch implements engine.Launcher. What is wrong with the compile cache is
// told, and the go command runs without it.
func (l launcher) Launch(ctx context.Context, s *engine.Step, share engine.Share) (engine.Launch, error) {
	out, err := l.Launcher.Launch(ctx, s, share)
	use, _ := ctx.Value(sessionKey{}).(*session)
	if err != nil || use == nil {
		return out, err
	}
	if !use.alone {
		more, err := l.c.environ(use, out.Env)
		if err == nil {
			out.Env = append(out.Env, more...)
			return out, nil
		}
		use.note(err.Error())
	}
	if use.salts == nil && (use.native == nil || !use.native()) {
		return out, nil
	}
	own, err := use.own(l.c)
	if err != nil {
		return engine.Launch{}, fmt.Errorf("make a GOCACHE for the step: %w", err)
	}
	out.Env = append(out.Env, "GOCACHE="+own)
	return out, nil
}

func (u *session) note(text string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.notes = append(u.notes, text)
}

// reports is the directory for reports, made when it is first needed.
func (u *session) reports(c *Cache) (string, error) { return u.temp(c, &u.dir) }

func (u *session) temp(c *Cache, dir *string) (_ string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if *dir == "" {
		*dir, err = c.TempDir()
	}
	return *dir, err
}

// own is the GOCACHE of a session that is not served, and that must neither take
// packages from the user's own nor leave any there.
func (u *session) own(c *Cache) (string, error) { return u.temp(c, &u.cache) }

// end removes the directories of a session.
func (u *session) end() {
	for _, dir := range []string{u.dir, u.cache} {
		if dir != "" {
			os.RemoveAll(dir)
		}
	}
}

// environ is what a go command needs that has env otherwise.
func (c *Cache) environ(use *session, env []string) ([]string, error) {
	// The go command ends if it cannot start the program.
	if info, err := os.Stat(c.Command[0]); err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the program %s is gone", c.Command[0])
	}
	c.place.Do(func() { c.err = MakePlace(c.Dir) })
	if c.err != nil {
		return nil, c.err
	}
	dir, err := use.reports(c)
	if err != nil {
		return nil, err
	}
	args := append(slices.Clone(c.Command), "-report", dir)
	if own := last(env, "GOCACHE"); filepath.IsAbs(own) {
		args = append(args, "-ambient", own)
	}
	if list := use.salts.list(); list != nil {
		args = append(args, "-salts", FormatSalts(list))
	}
	if use.salts != nil && use.salts.checks != (Salt{}) {
		args = append(args, "-checks", FormatSalts([]Salt{use.salts.checks}))
	}
	line, err := quote(args)
	if err != nil {
		return nil, err
	}
	more := []string{"GOCACHEPROG=" + line, "GOCACHE=" + placeDir(c.Dir)}
	if use.salts.list() != nil {
		// In GOFLAGS: a flag of the command line would be in the key.
		graph, err := quote([]string{"-debug-actiongraph=" + filepath.Join(dir, graphName)})
		if err != nil {
			return nil, err
		}
		more = append(more, "GOFLAGS="+strings.TrimSpace(last(env, "GOFLAGS")+" "+graph))
	}
	return more, nil
}

// last is the value of a variable in an environment, where the last one counts.
func last(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if n, value, _ := strings.Cut(v, "="); n == name {
			return value
		}
	}
	return ""
}

// placeDir is the GOCACHE of go commands that are served. Objects are named to
// them by a path below it: the go command moves what it finds in its cache to
// the place where it is wanted (`go build -o lib.a`), unless the path begins
// with GOCACHE; then it copies. It makes folders in it that stay empty.
func placeDir(store string) string { return filepath.Join(store, "gocache") }

// The link in placeDir, and where it leads.
const (
	placeLink   = "cas"
	placeTarget = "../cas"
)

// below is the path through the link in placeDir to a file of the store's cas.
func below(store, file string) string {
	if rest, ok := strings.CutPrefix(file, filepath.Join(store, "cas")+string(filepath.Separator)); ok {
		return filepath.Join(placeDir(store), placeLink, rest)
	}
	return file
}

// hasPlace reports whether placeDir has its link.
func hasPlace(store string) bool {
	got, err := os.Readlink(filepath.Join(placeDir(store), placeLink))
	return err == nil && got == placeTarget
}

// MakePlace makes the GOCACHE of go commands that are served from a store:
// <store>/gocache, with a link to the store's blobs. On Windows there
// is none: the go command always copies there, and links are a privilege.
func MakePlace(store string) error {
	dir := placeDir(store)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("make place for the go command: %w", err)
	}
	if runtime.GOOS == "windows" {
		return nil
	}
	if hasPlace(store) {
		return nil
	}
	err := os.Symlink(placeTarget, filepath.Join(dir, placeLink))
	if err != nil && !hasPlace(store) { // or another process was first
		return fmt.Errorf("make place for the go command: %w", err)
	}
	return nil
}

// Executor has the steps that e executes served.
func (c *Cache) Executor(e engine.Executor) engine.Executor { return executor{c, e} }

type executor struct {
	c *Cache
	e engine.Executor
}

// Execute implements engine.Executor. A step that failed because the program
// which served it was killed is done once more without it: the go command
// cannot go on then.
func (x executor) Execute(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
	if x.c.Wants != nil && !x.c.Wants(p.Step) {
		use := &session{alone: true, native: sync.OnceValue(func() bool { return x.c.compilesNative(ctx, p) })}
		defer use.end()
		return x.e.Execute(context.WithValue(ctx, sessionKey{}, use), p)
	}
	use := &session{salts: newSalts(p.Unseen), alone: x.c.Off}
	defer use.end()
	res, err := x.e.Execute(context.WithValue(ctx, sessionKey{}, use), p)
	used := &p.Compiled
	used.Notes = append(used.Notes, use.notes...)
	if use.dir == "" {
		return res, err
	}
	r, lost, rerr := readReports(use.dir)
	if rerr != nil {
		used.Notes = append(used.Notes, rerr.Error())
	}
	tally(used, r)
	failed := err != nil || res.ExitCode != 0
	if failed && lost > 0 && ctx.Err() == nil {
		used.Notes = append(used.Notes, p.Step.Name+": the compile-cache helper exited early (disk full?); the step was retried without the compile cache")
		again := &session{salts: use.salts, alone: true}
		defer again.end()
		return x.e.Execute(context.WithValue(ctx, sessionKey{}, again), p)
	}
	if !failed && rerr == nil && !p.Step.NoCache && p.Uncached == "" {
		if werr := x.c.recordUse(ctx, p, use, r); werr != nil {
			used.Notes = append(used.Notes, werr.Error())
		}
	}
	return res, err
}

// recordUse records what a step used, and shares what others may use too.
func (c *Cache) recordUse(ctx context.Context, p *engine.Prepared, use *session, r *Report) error {
	rec := record{cgo: cgo(p.Step)}
	apart := map[ActionID]Kind{}
	for _, ids := range []map[ActionID]Kind{r.Hits, r.Puts} {
		for id, kind := range ids {
			if r.Apart[id] {
				apart[id] = kind
			} else {
				rec.ids = append(rec.ids, id)
			}
		}
	}
	var err error
	if use.salts.list() != nil {
		var shared []ActionID
		shared, err = use.salts.share(ctx, c.Store, use.dir, apart)
		rec.ids = append(rec.ids, shared...)
	}
	return errors.Join(err, rec.write(ctx, c.Store, p.Key))
}

// tally counts a report for the summary.
func tally(used *engine.Compiled, r *Report) {
	used.Hits += count(r.Hits)
	used.Misses += count(r.Puts)
	used.Damaged = append(used.Damaged, r.Damaged...)
	used.Notes = append(used.Notes, r.Notes...)
	if r.Failed > 0 {
		used.Notes = append(used.Notes, fmt.Sprintf("%d objects could not be kept", r.Failed))
	}
}

// cgo reports whether a step may compile C. The go command does unless it is
// told not to.
func cgo(s *engine.Step) bool {
	return !slices.ContainsFunc(s.Command.Env, func(v action.EnvVar) bool {
		return v.Name == "CGO_ENABLED" && v.Value == "0"
	})
}
