package golang

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"golang.org/x/mod/modfile"
	modpath "golang.org/x/mod/module"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/inuse"
	"github.com/airbuild/airbuild/internal/paths"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/closure"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// download is the stage type go_download.
type download struct{ cfg *gocmd.Config }

// Schema implements tasks.Task.
func (*download) Schema() *tasks.Schema {
	return &tasks.Schema{
		Type:   "go_download",
		Traits: tasks.Traits{Traits: engine.Traits{Go: true, Rebuilt: true}},
		Doc:    "Downloads every module that the module or workspace may need, including those of tools and tests, to a directory that works as GOPROXY=file://….",
		Attrs: []tasks.Attr{
			{Name: "output", Kind: tasks.Output, Default: "modules", Doc: "The directory to write."},
			{Name: "proofs", Kind: tasks.Bool, Default: "true", Doc: "Stores the checksum database's proofs with the modules, if a database is available, so that they can be verified without a network."},
		},
	}
}

// Plan implements tasks.Task.
func (t *download) Plan(b *tasks.Block) ([]engine.Step, hcl.Diagnostics) {
	m, diags := moduleRoot(b)
	if diags.HasErrors() {
		return nil, diags
	}
	out := b.DistPath(b.StringOr("output", "modules"))
	s := b.NewStep(engine.InProcess)
	s.Discoverer = append(closure.NewDiscoverers(t.cfg), outsideReplacements{modFiles: m.Files(), modOnly: true})
	s.Network = closure.Network(b)
	setWork(&s, m)
	addModuleFiles(&s, m)
	spec := downloadSpec{Dir: m.Dir(), Output: out, Files: m.Files(), Proofs: b.Bool("proofs", true)}
	tasks.SetOutputs(&s, nil, []string{out})
	return b.ToolStep(s, downloadName, downloadVersion, spec, diags)
}

// downloadName is the in-process tool that fills a GOPROXY tree. downloadVersion
// changes when what it writes would.
const (
	downloadName    = "go_download"
	downloadVersion = "1"
)

// downloadSpec is what the tool gets; paths are project-relative.
type downloadSpec struct {
	Dir    string   `json:"dir"`
	Files  []string `json:"files"` // go.mod and its like; not all need be there
	Output string   `json:"output"`
	Proofs bool     `json:"proofs"`
}

type downloadTool struct{ cfg *gocmd.Config }

// Run implements engine.Tool. It works on a copy of the module's files, since
// go mod download adds to go.sum, and with a module cache of its own, since
// what is in the user's says nothing about what is needed.
func (t *downloadTool) run(ctx context.Context, call *engine.ToolCall, spec *downloadSpec) error {
	d := &downloading{
		cfg: t.cfg, in: call.In, env: call.Env, log: call.Log, exec: call.Run,
		files: spec.Files, at: spec.Dir, prove: spec.Proofs, dir: filepath.Join(call.Dir, ".airbuild-download"),
	}
	err := d.run(ctx, filepath.Join(call.Dir, filepath.FromSlash(spec.Output)))
	if rerr := os.RemoveAll(d.dir); err == nil && rerr != nil {
		return fmt.Errorf("remove scratch directory: %w", rerr)
	}
	return err
}

// A downloading fills a module cache of its own with what one module or
// workspace can need, and makes a GOPROXY tree of it.
type downloading struct {
	cfg   *gocmd.Config
	in    fs.FS    // the project
	files []string // go.mod and its like, project-relative; not all need be there
	at    string   // where the module or workspace is, project-relative
	prove bool     // keep the checksum database's proofs
	// record lets a module that neither go.sum nor a database vouches for
	// pass, where no database can be asked.
	record bool
	env    []string // further variables of the go command
	log    io.Writer
	exec   func(context.Context, *engine.Process) error
	dir    string // scratch: src, the module's files; gopath; gopath/pkg/mod

	left []string // modules that could not be fetched and are not needed
}

