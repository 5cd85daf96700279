package host

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

// DefaultTools are the programs that builds and releases of Go software use.
func DefaultTools() []string {
	return []string{
		"go", "git", "gcc", "g++", "cc", "clang", "ld", "ar", "strip", "make", "cmake", "pkg-config",
		"tar", "gzip", "xz", "zstd", "bzip2", "zip", "unzip", "upx", "sh", "bash", "sha256sum",
		"docker", "podman", "buildah", "skopeo", "dpkg-deb", "rpmbuild", "protoc", "node", "npm", "python3",
		"curl", "openssl", "minisign", "systemctl", "rsync", "jq",
	}
}

// versionArgs ask a program for its version, where that is not --version. nil
// means that it has no way to say it.
func versionArgs(name string) []string {
	switch name {
	case "go", "openssl":
		return []string{"version"}
	case "zip", "unzip", "minisign":
		return []string{"-v"}
	case "ssh":
		return []string{"-V"}
	case "sh":
		return nil
	}
	return []string{"--version"}
}

const (
	toolTime    = 5 * time.Second
	toolOutput  = 64 << 10
	toolsAtOnce = 4
)

// takeTools looks for the programs and asks each that is there for its version.
func takeTools(ctx context.Context, o Options) (map[string]Tool, error) {
	tools := map[string]Tool{}
	var mu sync.Mutex
	var wait sync.WaitGroup
	slots := make(chan struct{}, toolsAtOnce)
	for _, name := range o.Tools {
		if name == "" || strings.ContainsAny(name, "/\\ \t\n") {
			return nil, fmt.Errorf("tool %q: want the name of a program, as on PATH", name)
		}
		wait.Go(func() {
			slots <- struct{}{}
			t := takeTool(ctx, o, name)
			<-slots
			mu.Lock()
			tools[name] = t
			mu.Unlock()
		})
	}
	wait.Wait()
	return tools, ctx.Err()
}

func takeTool(ctx context.Context, o Options, name string) Tool {
	path, err := o.LookPath(name)
	if err != nil {
		return Tool{}
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	t := Tool{Found: true, Path: path}
	args := versionArgs(name)
	if args == nil {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, toolTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	out := &bounded{left: toolOutput}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Dir = filepath.VolumeName(path) + string(filepath.Separator)
	cmd.Env = append(o.Environ, "LC_ALL=C", "GOTOOLCHAIN=local")
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	if err != nil && ctx.Err() != nil {
		return t
	}
	t.Version = versionIn(out.b.String())
	return t
}

// A bounded writer keeps the beginning of what is written to it.
type bounded struct {
	b    bytes.Buffer
	left int
}

func (w *bounded) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	w.b.Write(p[:n])
	w.left -= n
	return len(p), nil
}

// versionIn is the first version in a program's answer: "2.39.5",
// "1.26.8", "3.0.17". Of a line such as "gcc (Debian 12.2.0-14) 12.2.0" it is
// the last one outside the brackets.
func versionIn(text string) string {
	version := regexp.MustCompile(`\d+(\.\d+)+([-+.]?(rc|alpha|beta|pre)\.?\d*)?`)
	for line := range strings.Lines(text) {
		plain := regexp.MustCompile(`\([^()]*\)`).ReplaceAllString(line, "")
		if v := version.FindString(plain); v != "" {
			return v
		}
		if v := version.FindString(line); v != "" {
			return v
		}
	}
	return ""
}
