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

	"github.com/airbuild/airbuild/engine/inuse"
	"github.com/airbuild/airbuild/engine/tree"
)

// outputsFile is where a workspace records what each pipeline last put into
// dist. Losing it means that what is stale by then stays.
const outputsFile = "outputs.json"

// outputsVersion: version 1 knew of one Airbuildfile, version 2 of no steps.
const outputsVersion = 3

// outputsRecord is its content. Files that nobody recorded are the user's own
// and are never removed.
type outputsRecord struct {
	Version int `json:"version"`
	// Files are the paths in dist, sorted, by Airbuildfile and pipeline; under
	// the empty name are those of single targets.
	Files map[string]map[string][]string `json:"files,omitempty"`
	// Steps are the paths in dist that each step last made, by Airbuildfile: what
	// a step makes under a new name takes the place of the old one, whatever was
	// run.
	Steps     map[string]map[string][]string `json:"steps,omitempty"`
	Pipelines map[string][]string            `json:"pipelines,omitempty"` // of version 1
}

// loadOutputs reads the record. That of version 1 is taken for the given
// Airbuildfile's.
func loadOutputs(state, file string) outputsRecord {
	var rec outputsRecord
	if b, err := inuse.ReadFile(filepath.Join(state, outputsFile)); err == nil {
		if json.Unmarshal(b, &rec) != nil || rec.Version < 1 || rec.Version > outputsVersion {
			rec = outputsRecord{}
		}
	}
	rec.Version = outputsVersion
	if rec.Files == nil {
		rec.Files = map[string]map[string][]string{}
	}
	if rec.Pipelines != nil {
		rec.Files[file], rec.Pipelines = rec.Pipelines, nil
	}
	if rec.Files[file] == nil {
		rec.Files[file] = map[string][]string{}
	}
	if rec.Steps == nil {
		rec.Steps = map[string]map[string][]string{}
	}
	if rec.Steps[file] == nil {
		rec.Steps[file] = map[string][]string{}
	}
	return rec
}

// sweep makes dist hold what this run declared and nothing stale: files that
// an earlier run of the same pipeline put there and this one did not make are
// removed, and files that a step of this run made before under another name, also where a step failed or was stopped: an old file beside new
// ones is worse than none. So is what pipelines and Airbuildfiles left that do
// not exist any more. Then the record is written.
func (r *run) sweep() (err error) {
	lockErr := r.o.Workspace.Exclusive("outputs.lock", func() { err = r.sweepAlone() })
	return errors.Join(err, lockErr)
}

// sweepAlone is sweep while no other process sweeps the same workspace: of two
// pipelines that end together each keeps what the other recorded.
func (r *run) sweepAlone() error {
	w := r.o.Workspace
	rec := loadOutputs(w.State(), r.o.File)
	byStep, now := r.declared()
	own := rec.Files[r.o.File]
	keep := map[string]bool{}
	var stale []string
	changed := false
	for file, pipelines := range rec.Files {
		for name, list := range pipelines {
			switch {
			case file == r.o.File && name == r.o.Pipeline:
				if name != "" {
					stale = append(stale, list...)
				}
			case r.abandoned(file, name):
				stale = append(stale, list...)
				delete(pipelines, name)
				changed = true
			case name != "":
				add(keep, list)
			}
		}
		if len(pipelines) == 0 && file != r.o.File {
			delete(rec.Files, file)
			delete(rec.Steps, file)
		}
	}
	if renamed := r.renamed(rec, byStep); len(renamed) > 0 {
		gone := map[string]bool{}
		add(gone, renamed)
		for name, list := range own {
			own[name] = slices.DeleteFunc(list, func(p string) bool { return gone[p] })
		}
		for _, p := range renamed {
			delete(keep, p)
		}
		stale = append(stale, renamed...)
		changed = true
	}
	add(keep, now)
	unmade := r.unmade()
	slices.Sort(stale)
	stale = append(slices.Compact(stale), unmade...)
	var errs []error
	for _, p := range slices.Backward(stale) { // what is in a directory before it
		if keep[p] || !underDist(w, p) || !localPath(p) {
			continue
		}
		err := r.removeOne(p)
		if err == nil || isDirectory(w, p) { // there is something of the user's in it
			continue
		}
		now = append(now, p) // stays recorded: the next run tries again
		// A step that could not write its output, because another program has it
		// open, has failed with the same words.
		if !errors.Is(err, inuse.ErrInUse) || !slices.Contains(unmade, p) {
			errs = append(errs, fmt.Errorf("remove stale output %s: %w", p, err))
		}
	}
	slices.Sort(now)
	now = slices.Compact(now)
	if _, err := w.Alone(r.removeTemps); err != nil {
		errs = append(errs, err)
	}
	if r.o.Pipeline == "" {
		now = append(now, own[""]...)
		slices.Sort(now)
		now = slices.Compact(now)
	}
	for step, list := range byStep {
		if !slices.Equal(rec.Steps[r.o.File][step], list) {
			rec.Steps[r.o.File][step], changed = list, true
		}
	}
	if changed || !slices.Equal(own[r.o.Pipeline], now) {
		own[r.o.Pipeline] = now
		b, err := json.Marshal(rec)
		if err == nil {
			err = replaceFile(filepath.Join(w.State(), outputsFile), b)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, r.foldMade())...)
}

