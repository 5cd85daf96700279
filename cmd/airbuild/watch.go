package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/shard"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
)

// How often a watched project is looked at: not more often than watchPause, and
// looking takes at most one part in watchShare of the time. It is looked at, not
// listened to, so that it works the same on every system and on file systems of
// other hosts, and needs no limits raised.
const (
	watchPause = 300 * time.Millisecond
	watchShare = 20
	// watchSettle is how long nothing must change before a run begins: an editor
	// or git writes several files.
	watchSettle = 100 * time.Millisecond
)

// A mark is what a file looks like from outside.
type mark struct {
	size    int64
	changed int64 // nanoseconds since 1970
	mode    fs.FileMode
}

// A watcher runs the targets again whenever something of the project changes.
type watcher struct {
	app *app
	f   *runFlags
	// project is the last one that could be planned; nil before there was one.
	project *project.Project
	root    string
	others  []string        // absolute paths of files beside the project's
	outputs map[string]bool // of all steps, relative to root
	busy    map[string]int  // how many runs in a row a file changed in
}

// watch runs until it is interrupted. A mistake in the Airbuildfile and a failed
// step end the run that they are in and nothing else.
func (a *app) watch(ctx context.Context, args []string, f *runFlags) error {
	if f.shard != "" {
		if _, err := shard.Parse(f.shard); err != nil {
			return exit.UsageError("--%w", err)
		}
	}
	root, _, err := a.FindFile()
	if err != nil {
		return err
	}
	w := &watcher{app: a, f: f, root: root, busy: map[string]int{}}
	f.planned = func(p *project.Project) { w.project = p }
	for {
		w.others = w.beside()
		before := w.look()
		a.tell(a.runOnce(ctx, args, f))
		if ctx.Err() != nil {
			return ctx.Err()
		}
		w.outputs = w.made()
		after := w.look()
		changed := w.duringRun(changes(before, after))
		if len(changed) == 0 {
			fmt.Fprintf(a.err, "watching %s in %s; Ctrl-C ends it\n", human.Count(len(after), "file"), root)
			if changed = w.wait(ctx, after); ctx.Err() != nil {
				return nil // there was no run that it could have stopped
			}
		}
		fmt.Fprintf(a.err, "changed: %s\n", someOf(changed))
	}
}

// tell shows how a run ended that does not end the program.
func (a *app) tell(err error) {
	if _, show := exit.Code(err); show != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(a.err, "%s %s\n", ui.NewPalette(a.paintErrors()).Red("error:"), show)
	}
}

// wait returns what changed since base was looked at, when it has come to rest.
func (w *watcher) wait(ctx context.Context, base map[string]mark) []string {
	pause := watchPause
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		start := time.Now()
		now := w.look()
		pause = max(watchPause, watchShare*time.Since(start))
		if len(changes(base, now)) == 0 {
			continue
		}
		for ctx.Err() == nil {
			time.Sleep(watchSettle)
			next := w.look()
			if len(changes(now, next)) == 0 {
				return changes(base, next)
			}
			now = next
		}
	}
}

// duringRun takes out of what changed while a run was under way what the run
// itself may have changed: outputs, and files that change in every run.
func (w *watcher) duringRun(changed []string) []string {
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

// made are the outputs of all steps.
func (w *watcher) made() map[string]bool {
	outputs := map[string]bool{}
	if w.project == nil {
		return outputs
	}
	for i := range w.project.Plan.Graph.Steps {
		c := &w.project.Plan.Graph.Steps[i].Command
		for _, o := range c.OutputPaths {
			outputs[path.Join(c.WorkingDirectory, o)] = true
		}
	}
	return outputs
}

// beside are files that a plan hangs on and that need not be in the project: those
// of variables, and which commit the sources are.
func (w *watcher) beside() []string {
	files := slices.Clone(w.app.VarFiles)
	if dir := gitDir(w.root); dir != "" {
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
func (w *watcher) look() map[string]mark {
	marks := map[string]mark{}
	skip := map[string]bool{".git": true, "dist": true}
	if w.project != nil {
		delete(skip, "dist")
		skip[path.Clean(w.project.Plan.Dist)] = true
	}
	cache, err := w.app.CacheDir()
	if err == nil {
		if rel, err := filepath.Rel(w.root, cache); err == nil && filepath.IsLocal(rel) {
			skip[filepath.ToSlash(rel)] = true
		}
	}
	_ = fs.WalkDir(os.DirFS(w.root), ".", func(name string, d fs.DirEntry, err error) error {
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
			marks[name] = markOf(info)
		}
		return nil
	})
	for _, name := range w.others {
		if info, err := os.Stat(name); err == nil {
			marks[filepath.ToSlash(name)] = markOf(info)
		}
	}
	return marks
}

func markOf(info fs.FileInfo) mark {
	return mark{info.Size(), info.ModTime().UnixNano(), info.Mode()}
}

// changes are the files that differ, sorted.
func changes(before, after map[string]mark) []string {
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

// someOf names the first few.
func someOf(names []string) string {
	const most = 3
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
