package ui

import (
	"io"
	"os"

	"golang.org/x/term"
)

// A CI is a continuous integration system whose log viewer we know.
type CI string

// The systems that are told apart. OtherCI is any that sets CI; Jenkins and it
// get plain lines.
const (
	NoCI    CI = ""
	GitLab  CI = "gitlab"
	GitHub  CI = "github"
	Jenkins CI = "jenkins"
	OtherCI CI = "ci"
)

// A Detected is what a Config means here: never Auto.
type Detected struct {
	Mode    Mode
	CI      CI
	Palette Palette
}

// Detect decides the form of the output from the flags, the environment and
// what Out is.
func Detect(c Config) Detected {
	ci := detectCI(c.LookupEnv)
	terminal := IsTerminal(c.Out) && env(c.LookupEnv, "TERM") != "dumb"
	d := Detected{Mode: c.Mode, CI: ci}
	if c.Mode == Auto || c.Mode == "" {
		d.Mode = Plain
		if terminal && ci == NoCI {
			d.Mode = TTY
		}
	}
	d.Palette = NewPalette(wantColor(c, d, terminal))
	return d
}

func wantColor(c Config, d Detected, terminal bool) bool {
	switch {
	case c.Color == ColorAlways:
		return true
	case c.Color == ColorNever, d.Mode == JSON:
		return false
	case env(c.LookupEnv, "NO_COLOR") != "", env(c.LookupEnv, "TERM") == "dumb":
		return false
	case d.CI == GitLab, d.CI == GitHub: // their viewers show colour
		return true
	}
	return terminal || d.Mode == TTY
}

func detectCI(lookup func(string) (string, bool)) CI {
	switch {
	case truthy(env(lookup, "GITLAB_CI")):
		return GitLab
	case truthy(env(lookup, "GITHUB_ACTIONS")):
		return GitHub
	case env(lookup, "JENKINS_URL") != "":
		return Jenkins
	case truthy(env(lookup, "CI")):
		return OtherCI
	}
	return NoCI
}

func truthy(s string) bool { return s != "" && s != "false" && s != "0" }

func env(lookup func(string) (string, bool), name string) string {
	if lookup == nil {
		return ""
	}
	s, _ := lookup(name)
	return s
}

// IsTerminal reports whether w is a terminal that understands escape
// sequences. On Windows it turns that understanding on.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && enableEscapes(f)
}

// size returns how large w is; 80 by 24 where it is no terminal.
func size(w io.Writer) (columns, rows int) {
	if f, ok := w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil && c > 0 {
			return c, r
		}
	}
	return 80, 24
}
