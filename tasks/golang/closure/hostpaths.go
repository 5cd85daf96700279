package closure

import (
	"context"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

// NewHostPaths returns what the go command uses of the host beside a step's
// inputs: the toolchain, its caches, and local trees of modules.
func NewHostPaths(cfg *gocmd.Config) engine.HostPaths { return launcher{cfg: cfg} }

// HostPaths implements engine.HostPaths.
func (l launcher) HostPaths(ctx context.Context, s *engine.Step) (read, write []string, err error) {
	tc, err := l.cfg.FoundToolchain()
	if err != nil {
		return nil, nil, err
	}
	prog, err := l.Launch(ctx, s, engine.Share{})
	if err != nil {
		return nil, nil, err
	}
	read = []string{tc.Root}
	last := map[string]string{} // of each variable, as a process sees it
	for _, v := range prog.Env {
		name, value, _ := strings.Cut(v, "=")
		last[name] = value
	}
	for _, name := range [...]string{"GOCACHE", "GOMODCACHE", "GOTMPDIR"} {
		if dir := last[name]; filepath.IsAbs(dir) && os.MkdirAll(dir, 0o777) == nil {
			write = append(write, dir)
		}
	}
	return append(read, localTrees(last["GOPROXY"])...), write, nil
}

// localTrees are the directories among the entries of a GOPROXY.
func localTrees(proxies string) []string {
	var dirs []string
	for _, entry := range strings.FieldsFunc(proxies, func(r rune) bool { return r == ',' || r == '|' }) {
		u, err := url.Parse(entry)
		if err != nil || u.Scheme != "file" {
			continue
		}
		dir := u.Path
		if runtime.GOOS == "windows" {
			dir = strings.TrimPrefix(dir, "/")
		}
		dirs = append(dirs, filepath.FromSlash(dir))
	}
	return dirs
}

// FixedVariables are the variables of the go command whose directories are
// called the same on every host in steps that run apart from it: without
// -trimpath, compiled packages of the module cache hold its path. Such steps have
// a go.work of their own.
func FixedVariables() map[string]string {
	return map[string]string{"GOMODCACHE": "modcache", "GOWORK": ""}
}