func (d *downloading) run(ctx context.Context, out string) error {
	sums, err := d.recordedSums()
	if err != nil {
		return err
	}
	unproven, err := d.fetch(ctx, sums)
	if err != nil {
		return err
	}
	if unproven != "" {
		fmt.Fprintf(d.log, "no proofs: %s\n", unproven)
	}
	n, err := d.collect(out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(d.log, "%d modules\n", n)
	return err
}

// collect makes a tree of what was fetched and returns the number of modules.
func (d *downloading) collect(out string) (int, error) {
	n, err := copyTree(out, filepath.Join(d.gopath(), "pkg", "mod", "cache", "download"))
	if err == nil && d.prove {
		err = d.proofs(out)
	}
	return n, err
}

// recordedSums reads every go.sum and go.work.sum.
func (d *downloading) recordedSums() (map[string]string, error) {
	sums := map[string]string{}
	for _, name := range d.files {
		if path.Ext(name) != ".sum" {
			continue
		}
		text, err := fs.ReadFile(d.in, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read sums: %w", err)
		}
		closure.ReadSums(sums, text)
	}
	return sums, nil
}

// fetch fills the private module cache. Proofs are recorded only for what
// go.sum does not hold, so the first try is without one, and what came is
// compared with it here. Where the checksum database cannot be asked, the
// second try trusts go.sum, as the go command does, and unproven says why.
func (d *downloading) fetch(ctx context.Context, sums map[string]string) (unproven string, err error) {
	tries := []attempt{{withSums: true, log: d.log}}
	if d.prove && len(sums) > 0 || d.record {
		tries = append([]attempt{{log: &bytes.Buffer{}}}, tries...)
	}
	if d.record {
		tries[1].log = io.Discard
		tries = append(tries, attempt{withSums: true, env: []string{"GONOSUMDB=*"}, log: d.log})
	}
	for i, a := range tries {
		got, err := d.try(ctx, a)
		if lacks, ok := errors.AsType[*unfetched](err); ok && lacks.spare(sums) {
			for _, m := range lacks.modules {
				d.without(m)
			}
			err = nil
		}
		switch {
		case err == nil:
			return unproven, compareSums(got, sums)
		case ctx.Err() != nil:
			return "", ctx.Err()
		case i == len(tries)-1:
			return "", err
		case i == 0:
			said, _ := a.log.(*bytes.Buffer)
			unproven = fmt.Sprintf("the checksum database could not be asked (%s)", gocmd.FirstLine(said.String(), err))
			d.left = nil
		}
	}
	return unproven, nil
}

// An attempt is one way to fetch.
type attempt struct {
	withSums bool // go.sum is there
	env      []string
	log      io.Writer
}

// A downloaded is what go mod download -json prints of a module.
type downloaded struct {
	Path, Version, Error, Sum, GoModSum string
}

// try lays the module's files out, with or without sums, and runs go mod
// download for all modules.
func (d *downloading) try(ctx context.Context, a attempt) ([]downloaded, error) {
	src := filepath.Join(d.dir, "src")
	if err := os.RemoveAll(src); err != nil {
		return nil, fmt.Errorf("clear scratch directory: %w", err)
	}
	for _, name := range d.files {
		if path.Ext(name) == ".sum" && !a.withSums {
			continue
		}
		text, err := fs.ReadFile(d.in, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			text, err = d.redirect(name, text)
		}
		if err == nil {
			err = writeNew(filepath.Join(src, filepath.FromSlash(name)), text)
		}
		if err != nil {
			return nil, fmt.Errorf("copy %s: %w", name, err)
		}
	}
	return d.download(ctx, a, filepath.Join(src, filepath.FromSlash(d.at)), "all")
}

// download runs go mod download in a directory, with a module cache of its
// own.
func (d *downloading) download(ctx context.Context, a attempt, dir, what string) ([]downloaded, error) {
	tc, err := d.cfg.FoundToolchain()
	if err != nil {
		return nil, err
	}
	env, err := d.cfg.OwnEnv(ctx)
	if err != nil {
		return nil, err
	}
	gopath := d.gopath()
	if o := d.cfg.Offline; o != nil && o.Carried != "" {
		if err := goproxy.SeedHeads(o.Carried, gopath); err != nil {
			return nil, err
		}
	}
	env = slices.Concat(env, d.env, a.env)
	env = append(env, "GOPATH="+gopath, "GOMODCACHE="+filepath.Join(gopath, "pkg", "mod"), "GOFLAGS=-modcacherw")
	var out bytes.Buffer
	runErr := d.exec(ctx, &engine.Process{
		Path: tc.Bin, Args: []string{"mod", "download", "-json", what}, Env: env,
		Dir: dir, Stdout: &out, Stderr: a.log,
	})
	got, err := readDownloaded(&out, a.log)
	if lacks, ok := errors.AsType[*unfetched](err); runErr != nil && ok {
		lacks.err = runErr
		return got, lacks
	}
	if runErr != nil {
		return nil, runErr
	}
	return got, err
}

// An unfetched error names the modules that the go command could not fetch.
type unfetched struct {
	modules []downloaded
	err     error
}

func (e *unfetched) Error() string { return e.err.Error() }
func (e *unfetched) Unwrap() error { return e.err }

// spare reports whether the build can do without: the module graph names many
// modules of which no package is used, and a proxy need not have all of them.
// Those have no sum of their zip in a tidy go.sum.
func (e *unfetched) spare(sums map[string]string) bool {
	if len(sums) == 0 {
		return false
	}
	return !slices.ContainsFunc(e.modules, func(m downloaded) bool {
		return m.Path == "" || m.Version == "" || sums[m.Path+" "+m.Version] != ""
	})
}

// without notes a module that was left out.
func (d *downloading) without(m downloaded) {
	d.left = append(d.left, m.Path+" "+m.Version)
	fmt.Fprintf(d.log, "omitted, and in no go.sum: %s %s: %s\n", m.Path, m.Version, m.Error)
}

// gopath is the scratch GOPATH: what was fetched, and the databases' heads.
func (d *downloading) gopath() string { return filepath.Join(d.dir, "gopath") }

// redirect makes the replacements outside the project of a go.mod or go.work
// absolute, since its copy lies elsewhere, and lets the modules of a workspace
// stand in for each other.
func (d *downloading) redirect(name string, text []byte) ([]byte, error) {
	dirs, err := outsideDirs(d.cfg.Root, name, text)
	if err != nil {
		return text, err
	}
	if len(dirs) > 0 && d.cfg.Root == "" {
		return nil, errors.New("find a replacement outside the project: the project's root is not configured")
	}
	if path.Base(name) == "go.work" {
		return d.redirectWork(name, text, dirs)
	}
	if len(dirs) == 0 {
		return text, nil
	}
	f, err := modfile.Parse(name, text, nil)
	if err != nil {
		return nil, err
	}
	for mod, dir := range dirs {
		if err := f.AddReplace(mod, "", filepath.ToSlash(dir), ""); err != nil {
			return nil, err
		}
	}
	return f.Format()
}

func (d *downloading) redirectWork(name string, text []byte, dirs map[string]string) ([]byte, error) {
	f, err := modfile.ParseWork(name, text, nil)
	if err != nil {
		return nil, err
	}
	for mod, dir := range dirs {
		if err := f.AddReplace(mod, "", filepath.ToSlash(dir), ""); err != nil {
			return nil, err
		}
	}
	for _, r := range d.siblings(path.Dir(name), f) {
		if err := f.AddReplace(r.Old.Path, r.Old.Version, r.New.Path, ""); err != nil {
			return nil, err
		}
	}
	return modfile.Format(f.Syntax), nil
}

// siblings are replacements for the versions of each other that the modules of
// a workspace require. A build takes the workspace's own modules whatever is
// required; `go mod download all` asks for the versions all the same, and they
// may never have been published. Modules that cannot be read are left to the go
// command to report.
func (d *downloading) siblings(dir string, work *modfile.WorkFile) []modfile.Replace {
	used := map[string]string{} // module to its directory, as the go.work has it
	var mods []*modfile.File
	for _, use := range work.Use {
		file := path.Join(dir, use.Path, "go.mod")
		if !fs.ValidPath(file) {
			continue
		}
		text, err := fs.ReadFile(d.in, file)
		if err != nil {
			continue
		}
		mod, err := modfile.ParseLax(file, text, nil)
		if err != nil || mod.Module == nil {
			continue
		}
		used[mod.Module.Mod.Path] = use.Path
		mods = append(mods, mod)
	}
	var out []modfile.Replace
	for _, mod := range mods {
		for _, r := range mod.Require {
			if at, ok := used[r.Mod.Path]; ok {
				out = append(out, modfile.Replace{Old: r.Mod, New: modpath.Version{Path: at}})
			}
		}
	}
	return out
}

// readDownloaded decodes the modules; their errors go to the log.
func readDownloaded(r io.Reader, log io.Writer) ([]downloaded, error) {
	var all, failed []downloaded
	for dec := json.NewDecoder(r); ; {
		var m downloaded
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			if len(failed) == 0 {
				return all, nil
			}
			return all, &unfetched{failed, &engine.ExitError{Program: "go mod download", Code: 1}}
		} else if err != nil {
			return all, fmt.Errorf("read what go mod download printed: %w", err)
		}
		if m.Error != "" {
			fmt.Fprintf(log, "%s %s: %s\n", m.Path, m.Version, m.Error)
			failed = append(failed, m)
		}
		all = append(all, m)
	}
}

