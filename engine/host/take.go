package host

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/internal/lists"
)

// Options say what a fingerprint is to hold. The zero value looks for the usual
// tools and no disk.
type Options struct {
	Airbuild string            // the version that goes into it
	Disks    map[string]string // directories by use: project, cache, tmp
	// Tools are the programs to look for; nil means DefaultTools, empty none.
	Tools []string
	// Env are the variables whose values go in. One with the name of a secret
	// is an error.
	Env []string
	// Environ, LookPath and Now are those of the process if nil.
	Environ  []string
	LookPath func(string) (string, error)
	Now      func() time.Time
}

// Take makes the fingerprint of this machine. What cannot be found out stays
// empty. The only programs that are started are the tools that were asked for,
// to say their version, for a few seconds at most.
func Take(ctx context.Context, o Options) (*Fingerprint, error) {
	o = o.withDefaults()
	env, err := takeEnv(o)
	if err != nil {
		return nil, err
	}
	f := &Fingerprint{
		Version: Version, Airbuild: o.Airbuild, OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(),
		Distribution: distribution(), Kernel: kernel(), Libc: FindLibc(""), Memory: memory(), Limits: limits(),
		Disks: map[string]Disk{}, Clock: takeClock(o.Now()), Syscalls: probe(), Env: env,
	}
	f.CPU, f.Level, f.Features = cpu()
	for use, dir := range o.Disks {
		f.Disks[use] = TakeDisk(dir)
	}
	f.Tools, err = takeTools(ctx, o)
	if err != nil {
		return nil, err
	}
	f.fill()
	return f, nil
}

func (o Options) withDefaults() Options {
	if o.Tools == nil {
		o.Tools = DefaultTools()
	}
	if o.Environ == nil {
		o.Environ = os.Environ()
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

func takeClock(now time.Time) Clock {
	zone, offset := now.Zone()
	if name := zoneName(); name != "" {
		zone = name
	}
	return Clock{Time: now.UTC().Format(time.RFC3339), Zone: zone, Offset: offset, Synchronized: clockSync()}
}

// zoneName is the name of the time zone in the database, if it can be found.
func zoneName() string {
	if tz, ok := os.LookupEnv("TZ"); ok {
		if tz = strings.TrimPrefix(tz, ":"); tz == "" {
			return "UTC"
		}
		return tz
	}
	if link, err := os.Readlink("/etc/localtime"); err == nil {
		if _, name, ok := strings.Cut(link, "zoneinfo/"); ok {
			return name
		}
	}
	if text, err := os.ReadFile("/etc/timezone"); err == nil && len(text) < 100 {
		return strings.TrimSpace(string(text))
	}
	return ""
}

// takeEnv takes the names, and the values that were asked for.
func takeEnv(o Options) (Env, error) {
	e := Env{Values: map[string]string{}}
	for _, v := range o.Environ {
		name, value, ok := strings.Cut(v, "=")
		if !ok || name == "" { // Windows keeps its drives' directories in "=C:"
			continue
		}
		e.Names = append(e.Names, name)
		if slices.Contains(o.Env, name) {
			e.Values[name] = WithoutPassword(value)
		}
	}
	e.Names = lists.Unique(e.Names)
	for _, name := range o.Env {
		if IsSecretName(name) {
			return e, fmt.Errorf("environment variable %s: its name says that it is a secret, and a fingerprint holds none", name)
		}
	}
	return e, nil
}

// WithoutPassword takes user and password out of the URLs in a list of them, as
// GOPROXY may hold.
func WithoutPassword(value string) string {
	if !strings.Contains(value, "@") {
		return value
	}
	var b strings.Builder
	for value != "" {
		n := strings.IndexAny(value, ",| ")
		part := value
		if n >= 0 {
			part = value[:n]
		}
		if u, err := url.Parse(part); err == nil && u.User != nil {
			u.User = nil
			part = u.String()
		} else if strings.Contains(part, "://") && strings.Contains(part, "@") {
			part = "(not shown)"
		}
		b.WriteString(part)
		if n < 0 {
			break
		}
		b.WriteByte(value[n])
		value = value[n+1:]
	}
	return b.String()
}

// TakeDisk looks at the file system of a directory, or of the nearest one above
// it that is there. What cannot be found out stays 0.
func TakeDisk(dir string) Disk {
	for {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			break
		}
		up := filepath.Dir(dir)
		if up == dir {
			return Disk{FreeInodes: -1}
		}
		dir = up
	}
	d := disk(dir)
	d.Writable, d.FoldsCase = writable(dir), foldsCase(dir)
	return d
}

// foldsCase looks whether a directory finds a name by another case: one that is in
// it, or its own. Nothing is written: a command that only looks leaves no trace.
func foldsCase(dir string) bool {
	const most = 64
	var names []string
	if f, err := os.Open(dir); err == nil {
		more, _ := f.Readdirnames(most)
		f.Close()
		for _, n := range more {
			names = append(names, filepath.Join(dir, n))
		}
	}
	for _, name := range append(names, dir) {
		base := filepath.Base(name)
		other := strings.ToUpper(base)
		if other == base {
			other = strings.ToLower(base)
		}
		if other == base {
			continue
		}
		is, err := os.Lstat(name)
		if err != nil {
			continue
		}
		same, err := os.Lstat(filepath.Join(filepath.Dir(name), other))
		return err == nil && os.SameFile(is, same)
	}
	return false
}
