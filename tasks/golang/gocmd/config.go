// Package gocmd is the go command as stage types use it: how a toolchain is found,
// the environment that it runs in, the module that governs a directory, Go's table
// of platforms, and what an offline run lacks.
package gocmd

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/paths"
	"github.com/airbuild/airbuild/tasks/golang/load"
)

// RelativeInside returns an absolute path as seen from root, with slashes; the
// error says that it is not below root.
func RelativeInside(root, p string) (string, error) {
	rel, ok := paths.Rel(root, p)
	if !ok {
		return "", fmt.Errorf("%s is not below %s", p, root)
	}
	return rel, nil
}

// FirstLine is the first line that a program said, or err where it said nothing.
func FirstLine(said string, err error) string {
	if line, _, _ := strings.Cut(strings.TrimSpace(said), "\n"); line != "" {
		return line
	}
	return err.Error()
}

// A Config is what the stage types take from outside. It must not be copied
// once it is in use.
type Config struct {
	// Toolchain returns the Go that the project wants. It is called by any
	// goroutine, when something first needs it, and should remember.
	Toolchain func() (*Toolchain, error)
	// LookupEnv reads the host's environment.
	LookupEnv func(string) (string, bool)
	// Root is the project's absolute path. A step that takes its modules from
	// a go_download stage needs it to name the tree to the go command.
	Root string
	// FixedPath reports whether FixedPath steps find the project at the same path
	// on every host; nil: they do not.
	FixedPath func() bool
	// Offline, where it is set, is all that the go command may take modules
	// from: no go process reaches for a network.
	Offline *Offline

	mu       sync.Mutex  // guards what follows
	settings []string    // what `go env` says of proxies and caches; nil until asked
	facts    *load.Facts // what source files say; nil until needed
	state    string      // the directory of the project's state; "" until needed
	// copied is what copies of go.work, go.mod and their sums were made of, by
	// their directory.
	copied map[string]string

	AlwaysAsk bool // list by go list only: what tests compare with
}

// FactsIn opens what is remembered of source files. One process has one state
// directory.
func (c *Config) FactsIn(state string) *load.Facts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.facts == nil {
		c.facts = load.OpenFacts(filepath.Join(state, "closures", "facts"))
	}
	return c.facts
}

// ModCache returns GOMODCACHE as the go command would.
func (c *Config) ModCache(ctx context.Context, tc *Toolchain) (string, error) {
	if v, ok := c.Lookup("GOMODCACHE"); ok && v != "" {
		return v, nil
	}
	dir, err := c.Setting(ctx, tc, "GOMODCACHE")
	if err == nil && dir == "" {
		err = errors.New("go env says nothing of it")
	}
	return dir, err
}

// ToolTags asks the toolchain which build tags it sets itself for a target:
// its experiments and the levels of the architecture. variant is an assignment
// such as "GOAMD64=v3", or "" for the toolchain's default.
func (c *Config) ToolTags(ctx context.Context, tc *Toolchain, goos, goarch, variant string) ([]string, error) {
	env := append(c.hostEnv(tc), "GOENV=off", "GOTELEMETRY=off", "GOTOOLCHAIN=local", "GO111MODULE=off", "GOOS="+goos, "GOARCH="+goarch)
	env = append(env, c.Pass(slices.Concat(UserVariables[:], tempVariables[:]))...)
	if variant != "" {
		env = append(env, variant)
	}
	out, err := RunGo(ctx, tc, tc.Root, env, "list", "-f", "{{range context.ToolTags}}{{.}} {{end}}", "unsafe")
	return strings.Fields(string(out)), err
}

// HostDirs are where the files of packages are on this host. Those of Go itself
// are for its version to answer for.
func (c *Config) HostDirs() []string {
	dirs := []string{c.Root}
	if tc, err := c.FoundToolchain(); err == nil {
		if mods, err := c.ModCache(context.Background(), tc); err == nil {
			dirs = append(dirs, mods)
		}
	}
	return dirs
}

// WriteState writes a file of the workspace's state. It is not flushed: a record that a
// crash damaged is not read.
func WriteState(name string, b []byte) error {
	if err := atomicfile.Write(name, b, atomicfile.Options{Perm: 0o600, Mkdir: 0o755}); err != nil {
		return fmt.Errorf("remember closure: %w", err)
	}
	return nil
}
