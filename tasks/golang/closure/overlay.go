package closure

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// Go stages have no network, and the module cache of a fresh host is empty. What
// go.mod and go.sum pin is the same wherever it comes from, so airbuild has the go
// command fetch it, outside the step and before it: for a list that a key needs,
// and for a step that is not a hit. Nothing is fetched for a hit.

// mayFetch reports whether what the module cache lacks may be fetched.
func (c *Closure) mayFetch() bool {
	return c.fetch && !c.network && c.Proxy == "" && c.Vendor == "" && c.cfg.Offline == nil
}

// fetchFor fetches what a step needs and the module cache lacks. A module that
// is required and not needed is missing each time: then the go command finds
// that there is nothing to fetch.
func fetchFor(ctx context.Context, c *gocmd.Config, tc *gocmd.Toolchain, s *engine.Step) error {
	all, _ := s.Discoverer.(Discoverers)
	for _, l := range all {
		list, ok := l.(*Closure)
		if !ok || !list.mayFetch() || c.Root == "" {
			continue
		}
		if missing, err := c.MissingModules(ctx, list.Dir); err == nil && len(missing) == 0 {
			continue
		}
		if _, err := list.run(ctx, tc, c.Root, true); err != nil {
			return fmt.Errorf("fetch modules of %s:\n%w", strings.Join(list.Patterns, " "), err)
		}
	}
	return nil
}

// NewLauncher returns the Launcher of the program "go": the project's
// toolchain, with an environment in which nothing that the user or the host
// has set can change a result.
func NewLauncher(cfg *gocmd.Config) engine.Launcher { return launcher{cfg} }

type launcher struct{ cfg *gocmd.Config }

// Launch implements engine.Launcher.
func (l launcher) Launch(ctx context.Context, s *engine.Step, share engine.Share) (engine.Launch, error) {
	tc, err := l.cfg.FoundToolchain()
	if err != nil {
		return engine.Launch{}, err
	}
	if err := fetchFor(ctx, l.cfg, tc, s); err != nil {
		return engine.Launch{}, err
	}
	if s.Type == "go_test" {
		// Tests wait more than they compute, and what they see of the machine
		// must not depend on what else runs.
		share.CPU = 0
	}
	env, err := l.cfg.Environ(ctx, share)
	if err != nil {
		return engine.Launch{}, err
	}
	if s.Type != "go_test" {
		// Tests have the private home that the executor made: what they find
		// in the user's own is not in the key.
		env = append(l.cfg.Pass(gocmd.UserVariables[:]), env...)
	}
	// An exec's go command may try the network, and is named if it does: what
	// it runs is the user's. A Go stage says at once which module is missing.
	mayFetch := s.Network || !strings.HasPrefix(s.Type, "go_")
	sources, err := l.cfg.SourcesEnv(env, gocmd.ProxyOf(s), mayFetch)
	if err != nil {
		return engine.Launch{}, err
	}
	env = append(env, sources...)
	stamp, project, err := stamped(l.cfg, s, env)
	if err != nil {
		return engine.Launch{}, fmt.Errorf("stamp the version into the program: %w", err)
	}
	env = append(env, stamp...)
	root := l.cfg.Root
	if project != "" {
		root = project
	}
	copies, flags, err := withCopies(ctx, l.cfg, tc, s, root)
	if err != nil {
		return engine.Launch{}, err
	}
	return engine.Launch{Path: tc.Bin, Env: gocmd.AddFlags(append(env, copies...), flags), Project: project}, nil
}

// workDir is the directory of the go.work that a closure is listed with and that
// may be written to; "" if there is none.
func (c *Closure) workDir() string {
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
// GOFLAGS; root is where the step finds the project.
func withCopies(ctx context.Context, c *gocmd.Config, tc *gocmd.Toolchain, s *engine.Step, root string) (env, flags []string, err error) {
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
	m, err := gocmd.FindModule(os.DirFS(c.Root), gocmd.StepDir(s), alone)
	if err != nil {
		return nil, nil, nil // the go command says what is wrong
	}
	switch {
	case m.Work == "" && slices.Contains(s.Command.Arguments, "-mod=mod") && !s.Hermetic:
		file, err := c.CopyMod(filepath.Join(root, filepath.FromSlash(m.Root)))
		if file == "" {
			return nil, nil, err
		}
		return nil, []string{"-modfile=" + file}, err
	case m.Work == "":
		return nil, nil, nil
	}
	w, err := c.CopyWork(root, m.Work)
	if w == nil || err != nil {
		return nil, nil, err
	}
	if !w.Local || s.Type != "go_build" && s.Type != "go_vendor" {
		return []string{"GOWORK=" + w.File()}, nil, nil
	}
	return withOverlay(ctx, c, tc, s, w)
}

// withOverlay is withCopies where the paths of replacements come out. The sums
// that the go command would add must be there before.
func withOverlay(ctx context.Context, c *gocmd.Config, tc *gocmd.Toolchain, s *engine.Step, w *gocmd.WorkCopy) (env, flags []string, err error) {
	if s.Type == "go_vendor" {
		err = vendorSums(ctx, c, tc, s, w)
	}
	all, _ := s.Discoverer.(Discoverers)
	for _, l := range all {
		list, ok := l.(*Closure)
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
	name, err := w.Overlay()
	return nil, []string{"-overlay=" + name}, err
}

// vendorSums adds the sums to a copy that go work vendor needs: by vendoring,
// since no list has the same packages.
func vendorSums(ctx context.Context, c *gocmd.Config, tc *gocmd.Toolchain, s *engine.Step, w *gocmd.WorkCopy) error {
	env, err := c.OwnEnv(ctx)
	if err != nil {
		return err
	}
	sources, err := c.SourcesEnv(env, gocmd.ProxyOf(s), s.Network)
	if err != nil {
		return err
	}
	out, err := os.MkdirTemp("", "airbuild-vendor-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(out)
	env = append(append(env, sources...), "GOWORK="+w.File())
	_, err = gocmd.RunGo(ctx, tc, w.Root, env, "work", "vendor", "-o", filepath.Join(out, "vendor"))
	if err != nil && ctx.Err() == nil {
		err = errors.New(w.Name(err.Error(), w.Root))
	}
	return err
}