// compareSums refuses what go.sum says otherwise.
func compareSums(got []downloaded, sums map[string]string) error {
	for _, m := range got {
		for key, sum := range map[string]string{
			m.Path + " " + m.Version:             m.Sum,
			m.Path + " " + m.Version + "/go.mod": m.GoModSum,
		} {
			if want, ok := sums[key]; ok && sum != "" && sum != want {
				return &engine.ExitError{Program: "go mod download", Code: 1,
					Err: fmt.Errorf("verify %s: checksum mismatch: downloaded %s, go.sum has %s", key, sum, want)}
			}
		}
	}
	return nil
}

// copyTree moves what a GOPROXY serves out of a download cache: .info, .mod,
// .zip and list files, and the checksum database's. Locks and hashes stay. It
// returns the number of .zip files.
func copyTree(dst, src string) (int, error) {
	n := 0
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return 0, fmt.Errorf("make module tree: %w", err)
	}
	err := filepath.WalkDir(src, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			if name == src && errors.Is(err, fs.ErrNotExist) {
				return fs.SkipAll // no modules at all
			}
			return err
		}
		rel, err := filepath.Rel(src, name)
		if err != nil || e.IsDir() && rel != "sumdb" {
			return err
		}
		if rel == "sumdb" {
			return fs.SkipDir // proofs adds it
		}
		if !served(filepath.ToSlash(rel)) {
			return nil
		}
		if path.Ext(name) == ".zip" {
			n++
		}
		return moveFile(filepath.Join(dst, rel), name)
	})
	if err != nil {
		return n, fmt.Errorf("collect modules: %w", err)
	}
	return n, nil
}

