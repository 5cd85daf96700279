// Package gocmd is the go command as stage types use it: how a toolchain is found,
// the environment that it runs in, the module that governs a directory, Go's table
// of platforms, and what an offline run lacks.
package gocmd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/robustio"

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

// WriteState writes a file of the workspace's state by rename. It is not
// synced: a record that a crash damaged is not read.
func WriteState(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return fmt.Errorf("remember closure: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return fmt.Errorf("remember closure: %w", err)
	}
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = robustio.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
		return fmt.Errorf("remember closure: %w", err)
	}
	return nil
}
