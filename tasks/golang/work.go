package golang

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// In a workspace the go command adds sums that no go.sum has to go.work.sum,
// whatever -mod says; with -mod=mod it writes go.mod and go.sum. A command that
// only looks must not, and neither must a step, whose result would be the next
// one's input. So the go command gets copies of these files: of go.work by
// GOWORK, with the paths made absolute, and of go.mod by -modfile. It finds the
// .sum beside the copy, and adds to that.
//
// Where a directory replaces a module, its path as seen from go.work is in
// binaries. A build then has the project's own go.work, and the sums that it
// would add are in an overlay; see overlay.

// A workCopy is a copy of a go.work in the state directory.
type workCopy struct {
	dir, root string            // of the copy; of the go.work in the project, absolute
	replaced  map[string]string // absolute directory → how the go.work names it as a replacement
	local     bool              // a directory replaces a module, in go.work or a module in it
}

func (w *workCopy) file() string { return filepath.Join(w.dir, "go.work") }

// setState notes the state directory, in which copies are kept. One process has
// one. Without files, as where only a toolchain is asked for, there is none.
func (c *Config) setState(files engine.Files) {
	if files == nil {
		return
	}
	dir := files.State()
	c.mu.Lock()
	c.state = dir
	c.mu.Unlock()
}

// copyWork copies the go.work of a project-relative directory, or brings the copy
// up to date. It returns nil if the file cannot be read: then the go command says
// what is wrong with it.
func (c *Config) copyWork(root, work string) (*workCopy, error) {
	w := &workCopy{root: filepath.Join(root, filepath.FromSlash(work)), replaced: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(w.root, "go.work"))
	if err != nil {
		return nil, nil
	}
	f, err := modfile.ParseWork("go.work", text, nil)
	if err != nil {
		return nil, nil
	}
	w.absolute(f)
	if w.dir, err = c.copies(w.root, "go.work", modfile.Format(f.Syntax), "go.work.sum"); err != nil || w.dir == "" {
		return nil, err
	}
	return w, nil
}

// copyMod copies the go.mod and the go.sum of an absolute directory, for a go
// command that may change them.
func (c *Config) copyMod(root string) (file string, err error) {
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		return "", nil // the go command says so
	}
	dir, err := c.copies(root, "go.mod", text, "go.sum")
	if dir == "" {
		return "", err
	}
	return filepath.Join(dir, "go.mod"), err
}

// copies writes a file and the sums beside it, of an absolute directory of the
// project, into a directory of the state; "" if there is none. What the go command
// has added to them stays while the project's own are the same.
func (c *Config) copies(root, name string, text []byte, sumName string) (dir string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == "" {
		return "", nil
	}
	sums, err := os.ReadFile(filepath.Join(root, sumName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("copy %s: %w", sumName, err)
	}
	id := sha256.Sum256([]byte(root + "\x00" + name))
	dir = filepath.Join(c.state, "gomod", hex.EncodeToString(id[:8]))
	now := string(text) + "\x00" + string(sums)
	if c.copied[dir] == now {
		return dir, nil
	}
	if err := update(filepath.Join(dir, name), text); err != nil {
		return "", err
	}
	if err := update(filepath.Join(dir, sumName), sums); err != nil {
		return "", err
	}
	if c.copied == nil {
		c.copied = map[string]string{}
	}
	c.copied[dir] = now
	return dir, nil
}

// update writes a file of the state, unless it is so already.
func update(name string, b []byte) error {
	if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, b) {
		return nil
	}
	return writeState(name, b)
}

// absolute makes the paths of a go.work absolute.
func (w *workCopy) absolute(f *modfile.WorkFile) {
	abs := func(p string, line *modfile.Line) string {
		dir := filepath.FromSlash(p)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(w.root, dir)
		}
		line.Token[len(line.Token)-1] = modfile.AutoQuote(filepath.ToSlash(dir))
		return dir
	}
	for _, u := range f.Use {
		text, err := os.ReadFile(filepath.Join(abs(u.Path, u.Syntax), "go.mod"))
		if err != nil {
			continue // the go command says so
		}
		if m, err := modfile.Parse("go.mod", text, nil); err == nil {
			w.local = w.local || slices.ContainsFunc(m.Replace, func(r *modfile.Replace) bool { return r.New.Version == "" })
		}
	}
	for _, r := range f.Replace {
		if r.New.Version == "" {
			w.local = true
			w.replaced[abs(r.New.Path, r.Syntax)] = r.New.Path
		}
	}
}

// restore writes the replacements of listed packages as the go command would
// with the project's own go.work: keys hold them.
func (w *workCopy) restore(pkgs []*goPackage) {
	for _, p := range pkgs {
		if p.Module == nil || p.Module.Replace == nil {
			continue
		}
		r := p.Module.Replace
		if r.Version != "" || r.Dir == "" {
			continue
		}
		if named, ok := w.replaced[r.Dir]; ok {
			r.Path = named
			continue
		}
		if rel, err := filepath.Rel(w.root, r.Dir); err == nil {
			if r.Path = filepath.ToSlash(rel); !modfile.IsDirectoryPath(r.Path) {
				r.Path = "./" + r.Path
			}
		}
	}
}

