package deploy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/airbuild/airbuild/internal/lists"
)

// Strategies: how a version takes over.
const (
	Symlink   = "symlink"    // current points to the release
	BlueGreen = "blue_green" // current points to one of two slots
)

// DefaultHookTime bounds a hook, DefaultKeep is how many releases stay.
const (
	DefaultHookTime = 5 * time.Minute
	DefaultKeep     = 5
)

// A Plan is how a release is put to work. It is recorded with the release, so
// that going back to it later does the same, and therefore holds no secrets:
// those are in the environment of the commands.
type Plan struct {
	Strategy string  `json:"strategy"`
	Hooks    Hooks   `json:"hooks"`
	Health   *Health `json:"health,omitempty"` // nil: the version is not checked
	Ports    *Ports  `json:"ports,omitempty"`  // of blue_green; nil if there are none
}

// Hooks are commands, program and arguments; an empty one is left out. They
// run in the directory of the release that they are about.
type Hooks struct {
	Before     []string `json:"before,omitempty"`      // before current changes; may refuse
	After      []string `json:"after,omitempty"`       // after it has changed
	OnRollback []string `json:"on_rollback,omitempty"` // after it has changed back
	// Of blue_green: Start and Stop what runs in the idle slot, and Switch
	// the traffic when current has changed, in either direction.
	Start   []string      `json:"start,omitempty"`
	Stop    []string      `json:"stop,omitempty"`
	Switch  []string      `json:"switch,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"` // nanoseconds, of each; zero: DefaultHookTime
}

// Ports are those that the two slots listen on.
type Ports struct {
	Blue  int `json:"blue"`
	Green int `json:"green"`
	// File is below the root, and holds the port that serves. Empty: none.
	File string `json:"file,omitempty"`
}

// Of is the port of a slot; zero if there is none.
func (p *Ports) Of(slot string) int {
	switch {
	case p == nil:
		return 0
	case slot == green:
		return p.Green
	}
	return p.Blue
}

// A Health check passes if its command ends with exit code 0, or its URL
// answers as wanted, in one of 1 + Retries tries.
type Health struct {
	Command  []string `json:"command,omitempty"`
	URL      string   `json:"url,omitempty"`
	Status   int      `json:"status,omitempty"`        // zero: 200
	Contains string   `json:"body_contains,omitempty"` // in the first MaxBody bytes
	Retries  int      `json:"retries,omitempty"`
	// Interval is the pause before a further try, Timeout that of one try.
	Interval time.Duration `json:"interval,omitempty"` // nanoseconds
	Timeout  time.Duration `json:"timeout,omitempty"`  // nanoseconds; zero: 10 s
}

// placeholders are the words in braces that commands and URLs may hold.
var placeholders = [...]string{"artifact", "current", "environment", "port", "release", "root", "slot", "version"}

// Placeholders are what commands and URLs may hold in braces.
func Placeholders() []string { return slices.Clone(placeholders[:]) }

var placeholder = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\{([a-z_]+)\}`) })

// UnknownPlaceholder returns a word in braces that is none of Placeholders, or
// nothing.
func UnknownPlaceholder(text string) string {
	for _, m := range placeholder().FindAllStringSubmatch(text, -1) {
		if !slices.Contains(placeholders[:], m[1]) {
			return m[1]
		}
	}
	return ""
}

// words are the values of placeholders.
type words map[string]string

func (w words) fill(text string) string {
	return placeholder().ReplaceAllStringFunc(text, func(s string) string {
		if v, ok := w[s[1:len(s)-1]]; ok {
			return v
		}
		return s
	})
}

func (w words) fillAll(texts []string) []string {
	return lists.Map(texts, w.fill)
}

// env are the values as variables for commands.
func (w words) env() (env []string) {
	return lists.Map(slices.Sorted(maps.Keys(w)), func(k string) string { return "AIRBUILD_DEPLOY_" + strings.ToUpper(k) + "=" + w[k] })
}

var versionForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+~-]{0,199}$`)
})

// CheckVersion refuses what cannot be a part of a directory's name everywhere.
func CheckVersion(v string) error {
	if !versionForm().MatchString(v) || strings.HasSuffix(v, ".") {
		return fmt.Errorf("version %q: want 1 to 200 letters, digits, and . _ + ~ -, with a letter or digit in front and no dot at the end", v)
	}
	return nil
}
