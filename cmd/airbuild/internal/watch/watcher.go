// Package watch runs something again whenever a project changes.
package watch

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/pipelines"
)

// How often a watched project is looked at: not more often than minPause, and
// looking takes at most one part in share of the time. It is looked at, not
// listened to, so that it works the same on every system and on file systems of
// other hosts, and needs no limits raised.
const (
	minPause = 300 * time.Millisecond
	share    = 20
	// settle is how long nothing must change before a run begins: an editor
	// or git writes several files.
	settle = 100 * time.Millisecond
)

// A fileState is what a file looks like from outside.
type fileState struct {
	size    int64
	changed int64 // nanoseconds since 1970
	mode    fs.FileMode
}

// Options say what is watched, and what is done about changes.
type Options struct {
	Root     string   // the project's
	VarFiles []string // as they were given
	Cache    string   // the cache's directory; "": not known
	// Run makes the targets; it returns the plan, or nil if it could not be made.
	Run func() *pipelines.Plan
	// Waiting is called when nothing is left to do, and Changed before the next run.
	Waiting func(files int)
	Changed func(names []string)
}

// A watcher runs the targets again whenever something of the project changes.
type watcher struct {
	Options
	plan    *pipelines.Plan // the last one that could be made
	others  []string        // absolute paths of files beside the project's
	outputs map[string]bool // of all steps, relative to root
	busy    map[string]int  // how many runs in a row a file changed in
}

// Run runs until ctx ends. It returns the context's error if that was
// during a run, which it stopped.
func Run(ctx context.Context, o Options) error {
	w := &watcher{Options: o, busy: map[string]int{}}
	for {
		w.others = w.beside()
		before := w.look()
		if plan := w.Run(); plan != nil {
			w.plan = plan
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.outputs = w.outputPaths()
		after := w.look()
		names := w.notMade(changes(before, after))
		if len(names) == 0 {
			w.Waiting(len(after))
			if names = w.wait(ctx, after); ctx.Err() != nil {
				return nil // there was no run that it could have stopped
			}
		}
		w.Changed(names)
	}
}

// wait returns what changed since base was looked at, when it has come to rest.
func (w *watcher) wait(ctx context.Context, base map[string]fileState) []string {
	pause := minPause
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		start := time.Now()
		now := w.look()
		pause = max(minPause, share*time.Since(start))
		if len(changes(base, now)) == 0 {
			continue
		}
		for ctx.Err() == nil {
			time.Sleep(settle)
			next := w.look()
			if len(changes(now, next)) == 0 {
				return changes(base, next)
			}
			now = next
		}
	}
}

// notMade takes out of what changed while a run was under way what the run
// itself may have changed: outputs, and files that change in every run.
func (w *watcher) notMade(changed []string) []string {
	busy := map[string]int{}
	var users []string
	for _, name := range changed {
		if w.isOutput(name) {
			continue
		}
		if busy[name] = w.busy[name] + 1; busy[name] < 3 {
			users = append(users, name)
		}
	}
	w.busy = busy
	return users
}

func (w *watcher) isOutput(name string) bool {
	for p := name; p != "." && p != "/"; p = path.Dir(p) {
		if w.outputs[p] {
			return true
		}
	}
	return false
}

// outputPaths are the outputs of all steps.
func (w *watcher) outputPaths() map[string]bool {
	outputs := map[string]bool{}
	if w.plan == nil {
		return outputs
	}
	for i := range w.plan.Graph.Steps {
		c := &w.plan.Graph.Steps[i].Command
		for _, o := range c.OutputPaths {
			outputs[path.Join(c.WorkingDirectory, o)] = true
		}
	}
	return outputs
}

// beside are files that a plan depends on and that need not be in the project: those
// of variables, and which commit the sources are.
func (w *watcher) beside() []string {
	files := slices.Clone(w.VarFiles)
	if dir := gitDir(w.Root); dir != "" {
		files = append(files, filepath.Join(dir, "HEAD"), filepath.Join(dir, "logs", "HEAD"))
	}
	for i, name := range files {
		if abs, err := filepath.Abs(name); err == nil {
			files[i] = abs
		}
	}
	return files
}

// gitDir is git's own directory of the work tree that dir is in, or "".
func gitDir(dir string) string {
	for {
		at := filepath.Join(dir, ".git")
		if fi, err := os.Stat(at); err == nil && fi.IsDir() {
			return at
		} else if err == nil {
			text, err := os.ReadFile(at) // of a further work tree or a submodule
			to, ok := strings.CutPrefix(strings.TrimSpace(string(text)), "gitdir: ")
			if err != nil || !ok {
				return ""
			}
			if !filepath.IsAbs(to) {
				to = filepath.Join(dir, to)
			}
			return to
		}
		up := filepath.Dir(dir)
		if up == dir {
			return ""
		}
		dir = up
	}
}

// look marks all files of the project but those in dist, in .git and in the
// cache, and those beside it. What cannot be looked at is as good as not there:
// the run will say what is wrong with it.
func (w *watcher) look() map[string]fileState {
	marks := map[string]fileState{}
	skip := map[string]bool{".git": true, "dist": true}
	if w.plan != nil {
		delete(skip, "dist")
		skip[path.Clean(w.plan.Dist)] = true
	}
	if w.Cache != "" {
		if rel, err := filepath.Rel(w.Root, w.Cache); err == nil && filepath.IsLocal(rel) {
			skip[filepath.ToSlash(rel)] = true
		}
	}
	_ = fs.WalkDir(os.DirFS(w.Root), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		if d.IsDir() {
			if name != "." && (skip[name] || d.Name() == ".git") {
				return fs.SkipDir
			}
			return nil
		}
		if info, err := d.Info(); err == nil {
			marks[name] = stateOf(info)
		}
		return nil
	})
	for _, name := range w.others {
		if info, err := os.Stat(name); err == nil {
			marks[filepath.ToSlash(name)] = stateOf(info)
		}
	}
	return marks
}

func stateOf(info fs.FileInfo) fileState {
	return fileState{info.Size(), info.ModTime().UnixNano(), info.Mode()}
}

// changes are the files that differ, sorted.
func changes(before, after map[string]fileState) []string {
	differs := map[string]bool{}
	for name, m := range before {
		if n, ok := after[name]; !ok || n != m {
			differs[name] = true
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			differs[name] = true
		}
	}
	return slices.Sorted(maps.Keys(differs))
}