// foldMade takes the log of what was made outside dist into the record.
func (r *run) foldMade() error {
	state := r.o.Workspace.State()
	if _, err := os.Lstat(filepath.Join(state, madeLog)); err != nil {
		return nil
	}
	return loadMade(state).save(state)
}

// abandoned reports whether a recorded pipeline is not there any more.
func (r *run) abandoned(file, pipeline string) bool {
	if file != r.o.File {
		return vanished(r.o.Workspace.Root(), r.o.File, file)
	}
	return pipeline != "" && r.o.Pipelines != nil && !slices.Contains(r.o.Pipelines, pipeline)
}

func isDirectory(w *tree.Workspace, p string) bool {
	info, err := os.Lstat(w.Abs(p))
	return err == nil && info.IsDir()
}

func add(set map[string]bool, list []string) {
	for _, p := range list {
		set[p] = true
	}
}

// renamed lists what the steps of this run made before and do not make any more,
// unless another step does.
func (r *run) renamed(rec outputsRecord, byStep map[string][]string) []string {
	before := rec.Steps[r.o.File]
	made := map[string]bool{}
	for step, list := range before {
		if _, now := byStep[step]; !now {
			add(made, list)
		}
	}
	for _, list := range byStep {
		add(made, list)
	}
	for file, pipelines := range rec.Files {
		if file != r.o.File {
			for _, list := range pipelines {
				add(made, list)
			}
		}
	}
	var out []string
	for step := range byStep {
		for _, p := range before[step] {
			if !made[p] {
				out = append(out, p)
			}
		}
	}
	return out
}

// declared lists the files and empty directories in dist that this run's
// finished steps made, by step and together, sorted.
func (r *run) declared() (byStep map[string][]string, all []string) {
	byStep = map[string][]string{}
	for _, id := range r.steps {
		m := r.made[id]
		if m == nil || r.g.Steps[id].Inner {
			continue
		}
		var out []string
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
		slices.Sort(out)
		byStep[r.g.Steps[id].Name] = out
		all = append(all, out...)
	}
	slices.Sort(all)
	return byStep, slices.Compact(all)
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

// removeEmptyParents removes the directories above p that hold nothing any
// more, and in which no step runs.
func (r *run) removeEmptyParents(p string) {
	w := r.o.Workspace
	for d := path.Dir(p); d != "." && d != w.Dist(); d = path.Dir(d) {
		if r.owners().workDirs[d] {
			return
		}
		dir, err := w.OpenDir(path.Dir(d), nil)
		if err != nil {
			return
		}
		info, err := dir.Lstat(path.Base(d))
		if err == nil && info.IsDir() {
			err = dir.Remove(path.Base(d))
		}
		dir.Close()
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
		r.forget(d)
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
			if tree.IsTemp(e.Name()) && !e.IsDir() {
				if dir, err := r.o.Workspace.OpenDir(d, nil); err == nil {
					dir.Remove(e.Name())
					dir.Close()
				}
			}
		}
	}
	return nil
}
