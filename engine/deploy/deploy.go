package deploy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/lists"
)

// A Request is a version to deploy.
type Request struct {
	Version  string
	Artifact Artifact
	Digest   string // of the artifact, for the audit log
	Files    []File // rendered
	Plan     Plan
	Keep     int // how many releases stay, with current and previous; zero: DefaultKeep
}

// An Outcome is what became of a Deploy or Rollback.
type Outcome struct {
	Release  string // that was asked for
	Serves   string // that serves now
	Previous string // that would be gone back to
	Changed  bool   // false: it served already, and is healthy
	// Back is the release that was gone back to because Release failed.
	Back string
}

// Deploy installs a version, makes it serve, and checks it; if it is not
// healthy the last good one serves again, and is checked too. With an error the
// Outcome says what serves. A deploy that is interrupted goes back as well.
func Deploy(ctx context.Context, t Target, q Request) (Outcome, error) {
	if err := CheckVersion(q.Version); err != nil {
		return Outcome{}, fmt.Errorf("deploy: %w", err)
	}
	d, err := open(t)
	if err != nil {
		return Outcome{}, err
	}
	defer d.dir.close()
	if err := d.repair(ctx); err != nil {
		return d.outcome(""), err
	}
	rel, err := d.install(ctx, &q)
	if err != nil {
		return d.outcome(""), errors.Join(err, d.record(Failed, &Release{Version: q.Version, Artifact: q.Digest}, err))
	}
	out, err := d.serve(ctx, rel)
	if err != nil {
		return out, err
	}
	return out, d.prune(q.Keep)
}

// serve makes an installed release serve, unless it does and is healthy.
func (d *deployment) serve(ctx context.Context, rel *Release) (Outcome, error) {
	serves, _, err := d.dir.pointers.release(current)
	if err != nil {
		return Outcome{}, err
	}
	if serves == rel.ID && rel.Good {
		_, slot, _ := d.dir.pointers.release(current)
		if err := d.check(ctx, rel, slot); err == nil {
			d.logf("%s serves already", rel.ID)
			out := d.outcome(rel.ID)
			return out, d.record(Deployed, rel, errors.New("it served already"))
		} else if ctx.Err() != nil {
			return d.outcome(rel.ID), ctx.Err()
		}
	}
	changed, err := d.activate(ctx, opDeploy, rel)
	out := d.outcome(rel.ID)
	out.Changed = changed
	if err != nil && out.Serves != rel.ID {
		out.Back = out.Serves
	}
	return out, err
}

// outcome is how things stand now.
func (d *deployment) outcome(asked string) Outcome {
	serves, _, _ := d.dir.pointers.release(current)
	return Outcome{Release: asked, Serves: serves, Previous: d.dir.state.lastGood(serves)}
}

// install puts a release together and gives it its name.
func (d *deployment) install(ctx context.Context, q *Request) (*Release, error) {
	dir, sum, err := d.assemble(ctx, q)
	if dir != "" {
		defer os.RemoveAll(dir)
	}
	if err != nil {
		return nil, err
	}
	rel := &Release{
		Format: formatVersion, Version: q.Version, Digest: sum, Artifact: q.Digest,
		Environment: d.Environment, Installed: d.Now().UTC(), Plan: q.Plan,
	}
	there, err := d.name(rel)
	if err != nil {
		return nil, err
	}
	if there {
		d.logf("%s is installed already", rel.ID)
		if old, err := d.dir.release(rel.ID); err == nil {
			rel.Good = old.Good
		}
	}
	if err := d.dir.saveRelease(rel); err != nil || there {
		return rel, err
	}
	if err := inuse.Rename(dir, d.dir.releaseDir(rel.ID)); err != nil {
		return nil, fmt.Errorf("install %s: %w", rel.ID, err)
	}
	d.logf("%s is installed", rel.ID)
	return rel, atomicfile.SyncDir(d.dir.releaseDir(""))
}

// assemble fills a directory below tmp, and returns its digest.
func (d *deployment) assemble(ctx context.Context, q *Request) (dir, sum string, err error) {
	if dir, err = os.MkdirTemp(d.dir.tmp, "release-"); err != nil {
		return "", "", fmt.Errorf("install: %w", err)
	}
	if err = os.Chmod(dir, 0o755); err != nil {
		return dir, "", err
	}
	if err = d.fill(ctx, dir, q); err != nil {
		return dir, "", err
	}
	sum, err = digest(dir, true)
	return dir, sum, err
}

