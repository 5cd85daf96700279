package gocmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks/golang/goproxy"
)

// AddFlags adds flags to the GOFLAGS of an environment.
func AddFlags(env, flags []string) []string {
	if len(flags) == 0 {
		return env
	}
	text := GoFlags(flags)
	for _, v := range env {
		if old, ok := strings.CutPrefix(v, "GOFLAGS="); ok {
			text = old + " " + GoFlags(flags)
		}
	}
	return append(env, "GOFLAGS="+text)
}

// UserVariables say where the user's own files are: credentials for private
// modules, and git's settings.
var UserVariables = [...]string{
	"HOME", "USER", "LOGNAME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME",
	"USERPROFILE", "LOCALAPPDATA", "APPDATA",
}

// tempVariables say where airbuild's own go processes put temporary files.
// Steps have a private place instead.
var tempVariables = [...]string{"TMPDIR", "TEMP", "TMP"}

// hostVariables are passed from the host to every go process: how to reach the
// network, and what the operating system needs to start programs. None of them
// changes what Go builds.
var hostVariables = [...]string{
	// Windows.
	"SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "PROGRAMFILES", "PROGRAMDATA",
	// macOS: where the C compiler finds its headers.
	"DEVELOPER_DIR", "SDKROOT",
	// The network, for modules.
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC",
	"SSH_AUTH_SOCK", "GIT_SSH", "GIT_SSH_COMMAND", "GIT_ASKPASS", "GIT_TERMINAL_PROMPT",
	"GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_SSL_CAINFO",
}

// goVariables say where Go keeps things and where modules come from. A user
// may have set them with `go env -w`, so they are asked of the go command.
var goVariables = [...]string{
	"GOCACHE", "GOMODCACHE", "GOPATH", "GOTMPDIR",
	"GOPROXY", "GOSUMDB", "GONOSUMDB", "GONOPROXY", "GOPRIVATE", "GOINSECURE", "GOAUTH", "GOVCS",
}

// FoundToolchain is Config.Toolchain with a message for a Config that has none.
func (c *Config) FoundToolchain() (*Toolchain, error) {
	if c.Toolchain == nil {
		return nil, errors.New("find Go toolchain: none is configured")
	}
	return c.Toolchain()
}

// Environ returns the environment of a go process. The first call in the
// process asks `go env` for the user's settings; a run in which all is cached
// never calls it.
func (c *Config) Environ(ctx context.Context, share engine.Share) ([]string, error) {
	tc, err := c.FoundToolchain()
	if err != nil {
		return nil, err
	}
	settings, err := c.userSettings(ctx, tc)
	if err != nil {
		return nil, err
	}
	if o := c.Offline; o != nil && o.Carried != "" && o.Home != "" {
		if err := goproxy.SeedHeads(o.Carried, o.Home); err != nil {
			return nil, err
		}
	}
	env := append(c.hostEnv(tc), settings...)
	env = append(env, "GOENV=off", "GOTELEMETRY=off", "GOTOOLCHAIN=local")
	if share.CPU > 0 {
		n := strconv.Itoa(share.CPU)
		// A flag in GOFLAGS, not in argv: how parallel Go works is no part of
		// the key.
		env = append(env, "GOMAXPROCS="+n, "GOFLAGS=-p="+n)
	}
	return env, nil
}

// userSettings asks once and remembers a good answer: a run that was stopped
// while it asked must not spoil the next one.
func (c *Config) userSettings(ctx context.Context, tc *Toolchain) ([]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settings == nil {
		settings, err := c.ask(ctx, tc)
		if err != nil {
			return nil, err
		}
		c.settings = settings
	}
	return c.settings, nil
}

// Setting returns one of goVariables, "" if it is not set.
func (c *Config) Setting(ctx context.Context, tc *Toolchain, name string) (string, error) {
	settings, err := c.userSettings(ctx, tc)
	if err != nil {
		return "", err
	}
	for _, s := range settings {
		if v, ok := strings.CutPrefix(s, name+"="); ok {
			return v, nil
		}
	}
	return "", nil
}

// hostEnv is what comes from the host as it is, and a PATH on which the
// toolchain's own go command is first.
func (c *Config) hostEnv(tc *Toolchain) []string {
	env := c.Pass(hostVariables[:])
	path := filepath.Dir(tc.Bin)
	if v, ok := c.Lookup("PATH"); ok && v != "" {
		path += string(filepath.ListSeparator) + v
	}
	return append(env, "PATH="+path)
}

