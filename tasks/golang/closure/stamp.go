package closure

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/mod/modfile"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/tasks/golang/buildvcs"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// The go command stamps a program with what git says of the repository that it finds
// at or above its directory. What git says at this moment must not count, but what
// the key has; and the host may have no git and no repository. So the go command of a
// stamped step has a git on its PATH that is this program (buildvcs.Main). Where the
// project has no repository that the go command would find, the step finds the project
// by a symbolic link in a directory that has an empty one.

// stamped is what is added to the environment env of a step whose program is stamped,
// and the path by which it finds the project, "" for the root.
func stamped(c *gocmd.Config, s *engine.Step, env []string) (add []string, project string, err error) {
	stamp, err := buildvcs.Of(s.Facts)
	if stamp == nil || err != nil {
		return nil, "", err
	}
	state := c.State()
	if state == "" {
		return nil, "", errors.New("the project has no directory for its state")
	}
	bin, err := standIn(filepath.Join(state, "vcs"))
	if err != nil {
		return nil, "", err
	}
	top, atHand := c.Repository()
	roots := []string{moduleAt(top)}
	if !atHand {
		if project, err = viewOf(filepath.Join(state, "vcs"), top, c.Root, stamp, &roots); err != nil {
			return nil, "", err
		}
	}
	answers, err := stamp.Answers(roots...).Env()
	if err != nil {
		return nil, "", err
	}
	path := bin
	add = []string{answers}
	for _, v := range env {
		if v, ok := strings.CutPrefix(v, "PATH="); ok {
			path = bin + string(filepath.ListSeparator) + v
		}
		if v == "GOPROXY=off" {
			// With just "off" the go command takes a version of the commit that it noted
			// in the module cache, from before there was a tag. This means the same.
			add = append(add, "GOPROXY=off,off")
		}
	}
	return append(add, "PATH="+path), project, nil
}

// moduleAt is the module path of the go.mod in a directory, "" without one.
func moduleAt(dir string) string {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return ""
	}
	return modfile.ModulePath(text)
}

// viewOf makes the directory with an empty repository that has top as "p", and
// returns the project's root in it. The module at its top, which the go command
// derives versions from, is added to roots.
func viewOf(state, top, root string, stamp *buildvcs.Stamp, roots *[]string) (string, error) {
	module := (*roots)[0]
	if root != top || !stamp.From(module) {
		module = stamp.Common()
		*roots = append(*roots, module)
	}
	id := sha256.Sum256([]byte(top + "\x00" + module))
	dir := filepath.Join(state, hex.EncodeToString(id[:8]))
	if err := os.MkdirAll(filepath.Join(dir, ".git"), 0o777); err != nil {
		return "", err
	}
	if module != "" {
		if err := gocmd.WriteState(filepath.Join(dir, "go.mod"), []byte("module "+modfile.AutoQuote(module)+"\n")); err != nil {
			return "", err
		}
	}
	if err := link(top, filepath.Join(dir, "p")); err != nil {
		return "", fmt.Errorf("the project is not the top of a git repository here, and a link to it cannot be made: %w", err)
	}
	rel, err := filepath.Rel(top, root)
	return filepath.Join(dir, "p", rel), err
}

// standIn returns a directory with this program under the name git.
func standIn(state string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(state, "bin")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", err
	}
	if runtime.GOOS != "windows" {
		return dir, link(self, filepath.Join(dir, "git"))
	}
	name := filepath.Join(dir, "git.exe")
	now, err := os.Stat(self)
	if err != nil {
		return "", err
	}
	if have, err := os.Stat(name); err == nil && have.Size() == now.Size() && !have.ModTime().Before(now.ModTime()) {
		return dir, nil
	}
	in, err := os.Open(self)
	if err != nil {
		return "", err
	}
	defer in.Close()
	b, err := io.ReadAll(in)
	if err != nil {
		return "", err
	}
	return dir, atomicfile.Write(name, b, atomicfile.Options{Perm: 0o755})
}

var linking sync.Mutex // names of temporary links are those of the process

// link makes a symbolic link, or one that another process makes at the same time.
func link(target, name string) error {
	linking.Lock()
	defer linking.Unlock()
	for range 3 {
		if have, err := os.Readlink(name); err == nil && have == target {
			return nil
		}
		next := fmt.Sprintf("%s.%d", name, os.Getpid())
		_ = os.Remove(next) // of a process that was killed
		if err := os.Symlink(target, next); err != nil {
			return err
		}
		if err := os.Rename(next, name); err == nil {
			return nil
		}
		_ = os.Remove(next)
		_ = os.Remove(name)
	}
	return fmt.Errorf("link %s: it cannot be replaced", name)
}
