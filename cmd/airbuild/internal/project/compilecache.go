package project

import (
	"os"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/gocache"
)

// CompileCacheArg is the name under which the go command starts this program to
// have its compile cache served. It is no command for users, and comes before
// all commands, because every go step waits for it.
const CompileCacheArg = "gocacheprog"

// compileCache is what serves the go steps of s, or keeps those that need it
// apart from the user's own GOCACHE. Nothing is done for it before a go command
// starts.
func (s *Session) compileCache() (*gocache.Cache, error) {
	on, err := s.Options.WantsCompileCache()
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		on = false
	}
	command := []string{self, CompileCacheArg, "-store", s.Store.Dir()}
	if !s.Store.Scope.IsZero() {
		command = append(command, "-scope", s.Store.Scope.String())
	}
	if s.Options.Paranoid {
		command = append(command, "-paranoid")
	}
	return &gocache.Cache{
		Store: s.Store, Dir: s.Store.Dir(), Command: command,
		TempDir: s.scratch.New, Wants: func(s *engine.Step) bool { return s.Traits.Compiles }, Off: !on,
	}, nil
}

// withCompileCache puts a compile cache around the executor e, whose launchers
// and reachers it is given to change.
func (s *Session) withCompileCache(e engine.Executor, launchers map[string]engine.Launcher, hostPaths map[string]engine.HostPaths) (engine.Executor, error) {
	c, err := s.compileCache()
	if err != nil {
		return nil, err
	}
	launchers["go"], hostPaths["go"] = c.Launcher(launchers["go"]), c.HostPaths(hostPaths["go"])
	return c.Executor(e), nil
}