// Pass returns those of the host's variables that are set.
func (c *Config) Pass(names []string) []string {
	var env []string
	for _, name := range names {
		if v, ok := c.Lookup(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// OwnEnv is the environment of the go processes that airbuild runs for itself,
// outside a step.
func (c *Config) OwnEnv(ctx context.Context) ([]string, error) {
	env, err := c.Environ(ctx, engine.Share{})
	return append(c.Pass(slices.Concat(UserVariables[:], tempVariables[:])), env...), err
}

func (c *Config) Lookup(name string) (string, bool) {
	host := c.LookupEnv
	if host == nil {
		host = func(string) (string, bool) { return "", false }
	}
	if c.Offline != nil {
		if v, ok, mine := c.Offline.lookup(name, host); mine {
			return v, ok
		}
	}
	return host(name)
}

// ask returns the user's goVariables, as `go env` gives them.
func (c *Config) ask(ctx context.Context, tc *Toolchain) ([]string, error) {
	env := append(c.hostEnv(tc), "GOTOOLCHAIN=local")
	env = append(env, c.Pass(slices.Concat(goVariables[:], UserVariables[:], tempVariables[:], []string{"GOENV"}))...)
	out, err := RunGo(ctx, tc, tc.Root, env, append([]string{"env", "-json"}, goVariables[:]...)...)
	if err != nil {
		return nil, fmt.Errorf("read the settings of Go: %w", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		return nil, fmt.Errorf("read the settings of Go: %w", err)
	}
	settings := []string{}
	for _, name := range goVariables {
		if v := values[name]; v != "" && !(name == "GOTMPDIR" && c.inRoot(v)) {
			settings = append(settings, name+"="+v)
		}
	}
	return settings, nil
}

// inRoot reports whether a directory is in the project. A GOTMPDIR there would
// come out in binaries as a directory of the module.
func (c *Config) inRoot(dir string) bool {
	if c.Root == "" {
		return false
	}
	_, err := RelativeInside(c.Root, dir)
	return err == nil
}

// proxyEnv makes the go command take modules from a go_download tree of the
// project and from nowhere else. Sums are verified as ever. What an offline run needs for every
// step is in Offline.
func (c *Config) proxyEnv(tree string) ([]string, error) {
	if tree == "" {
		return nil, nil
	}
	if c.Root == "" {
		return nil, errors.New("name the module tree to Go: the project's root is not configured")
	}
	p := filepath.ToSlash(filepath.Join(c.Root, filepath.FromSlash(tree)))
	return []string{"GOPROXY=" + FileURL(p), "GONOPROXY=none", "GOVCS=*:off"}, nil
}

// SourcesEnv is what is added to the environment of a go command that works for
// a step, about where its modules may come from: a go_download tree alone if
// there is one, and without a network the local trees of GOPROXY alone, so that
// a missing module is told in the same words on every host.
func (c *Config) SourcesEnv(env []string, tree string, network bool) ([]string, error) {
	if tree != "" || network {
		return c.proxyEnv(tree)
	}
	setting := ""
	for _, v := range env {
		if v, ok := strings.CutPrefix(v, "GOPROXY="); ok {
			setting = v
		}
	}
	return []string{"GOPROXY=" + LocalProxies(setting), "GONOPROXY=none", "GOVCS=*:off"}, nil
}

// LocalProxies keeps of a value of GOPROXY what needs no network: its file://
// entries, with what stands between them.
func LocalProxies(setting string) string {
	kept, between := "", ","
	for setting != "" {
		entry, rest := setting, ""
		i := strings.IndexAny(setting, ",|")
		if i >= 0 {
			entry, rest = setting[:i], setting[i+1:]
		}
		entry = strings.TrimSpace(entry)
		if entry == "off" {
			break
		}
		if strings.HasPrefix(entry, "file://") {
			if kept != "" {
				kept += between
			}
			kept += entry
		}
		if i >= 0 {
			between = setting[i : i+1]
		}
		setting = rest
	}
	if kept == "" {
		return "off"
	}
	return kept
}

// ProxyURL is the entry of GOPROXY for an absolute directory.
func ProxyURL(dir string) string { return FileURL(filepath.ToSlash(dir)) }

// FileURL writes an absolute, slash-separated path as a file URL. GOPROXY
// separates its entries by commas and bars, so those are escaped too.
func FileURL(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p // a Windows drive
	}
	var b strings.Builder
	b.WriteString("file://")
	for i := 0; i < len(p); i++ {
		switch c := p[i]; {
		case c == '/' || c == '.' || c == '-' || c == '_' || c == '~' || c == ':' || c == '@' || c == '+',
			'0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// ProxyFact names the go_download tree that a step takes its modules from.
const ProxyFact = "modules from"

// ProxyOf returns the project-relative go_download tree of a step, or "".
func ProxyOf(s *engine.Step) string {
	for _, f := range s.Facts {
		if f.Name == ProxyFact {
			return f.Value
		}
	}
	return ""
}

// RunGo runs the go command and returns what it prints. Its error is what the
// command itself said. The command is stopped politely when ctx ends.
func RunGo(ctx context.Context, tc *Toolchain, dir string, env []string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	err := RunProcess(ctx, &engine.Process{Path: tc.Bin, Args: args, Env: env, Dir: dir, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if text := strings.TrimSpace(stderr.String()); text != "" {
			return nil, errors.New(text)
		}
		return nil, fmt.Errorf("go %s: %w", args[0], err)
	}
	return stdout.Bytes(), nil
}

// RunProcess runs a process outside a step, with its whole environment given.
func RunProcess(ctx context.Context, p *engine.Process) error {
	cmd := exec.CommandContext(ctx, p.Path, p.Args...)
	cmd.Dir = p.Dir
	cmd.Env = append(slices.Clone(p.Env), "PWD="+p.Dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.Stdin, p.Stdout, p.Stderr
	if runtime.GOOS != "windows" {
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd.Run()
}
