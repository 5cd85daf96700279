// Package trace watches processes: which files they and all that they start
// open, look at and write, and, if that is wanted, it shows them another time of
// day.
//
// On Linux this very program starts itself again (Main) between airbuild and the
// process, and follows it with ptrace. A system call filter stops the process at
// the calls that name a file and lets all others pass, so static programs and
// programs with many threads are seen as well. The tracer runs inside of a
// step's sandbox and needs no right that the step has not: it is a parent that
// watches its own children.
//
// What is recorded is what was asked of the kernel. A program that sets out to
// hide (that changes a path while it is being looked at) can; it is still kept
// in its sandbox.
package trace

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/internal/atomicfile"
	"github.com/airbuild/airbuild/internal/lists"
)

// Options say what to watch.
type Options struct {
	// Dir is a directory that the tracer may write to, where every traced
	// process leaves its record; empty for none.
	Dir string
	// Clock is added to the time of day that the processes read. File times
	// are the kernel's and stay.
	Clock time.Duration
}

// version is the version of the records.
const version = 1

// An Access is what happened to one path, absolute and clean.
type Access struct {
	Path  string `json:"path"`
	Read  bool   `json:"read,omitempty"`  // opened for reading
	Write bool   `json:"write,omitempty"` // opened for writing, made, or renamed to
	Exec  bool   `json:"exec,omitempty"`  // run as a program
	Stat  bool   `json:"stat,omitempty"`  // asked for, and not opened
	Dir   bool   `json:"dir,omitempty"`   // it is a directory; Read means that it was listed
	// Found: it was there when it was first named. A file that was not, and
	// was written, is no input.
	Found bool `json:"found,omitempty"`
	Left  bool `json:"left,omitempty"` // it was there when the process ended
	// By names the programs that did more than ask for it, as the kernel calls
	// them, sorted.
	By []string `json:"by,omitempty"`
}

// A Record is what was seen.
type Record struct {
	Version  int      `json:"version"`
	Accesses []Access `json:"accesses"` // sorted by path
	// Incomplete says why something was missed; empty if nothing was.
	Incomplete string `json:"incomplete,omitempty"`
}

// ErrUnsupported is the reason of a system on which nothing can be traced.
var ErrUnsupported = errors.New("this system has no tracing that airbuild could use")

// The first arguments of the processes that Main takes over.
const (
	tracerArg = "trace:1"
	childArg  = "trace-child:1"
)

// Command is the command that runs path with args, which begin with the
// program's own name, under a tracer: self is this program.
func Command(self string, o Options, path string, args []string) ([]string, error) {
	b, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("trace %s: %w", path, err)
	}
	return append([]string{self, tracerArg, string(b), path}, args...), nil
}

// recordPattern names the records in Options.Dir.
const recordPattern = "trace-*.json"

// started marks in Options.Dir a process whose record is still to come.
const startedPattern = "trace-*.started"

// Read joins the records in a directory. A process that did not end by itself
// left none, which makes the whole incomplete.
func Read(dir string) (*Record, error) {
	names, err := filepath.Glob(filepath.Join(dir, recordPattern))
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	all := map[string]Access{}
	out := &Record{Version: version}
	for _, name := range names {
		r, err := readRecord(name)
		if err != nil {
			return nil, err
		}
		out.Incomplete = cmp.Or(out.Incomplete, r.Incomplete)
		for _, a := range r.Accesses {
			all[a.Path] = join(all, a)
		}
	}
	if open, _ := filepath.Glob(filepath.Join(dir, startedPattern)); len(open) > 0 && out.Incomplete == "" {
		out.Incomplete = "a process was ended before it could be recorded"
	}
	for _, a := range all {
		out.Accesses = append(out.Accesses, a)
	}
	slices.SortFunc(out.Accesses, func(a, b Access) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}

func readRecord(name string) (*Record, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read trace: %w", err)
	}
	var r Record
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("read trace %s: %w", name, err)
	}
	if r.Version != version {
		return nil, fmt.Errorf("read trace %s: version %d, and this airbuild reads %d", name, r.Version, version)
	}
	return &r, nil
}

// join is what two processes did to a path. Records do not say which came
// first: a file that one made and the other found was made.
func join(all map[string]Access, a Access) Access {
	b, ok := all[a.Path]
	if !ok {
		return a
	}
	return Access{
		Path: a.Path, Read: a.Read || b.Read, Write: a.Write || b.Write, Exec: a.Exec || b.Exec,
		Stat: a.Stat || b.Stat, Dir: a.Dir || b.Dir, Left: a.Left || b.Left,
		Found: a.Found && b.Found, By: names(a.By, b.By),
	}
}

// names joins two lists of names.
func names(a, b []string) []string {
	all := slices.Concat(a, b)
	return lists.Unique(all)
}

// write leaves a record in a directory that others read.
func (r *Record) write(name string) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return atomicfile.Write(name, b, atomicfile.Options{})
}