// served reports whether a GOPROXY serves a file of a download cache.
func served(rel string) bool {
	if path.Base(path.Dir(rel)) != "@v" {
		return false
	}
	switch path.Ext(rel) {
	case ".info", ".mod", ".zip":
		return true
	}
	return path.Base(rel) == "list"
}

// proofs adds what the checksum database said, in the form in which a proxy
// serves it: with the name of each database an empty "supported", and the
// newest tree head as "latest".
func (d *downloading) proofs(out string) error {
	src := filepath.Join(d.gopath(), "pkg", "mod", "cache", "download", "sumdb")
	names, err := os.ReadDir(src)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("collect proofs: %w", err)
	}
	for _, name := range names {
		to := filepath.Join(out, "sumdb", name.Name())
		if err := moveAll(to, filepath.Join(src, name.Name())); err != nil {
			return fmt.Errorf("collect proofs: %w", err)
		}
		latest, err := os.ReadFile(filepath.Join(d.gopath(), "pkg", "sumdb", name.Name(), "latest"))
		if err == nil {
			err = writeNew(filepath.Join(to, "latest"), latest)
		}
		if err == nil {
			err = writeNew(filepath.Join(to, "supported"), nil)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("collect proofs: %w", err)
		}
	}
	return nil
}

// moveAll moves every file of a directory but for locks.
func moveAll(dst, src string) error {
	return paths.Walk(src, func(name, rel string, e fs.DirEntry) error {
		if e.IsDir() || slices.Contains([]string{".lock", ".partial"}, path.Ext(name)) {
			return nil
		}
		return moveFile(filepath.Join(dst, rel), name)
	})
}

// moveFile renames a file into a directory that it makes, and gives it plain
// permissions.
func moveFile(dst, src string) error {
	if err := os.MkdirAll(filepath.Dir(dst), 0o755); err != nil {
		return err
	}
	if err := inuse.Rename(src, dst); err != nil {
		return err
	}
	return os.Chmod(dst, 0o644)
}

// writeNew writes a file and the directories above it.
func writeNew(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}
