package golang

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// A Collection is what Collect is to fetch.
type Collection struct {
	// Dirs are directories of modules and workspaces, project-relative; nil
	// means all that ModuleDirs finds.
	Dirs []string
	// Toolchains are Go releases to add, each for the host that will run it.
	Toolchains []goproxy.Toolchain
	// Heads are signed heads of checksum databases that the receiver has, by
	// name. What is collected then proves that the newer head continues them,
	// without which the receiver can verify both and join neither.
	Heads map[string][]byte
	// Scratch is a directory for temporary files; empty means the system's.
	// It must be able to hold all modules and, unpacked, the toolchains.
	Scratch string
	Log     io.Writer // what the go command says; nil discards it
}

// Collected is what Collect made.
type Collected struct {
	// Report says of each module and toolchain by what it was verified.
	// Those that are not ByProof have their sums in the tree's go.sum.
	Report *goproxy.Report
	// Notes say what the receiver should know: that no database could be
	// asked, that nobody vouches for a module.
	Notes []string
	// Unasked: a checksum database could not be asked, so that less is proven
	// than might be.
	Unasked bool
	// Lacking: something that is not needed could not be had; another day it
	// might.
	Lacking bool
}

// Collect fills out, an absolute directory that is new or empty, with a
// GOPROXY tree: every module that the project's modules and workspaces can
// need, tests and tools included, the toolchains, and the checksum database's
// proofs. It is the same work as go_download's, for the whole project.
//
// Everything is verified before Collect returns. What no database vouches for
// (a private module, or all of them where no database can be asked) is held
// against go.sum, and its sums are recorded in the tree's own go.sum.
func Collect(ctx context.Context, c *gocmd.Config, out string, o Collection) (_ *Collected, err error) {
	scratch, err := os.MkdirTemp(o.Scratch, ".airbuild-collect-*")
	if err != nil {
		return nil, fmt.Errorf("collect modules: %w", err)
	}
	defer func() {
		if rerr := os.RemoveAll(scratch); err == nil && rerr != nil {
			err = fmt.Errorf("remove scratch directory: %w", rerr)
		}
	}()
	k := &collecting{cfg: c, o: o, scratch: scratch, project: os.DirFS(c.Root), sums: goproxy.Sums{}, out: &Collected{}}
	k.o.Log = cmp.Or(k.o.Log, io.Discard)
	if err := k.run(ctx, out); err != nil {
		return nil, fmt.Errorf("collect modules: %w", err)
	}
	return k.out, nil
}

// A collecting is one run of Collect.
type collecting struct {
	cfg     *gocmd.Config
	o       Collection
	scratch string
	project fs.FS
	env     []string
	sums    goproxy.Sums // of all go.sum files
	out     *Collected
}

func (k *collecting) run(ctx context.Context, out string) error {
	units, err := k.units()
	if err != nil {
		return err
	}
	if err := k.prepare(ctx); err != nil {
		return err
	}
	for _, u := range units {
		if err := k.fetch(ctx, u); err != nil {
			return fmt.Errorf("of %s: %w", u.module.Dir(), err)
		}
	}
	for _, t := range k.o.Toolchains {
		if err := k.toolchain(ctx, t); err != nil {
			return fmt.Errorf("fetch toolchain %s: %w", t, err)
		}
	}
	if _, err := k.downloading().collect(out); err != nil {
		return err
	}
	return k.verify(ctx, out)
}

// A unit is a module or workspace whose modules are fetched together.
type unit struct {
	module *gocmd.Module
	// member: a module of a workspace, looked at without it, as go mod tidy
	// does. Siblings that were never published may make that impossible.
	member bool
}

// units finds what is to be fetched.
func (k *collecting) units() ([]unit, error) {
	dirs := k.o.Dirs
	if dirs == nil {
		var err error
		if dirs, err = ModuleDirs(k.project); err != nil {
			return nil, err
		}
	}
	var units []unit
	seen := map[string]bool{}
	add := func(m *gocmd.Module, member bool) {
		name := m.Work + "\x00"
		if m.Work == "" {
			name += m.Root
		}
		if !seen[name] {
			seen[name] = true
			units = append(units, unit{m, member})
		}
	}
	for _, dir := range dirs {
		m, err := gocmd.FindModule(k.project, dir, false)
		if err != nil {
			return nil, fmt.Errorf("find the module of %s: %w", dir, err)
		}
		if m.Work == "" {
			add(m, false)
			continue
		}
		uses := m.Uses
		add(m, false)
		for _, use := range uses {
			if m, err = gocmd.FindModule(k.project, use, true); err != nil {
				return nil, fmt.Errorf("find the module of %s: %w", use, err)
			}
			add(m, true)
		}
	}
	return units, nil
}

// ModuleDirs returns the directories of a project that hold a go.mod or a
// go.work, sorted, but for those in which the go command would not look:
// vendor, testdata and names that begin with a dot or an underscore; and dist.
func ModuleDirs(project fs.FS) ([]string, error) {
	var dirs []string
	err := fs.WalkDir(project, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := path.Base(name)
		if e.IsDir() {
			if name != "." && (!closure.PackageDir(base) || name == "dist") {
				return fs.SkipDir
			}
			return nil
		}
		if dir := path.Dir(name); (base == "go.mod" || base == "go.work") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find modules: %w", err)
	}
	slices.Sort(dirs)
	return dirs, nil
}

