package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/airbuild/airbuild/engine/tree"
)

// outputsFile is where a workspace records what each pipeline last put into
// dist. Losing it means that what is stale by then stays.
const outputsFile = "outputs.json"

// outputsRecord is its content. Files that nobody recorded are the user's own
// and are never removed.
type outputsRecord struct {
	Version   int                 `json:"version"`
	Pipelines map[string][]string `json:"pipelines"` // paths in dist, sorted
}

// sweep makes dist hold what this run declared and nothing stale: files that
// an earlier run of the same pipeline put there and this one did not make are
// removed, also where a step failed or was stopped: an old file beside new
// ones is worse than none. It returns what it removed.
func (r *run) sweep() (removed []string, err error) {
	lockErr := r.o.Workspace.Exclusive("outputs.lock", func() { removed, err = r.sweepAlone() })
	return removed, errors.Join(err, lockErr)
}

// sweepAlone is sweep while no other process sweeps the same workspace: of two
// pipelines that end together each keeps what the other recorded.
func (r *run) sweepAlone() ([]string, error) {
	w := r.o.Workspace
	file := filepath.Join(w.State(), outputsFile)
	rec := loadOutputs(file)
	now := r.declared()
	keep := map[string]bool{}
	for name, list := range rec.Pipelines {
		if name != r.o.Pipeline && name != "" {
			add(keep, list)
		}
	}
	add(keep, now)
	var stale []string
	if r.o.Pipeline != "" {
		stale = rec.Pipelines[r.o.Pipeline]
	}
	stale = append(slices.Clone(stale), r.unmade()...)
	var removed []string
	var errs []error
	for _, p := range slices.Backward(stale) { // what is in a directory before it
		if keep[p] || !underDist(w, p) || r.within(path.Dir(p)) != nil {
			continue
		}
		info, err := os.Lstat(w.Abs(p))
		if err == nil {
			err = os.Remove(w.Abs(p))
		}
		switch {
		case err == nil:
			w.Forget(p)
			removed = append(removed, p)
			r.removeEmptyParents(p)
		case info != nil && info.IsDir(): // there is something of the user's in it
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR):
			errs = append(errs, fmt.Errorf("remove stale output: %w", err))
		}
	}
	if _, err := w.Alone(r.removeTemps); err != nil {
		errs = append(errs, err)
	}
	if r.o.Pipeline == "" {
		now = append(now, rec.Pipelines[""]...)
		slices.Sort(now)
		now = slices.Compact(now)
	}
	if !slices.Equal(rec.Pipelines[r.o.Pipeline], now) {
		rec.Pipelines[r.o.Pipeline] = now
		b, err := json.Marshal(rec)
		if err == nil {
			err = replaceFile(file, b)
		}
		errs = append(errs, err)
	}
	slices.Sort(removed)
	return slices.Compact(removed), errors.Join(errs...)
}

func add(set map[string]bool, list []string) {
	for _, p := range list {
		set[p] = true
	}
}

func loadOutputs(file string) outputsRecord {
	rec := outputsRecord{Version: 1}
	if b, err := os.ReadFile(file); err == nil {
		if json.Unmarshal(b, &rec) != nil || rec.Version != 1 {
			rec = outputsRecord{Version: 1}
		}
	}
	if rec.Pipelines == nil {
		rec.Pipelines = map[string][]string{}
	}
	return rec
}

// declared lists the files and empty directories in dist that this run's
// finished steps made, sorted.
func (r *run) declared() []string {
	var out []string
	for _, id := range r.steps {
		m := r.made[id]
		if m == nil || r.g.Steps[id].Inner {
			continue
		}
		for _, f := range m.files {
			if underDist(r.o.Workspace, f.Path) {
				out = append(out, f.Path)
			}
		}
		for _, l := range m.links {
			if underDist(r.o.Workspace, l.Path) {
				out = append(out, l.Path)
			}
		}
		for _, d := range m.empty {
			if underDist(r.o.Workspace, d) && d != r.o.Workspace.Dist() {
				out = append(out, d)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// unmade lists the declared output files of steps that this run wanted and
// did not finish.
func (r *run) unmade() []string {
	var out []string
	for _, id := range r.steps {
		s := &r.g.Steps[id]
		if r.made[id] != nil || s.Inner {
			continue
		}
		for _, p := range s.Command.OutputFiles {
			out = append(out, path.Join(s.Command.WorkingDirectory, p))
		}
	}
	return out
}

// removeEmptyParents removes the directories above p, inside dist, that hold
// nothing any more.
func (r *run) removeEmptyParents(p string) {
	for d := path.Dir(p); underDist(r.o.Workspace, d) && d != r.o.Workspace.Dist(); d = path.Dir(d) {
		if os.Remove(r.o.Workspace.Abs(d)) != nil {
			return
		}
	}
}

// removeTemps removes temporary files that a killed run left beside outputs.
func (r *run) removeTemps() error {
	dirs := map[string]bool{}
	for _, id := range r.steps {
		if m := r.made[id]; m != nil && !r.g.Steps[id].Inner {
			for _, f := range m.files {
				dirs[path.Dir(f.Path)] = true
			}
		}
	}
	for d := range dirs {
		list, err := os.ReadDir(r.o.Workspace.Abs(d))
		if err != nil {
			continue
		}
		for _, e := range list {
			if strings.HasPrefix(e.Name(), tree.TempPrefix) && !e.IsDir() {
				os.Remove(filepath.Join(r.o.Workspace.Abs(d), e.Name()))
			}
		}
	}
	return nil
}
