// Package doctor looks for what is wrong with a host, its settings and a project,
// and knows what helps.
package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/hosts"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// A Severity is how bad a finding is. Only an error ends doctor with exit code 1.
type Severity string

const (
	OK      Severity = "ok"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// A Finding is what doctor found in one place.
type Finding struct {
	Check  string   `json:"check"`
	Status Severity `json:"status"`
	Text   string   `json:"text"`
	Fix    string   `json:"fix,omitempty"`
}

// Options say whose environment is looked at.
type Options struct {
	Project   project.Options
	BuildTime string // RFC 3339: when airbuild's own commit was made; "": not known
}

// A doctor looks at the environment.
type doctor struct {
	project.Options
	buildTime string
	ctx       context.Context
	root      string // of the project; "" if there is none
	plan      *pipelines.Plan
	fp        *host.Fingerprint
	goenv     map[string]string
	findings  []Finding
}

func (d *doctor) ok(check, format string, args ...any) { d.add(check, OK, "", format, args...) }

func (d *doctor) warn(check, fix, format string, args ...any) {
	d.add(check, Warning, fix, format, args...)
}

func (d *doctor) fail(check, fix, format string, args ...any) {
	d.add(check, Error, fix, format, args...)
}

func (d *doctor) add(check string, s Severity, fix, format string, args ...any) {
	d.findings = append(d.findings, Finding{check, s, fmt.Sprintf(format, args...), fix})
}

// Run looks at the host and the project. A check that cannot be made is left out or is
// a finding; none ends the others.
func Run(ctx context.Context, o Options) ([]Finding, error) {
	d := &doctor{Options: o.Project, buildTime: o.BuildTime, ctx: ctx}
	d.project()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	fp, err := host.Take(ctx, hosts.Options(&d.Options, d.root))
	if err != nil {
		return nil, err
	}
	d.fp = fp
	d.toolchain()
	d.goSettings()
	d.cache()
	d.clock()
	d.paths()
	d.relative()
	d.disks()
	d.limits()
	d.namespaces()
	d.git()
	d.hostBlock()
	return d.findings, ctx.Err()
}

// project plans the Airbuildfile, if there is one. Its mistakes are one finding:
// validate reports them all. A missing toolchain is reported by a check of its own.
func (d *doctor) project() {
	root, name, err := d.FindFile()
	if err != nil {
		d.warn("project", "airbuild init writes one", "there is no %s here or above", project.FileName)
		return
	}
	d.root = root
	if _, err := d.Variables(); err != nil {
		d.fail("project", "correct --var", "%v", err)
		return
	}
	chosen := &project.Toolchains{Env: d.LookupEnv, Root: root}
	p := project.New(d.Options, root, name, &gocmd.Config{Toolchain: chosen.Golang, LookupEnv: d.LookupEnv, Root: root})
	var toolchain error
	plan, diags, err := p.Preview(d.ctx, tasks.ProjectFiles(root), func(name, wanted string, dirs []string) error {
		if err := chosen.Resolve(name, wanted, dirs); err != nil {
			toolchain = err
		} else if wanted != "" {
			d.ok("go", "%s, as the toolchain block requires", chosen.Found.Version)
		}
		return nil
	})
	if err != nil {
		return // interrupted
	}
	d.plan = plan
	if toolchain != nil {
		d.fail("go", "install that version, or correct the toolchain block; a bundle can carry it", "%v", toolchain)
	}
	if diags.HasErrors() {
		d.fail("project", "airbuild validate shows each", "%s has %s", name, human.Count(len(diags.Errs()), "mistake"))
		return
	}
	d.ok("project", "%s with %s", filepath.Join(root, name), human.Count(len(plan.Graph.Steps), "step"))
}

// paths looks at the files that the steps read and the folders that they write.
func (d *doctor) paths() {
	if d.plan == nil {
		return
	}
	if !d.fp.Disks["project"].Writable {
		d.fail("paths", "chown it to the user who builds, or copy the project", "the project's folder cannot be written%s", d.owner(d.root))
	}
	dist := filepath.Join(d.root, filepath.FromSlash(d.plan.Dist))
	if info, err := os.Stat(dist); err == nil && !info.IsDir() {
		d.fail("paths", "move it away, or set dist in the airbuild block", "%s is not a directory", dist)
	} else if err == nil && !host.TakeDisk(dist).Writable {
		d.fail("paths", "chown it to the user who builds, or remove it", "%s cannot be written%s", dist, d.owner(dist))
	}
	seen, unreadable := map[string]bool{}, 0
	for _, s := range d.plan.Graph.Steps {
		for _, in := range s.Inputs {
			name := cmp.Or(in.File, in.Path)
			if in.Kind != engine.FromFile || seen[name] {
				continue
			}
			seen[name] = true
			if problem, fix := d.unreadable(name, in.Optional); problem != "" {
				if unreadable++; unreadable <= 10 {
					d.fail("paths", fix, "%s, an input of %s (%s): %s", name, s.Name, s.Origin, problem)
				}
			}
		}
	}
	if unreadable == 0 {
		d.ok("paths", "%s can be read", human.Count(len(seen), "declared input"))
	}
}

func (d *doctor) unreadable(name string, optional bool) (problem, fix string) {
	full := filepath.Join(d.root, filepath.FromSlash(name))
	f, err := os.Open(full)
	switch {
	case err == nil:
		f.Close()
		return "", ""
	case errors.Is(err, fs.ErrNotExist) && optional:
		return "", ""
	case errors.Is(err, fs.ErrNotExist):
		return "it is not there", "make the file, or correct the path; paths count from the stage's dir"
	case errors.Is(err, fs.ErrPermission):
		return "it cannot be read" + d.owner(full), "chown or chmod it for the user who builds"
	}
	return err.Error(), "look at the file"
}

// relative looks for paths that mean something else in another working
// directory.
func (d *doctor) relative() {
	bad := false
	for _, name := range []string{"AIRBUILD_CACHE", "AIRBUILD_KEYS", "GOCACHE", "GOMODCACHE", "GOPATH", "GOROOT", "GOENV", "TMPDIR", "HOME"} {
		if v, ok := d.LookupEnv(name); ok && v != "" && v != "off" && !filepath.IsAbs(v) {
			bad = true
			d.warn("relative", "write it as an absolute path", "%s=%s is relative: it names another place in every working directory", name, v)
		}
	}
	if v, ok := d.LookupEnv("PATH"); ok {
		for _, dir := range filepath.SplitList(v) {
			if dir != "" && !filepath.IsAbs(dir) || dir == "" && runtime.GOOS != "windows" {
				bad = true
				d.warn("relative", "take it out of PATH", "PATH has %q: which programs are found depends on the working directory", dir)
			}
		}
	}
	if !bad {
		d.ok("relative", "no path in the environment depends on the working directory")
	}
}

// hostBlock holds the host against the Airbuildfile's host block.
func (d *doctor) hostBlock() {
	if d.plan == nil || d.plan.Host == nil || d.plan.Host.Empty() {
		return
	}
	fp, err := host.Take(d.ctx, hosts.WantedBy(&d.Options, d.root, d.plan.Host))
	if err != nil {
		return
	}
	rows := host.Check(d.plan.Host, fp)
	for _, r := range rows {
		if r.Status == host.Mismatch {
			d.fail("host", r.Fix, "%s: the host block requires %s, found %s", r.What, r.Expected, r.Found)
		}
	}
	if host.Fits(rows) {
		d.ok("host", "fits the host block (%s)", human.Count(len(rows), "thing"))
	}
}
