package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/bytediff"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/carry"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/engine/trace"
)

// rebuildArg is the one argument of the process that builds again. It is no
// command, so that nobody hits it by accident; what it is to do comes on its
// standard input.
const rebuildArg = "verify-rebuild:1"

// otherClock is how far ahead the second build's time of day is: the year, the
// month, the day, hour, minute and second differ.
const otherClock = 400*24*time.Hour + 7*time.Hour + 13*time.Minute + 17*time.Second

const (
	otherUmask = 0o077
	otherHost  = "verify-elsewhere"
	otherUser  = "verifier"
	otherUID   = 4242
)

// A world is what the process that builds again makes of itself.
type world struct {
	Args []string
	// Vary are variables that processes of steps get although no key holds
	// them.
	Vary   []string
	Umask  int           // -1: as it is
	Host   string        // empty: as it is
	Clock  time.Duration // zero: as it is
	Source *source.Info  // what git says of the original
	// Confined: as of Linux, this process has been put into namespaces.
	Confined bool

	env      []string
	varied   []variation
	constant []variation
}

// A variation is a circumstance, and how it was in the two builds; or why it was
// the same.
type variation struct {
	What string `json:"what"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
	Why  string `json:"why,omitempty"`
}

// otherWorld decides what is different for the second build.
func (v *verification) otherWorld(ctx context.Context) (*world, error) {
	w := &world{Umask: -1}
	if err := v.arguments(w); err != nil {
		return nil, err
	}
	if info, err := carry.SourceInfo(ctx, v.Root); err == nil {
		w.Source = info
	}
	w.differ("directory of the project", v.Root, v.place.project)
	w.differ("cache, compile cache", v.Store.Dir(), "empty ones")
	w.differ("file times of the source", "as they are", otherFileTime.Format(time.RFC3339))
	w.differ("modes of the source", "as they are", "0600 and 0700")
	if err := v.environment(ctx, w); err != nil {
		return nil, err
	}
	jobs := v.app.Jobs
	if jobs == 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	other := 1
	if jobs == 1 {
		other = 3
	}
	w.differ("steps at once (-j)", strconv.Itoa(jobs), strconv.Itoa(other))
	w.Args = slices.Insert(w.Args, 0, "--jobs", strconv.Itoa(other))
	v.confine(ctx, w)
	if err := trace.Supported(ctx); err == nil {
		w.Clock = otherClock
		w.differ("time of day", "now", "400 days later")
		w.same("time of day for go_build and go_vet without cgo", "the Go toolchain writes none into its outputs, and following its clock takes too long; there only the time between the builds differs")
	} else if ctx.Err() != nil {
		return nil, ctx.Err()
	} else {
		w.same("time of day", "processes cannot be traced here: "+err.Error()+"; only the time between the builds differs")
	}
	w.same("processor, kernel, file system, installed programs", "it is the same host: verify on another one with --against")
	w.same("order of directory entries", "it is the file system's; the copy was written in the opposite order")
	return w, nil
}

func (w *world) differ(what, was, is string) {
	w.varied = append(w.varied, variation{What: what, Was: was, Is: is})
}

func (w *world) same(what, why string) {
	w.constant = append(w.constant, variation{What: what, Why: why})
}

// arguments are those of the run elsewhere.
func (v *verification) arguments(w *world) error {
	a := v.app
	w.Args = []string{"--output", "json", "--keep-going", "--compile-cache", "off", "--file", filepath.Join(v.place.project, v.File)}
	for _, s := range a.Vars {
		w.Args = append(w.Args, "--var", s)
	}
	for _, f := range a.VarFiles {
		abs, err := filepath.Abs(f)
		if err != nil {
			return err
		}
		w.Args = append(w.Args, "--var-file", abs)
	}
	if a.Environment != "" {
		w.Args = append(w.Args, "--environment", a.Environment)
	}
	w.Args = append(w.Args, fmt.Sprintf("--offline=%v", v.Options.Offline))
	w.Args = append(w.Args, "run")
	if a.Sandbox.Off {
		w.Args = append(w.Args, "--no-sandbox")
	}
	w.Args = append(append(w.Args, "--"), v.targets()...)
	return nil
}

// environment is that of the run elsewhere, and what its steps get.
func (v *verification) environment(ctx context.Context, w *world) error {
	p := v.place
	set := map[string]string{
		"HOME": p.home, "USERPROFILE": p.home, "TMPDIR": p.tmp, "TMP": p.tmp, "TEMP": p.tmp,
		"XDG_CACHE_HOME": filepath.Join(p.home, "c"), "XDG_CONFIG_HOME": filepath.Join(p.home, "conf"),
		"USER": otherUser, "LOGNAME": otherUser, "AIRBUILD_CACHE": p.cache, "GOCACHE": p.gocache,
	}
	if ring, err := v.app.keyring(); err == nil {
		set["AIRBUILD_KEYS"] = ring.Dir()
	}
	if err := v.goSettings(ctx, set); err != nil {
		return err
	}
	zone, locale := otherZone(), otherLocale()
	w.Vary = []string{"TZ=" + zone, "LANG=" + locale, "LC_ALL=" + locale, "USER=" + otherUser, "LOGNAME=" + otherUser,
		"AIRBUILD_VERIFY_NOISE=" + strings.Repeat("n", 777)}
	w.differ("HOME, TMPDIR", "the step's own directories", "the step's own directories elsewhere")
	w.differ("user name in the environment", "not set", otherUser)
	w.differ("time zone (TZ)", "UTC", zone)
	w.differ("locale (LANG, LC_ALL)", "C.UTF-8", locale)
	w.differ("environment", "what steps get", "and a variable of 777 bytes")
	for _, e := range os.Environ() {
		name, _, _ := strings.Cut(e, "=")
		if _, ok := set[name]; !ok {
			w.env = append(w.env, e)
		}
	}
	for _, name := range sortedKeys(set) {
		w.env = append(w.env, name+"="+set[name])
	}
	return nil
}

// goSettings has the second build take modules from where the first took them,
// though its home is another.
func (v *verification) goSettings(ctx context.Context, set map[string]string) error {
	usesGo := slices.ContainsFunc(v.ids, func(id engine.StepID) bool {
		return v.Plan.Graph.Steps[id].Traits.Go
	})
	if !usesGo {
		return nil
	}
	tc, err := v.Go.Toolchain()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, tc.Bin, "env", "-json", "GOMODCACHE", "GOPATH", "GOENV")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN=local")
	cmd.Dir = tc.Root
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ask Go for its settings: %w", err)
	}
	values := map[string]string{}
	if err := json.Unmarshal(out, &values); err != nil {
		return fmt.Errorf("ask Go for its settings: %w", err)
	}
	for name, value := range values {
		if value != "" {
			set[name] = value
		}
	}
	return nil
}

// otherZone is a time zone with an odd distance to UTC that programs can find.
func otherZone() string {
	const name = "Pacific/Chatham"
	if project.Exists("/usr/share/zoneinfo/" + name) {
		return name
	}
	return "XST-12:45"
}

// otherLocale is an installed locale whose rules differ, or C.
func otherLocale() string {
	for _, name := range []string{"tr_TR.utf8", "de_DE.utf8", "fr_FR.utf8", "en_US.utf8"} {
		if project.Exists("/usr/lib/locale/" + name) {
			return name
		}
	}
	return "C"
}

// known are the texts by which the two builds can be told apart.
func (v *verification) known() []bytediff.Known {
	host, _ := os.Hostname()
	me := "root"
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	home, _ := v.app.LookupEnv("HOME")
	known := []bytediff.Known{
		{Cause: "the absolute path of the project: give programs relative paths", Old: []string{v.Root}, New: []string{v.place.project}},
		{Cause: "an absolute path of the step's own directory, HOME or TMPDIR: give programs relative paths, and write nothing of HOME or TMPDIR into outputs", Old: []string{filepath.Join(v.Store.Dir(), "scratch")}, New: []string{filepath.Join(v.place.cache, "scratch")}},
		{Cause: "HOME or a cache below it", Old: []string{home}, New: []string{v.place.home, v.place.gocache}},
		{Cause: "the environment as a whole is written down", New: []string{"AIRBUILD_VERIFY_NOISE"}},
		{Cause: "the time zone or the locale", New: []string{otherZone(), "XST"}},
	}
	if v.world.Host != "" {
		known = append(known, bytediff.Known{Cause: "the host's name", Old: []string{host}, New: []string{otherHost}})
	}
	return append(known, bytediff.Known{Cause: "the user's name or number", Old: []string{me}, New: []string{otherUser, strconv.Itoa(otherUID), "user"}})
}

// runElsewhere runs the second build and takes down what it tells.
func (v *verification) runElsewhere(ctx context.Context) (map[string]rebuilt, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find airbuild's own program: %w", err)
	}
	in, err := json.Marshal(v.world)
	if err != nil {
		return nil, err
	}
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, self, rebuildArg)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stderr = v.world.env, v.place.project, bytes.NewReader(in), &said
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	v.world.attach(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("build again: %w", err)
	}
	made, problem := readRebuilt(out)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("build again: %w", err)
	}
	if len(made) == 0 && err != nil {
		if problem == "" {
			problem = strings.TrimSpace(said.String())
		}
		return nil, fmt.Errorf("build again: %s", problem)
	}
	return made, nil
}

// readRebuilt reads the JSON lines of a run.
func readRebuilt(r io.Reader) (made map[string]rebuilt, problem string) {
	made = map[string]rebuilt{}
	logs := map[string]string{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var e struct{ Event, Step, Status, Key, Error, Reason, Text, Severity, Summary, Detail string }
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Event == "diagnostic" && e.Severity == "error":
			problem = strings.TrimSpace(e.Summary + ": " + e.Detail)
		case e.Event == "log":
			logs[e.Step] += e.Text
		case e.Event == "step" && e.Status != engine.Running.String():
			b := rebuilt{status: e.Status, err: e.Error, log: logs[e.Step]}
			if b.err == "" {
				b.err = e.Reason
			}
			if hash, err := action.ParseHash(e.Key); err == nil {
				b.key.Hash = hash
			}
			made[e.Step] = b
		}
	}
	io.Copy(io.Discard, r)
	return made, problem
}

// rebuildElsewhere is the process that builds again.
func rebuildElsewhere(s streams) int {
	var w world
	if err := json.NewDecoder(s.in).Decode(&w); err != nil {
		fmt.Fprintln(s.err, "airbuild: this command is started by airbuild itself only")
		return exit.Usage
	}
	if err := w.enter(); err != nil {
		fmt.Fprintln(s.err, "airbuild:", err)
		return exit.Failed
	}
	s.in = strings.NewReader("")
	a := newApp(s)
	a.Vary, a.Source = w.Vary, w.Source
	if w.Clock != 0 {
		self, err := os.Executable()
		if err != nil {
			fmt.Fprintln(s.err, "airbuild:", err)
			return exit.Failed
		}
		a.Tracer = clockTracer{self, w.Clock}
	}
	return a.main(w.Args)
}

// A clockTracer shows steps another time of day.
type clockTracer struct {
	self  string
	clock time.Duration
}

var _ local.Tracer = clockTracer{}

// Trace implements local.Tracer.
func (t clockTracer) Trace(p *engine.Prepared, _, path string, argv []string) ([]string, error) {
	if compilesGoOnly(p.Step) {
		return nil, nil
	}
	return trace.Command(t.self, trace.Options{Clock: t.clock}, path, argv)
}

// compilesGoOnly reports whether a step runs nothing but the Go toolchain: to
// follow each of its many looks at the clock takes three times the work, and its
// outputs hold no time. With cgo a C compiler may write one (__DATE__).
func compilesGoOnly(s *engine.Step) bool {
	return s.Traits.ToolchainOnly && slices.Contains(s.Command.Env, action.EnvVar{Name: "CGO_ENABLED", Value: "0"})
}

// Touch implements local.Tracer.
func (clockTracer) Touch(*engine.Prepared, string, string, bool) {}

// Reach implements local.Tracer.
func (t clockTracer) Reach() (read, write []string) { return []string{t.self}, nil }
