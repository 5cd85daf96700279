// Package sandbox runs the processes of one step apart from the host: without
// its network, and where that is wanted without its files. It names every
// attempt to reach out.
//
// A Sandbox is, on Linux, a set of namespaces with an init process
// in it, which is this very program started again (Main), so that nothing has
// to be installed; all processes of a step run in one Sandbox and see each other's
// loopback, processes and temporary files. The network namespace is the
// barrier. What names attempts (a seccomp filter whose supervisor is the init
// process, and a name server on the sandbox's own loopback) only watches:
// without it an attempt fails too, and is not reported.
//
// Where the kernel refuses namespaces, the same init process refuses
// connections with the filter instead, and Landlock keeps files away, if it is
// there. That holds for programs that do not set out to get round it. Support
// says what this host has.
package sandbox

import (
	"cmp"
	"context"
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A View says which files the processes see.
type View uint8

const (
	// Whole: the host's files, as they are.
	Whole View = iota
	// Declared: the system's programs and libraries, what the Spec lists, and
	// nothing else.
	Declared
)

// A Spec describes a sandbox. All paths are absolute.
type Spec struct {
	Network bool // the host's network stays
	View    View

	// Dir is a directory of the sandbox's own, outside of everything below: it
	// may be written to, and is the caller's to remove. The Whole view needs it
	// for Places only.
	Dir string
	// Places are directories of the host that the Whole view has at another
	// path too, below Own. They need Namespaces.
	Places []Place

	// The rest is for the Declared view.

	// Write lists directories that may be read and written, at their place.
	Write []string
	// Tmp is the one of them that also is /tmp.
	Tmp string
	// Read lists files and directories that may be read. Those that do not
	// exist are left out.
	Read []string
	// Programs are files of the host that run: what they are links to may be
	// read too.
	Programs []string
	// Hide lists directories that are empty even where they lie in one that
	// may be read: the project, the store, the user's home.
	Hide []string
}

// Own is a directory of the root that only sandboxes have.
const Own = "/airbuild-step"

// FixedPaths reports whether this host has Places. A nil Host has none.
func (h *Host) FixedPaths(ctx context.Context) bool {
	return h != nil && h.Support(ctx).Method == Namespaces
}

// A Place shows a directory of the host at a path below Own.
type Place struct{ Dir, At string }

// A Cmd is a process to run in a Sandbox.
type Cmd struct {
	Path   string   // absolute
	Args   []string // with the program's own name
	Env    []string
	Dir    string // absolute
	Stdin  io.Reader
	Stdout io.Writer // an *os.File is handed over, anything else is copied to
	Stderr io.Writer
	// Grace is how long the process may take to stop when it was asked to,
	// and what it left behind may hold the output open.
	Grace time.Duration
}

// An ExitError is a process that ended with a code other than 0, or by a
// signal.
type ExitError struct {
	Code   int // -1 if a signal ended it
	Signal syscall.Signal
	Core   bool // dumped
}

func (e *ExitError) Error() string {
	if e.Code >= 0 {
		return "exit status " + strconv.Itoa(e.Code)
	}
	s := "signal: " + e.Signal.String()
	if e.Core {
		s += " (core dumped)"
	}
	return s
}

// A StartError is a process that could not be started. Err is the system's.
type StartError struct {
	Path string
	Err  error
}

func (e *StartError) Error() string { return "start " + e.Path + ": " + e.Err.Error() }
func (e *StartError) Unwrap() error { return e.Err }

// ErrUnsupported is the reason of a host that has no sandbox at all.
var ErrUnsupported = errors.New("this system has none that airbuild could use")

// An Op is what a process tried.
type Op string

const (
	Connect Op = "connect"
	Send    Op = "send"
	Lookup  Op = "lookup"
)

// An Attempt is one try to reach the network.
type Attempt struct {
	Program string // as the kernel calls it, 15 bytes at most; empty if unknown
	PID     int    // inside the sandbox; zero if unknown
	Op      Op
	Address string // "192.0.2.7:8080"; empty for Lookup
	Host    string // the name that was looked up
}

// String is "curl[6] connect 192.0.2.7:8080" or "curl[6] lookup example.com".
func (a Attempt) String() string {
	who := cmp.Or(a.Program, "a process")
	if a.PID > 0 {
		who += "[" + strconv.Itoa(a.PID) + "]"
	}
	what := a.Address
	if a.Host != "" {
		what = strings.TrimSpace(what + " " + a.Host)
	}
	return who + " " + string(a.Op) + " " + what
}

// A Method is how a host keeps processes apart, the best last.
type Method uint8

const (
	// None: not at all.
	None Method = iota
	// Filter: a seccomp filter refuses connections, Landlock keeps files away.
	Filter
	// Namespaces: the kernel has no network and no other files to give.
	Namespaces
)

var methodNames = [...]string{"none", "filter", "namespaces"}

func (m Method) String() string { return methodNames[m] }

// Support is what a host can do.
type Support struct {
	Method Method
	// Reason says why Method is not Namespaces, and what would help. Empty if
	// it is.
	Reason string
	// Landlock: with Method Filter, the Declared view holds.
	Landlock bool
	// Named: attempts are named by program and address.
	Named bool
	// Offline: there is no network interface but loopback, so that there is
	// nothing to keep processes from.
	Offline bool
}

// NetworkBlocked reports whether nothing in a Sandbox can reach the network.
func (s Support) NetworkBlocked() bool { return s.Method == Namespaces || s.Offline }

// FilesHidden reports whether the Declared view holds.
func (s Support) FilesHidden() bool { return s.Method == Namespaces || s.Landlock }

// Complete reports whether both hold.
func (s Support) Complete() bool { return s.NetworkBlocked() && s.FilesHidden() }

// Notice says in one line what is not enforced here and why, or nothing.
func (s Support) Notice() string {
	if s.Complete() {
		return ""
	}
	var missing []string
	switch {
	case s.NetworkBlocked():
	case s.Method == Filter:
		missing = append(missing, "the network is not blocked here, only connections of programs that play by the rules are refused")
	default:
		missing = append(missing, "the network is not blocked here")
	}
	if !s.FilesHidden() {
		missing = append(missing, "steps may read files that they do not declare")
	}
	return strings.Join(missing, ", and ") + ": " + s.Reason
}

// Worker describes the enforcement in one word a part, for a result's
// metadata: "network=blocked inputs=declared".
func (s Support) Worker(spec Spec) string {
	network, inputs := "open", "open"
	switch {
	case spec.Network:
		network = "allowed"
	case s.NetworkBlocked():
		network = "blocked"
	case s.Method == Filter:
		network = "filtered"
	}
	switch {
	case spec.View == Whole && len(spec.Places) == 0:
		inputs = "workspace"
	case s.FilesHidden():
		inputs = "declared"
	}
	return "network=" + network + " inputs=" + inputs
}