// name gives a release its id, and reports whether it is installed already. A
// directory of that name whose content was changed is left alone, because it
// may serve, and the release gets another name.
func (d *deployment) name(rel *Release) (there bool, err error) {
	base := rel.Version + "-" + rel.Digest[:12]
	for n := 1; ; n++ {
		rel.ID = base
		if n > 1 {
			rel.ID = fmt.Sprintf("%s~%d", base, n)
		}
		if _, err := os.Lstat(d.dir.releaseDir(rel.ID)); errors.Is(err, os.ErrNotExist) {
			return false, nil
		} else if err != nil {
			return false, err
		}
		if sum, err := digest(d.dir.releaseDir(rel.ID), false); err == nil && sum == rel.Digest {
			return true, nil
		}
		d.logf("%s was changed after it was installed, and is not used", rel.ID)
	}
}

// Rollback makes an earlier release serve: the one that was good before the
// current one, or the one named to.
func Rollback(ctx context.Context, t Target, to string) (Outcome, error) {
	d, err := open(t)
	if err != nil {
		return Outcome{}, err
	}
	defer d.dir.close()
	if err := d.repair(ctx); err != nil {
		return d.outcome(""), err
	}
	serves, _, err := d.dir.pointers.release(current)
	if err != nil {
		return Outcome{}, err
	}
	if to == "" {
		if to = d.dir.state.lastGood(serves); to == "" {
			return d.outcome(""), fmt.Errorf("roll back: there is no earlier good release in %s", d.Root)
		}
	}
	if to == serves {
		return d.outcome(to), fmt.Errorf("roll back: %s serves already", to)
	}
	rel, err := d.dir.release(to)
	if err != nil {
		return d.outcome(to), fmt.Errorf("roll back: %w; installed are: %s", err, d.dir.installed())
	}
	if sum, err := digest(d.dir.releaseDir(to), false); err != nil || sum != rel.Digest {
		return d.outcome(to), fmt.Errorf("roll back: %s was changed after it was installed; deploy that version again", to)
	}
	changed, err := d.activate(ctx, opRollback, rel)
	out := d.outcome(to)
	out.Changed = changed
	return out, err
}

func (r *rootDir) installed() string {
	all, _ := r.releases()
	return strings.Join(lists.Map(all, func(rel *Release) string { return rel.ID }), ", ")
}

// prune removes the oldest releases over keep: never one that serves, that
// would be gone back to, or that a slot holds.
func (d *deployment) prune(keep int) error {
	if keep <= 0 {
		keep = DefaultKeep
	}
	needed := map[string]bool{}
	for _, name := range []string{current, blue, green} {
		id, _, err := d.dir.pointers.release(name)
		if err != nil {
			return err
		}
		needed[id] = true
		if name == current {
			needed[d.dir.state.lastGood(id)] = true
		}
	}
	all, err := d.dir.releases()
	if err != nil {
		return err
	}
	for i, rel := range all {
		if len(all)-i <= keep || needed[rel.ID] {
			continue
		}
		if err := d.removeRelease(rel); err != nil {
			return err
		}
	}
	return nil
}

// removeRelease takes a release out of the way before its files go: a crash in
// between leaves them below tmp, which the next one clears.
func (d *deployment) removeRelease(rel *Release) error {
	d.dir.state.Served = slices.DeleteFunc(d.dir.state.Served, func(id string) bool { return id == rel.ID })
	if err := d.dir.saveState(); err != nil {
		return err
	}
	if err := d.record(Removed, rel, nil); err != nil {
		return err
	}
	gone := filepath.Join(d.dir.tmp, rel.ID)
	if err := inuse.Rename(d.dir.releaseDir(rel.ID), gone); err != nil {
		return fmt.Errorf("remove release %s: %w", rel.ID, err)
	}
	if err := remove(d.dir.private("releases", rel.ID+".json")); err != nil {
		return err
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("remove release %s: %w", rel.ID, err)
	}
	d.logf("%s is removed: it was one too many", rel.ID)
	return nil
}

// DryRun says what Deploy would do, and changes nothing.
func DryRun(ctx context.Context, t Target, q Request) (Outcome, error) {
	if err := CheckVersion(q.Version); err != nil {
		return Outcome{}, fmt.Errorf("deploy: %w", err)
	}
	d, err := openUnlocked(t)
	if err != nil {
		return Outcome{}, err
	}
	if err := d.dir.readState(d.Name); err != nil {
		return Outcome{}, err
	}
	if d.dir.tmp, err = os.MkdirTemp("", "airbuild-deploy-"); err != nil {
		return Outcome{}, err
	}
	defer os.RemoveAll(d.dir.tmp)
	_, sum, err := d.assemble(ctx, &q)
	if err != nil {
		return Outcome{}, err
	}
	rel := &Release{Version: q.Version, Digest: sum}
	if _, err := d.name(rel); err != nil {
		return Outcome{}, err
	}
	out := d.outcome(rel.ID)
	out.Changed = out.Serves != rel.ID
	return out, nil
}
