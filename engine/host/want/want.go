// Package want is what a project wants of a host: the values of an
// Airbuildfile's host block, and how they are written. It knows no system.
package want

import (
	"fmt"
	"slices"
	"strings"

	version "github.com/hashicorp/go-version"
)

// A Host is what is wanted. The zero value wants nothing.
type Host struct {
	OS       []string // one of them
	Arch     []Arch   // one of them
	Kernel   Constraint
	Glibc    Constraint
	Commands []Command
	Disk     map[string]int64 // free bytes, by use: project, cache, tmp
	Memory   int64            // bytes
	Syscalls []string
	Env      []Variable
}

// Empty reports whether nothing is wanted.
func (h *Host) Empty() bool {
	return len(h.OS) == 0 && len(h.Arch) == 0 && h.Kernel.text == "" && h.Glibc.text == "" && len(h.Commands) == 0 &&
		len(h.Disk) == 0 && h.Memory == 0 && len(h.Syscalls) == 0 && len(h.Env) == 0
}

// An Arch is an architecture, and the level that its processors must have.
type Arch struct{ Name, Level string }

func (a Arch) String() string {
	if a.Level == "" {
		return a.Name
	}
	return a.Name + "/" + a.Level
}

// ParseArch reads "amd64", "amd64/v3", "arm64/v8.2".
func ParseArch(s string) (Arch, error) {
	name, level, leveled := strings.Cut(s, "/")
	if name == "" || strings.ContainsAny(s, " \t") {
		return Arch{}, fmt.Errorf("%q is not an architecture: write one such as \"amd64\" or \"amd64/v3\"", s)
	}
	if !leveled {
		return Arch{Name: name}, nil
	}
	digits := strings.TrimPrefix(level, "v")
	_, err := version.NewVersion(digits)
	switch {
	case name != "amd64" && name != "arm64":
		return Arch{}, fmt.Errorf("%q: levels are known of amd64 (v1 to v4) and arm64 (v8.0 to v9.5) only", s)
	case err != nil || digits == level:
		return Arch{}, fmt.Errorf("%q: a level is one such as \"v3\" (amd64) or \"v8.2\" (arm64)", s)
	case name == "amd64" && !slices.Contains([]string{"1", "2", "3", "4"}, digits):
		return Arch{}, fmt.Errorf("%q: the levels of amd64 are v1, v2, v3 and v4", s)
	}
	return Arch{name, level}, nil
}

// A Constraint is one on a version: ">= 2.28", "~> 5.10", ">= 1.2, < 2". A bare
// version stands for itself. The zero value allows everything.
type Constraint struct {
	text string
	all  version.Constraints
}

// ParseConstraint reads a constraint.
func ParseConstraint(s string) (Constraint, error) {
	all, err := version.NewConstraint(s)
	if err != nil {
		return Constraint{}, fmt.Errorf("%q is not a constraint: write one such as \">= 2.28\" or \">= 4.18, < 7\"", s)
	}
	return Constraint{strings.TrimSpace(s), all}, nil
}

func (c Constraint) String() string { return c.text }

// Allows reports whether a version meets the constraint: its leading numbers
// count, and what follows ("6.1.0-18-amd64") does not.
func (c Constraint) Allows(found string) bool {
	if c.text == "" {
		return true
	}
	v, err := version.NewVersion(core(found))
	return err == nil && c.all.Check(v)
}

// core is the leading numbers and dots of a version.
func core(s string) string {
	s = strings.TrimPrefix(s, "v")
	end := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		s = s[:end]
	}
	return strings.Trim(s, ".")
}

// A Command is a program that must be on PATH.
type Command struct {
	Name    string
	Version Constraint
}

func (c Command) String() string { return strings.TrimSpace(c.Name + " " + c.Version.text) }

// ParseCommand reads "git" or "git >= 2.30".
func ParseCommand(s string) (Command, error) {
	name, rest, _ := strings.Cut(strings.TrimSpace(s), " ")
	if name == "" || strings.ContainsAny(name, `/\<>=~!`) {
		return Command{}, fmt.Errorf("%q is not a program: write its name as on PATH, and a version after a blank, as in \"git >= 2.30\"", s)
	}
	if rest = strings.TrimSpace(rest); rest == "" {
		return Command{Name: name}, nil
	}
	c, err := ParseConstraint(rest)
	return Command{name, c}, err
}

// A Variable of the environment that must be set and not empty or, if Exact, to
// Value.
type Variable struct {
	Name, Value string
	Exact       bool
}

// ParseVariable reads "NAME" or "NAME=VALUE".
func ParseVariable(s string) (Variable, error) {
	name, value, exact := strings.Cut(s, "=")
	if name == "" || strings.ContainsAny(name, " \t$") {
		return Variable{}, fmt.Errorf("%q is not an environment variable: write its name, or NAME=VALUE", s)
	}
	return Variable{name, value, exact}, nil
}

// Uses are the directories whose disks can be asked about.
func Uses() []string { return []string{"cache", "project", "tmp"} }

// Syscalls are the services of a kernel that are probed.
func Syscalls() []string {
	return []string{
		"clone3", "copy_file_range", "epoll", "eventfd", "getrandom", "inotify", "io_uring", "landlock", "memfd_create",
		"mount_namespaces", "network_namespaces", "openat2", "pid_namespaces", "pidfd_open", "renameat2", "seccomp_notify",
		"statx", "timerfd", "user_namespaces",
	}
}