// name puts the project's file in the place of the copy in what the go command
// says, where dir is its working directory.
func (w *workCopy) name(text, dir string) string {
	real := filepath.Join(w.root, "go.work")
	if rel, err := filepath.Rel(dir, real); err == nil {
		real = rel
	}
	if rel, err := filepath.Rel(dir, w.file()); err == nil {
		text = strings.ReplaceAll(text, rel, real)
	}
	return strings.ReplaceAll(text, w.file(), real)
}

// overlay is the file for -overlay that puts the copy's sums in the place of the
// project's.
func (w *workCopy) overlay() (string, error) {
	from, to := filepath.Join(w.root, "go.work.sum"), w.file()+".sum"
	name := filepath.Join(w.dir, "overlay.json")
	return name, update(name, fmt.Appendf(nil, "{\"Replace\": {%q: %q}}\n", from, to))
}

// workDir is the directory of the go.work that a closure is listed with and that
// may be written to; "" if there is none.
func (c *closure) workDir() string {
	if c.Vendor != "" || slices.ContainsFunc(c.Env, func(v action.EnvVar) bool { return v.Name == "GOWORK" }) {
		return ""
	}
	for _, name := range c.ModFiles {
		if path.Base(name) == "go.work" {
			return path.Dir(name)
		}
	}
	return ""
}

// withCopies is what is added to the environment of a step's go command so that
// it writes none of the project's own files about modules. flags are those of
// GOFLAGS.
func (c *Config) withCopies(ctx context.Context, tc *Toolchain, s *engine.Step) (env, flags []string, err error) {
	if c.Root == "" || slices.Contains(s.Command.Arguments, "-mod=vendor") {
		return nil, nil, nil
	}
	switch s.Type {
	case "go_build", "go_vet", "go_test", "go_vendor":
	default:
		return nil, nil, nil // they run in copies, or write what they declare
	}
	alone := false
	for _, v := range s.Command.Env {
		if v.Name == "GOWORK" && v.Value != "off" {
			return nil, nil, nil
		}
		alone = alone || v.Name == "GOWORK"
	}
	m, err := findModule(os.DirFS(c.Root), stepDir(s), alone)
	if err != nil {
		return nil, nil, nil // the go command says what is wrong
	}
	switch {
	case m.Work == "" && slices.Contains(s.Command.Arguments, "-mod=mod") && !s.Sealed:
		file, err := c.copyMod(filepath.Join(c.Root, filepath.FromSlash(m.Root)))
		if file == "" {
			return nil, nil, err
		}
		return nil, []string{"-modfile=" + file}, err
	case m.Work == "":
		return nil, nil, nil
	}
	w, err := c.copyWork(c.Root, m.Work)
	if w == nil || err != nil {
		return nil, nil, err
	}
	if !w.local || s.Type != "go_build" && s.Type != "go_vendor" {
		return []string{"GOWORK=" + w.file()}, nil, nil
	}
	return c.withOverlay(ctx, tc, s, w)
}

// withOverlay is withCopies where the paths of replacements come out. The sums
// that the go command would add must be there before.
func (c *Config) withOverlay(ctx context.Context, tc *Toolchain, s *engine.Step, w *workCopy) (env, flags []string, err error) {
	if s.Type == "go_vendor" {
		err = c.vendorSums(ctx, tc, s, w)
	}
	all, _ := s.Lister.(listers)
	for _, l := range all {
		list, ok := l.(*closure)
		if ok && list.sure() {
			return nil, nil, nil // no sum is missing
		}
		if ok && err == nil {
			_, err = list.run(ctx, tc, c.Root, false)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("find the sums that go.work.sum lacks:\n%w", err)
	}
	name, err := w.overlay()
	return nil, []string{"-overlay=" + name}, err
}

// vendorSums adds the sums to a copy that go work vendor needs: by vendoring,
// since no list has the same packages.
func (c *Config) vendorSums(ctx context.Context, tc *Toolchain, s *engine.Step, w *workCopy) error {
	env, err := c.ownEnv(ctx)
	if err != nil {
		return err
	}
	sources, err := c.sourcesEnv(env, proxyOf(s), s.Network)
	if err != nil {
		return err
	}
	out, err := os.MkdirTemp("", "airbuild-vendor-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	env = append(append(env, sources...), "GOWORK="+w.file())
	_, err = runGo(ctx, tc, w.root, env, "work", "vendor", "-o", filepath.Join(out, "vendor"))
	if err != nil && ctx.Err() == nil {
		err = errors.New(w.name(err.Error(), w.root))
	}
	return err
}

// goFlags writes flags as GOFLAGS takes them.
func goFlags(flags []string) string {
	out := make([]string, len(flags))
	for i, f := range flags {
		if out[i] = f; strings.ContainsAny(f, " \t\n") {
			out[i] = "'" + f + "'"
		}
	}
	return strings.Join(out, " ")
}
