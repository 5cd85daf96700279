package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/diagnose"
	"github.com/airbuild/airbuild/engine/host"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang"
)

// A severity is how bad a finding is. Only an error ends doctor with exit code 1.
type severity string

const (
	fine    severity = "ok"
	warning severity = "warning"
	wrong   severity = "error"
)

// A finding is what doctor found in one place.
type finding struct {
	Check  string   `json:"check"`
	Status severity `json:"status"`
	Text   string   `json:"text"`
	Fix    string   `json:"fix,omitempty"`
}

// A doctor looks at the environment.
type doctor struct {
	*app
	ctx      context.Context
	root     string // of the project; "" if there is none
	plan     *pipelines.Plan
	fp       *host.Fingerprint
	goenv    map[string]string
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) { d.add(check, fine, "", format, args...) }

func (d *doctor) warn(check, fix, format string, args ...any) {
	d.add(check, warning, fix, format, args...)
}

func (d *doctor) fail(check, fix, format string, args ...any) {
	d.add(check, wrong, fix, format, args...)
}

func (d *doctor) add(check string, s severity, fix, format string, args ...any) {
	d.findings = append(d.findings, finding{check, s, fmt.Sprintf(format, args...), fix})
}

// doctorHere looks at everything. A check that cannot be made is left out or is
// a finding; none ends the others.
func (a *app) doctorHere(ctx context.Context) error {
	d := &doctor{app: a, ctx: ctx}
	d.project()
	if err := ctx.Err(); err != nil {
		return err
	}
	fp, err := host.Take(ctx, a.hostOptions(d.root))
	if err != nil {
		return err
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
	if err := ctx.Err(); err != nil {
		return err
	}
	return d.show()
}

func (d *doctor) show() error {
	bad, warned := 0, 0
	for _, f := range d.findings {
		switch f.Status {
		case wrong:
			bad++
		case warning:
			warned++
		}
	}
	if d.json() {
		if err := d.writeJSON(map[string]any{"version": 1, "ok": bad == 0, "findings": d.findings}); err != nil {
			return err
		}
	} else if err := d.write(bad, warned); err != nil {
		return err
	}
	if bad > 0 {
		return exit.Silent(exit.Failed)
	}
	return nil
}

func (d *doctor) write(bad, warned int) error {
	var s strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&s, "%-8s %-12s %s\n", f.Status, f.Check, human.OneLine(f.Text))
		if f.Fix != "" {
			fmt.Fprintf(&s, "%-8s %-12s fix: %s\n", "", "", human.OneLine(f.Fix))
		}
	}
	switch {
	case bad > 0:
		fmt.Fprintf(&s, "%s, %s\n", human.Count(bad, "error"), human.Count(warned, "warning"))
	case warned > 0:
		fmt.Fprintf(&s, "nothing is wrong; %s\n", human.Count(warned, "warning"))
	default:
		s.WriteString("nothing is wrong\n")
	}
	_, err := io.WriteString(d.out, s.String())
	return err
}