// prepare makes the user's module cache the first place to look in, so that
// what is there is not fetched again (it is verified all the same), and hands
// on the receiver's heads.
func (k *collecting) prepare(ctx context.Context) error {
	tc, err := k.cfg.FoundToolchain()
	if err != nil {
		return err
	}
	cache, err := k.cfg.ModCache(ctx, tc)
	if err != nil {
		return fmt.Errorf("find the module cache: %w", err)
	}
	proxies, err := k.cfg.Setting(ctx, tc, "GOPROXY")
	if err != nil {
		return err
	}
	known := gocmd.FileURL(filepath.ToSlash(filepath.Join(cache, "cache", "download")))
	k.env = []string{"GOPROXY=" + strings.Trim(known+","+proxies, ",")}
	for name, head := range k.o.Heads {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			return fmt.Errorf("continue the head of %q: that is not a database name", name)
		}
		at := filepath.Join(k.downloading().gopath(), "pkg", "sumdb", filepath.FromSlash(name), "latest")
		if err := writeNew(at, head); err != nil {
			return fmt.Errorf("continue the head of %s: %w", name, err)
		}
	}
	return nil
}

// downloading is the shared work of all units: one module cache.
func (k *collecting) downloading() *downloading {
	return &downloading{
		cfg: k.cfg, in: k.project, prove: true, record: true, env: k.env, log: k.o.Log,
		exec: gocmd.RunProcess, dir: k.scratch,
	}
}

// fetch fetches the modules of one unit.
func (k *collecting) fetch(ctx context.Context, u unit) error {
	d := k.downloading()
	d.files, d.at = u.module.Files(), u.module.Dir()
	if u.module.Work == "" {
		d.env = append(slices.Clone(d.env), "GOWORK=off")
	}
	sums, err := d.recordedSums()
	if err != nil {
		return err
	}
	if err := k.sums.Merge(sums); err != nil {
		return fmt.Errorf("read sums: %w", err)
	}
	var said bytes.Buffer
	d.log = io.MultiWriter(k.o.Log, &said)
	unproven, err := d.fetch(ctx, sums)
	switch {
	case err != nil && ctx.Err() == nil && u.member:
		k.out.Lacking = true
		k.note("the module in %s needs its workspace: alone it cannot be tidied there (%s)", u.module.Root, gocmd.FirstLine(said.String(), err))
		return nil
	case err != nil && ctx.Err() == nil && said.Len() > 0:
		return fmt.Errorf("%w:\n%s", err, strings.TrimSpace(said.String()))
	case err != nil:
		return err
	case unproven != "":
		k.out.Unasked = true
		k.note("no proofs for %s: %s", u.module.Dir(), unproven)
	}
	if len(d.left) > 0 {
		k.out.Lacking = true
		k.note("not available, and not needed to build %s: %s", u.module.Dir(), strings.Join(d.left, ", "))
	}
	return nil
}

func (k *collecting) note(format string, args ...any) {
	k.out.Notes = append(k.out.Notes, fmt.Sprintf(format, args...))
}

// toolchain fetches one toolchain as the go command would. Its checksum is
// never in a go.sum, so the go command wants a database; only a GOPROXY that
// is nothing but a local tree is believed without one.
func (k *collecting) toolchain(ctx context.Context, t goproxy.Toolchain) error {
	d := k.downloading()
	dir := filepath.Join(k.scratch, "empty")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	m := t.Module()
	what := m.Path + "@" + m.Version
	env := []string{"GOWORK=off"}
	var said bytes.Buffer
	_, err := d.download(ctx, attempt{env: env, log: &said}, dir, what)
	if err == nil || ctx.Err() != nil {
		return err
	}
	tc, terr := k.cfg.FoundToolchain()
	if terr != nil {
		return terr
	}
	proxies, perr := k.cfg.Setting(ctx, tc, "GOPROXY")
	if perr == nil && strings.HasPrefix(proxies, "file://") && !strings.ContainsAny(proxies, ",|") {
		_, again := d.download(ctx, attempt{env: append(env, "GOPROXY="+proxies, "GONOSUMDB="+m.Path), log: io.Discard}, dir, what)
		if again == nil {
			k.out.Unasked = true
			k.note("no proof for %s: the checksum database could not be asked (%s)", t, gocmd.FirstLine(said.String(), err))
			return nil
		}
	}
	if text := strings.TrimSpace(said.String()); text != "" {
		return errors.New(text)
	}
	return err
}

// verify looks at the tree as the receiver will, and records the sums of what
// has no proof.
func (k *collecting) verify(ctx context.Context, out string) error {
	tc, err := k.cfg.FoundToolchain()
	if err != nil {
		return err
	}
	db, err := k.cfg.Setting(ctx, tc, "GOSUMDB")
	if err != nil {
		return err
	}
	k.out.Report, err = goproxy.Verify(ctx, out, goproxy.Options{Database: db, Sums: k.sums})
	if err != nil {
		return err
	}
	if sums := k.out.Report.Unproven(); len(sums) > 0 {
		if err := goproxy.WriteSums(out, sums); err != nil {
			return err
		}
	}
	if n := k.out.Report.Count(goproxy.BySum); n > 0 {
		k.note("no proof, but sums in go.sum: %s", vouched(k.out.Report, goproxy.BySum))
	}
	if n := k.out.Report.Count(goproxy.Unverified); n > 0 {
		k.note("neither proof nor go.sum vouches for these; their sums are recorded as they came: %s", vouched(k.out.Report, goproxy.Unverified))
	}
	return nil
}

// vouched lists the modules with some evidence, the first ten of them.
func vouched(r *goproxy.Report, e goproxy.Evidence) string {
	var out []string
	for _, m := range r.Modules {
		if m.Evidence == e && (m.Sum != "" || m.ModSum != "") {
			out = append(out, m.Version.String())
		}
	}
	if n := len(out); n > 10 {
		return fmt.Sprintf("%s and %d more", strings.Join(out[:10], ", "), n-10)
	}
	return strings.Join(out, ", ")
}
