package closure

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
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// goPackage is what is wanted of a package.
type goPackage struct {
	load.Package
	// notRead are ignored files whose content does not count, by their absolute
	// names.
	notRead map[string]bool
}

// listedHere begins the note of a record that airbuild's own loader made.
const listedHere = "listed by airbuild"

// packages lists what the query names: from the files themselves, or, where
// that is not sure to be what the go command says, by go list. how says which,
// and why.
func (c *Closure) packages(ctx context.Context, tc *gocmd.Toolchain, files engine.Files) (pkgs []*goPackage, how string, err error) {
	list, err := c.load(ctx, tc, files)
	if err == nil {
		for _, p := range list.Packages {
			pkgs = append(pkgs, &goPackage{*p, list.NotRead})
		}
		return pkgs, listedHere, nil
	}
	var why *load.NotSure
	if !errors.As(err, &why) {
		return nil, "", err
	}
	pkgs, err = c.ask(ctx, tc, files)
	return pkgs, "listed by go list (" + why.Reason + ")", err
}

// load lists without a process.
func (c *Closure) load(ctx context.Context, tc *gocmd.Toolchain, files engine.Files) (*load.Result, error) {
	q, err := c.loadQuery(ctx, tc, files)
	if err != nil {
		return nil, err
	}
	facts := c.cfg.FactsIn(files.State())
	r, err := load.Load(*q, loadSource{files}, facts)
	if serr := facts.Save(); err == nil && serr != nil {
		return nil, serr
	}
	if err != nil {
		return nil, err
	}
	return r, nil
}

// loadQuery is the query in the loader's form. What that cannot express is left to
// go list.
func (c *Closure) loadQuery(ctx context.Context, tc *gocmd.Toolchain, files engine.Files) (*load.Query, error) {
	if c.cfg.AlwaysAsk {
		return nil, &load.NotSure{Reason: "asked to"}
	}
	q := &load.Query{
		Dir: filepath.Join(files.Root(), filepath.FromSlash(c.Dir)), Patterns: c.Patterns, Test: c.Test,
		GOROOT: tc.Root, GOVERSION: tc.Version, Release: tc.Release, Project: files.Root(),
		ModCache: func() (string, error) { return c.cfg.ModCache(ctx, tc) },
	}
	_, err := gocmd.RelativeInside(tc.Root, files.Root())
	q.Std = err == nil // the project is Go itself
	if err := c.setFlags(q); err != nil {
		return nil, err
	}
	if err := c.setEnv(q, files.Root()); err != nil {
		return nil, err
	}
	variant := ""
	if q.Variant != "" {
		variant = variantName(q.GOARCH) + "=" + q.Variant
	}
	q.ToolTags = func() ([]string, error) { return c.cfg.ToolTags(ctx, tc, q.GOOS, q.GOARCH, variant) }
	return q, nil
}

func (c *Closure) setFlags(q *load.Query) error {
	for _, f := range c.Flags {
		name, value, _ := strings.Cut(f, "=")
		switch name {
		case "-mod":
			q.Mod = value
		case "-tags":
			q.Tags = strings.Split(value, ",")
		case "-race":
			q.Race = true
		default:
			return &load.NotSure{Reason: "the flag " + f}
		}
	}
	return nil
}

// setEnv reads the environment of the command.
func (c *Closure) setEnv(q *load.Query, root string) error {
	env := map[string]string{}
	for _, v := range c.Env {
		env[v.Name] = v.Value
	}
	q.GOOS, q.GOARCH = env["GOOS"], env["GOARCH"]
	q.Variant = env[variantName(q.GOARCH)]
	switch env["CGO_ENABLED"] {
	case "1":
		q.Cgo = true
	case "0":
	default:
		return &load.NotSure{Reason: "CGO_ENABLED is not set"}
	}
	switch env["GOWORK"] {
	case "off":
	case "":
		i := slices.IndexFunc(c.ModFiles, func(name string) bool { return path.Base(name) == "go.work" })
		if i >= 0 {
			q.Work = filepath.Join(root, filepath.FromSlash(c.ModFiles[i]))
		}
	default:
		return &load.NotSure{Reason: "GOWORK is set"}
	}
	for name := range env {
		switch name {
		case "GOOS", "GOARCH", "GOWORK", variantName(q.GOARCH),
			"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOVCS", "GOAUTH",
			"GOCACHE", "GOCACHEPROG", "GOTMPDIR", "GOGC", "GOMEMLIMIT", "GOMAXPROCS":
		default:
			if strings.HasPrefix(name, "GO") {
				return &load.NotSure{Reason: name + " is set"}
			}
		}
	}
	return nil
}

// variantName is the variable that says which level of an architecture is the
// target, or "".
func variantName(arch string) string {
	switch arch {
	case "386", "amd64", "arm", "arm64", "riscv64", "wasm":
		return "GO" + strings.ToUpper(arch)
	case "mips", "mipsle":
		return "GOMIPS"
	case "mips64", "mips64le":
		return "GOMIPS64"
	case "ppc64", "ppc64le":
		return "GOPPC64"
	}
	return ""
}