// project plans the Airbuildfile, if there is one. Its mistakes are one finding:
// validate tells them all. A toolchain that is missing is told by its own check.
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
	p := project.New(d.quietly(), root, name, &golang.Config{Toolchain: chosen.Golang, LookupEnv: d.LookupEnv, Root: root})
	var toolchain error
	plan, diags, err := p.Preview(d.ctx, tasks.ProjectFiles(root), func(name, wanted string, dirs []string) error {
		if err := chosen.Resolve(name, wanted, dirs); err != nil {
			toolchain = err
		} else if wanted != "" {
			d.ok("go", "%s, as the toolchain block wants", chosen.Found.Version)
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

// toolchain looks for Go and asks it for its settings.
func (d *doctor) toolchain() {
	tc, err := golang.FindToolchain("", d.LookupEnv, exec.LookPath)
	if err != nil {
		d.fail("go", "install Go, or put its bin directory on PATH", "%v", err)
		return
	}
	if !slices.ContainsFunc(d.findings, func(f finding) bool { return f.Check == "go" }) {
		d.ok("go", "%s in %s", tc.Version, tc.Root)
	}
	out, err := d.output(tc.Bin, "env", "-json")
	if err != nil {
		d.fail("go", "go env says more", "go env: %v", err)
		return
	}
	if json.Unmarshal(out, &d.goenv) != nil {
		d.goenv = nil
	}
	d.goMod(tc)
}

// output runs a program in the project, bounded in time and size.
func (d *doctor) output(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = d.root
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if text := human.OneLine(stderr.String()); text != "" {
			return out, errors.New(text[:min(len(text), 500)])
		}
	}
	return out, err
}

// goMod holds the version that go.mod wants against the toolchain's.
func (d *doctor) goMod(tc *golang.Toolchain) {
	text, err := os.ReadFile(filepath.Join(d.root, "go.mod"))
	if d.root == "" || err != nil {
		return
	}
	mod, err := modfile.ParseLax("go.mod", text, nil)
	if err != nil {
		d.fail("go.mod", "go mod edit -fmt shows the place", "%v", err)
		return
	}
	for _, r := range mod.Replace {
		if r.New.Version == "" && leavesProject(r.New.Path) {
			d.warn("relative", "put the module into the project, publish it, or use a go.work file", "go.mod replaces %s by %s, which lies outside the project and is not carried", r.Old.Path, r.New.Path)
		}
	}
	if mod.Go == nil {
		return
	}
	wanted := ">= " + mod.Go.Version
	if _, err := golang.FindToolchain(wanted, d.LookupEnv, exec.LookPath); err != nil {
		d.fail("go.mod", "install Go "+mod.Go.Version+" or newer; a bundle can carry it", "go.mod wants Go %s, and this is %s", mod.Go.Version, tc.Version)
	}
}

func leavesProject(p string) bool {
	clean := filepath.ToSlash(filepath.Clean(p))
	return filepath.IsAbs(p) || clean == ".." || strings.HasPrefix(clean, "../")
}

// goSettings looks at what go env was told beside its defaults. airbuild's own
// Go steps do without all of it; go by hand, and programs in exec steps that
// take it over with pass_env, do not.
func (d *doctor) goSettings() {
	if d.goenv == nil {
		return
	}
	d.goFlags()
	d.goEnvFile()
	d.goNetwork()
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} {
		dir := d.goenv[name]
		if dir == "" || dir == "off" {
			d.fail("go", "set HOME or "+name, "%s has no value", name)
			continue
		}
		if !host.TakeDisk(dir).Writable {
			d.warn("go", "chown it to the user who builds, or set "+name, "%s (%s) cannot be written", name, dir)
		}
	}
	if d.goenv["CGO_ENABLED"] == "1" {
		cc, _, _ := strings.Cut(d.goenv["CC"], " ")
		if _, err := exec.LookPath(cc); err != nil {
			d.warn("cgo", "install "+cc+", or set CGO_ENABLED=0", "cgo is on, and the C compiler %s is not on PATH", cc)
		}
	}
}

func (d *doctor) goFlags() {
	flags := d.goenv["GOFLAGS"]
	if flags == "" {
		return
	}
	why := "it changes what go does by hand; airbuild's own Go steps do without it"
	for flag, text := range map[string]string{
		"-buildvcs=false": "binaries built by hand do not say which commit they are of",
		"-mod=mod":        "go by hand may change go.mod and fetch modules, and takes no vendor directory",
		"-mod=vendor":     "go by hand fails in modules without a vendor directory",
		"-insecure":       "modules are fetched without checks",
	} {
		if strings.Contains(flags, flag) {
			why = text
		}
	}
	d.warn("goflags", "unset GOFLAGS, or go env -u GOFLAGS; put what is needed into the stage", "GOFLAGS=%s: %s", flags, why)
}

// goEnvFile names what go env -w recorded: nobody sees it in the environment.
func (d *doctor) goEnvFile() {
	file := d.goenv["GOENV"]
	if file == "" || file == "off" {
		return
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	var names []string
	for line := range strings.Lines(string(text)) {
		if name, _, ok := strings.Cut(strings.TrimSpace(line), "="); ok && name != "" && !strings.HasPrefix(name, "#") {
			names = append(names, name)
		}
	}
	if len(names) > 0 {
		d.warn("goenv", "go env -u "+strings.Join(names, " "), "%s sets %s for all projects of this user", file, strings.Join(names, ", "))
	}
}

// goNetwork looks at settings that cannot work without a network.
func (d *doctor) goNetwork() {
	note := func(_, format string, args ...any) { d.ok("go network", format, args...) }
	if d.Offline {
		note = func(fix, format string, args ...any) { d.warn("go network", fix, format, args...) }
	}
	proxy, sumdb := host.WithoutPassword(d.goenv["GOPROXY"]), d.goenv["GOSUMDB"]
	local := !needsNetwork(d.goenv["GOPROXY"])
	switch {
	case !local:
		note("set GOPROXY to a file:// tree, such as that of a go_download stage or of an imported bundle; airbuild --offline leaves the others out by itself",
			"GOPROXY=%s needs a network", proxy)
	default:
		d.ok("go network", "GOPROXY=%s needs no network", proxy)
	}
	for _, e := range strings.FieldsFunc(d.goenv["GOPROXY"], func(r rune) bool { return r == ',' || r == '|' }) {
		dir, ok := strings.CutPrefix(e, "file://")
		if _, err := os.Stat(dir); ok && err != nil {
			d.fail("go network", "make the tree, or correct GOPROXY", "GOPROXY names %s, and there is no such folder", e)
		}
	}
	if sumdb != "off" && sumdb != "" && d.Offline {
		d.warn("go network", "commit a go.sum that has all entries; a bundle carries the database's proofs", "GOSUMDB=%s cannot be asked without a network: a module that is not in go.sum fails", sumdb)
	}
	if sumdb == "off" {
		d.warn("go network", "go env -u GOSUMDB; list private modules in GOPRIVATE", "GOSUMDB=off: new modules are taken as they come")
	}
	if v := d.goenv["GOTOOLCHAIN"]; d.Offline && v != "local" && v != "" && os.Getenv("GOTOOLCHAIN") != "local" {
		d.warn("go network", "set GOTOOLCHAIN=local", "GOTOOLCHAIN=%s: go by hand may want to fetch another Go", v)
	}
}

// The space below which a disk is a finding, in bytes.
const (
	littleSpace = 2 << 30
	noSpace     = 200 << 20
)

func (d *doctor) cache() {
	dir, err := d.CacheDir()
	if err != nil {
		d.fail("cache", "set AIRBUILD_CACHE", "%v", err)
		return
	}
	if !d.fp.Disks["cache"].Writable {
		d.fail("cache", "chown it to the user who builds, or set AIRBUILD_CACHE to another directory", "%s cannot be written%s", dir, d.owner(dir))
		return
	}
	d.ok("cache", "%s", dir)
}

// owner tells who owns a path, in brackets.
func (d *doctor) owner(path string) string {
	a, ok := diagnose.Look(path)
	if !ok || a.Owner == "" {
		return ""
	}
	return fmt.Sprintf(" (%s belongs to %s, mode %s; this runs as %s)", a.Path, a.Owner, a.Mode, a.User)
}

func (d *doctor) disks() {
	for _, use := range []string{"project", "cache", "tmp"} {
		disk := d.fp.Disks[use]
		fix := "free space on that disk"
		switch use {
		case "cache":
			fix = "airbuild cache prune --max-size 5GiB, or set AIRBUILD_CACHE to another disk"
		case "tmp":
			fix = "free space, or set TMPDIR to another disk"
		}
		switch {
		case disk.Total == 0:
		case disk.Free < noSpace:
			d.fail("disk", fix, "the disk of %s has %s left", use, host.Size(disk.Free))
		case disk.Free < littleSpace:
			d.warn("disk", fix, "the disk of %s has %s left", use, host.Size(disk.Free))
		case disk.FileSystem == "":
			d.ok("disk", "the disk of %s has %s left", use, host.Size(disk.Free))
		default:
			d.ok("disk", "the disk of %s has %s left (%s)", use, host.Size(disk.Free), disk.FileSystem)
		}
		if disk.FreeInodes >= 0 && disk.FreeInodes < 10_000 && disk.Total > 0 && disk.FileSystem != "vfat" && disk.FileSystem != "exfat" {
			d.fail("disk", "remove many small files, such as old caches", "the disk of %s has %d inodes left", use, disk.FreeInodes)
		}
	}
	if d.fp.Disks["project"].FoldsCase && runtime.GOOS == "linux" {
		d.warn("case", "move the project to a file system that tells A from a", "on the project's file system A and a are one file: names that differ by case only overwrite each other")
	} else if d.fp.Disks["project"].FoldsCase {
		d.ok("case", "on the project's file system A and a are one file, as is usual here")
	}
}

// clockSlack is how far ahead of the clock a time may be.
const clockSlack = 2 * time.Minute

// maxWalk is how many files are looked at for the newest.
const maxWalk = 50_000

// clock holds the clock against the newest of what was written before now.
func (d *doctor) clock() {
	now := time.Now()
	late := func(what string, t time.Time, fix string) bool {
		if t.After(now.Add(clockSlack)) {
			d.fail("clock", fix, "the clock says %s, and %s is of %s: %s ahead", now.UTC().Format(time.RFC3339), what, t.UTC().Format(time.RFC3339), human.Took(t.Sub(now)))
			return true
		}
		return false
	}
	const set = "set the clock: timedatectl set-time, chronyc makestep, or date -u"
	bad := false
	if v := readVersion(); v.Time != "" {
		if t, err := time.Parse(time.RFC3339, v.Time); err == nil {
			bad = late("the commit that airbuild was built from", t, set) || bad
		}
	}
	if d.root != "" {
		if info, err := source.Read(d.ctx, d.root, []string{"time"}, source.Options{}); err == nil {
			bad = late("the newest commit", info.Time, set) || bad
		}
		if name, t := newest(d.ctx, d.root); name != "" {
			bad = late(name, t, set+"; if the clock is right, touch the file") || bad
		}
	}
	if cache, err := d.CacheDir(); err == nil {
		if name, t := newest(d.ctx, filepath.Join(cache, "ac")); name != "" {
			bad = late("the newest result in the cache", t, set) || bad
		}
	}
	if !bad {
		d.ok("clock", "%s, zone %s", now.UTC().Format(time.RFC3339), d.fp.Clock.Zone)
	}
}

// newest is the file below dir that was changed last, of the first maxWalk.
func newest(ctx context.Context, dir string) (name string, last time.Time) {
	n := 0
	filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || ctx.Err() != nil {
			return fs.SkipAll
		}
		if e.IsDir() && path != dir && (e.Name() == ".git" || e.Name() == "node_modules") {
			return fs.SkipDir
		}
		if n++; n > maxWalk {
			return fs.SkipAll
		}
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && info.ModTime().After(last) {
			name, last = path, info.ModTime()
		}
		return nil
	})
	return name, last
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
		d.fail("paths", "move it away, or set dist in the airbuild block", "%s is no folder", dist)
	} else if err == nil && !host.TakeDisk(dist).Writable {
		d.fail("paths", "chown it to the user who builds, or remove it", "%s cannot be written%s", dist, d.owner(dist))
	}
	seen, unreadable := map[string]bool{}, 0
	for _, s := range d.plan.Graph.Steps {
		for _, in := range s.Inputs {
			name := in.File
			if name == "" {
				name = in.Path
			}
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

func (d *doctor) limits() {
	least := []struct {
		name string
		min  int64
		fix  string
	}{
		{"nofile", 1024, "ulimit -n 65536, or LimitNOFILE= of the service"},
		{"nproc", 512, "ulimit -u 4096, or pids.max of the control group"},
		{"fsize", 1 << 30, "ulimit -f unlimited"},
		{"inotify_watches", 8192, "sysctl fs.inotify.max_user_watches=524288"},
		{"inotify_instances", 16, "sysctl fs.inotify.max_user_instances=1024"},
	}
	bad := false
	for _, l := range least {
		have, ok := d.fp.Limits[l.name]
		if ok && have.Soft >= 0 && have.Soft < l.min {
			bad = true
			d.warn("limits", l.fix, "%s is %d, which is little", l.name, have.Soft)
		}
	}
	if m := d.fp.Memory.Usable(); m > 0 && m < 1<<30 {
		bad = true
		d.warn("memory", "give the host or its control group more, or run fewer jobs (-j)", "only %s of memory: linking large programs takes more", host.Size(m))
	}
	if !bad && len(d.fp.Limits) > 0 {
		d.ok("limits", "%d files", d.fp.Limits["nofile"].Soft)
	}
}

// namespaces says whether steps can be kept off the network here.
func (d *doctor) namespaces() {
	if runtime.GOOS != "linux" {
		d.ok("sandbox", "not enforced on this system: steps see the whole host and its network")
		return
	}
	for _, name := range []string{"user_namespaces", "network_namespaces", "mount_namespaces"} {
		s := d.fp.Syscalls[name]
		if !s.Works {
			d.warn("sandbox", "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0; in a container, its seccomp profile",
				"%s cannot be made: %s; steps are not kept off the network", strings.ReplaceAll(name, "_", " "), s.Detail)
			return
		}
	}
	d.ok("sandbox", "user, network and mount namespaces can be made")
}

func (d *doctor) git() {
	if _, err := exec.LookPath("git"); err != nil {
		d.warn("git", "install git; a source.json beside the Airbuildfile does without", "git is not on PATH")
		return
	}
	if d.root == "" {
		return
	}
	if _, err := d.askGit("rev-parse", "--git-dir"); err != nil {
		d.gitTrouble(err)
		return
	}
	d.ok("git", "%s, the project is in a repository", d.fp.Tools["git"].Version)
	if out, err := d.askGit("rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(out)) == "true" {
		d.warn("git", "git fetch --unshallow --tags", "the clone is shallow: git.describe may not see the last tag")
	}
	d.lineEnds()
}

// askGit runs git in the project, bounded in time.
func (d *doctor) askGit(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(d.ctx, 20*time.Second)
	defer cancel()
	cmd, err := source.Command(ctx, d.root, args...)
	if err != nil {
		return nil, err
	}
	return cmd.Output()
}

func (d *doctor) gitTrouble(err error) {
	var owner *source.OwnerError
	if errors.As(err, &owner) {
		d.fail("git", owner.Fix(), "The repository at %s belongs to another user", owner.Dir)
		return
	}
	if _, serr := os.Stat(filepath.Join(d.root, source.FileName)); serr == nil {
		d.ok("git", "no repository; %s tells what the source is", source.FileName)
		return
	}
	d.warn("git", "git init, or write a source.json", "the project is in no repository: git and source have no values")
}

// maxEndings is how much of git's list of line ends is looked at, in bytes.
const maxEndings = 16 << 20

// lineEnds looks for files whose line ends git changed on checkout: their bytes
// are others than those that another host builds from.
func (d *doctor) lineEnds() {
	out, err := d.askGit("ls-files", "--eol")
	if err != nil || len(out) > maxEndings {
		return
	}
	n, first := 0, ""
	for line := range strings.Lines(string(out)) {
		about, name, ok := strings.Cut(line, "\t")
		if ok && strings.HasPrefix(about, "i/lf") && strings.Contains(about, "w/crlf") {
			if n++; n == 1 {
				first = strings.TrimSpace(name)
			}
		}
	}
	if n > 0 {
		d.warn("line ends", `put "* text=auto eol=lf" into .gitattributes, then git rm --cached -r -q . && git reset --hard`,
			"%s checked out with CR LF, such as %s: their bytes, and all keys made of them, differ from those of other hosts", map[bool]string{true: "1 file is", false: fmt.Sprintf("%d files are", n)}[n == 1], first)
	}
	if out, err := d.askGit("config", "--get", "core.symlinks"); err == nil && strings.TrimSpace(string(out)) == "false" {
		d.warn("git", "git config core.symlinks true, then check out again", "core.symlinks is false: symbolic links become files")
	}
}

// hostBlock holds the host against the Airbuildfile's host block.
func (d *doctor) hostBlock() {
	if d.plan == nil || d.plan.Host == nil || d.plan.Host.Empty() {
		return
	}
	fp, err := host.Take(d.ctx, d.wantedOptions(d.root, d.plan.Host))
	if err != nil {
		return
	}
	rows := host.Check(d.plan.Host, fp)
	for _, r := range rows {
		if r.Status == host.Mismatch {
			d.fail("host", r.Fix, "%s: the host block wants %s, and found is %s", r.What, r.Expected, r.Found)
		}
	}
	if host.Fits(rows) {
		d.ok("host", "fits the host block (%s)", human.Count(len(rows), "thing"))
	}
}

// needsNetwork reports whether an entry of a GOPROXY is no local tree.
func needsNetwork(list string) bool {
	for _, e := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == '|' }) {
		if e != "off" && !strings.HasPrefix(e, "file://") {
			return true
		}
	}
	return false
}
