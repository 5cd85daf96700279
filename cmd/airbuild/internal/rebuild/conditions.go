package rebuild

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
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
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/workcopy"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/source"
	"github.com/airbuild/airbuild/engine/trace"
)

// otherClock is how far ahead the second build's time of day is: the year, the
// month, the day, hour, minute and second differ.
const otherClock = 400*24*time.Hour + 7*time.Hour + 13*time.Minute + 17*time.Second

const (
	otherUmask = 0o077
	otherHost  = "verify-elsewhere"
	otherUser  = "verifier"
	otherUID   = 4242
)

// A Conditions is what the process that builds again makes of itself.
type Conditions struct {
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
	varied   []Condition
	constant []Condition
}

// A Condition is a circumstance, and how it was in the two builds; or why it was
// the same.
type Condition struct {
	What string `json:"what"`
	Was  string `json:"was,omitempty"`
	Is   string `json:"is,omitempty"`
	Why  string `json:"why,omitempty"`
}

// newConditions decides what is different for the second build.
func (v *Rebuild) newConditions(ctx context.Context) (*Conditions, error) {
	w := &Conditions{Umask: -1}
	if err := v.arguments(w); err != nil {
		return nil, err
	}
	if info, err := v.SourceInfo(ctx); err == nil {
		w.Source = info
	}
	w.differ("directory of the project", v.Root, v.copy.Project)
	w.differ("cache, compile cache", v.Store.Dir(), "empty ones")
	w.differ("file times of the source", "as they are", workcopy.FileTime.Format(time.RFC3339))
	w.differ("modes of the source", "as they are", "0600 and 0700")
	if err := v.environment(ctx, w); err != nil {
		return nil, err
	}
	jobs := v.Options.Jobs
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

func (w *Conditions) differ(what, was, is string) {
	w.varied = append(w.varied, Condition{What: what, Was: was, Is: is})
}

func (w *Conditions) same(what, why string) {
	w.constant = append(w.constant, Condition{What: what, Why: why})
}

// arguments are those of the run elsewhere.
func (v *Rebuild) arguments(w *Conditions) error {
	a := &v.Options
	w.Args = []string{"--output", "json", "--keep-going", "--compile-cache", "off", "--file", filepath.Join(v.copy.Project, v.File)}
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
	w.Args = append(w.Args, fmt.Sprintf("--offline=%v", a.Offline))
	w.Args = append(w.Args, "run")
	if a.Sandbox.Off {
		w.Args = append(w.Args, "--no-sandbox")
	}
	w.Args = append(append(w.Args, "--"), v.StepNames()...)
	return nil
}

// environment is that of the run elsewhere, and what its steps get.
func (v *Rebuild) environment(ctx context.Context, w *Conditions) error {
	p := v.copy
	set := map[string]string{
		"HOME": p.Home, "USERPROFILE": p.Home, "TMPDIR": p.Tmp, "TMP": p.Tmp, "TEMP": p.Tmp,
		"XDG_CACHE_HOME": filepath.Join(p.Home, "c"), "XDG_CONFIG_HOME": filepath.Join(p.Home, "conf"),
		"USER": otherUser, "LOGNAME": otherUser, "AIRBUILD_CACHE": p.Cache, "GOCACHE": p.GoCache,
	}
	if v.o.Keyring != "" {
		set["AIRBUILD_KEYS"] = v.o.Keyring
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
	for _, name := range slices.Sorted(maps.Keys(set)) {
		w.env = append(w.env, name+"="+set[name])
	}
	return nil
}

// goSettings has the second build take modules from where the first took them,
// though its home is another.
func (v *Rebuild) goSettings(ctx context.Context, set map[string]string) error {
	usesGo := slices.ContainsFunc(v.Steps, func(id engine.StepID) bool {
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
func (v *Rebuild) known() []bytediff.Known {
	host, _ := os.Hostname()
	me := "root"
	if u, err := user.Current(); err == nil {
		me = u.Username
	}
	home, _ := v.Options.LookupEnv("HOME")
	known := []bytediff.Known{
		{Cause: "the absolute path of the project: give programs relative paths", Old: []string{v.Root}, New: []string{v.copy.Project}},
		{Cause: "an absolute path of the step's own directory, HOME or TMPDIR: give programs relative paths, and write nothing of HOME or TMPDIR into outputs", Old: []string{filepath.Join(v.Store.Dir(), "scratch")}, New: []string{filepath.Join(v.copy.Cache, "scratch")}},
		{Cause: "HOME or a cache below it", Old: []string{home}, New: []string{v.copy.Home, v.copy.GoCache}},
		{Cause: "the environment as a whole is written down", New: []string{"AIRBUILD_VERIFY_NOISE"}},
		{Cause: "the time zone or the locale", New: []string{otherZone(), "XST"}},
	}
	if v.conditions.Host != "" {
		known = append(known, bytediff.Known{Cause: "the host's name", Old: []string{host}, New: []string{otherHost}})
	}
	return append(known, bytediff.Known{Cause: "the user's name or number", Old: []string{me}, New: []string{otherUser, strconv.Itoa(otherUID), "user"}})
}
