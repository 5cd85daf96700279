package gocmd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/load"
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

// A WorkCopy is a copy of a go.work in the state directory.
type WorkCopy struct {
	dir, Root string            // of the copy; of the go.work in the project, absolute
	replaced  map[string]string // absolute directory → how the go.work names it as a replacement
	Local     bool              // a directory replaces a module, in go.work or a module in it
}

func (w *WorkCopy) File() string { return filepath.Join(w.dir, "go.work") }

// SetState notes the state directory, in which copies are kept. One process has
// one. Without files, as where only a toolchain is asked for, there is none.
func (c *Config) SetState(files engine.Files) {
	if files == nil {
		return
	}
	dir := files.State()
	c.mu.Lock()
	c.state = dir
	c.mu.Unlock()
}

// State is the state directory that SetState noted, or "".
func (c *Config) State() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// CopyWork copies the go.work of a project-relative directory, or brings the copy
// up to date. It returns nil if the file cannot be read: then the go command says
// what is wrong with it.
func (c *Config) CopyWork(root, work string) (*WorkCopy, error) {
	w := &WorkCopy{Root: filepath.Join(root, filepath.FromSlash(work)), replaced: map[string]string{}}
	text, err := os.ReadFile(filepath.Join(w.Root, "go.work"))
	if err != nil {
		return nil, nil
	}
	f, err := modfile.ParseWork("go.work", text, nil)
	if err != nil {
		return nil, nil
	}
	w.absolute(f)
	if w.dir, err = c.copies(w.Root, "go.work", modfile.Format(f.Syntax), "go.work.sum"); err != nil || w.dir == "" {
		return nil, err
	}
	return w, nil
}

// CopyMod copies the go.mod and the go.sum of an absolute directory, for a go
// command that may change them.
func (c *Config) CopyMod(root string) (file string, err error) {
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
	return WriteState(name, b)
}

// absolute makes the paths of a go.work absolute.
func (w *WorkCopy) absolute(f *modfile.WorkFile) {
	abs := func(p string, line *modfile.Line) string {
		dir := filepath.FromSlash(p)
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(w.Root, dir)
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
			w.Local = w.Local || slices.ContainsFunc(m.Replace, func(r *modfile.Replace) bool { return r.New.Version == "" })
		}
	}
	for _, r := range f.Replace {
		if r.New.Version == "" {
			w.Local = true
			w.replaced[abs(r.New.Path, r.Syntax)] = r.New.Path
		}
	}
}

// Restore writes the replacement of a listed module as the go command would with
// the project's own go.work: keys hold it.
func (w *WorkCopy) Restore(m *load.Module) {
	if m == nil || m.Replace == nil {
		return
	}
	r := m.Replace
	if r.Version != "" || r.Dir == "" {
		return
	}
	if named, ok := w.replaced[r.Dir]; ok {
		r.Path = named
		return
	}
	if rel, err := filepath.Rel(w.Root, r.Dir); err == nil {
		if r.Path = filepath.ToSlash(rel); !modfile.IsDirectoryPath(r.Path) {
			r.Path = "./" + r.Path
		}
	}
}

// Name puts the project's file in the place of the copy in what the go command
// says, where dir is its working directory.
func (w *WorkCopy) Name(text, dir string) string {
	real := filepath.Join(w.Root, "go.work")
	if rel, err := filepath.Rel(dir, real); err == nil {
		real = rel
	}
	if rel, err := filepath.Rel(dir, w.File()); err == nil {
		text = strings.ReplaceAll(text, rel, real)
	}
	return strings.ReplaceAll(text, w.File(), real)
}

// Overlay is the file for -overlay that puts the copy's sums in the place of the
// project's.
func (w *WorkCopy) Overlay() (string, error) {
	from, to := filepath.Join(w.Root, "go.work.sum"), w.File()+".sum"
	name := filepath.Join(w.dir, "overlay.json")
	return name, update(name, fmt.Appendf(nil, "{\"Replace\": {%q: %q}}\n", from, to))
}

// GoFlags writes flags as GOFLAGS takes them.
func GoFlags(flags []string) string {
	out := make([]string, len(flags))
	for i, f := range flags {
		if out[i] = f; strings.ContainsAny(f, " \t\n") {
			out[i] = "'" + f + "'"
		}
	}
	return strings.Join(out, " ")
}
