package outputs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/internal/paths"
)

// distRecordName is where a workspace records what each pipeline last put into
// dist.
const distRecordName = "outputs.json"

// distRecordVersion: version 1 had one Airbuildfile, version 2 no steps.
const distRecordVersion = 3

// A distRecord is its content. Files that are not recorded are the user's own and
// are never removed.
type distRecord struct {
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

// loadDistRecord reads the record. That of version 1 is taken for the given
// Airbuildfile's.
func loadDistRecord(state, file string) *distRecord {
	rec := &distRecord{}
	if b, err := inuse.ReadFile(filepath.Join(state, distRecordName)); err == nil {
		if json.Unmarshal(b, rec) != nil || rec.Version < 1 || rec.Version > distRecordVersion {
			rec = &distRecord{}
		}
	}
	rec.Version = distRecordVersion
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

// has reports whether a run put p into dist.
func (rec *distRecord) has(p string) bool {
	for _, pipelines := range rec.Files {
		for _, list := range pipelines {
			if slices.Contains(list, p) {
				return true
			}
		}
	}
	return false
}

// A Result is what became of a step of a run: what it made, or nil if it did not
// finish.
type Result struct {
	Step int
	Set  *Set
}

// Swept is what a run changed beside writing outputs.
type Swept struct {
	Removed []string // stale outputs, sorted
	Edited  []string // stale outputs that stay, because they were edited
}

// Sweep makes dist hold what this run declared and nothing stale, also after a
// failure: an old file beside new ones is worse than none. It removes
//   - what an earlier run of the same pipeline put there and this one did not make,
//   - what a step of this run made before under another name,
//   - what pipelines and Airbuildfiles left that do not exist any more,
//   - temporary files of killed runs.
//
// Then it writes the records. What it returns covers the whole run.
func (p *Project) Sweep(results []Result) (Swept, error) {
	var err error
	// Of two pipelines that end together each keeps what the other recorded.
	lockErr := p.w.Exclusive(lockName, func() { err = p.sweep(results) })
	return Swept{Removed: lists.Unique(p.files.removed), Edited: p.edited}, errors.Join(err, lockErr)
}

func (p *Project) sweep(results []Result) error {
	rec := loadDistRecord(p.w.State(), p.o.File)
	byStep, now := p.inDist(results)
	keep := map[string]bool{}
	stale, changed := p.abandonedFiles(rec, keep)
	own := rec.Files[p.o.File]
	if renamed := rec.renamed(p.o.File, byStep); len(renamed) > 0 {
		gone := map[string]bool{}
		add(gone, renamed)
		for name, list := range own {
			own[name] = slices.DeleteFunc(list, func(f string) bool { return gone[f] })
		}
		for _, f := range renamed {
			delete(keep, f)
		}
		stale = append(stale, renamed...)
		changed = true
	}
	add(keep, now)
	left, errs := p.removeFromDist(stale, p.unfinished(results), keep)
	now = append(now, left...) // stays recorded: the next run tries again
	if _, err := p.w.Alone(func() error { p.removeTemps(results); return nil }); err != nil {
		errs = append(errs, err)
	}
	if p.o.Pipeline == "" {
		now = append(now, own[""]...)
	}
	now = lists.Unique(now)
	for step, list := range byStep {
		if !slices.Equal(rec.Steps[p.o.File][step], list) {
			rec.Steps[p.o.File][step], changed = list, true
		}
	}
	if changed || !slices.Equal(own[p.o.Pipeline], now) {
		own[p.o.Pipeline] = now
		b, err := json.Marshal(rec)
		if err == nil {
			err = writeRecord(filepath.Join(p.w.State(), distRecordName), b)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, mergeLog(p.w.State()))...)
}

// abandonedFiles lists what the run's own pipeline put into dist before, and what
// pipelines and Airbuildfiles left that are not there any more; those it removes
// from the record, and reports whether it did. What others made is added to keep.
func (p *Project) abandonedFiles(rec *distRecord, keep map[string]bool) (stale []string, changed bool) {
	for file, pipelines := range rec.Files {
		for name, list := range pipelines {
			switch {
			case file == p.o.File && name == p.o.Pipeline:
				if name != "" {
					stale = append(stale, list...)
				}
			case p.abandoned(file, name):
				stale = append(stale, list...)
				delete(pipelines, name)
				changed = true
			case name != "":
				add(keep, list)
			}
		}
		if len(pipelines) == 0 && file != p.o.File {
			delete(rec.Files, file)
			delete(rec.Steps, file)
		}
	}
	return stale, changed
}

// abandoned reports whether a recorded pipeline is not there any more.
func (p *Project) abandoned(file, pipeline string) bool {
	if file != p.o.File {
		return vanished(p.w.Root(), p.o.File, file)
	}
	return pipeline != "" && p.o.Pipelines != nil && !slices.Contains(p.o.Pipelines, pipeline)
}

// removeFromDist removes stale files and those of unfinished steps, unless they are
// to be kept. It returns those that it could not remove.
func (p *Project) removeFromDist(stale, unfinished []string, keep map[string]bool) (left []string, errs []error) {
	list := append(lists.Unique(stale), unfinished...)
	for _, f := range slices.Backward(list) { // what is in a directory before it
		if keep[f] || !paths.Below(p.w.Dist(), f) || !paths.Local(f) {
			continue
		}
		err := p.files.remove(f)
		if err == nil {
			continue
		}
		if info, serr := os.Lstat(p.w.Abs(f)); serr == nil && info.IsDir() {
			continue // there is something of the user's in it
		}
		left = append(left, f)
		// A step that could not write its output, because another program has it
		// open, has failed with the same words.
		if !errors.Is(err, inuse.ErrInUse) || !slices.Contains(unfinished, f) {
			errs = append(errs, fmt.Errorf("remove stale output %s: %w", f, err))
		}
	}
	return left, errs
}

func add(set map[string]bool, list []string) {
	for _, p := range list {
		set[p] = true
	}
}

// renamed lists what the steps of this run made before and do not make any more,
// unless another step does.
func (rec *distRecord) renamed(file string, byStep map[string][]string) []string {
	before := rec.Steps[file]
	made := map[string]bool{}
	for step, list := range before {
		if _, now := byStep[step]; !now {
			add(made, list)
		}
	}
	for _, list := range byStep {
		add(made, list)
	}
	for other, pipelines := range rec.Files {
		if other != file {
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

// inDist lists the files and empty directories in dist that this run's finished
// steps made, by step and together, sorted.
func (p *Project) inDist(results []Result) (byStep map[string][]string, all []string) {
	dist := p.w.Dist()
	byStep = map[string][]string{}
	for _, r := range results {
		if r.Set == nil {
			continue
		}
		var out []string
		for i := range r.Set.Files {
			if f := &r.Set.Files[i]; paths.Below(dist, f.Path) {
				out = append(out, f.Path)
			}
		}
		for _, l := range r.Set.Links {
			if paths.Below(dist, l.Path) {
				out = append(out, l.Path)
			}
		}
		for _, d := range r.Set.Empty {
			if paths.Below(dist, d) && d != dist {
				out = append(out, d)
			}
		}
		slices.Sort(out)
		byStep[p.o.Index().Steps[r.Step].Name] = out
		all = append(all, out...)
	}
	return byStep, lists.Unique(all)
}

// unfinished lists the declared output files of steps that did not finish.
func (p *Project) unfinished(results []Result) []string {
	var out []string
	for _, r := range results {
		if r.Set != nil {
			continue
		}
		for _, d := range p.o.Index().Steps[r.Step].Outputs {
			if !d.Dir {
				out = append(out, d.Path)
			}
		}
	}
	return out
}

// removeTemps removes temporary files that a killed run left beside outputs.
func (p *Project) removeTemps(results []Result) {
	dirs := map[string]bool{}
	for _, r := range results {
		if r.Set != nil {
			for i := range r.Set.Files {
				dirs[path.Dir(r.Set.Files[i].Path)] = true
			}
		}
	}
	for d := range dirs {
		p.files.removeTemps(d)
	}
}
