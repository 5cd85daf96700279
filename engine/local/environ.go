package local

import (
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// environ is the environment of the processes of one execution.
type environ struct {
	*layout
	e    *Executor
	base []string // what no key holds
	// names are what a step calls directories of the variables in Executor.Fixed,
	// by the directory, if it runs at a fixed path. It is set when the sandbox is
	// opened.
	names map[string]string
}

// newEnviron makes an environ with the variables that every process gets and no key
// holds.
func newEnviron(e *Executor, l *layout) *environ {
	names := passed["unix"]
	if runtime.GOOS == "windows" {
		names = passed["windows"]
	}
	home, tmp := l.home(), l.tmp
	base := []string{
		"HOME=" + home, "USERPROFILE=" + home, "TMPDIR=" + tmp, "TMP=" + tmp, "TEMP=" + tmp,
		"LANG=C.UTF-8", "LC_ALL=C.UTF-8", "TZ=UTC",
	}
	for _, v := range e.Environ {
		name, _, _ := strings.Cut(v, "=")
		if runtime.GOOS == "windows" {
			name = strings.ToUpper(name)
		}
		if slices.Contains(names, name) {
			base = append(base, v)
		}
	}
	if !l.p.Step.Network && l.p.Step.Traits.Command {
		base = append(base, noUpdates[:]...)
	}
	return &environ{layout: l, e: e, base: append(base, e.Vary...)}
}

// command is the command's own environment, secrets included.
func (v *environ) command() []string {
	var env []string
	for _, x := range slices.Concat(v.p.Command.Env, v.p.Step.Secrets) {
		env = append(env, x.Name+"="+x.Value)
	}
	return env
}

// process returns the working directory and the whole environment of a process;
// extra is what its Launcher adds.
func (v *environ) process(p *engine.Process, extra []string) (dir string, env []string) {
	dir = p.Dir
	if dir == "" {
		dir = v.runDir()
	}
	env = p.Env
	if env == nil {
		env = v.command()
	}
	if v.fixed {
		extra = slices.DeleteFunc(slices.Clone(extra), func(x string) bool {
			name, _, _ := strings.Cut(x, "=")
			at, ok := v.e.Fixed[name]
			return ok && at == ""
		})
	}
	return dir, dedupe(slices.Concat(v.base, extra, env, []string{"PWD=" + dir}))
}

// places says where a step at a fixed path finds the project and the directories
// that Executor.Fixed names; extra is what the Launcher of its program adds.
func (v *environ) places(extra []string) []sandbox.Place {
	project := v.project
	if v.copied {
		project = v.out
	}
	places := []sandbox.Place{{Dir: project, At: fixedProject}}
	for _, x := range dedupe(slices.Concat(extra, v.command())) {
		name, dir, _ := strings.Cut(x, "=")
		at, ok := v.e.Fixed[name]
		if !ok || at == "" || !filepath.IsAbs(dir) || os.MkdirAll(dir, 0o777) != nil {
			continue
		}
		if v.names == nil {
			v.names = map[string]string{}
		}
		v.names[dir] = path.Join(sandbox.Own, at)
		places = append(places, sandbox.Place{Dir: dir, At: v.names[dir]})
	}
	return places
}

// inside gives the variables of Executor.Fixed the values that hold for a step at a
// fixed path.
func (v *environ) inside(env []string) []string {
	for i, x := range env {
		name, dir, _ := strings.Cut(x, "=")
		if at := v.names[dir]; at != "" && v.e.Fixed[name] != "" {
			env[i] = name + "=" + at
		}
	}
	return env
}

// passed are variables of airbuild's own environment without which programs
// do not start; none of them may change a result.
var passed = map[string][]string{
	"windows": {"PATH", "PATHEXT", "SYSTEMROOT", "SYSTEMDRIVE", "COMSPEC", "WINDIR", "PROGRAMDATA", "PROGRAMFILES", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE"},
	"unix":    {"PATH"},
}

// noUpdates keep tools from looking for newer versions of themselves and from
// reporting their use, where the step has no network: an attempt would be
// reported, and be taken for what the step lacks. Tests have none of them: a test
// may be about these very variables.
var noUpdates = [...]string{
	"NO_UPDATE_NOTIFIER=1",             // programs with the package update-notifier
	"npm_config_update_notifier=false", // npm
	"PIP_DISABLE_PIP_VERSION_CHECK=1",  // pip
	"CHECKPOINT_DISABLE=1",             // HashiCorp's
	"DO_NOT_TRACK=1",                   // many
}

// dedupe keeps the last value of each variable.
func dedupe(env []string) []string {
	at := map[string]int{}
	var out []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		if i, ok := at[name]; ok {
			out[i] = v
			continue
		}
		at[name] = len(out)
		out = append(out, v)
	}
	return out
}