// loadSource is the workspace as the loader reads it.
type loadSource struct{ files engine.Files }

// name is how Files calls a file.
func (s loadSource) name(abs string) string {
	if rel, err := gocmd.RelativeInside(s.files.Root(), abs); err == nil {
		return rel
	}
	return filepath.ToSlash(abs)
}

// ReadDir implements load.Source.
func (s loadSource) ReadDir(dir string) ([]fs.DirEntry, error) { return s.files.ReadDir(s.name(dir)) }

// ReadSources implements load.Source.
func (s loadSource) ReadSources(dir string) ([]fs.DirEntry, error) {
	return s.files.ReadSources(s.name(dir))
}

// ReadFrozen implements load.Source. Its content hangs on versions and sums that
// the answer names: nothing is to be looked at again while they stand.
func (s loadSource) ReadFrozen(dir string) ([]fs.DirEntry, error) { return os.ReadDir(dir) }

// ReadFile implements load.Source.
func (s loadSource) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }

// Digest implements load.Source.
func (s loadSource) Digest(name string) (string, error) {
	d, err := s.files.Digest(s.name(name))
	return d.Hex(), err
}

// Content implements load.Content.
func (s loadSource) Content(name string, buf []byte) (string, []byte, error) {
	c, ok := s.files.(interface {
		Content(path string, buf []byte) (action.Digest, []byte, error)
	})
	if !ok {
		d, err := s.Digest(name)
		return d, nil, err
	}
	d, text, err := c.Content(s.name(name), buf)
	return d.Hex(), text, err
}

// args are the arguments of the go list that answers the query. Profiles
// split packages in two that a build reads only once.
func (c *Closure) args() []string {
	args := []string{"list", "-deps", "-json=" + load.Fields, "-buildvcs=false", "-pgo=off"}
	if c.Test {
		args = append(args, "-test")
	}
	args = append(args, c.Flags...)
	args = append(args, "--")
	return append(args, c.Patterns...)
}

// ask runs go list, with the sources of modules that the step itself has: what
// nothing but a fetch in the step could bring must not be in its key. What
// go.mod and go.sum pin is fetched for both.
func (c *Closure) ask(ctx context.Context, tc *gocmd.Toolchain, files engine.Files) ([]*goPackage, error) {
	out, err := c.run(ctx, tc, files.Root(), c.network)
	if err != nil && c.mayFetch() && ctx.Err() == nil {
		out, err = c.run(ctx, tc, files.Root(), true)
	}
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s:\n%w", strings.Join(c.Patterns, " "), err)
	}
	work, err := c.work(files.Root())
	if err != nil {
		return nil, err
	}
	var pkgs []*goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		p := &goPackage{}
		if err := d.Decode(p); errors.Is(err, io.EOF) {
			if work != nil {
				for _, p := range pkgs {
					work.Restore(p.Module)
				}
			}
			return pkgs, nil
		} else if err != nil {
			return nil, fmt.Errorf("read what go list printed: %w", err)
		}
		pkgs = append(pkgs, p)
	}
}

// work is the copy of the go.work that the query is listed with; nil if there is
// none.
func (c *Closure) work(root string) (*gocmd.WorkCopy, error) {
	if dir := c.workDir(); dir != "" {
		return c.cfg.CopyWork(root, dir)
	}
	return nil, nil
}

// run runs go list for the query and returns what it printed. It writes neither
// go.mod nor go.sum: a module that go.sum has no sum of is an error, unless there
// is a copy that the go command may add it to.
func (c *Closure) run(ctx context.Context, tc *gocmd.Toolchain, root string, network bool) ([]byte, error) {
	env, err := c.cfg.OwnEnv(ctx)
	if err != nil {
		return nil, err
	}
	sources, err := c.cfg.SourcesEnv(env, c.Proxy, network)
	if err != nil {
		return nil, err
	}
	env = append(env, sources...)
	for _, v := range c.Env {
		env = append(env, v.Name+"="+v.Value)
	}
	dir := filepath.Join(root, filepath.FromSlash(c.Dir))
	work, err := c.work(root)
	switch {
	case err != nil:
		return nil, err
	case work != nil:
		out, err := gocmd.RunGo(ctx, tc, dir, append(env, "GOWORK="+work.File()), c.args()...)
		if err != nil && ctx.Err() == nil {
			err = errors.New(work.Name(err.Error(), dir))
		}
		return out, err
	case slices.Contains(c.Flags, "-mod=mod"):
		file, err := c.cfg.CopyMod(c.modRoot(root))
		if err != nil {
			return nil, err
		}
		if file != "" {
			env = append(env, "GOFLAGS="+gocmd.GoFlags([]string{"-modfile=" + file}))
		}
	}
	return gocmd.RunGo(ctx, tc, dir, env, c.args()...)
}

// modRoot is the absolute directory of the go.mod that governs the query.
func (c *Closure) modRoot(root string) string {
	for _, name := range c.ModFiles {
		if path.Base(name) == "go.mod" {
			return filepath.Join(root, filepath.FromSlash(path.Dir(name)))
		}
	}
	return root
}
