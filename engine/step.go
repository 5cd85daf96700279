// Package engine runs a graph of steps over a content-addressed store.
//
// It knows nothing of the language that declared the steps, of processes, or
// of how the store keeps its bytes: those come in as Step, Executor and Store.
package engine

import (
	"context"
	"io"
	"io/fs"
	"strconv"
	"time"

	"github.com/airbuild/airbuild/engine/action"
)

// A StepID is a step's index in its Graph.
type StepID int

// A Mode says where a step's command runs. It is no part of the key.
type Mode uint8

const (
	// Staged: a fresh directory that holds the declared inputs only.
	Staged Mode = iota
	// Workspace: the project itself. Used by Go steps, whose inputs are
	// computed exactly; outputs go to a scratch directory all the same.
	// An argument (or the part behind "=" of an argument) that equals an
	// output path is replaced by its place in the scratch directory, and an
	// output that is an input file too is copied there first.
	Workspace
	// InProcess: a Tool that reads its inputs through ToolCall.In. Nothing is
	// staged.
	InProcess
)

// A Step is one node of the graph. It is not yet an Action: its digest exists
// only once the outputs that it takes from other steps are known.
type Step struct {
	Name        string // "bin[linux/amd64,yq]", unique in the graph
	Stage       string // "bin"
	Cell        string // "linux/amd64,yq"; empty for a stage without cells
	Type        string // the stage type, "go_build"; for texts only
	Traits      Traits // of the stage type
	Description string

	// Command is the canonical command. Its WorkingDirectory is relative to
	// the project; its output paths are relative to the WorkingDirectory.
	// Steps that are in-process tools have Arguments[0] = "airbuild:<tool>"
	// and Arguments[1] = the tool's own version.
	Command action.Command
	Mode    Mode

	Inputs     []Input
	Discoverer InputDiscoverer // nil if Inputs says it all
	Facts      []Fact          // what the key needs to know and is no file
	After      []StepID

	Timeout time.Duration // zero: none
	Retries int           // further tries after a failure
	CPU     int           // job slots it takes; zero means one
	Memory  int64         // bytes it needs, so that no more run at once than fit; zero: not known
	// Estimate is how long the step may take, to schedule by while no run of
	// it is remembered. Only the order of sizes matters. Zero: a moment.
	Estimate time.Duration
	Network  bool
	// Hermetic: the inputs of a Workspace step are all that it needs of the
	// project. Where the host can, it runs in a copy of them that is at the same
	// path on every host, and sees nothing else of the project. It is no part of
	// the key.
	Hermetic bool
	// FixedPath: a Workspace step whose outputs hold the path of the project.
	// Where the host can, the project is at the same path on every host for it.
	// It is not part of the key.
	FixedPath bool
	NoCache   bool // never looked up, never stored
	// Group names what the step shares with others through a cache of its
	// program's own (the packages compiled for one target): while one of a
	// group runs for the first time, others wait if there is something else
	// to do, so that shared work is done once. Empty for none.
	Group string

	// Inner marks a step that is part of another's work (one architecture of
	// a universal binary): its outputs stay in the store and do not appear in
	// the project.
	Inner bool
	// OwnsDirs: an output directory outside dist is wholly the step's own;
	// files in it that the step did not make are removed on restore. (In
	// dist that is always so.)
	OwnsDirs bool
	// Secrets are environment variables whose values must not be seen: the
	// key holds a keyed hash (a Fact made by the engine), the process gets
	// the value, and its log is masked.
	Secrets []action.EnvVar
	// Mask lists further texts to mask in the log.
	Mask []string
	// Assumed says how what the stage leaves open was decided, one sentence each, for
	// plan: "linux/arm has no variant: GOARM=7, …". It is no part of the key.
	Assumed []string
	// LogFormat names the form of the log where it is not plain text:
	// "go-test-json" for the output of go test -json.
	LogFormat string
	// Origin is "file:line" of the stage, for messages.
	Origin string
}

// A Fact is a named identity that belongs to the key and is no file: a
// toolchain's version, a tool's content digest.
type Fact struct{ Name, Value string }

// An Input is something a step reads: where it lands in the input root, and
// one source, chosen by Kind.
type Input struct {
	Kind InputKind
	Path string // slash-separated, relative to the project root

	File       string   // FromFile: workspace path; empty means Path. A directory means all below it.
	Patterns   []string // FromGlob: patterns below Path ("." for the project), "!" excludes
	Text       []byte   // FromText
	Executable bool     // FromText, FromBlob
	Blob       action.Digest
	Step       StepID // FromStep
	From       string // FromStep: the output's project-relative path
	Optional   bool   // FromFile, FromGlob: absence is a state of its own, not an error
}

// An InputKind says where an Input's bytes come from.
type InputKind uint8

const (
	FromFile InputKind = iota
	FromGlob
	FromText
	FromBlob
	FromStep
)

// FileInput is the workspace file or directory at path.
func FileInput(path string) Input { return Input{Kind: FromFile, Path: path} }

// GlobInput is every workspace file below base that the patterns name. The
// output directory, .git and airbuild's own temporary files are never named.
func GlobInput(base string, patterns ...string) Input {
	return Input{Kind: FromGlob, Path: base, Patterns: patterns}
}

// TextInput is a file with the given bytes at path.
func TextInput(path string, b []byte) Input { return Input{Kind: FromText, Path: path, Text: b} }

// StepInput is the output named from of another step, landing at path.
func StepInput(path string, id StepID, from string) Input {
	return Input{Kind: FromStep, Path: path, Step: id, From: from}
}

// An InputDiscoverer finds further inputs and facts of a step when the steps it depends
// on are done and their outputs are in the workspace: the closure of a Go
// package, for example. It is called by a worker, at most once a run.
type InputDiscoverer interface {
	Discover(context.Context, Files) (Discovery, error)
}

// A Discovery is what an InputDiscoverer found. Notes are shown by explain ("listed by go
// list: …").
type Discovery struct {
	Inputs []Input
	Facts  []Fact
	Notes  []string
	// Unseen are the parts of the step's work that a cache of its program's
	// own cannot answer for.
	Unseen []Unseen
	// Uncached says why the result of the step must not be kept: it depends on
	// something that cannot be followed. Empty: it is kept.
	Uncached string
	// Private goes to the step's Tool, in memory: what must not be written anywhere,
	// such as where a secret key is. It is in no key, so it must not change a result
	// that Facts does not change too. An InputDiscoverer that sets it is not
	// Memoizable.
	Private any
	// Reads reports whether a file at the project's path p would be among the
	// inputs if it were there: one that another step makes may not be there
	// yet. Nil: nothing more would be.
	Reads func(p string) bool
}

// An Unseen is a part of a step's work, such as a Go package, whose result
// depends on files that the cache of the step's program does not look at: the
// C headers of another directory. The step's own key has them. Whoever lets the
// program use a cache must keep what the cache has of this part apart by Digest.
type Unseen struct {
	Part   string
	Digest action.Digest // of all that the cache does not see; zero if it is not known
	// Checks: how the part is compiled does not depend on it, but what the program
	// found when it checked the part does, such as go vet.
	Checks bool
}

// Files is the workspace as an InputDiscoverer sees it. Paths are slash-separated and
// relative to the project root unless absolute.
type Files interface {
	Root() string                              // absolute path of the project
	State() string                             // a private directory for caches of this workspace; losing it costs time only
	Digest(path string) (action.Digest, error) // content digest through the stat index
	ReadDir(path string) ([]fs.DirEntry, error)
	// ReadSources is ReadDir without files that no tool which builds looks at:
	// documents and data.
	ReadSources(path string) ([]fs.DirEntry, error)
}

// A Launcher prepares a program that steps name by argv[0], such as "go":
// which file to run and what environment it needs beside the Command's. What
// it adds is not in the key, so it must not change a result.
type Launcher interface {
	Launch(ctx context.Context, s *Step, share Share) (Launch, error)
}

// A Launch is a program that a Launcher prepared.
type Launch struct {
	Path string   // of the file to run
	Env  []string // "NAME=value"
	// Project is another path that leads to the project's root, where a step that runs
	// in the project itself is to find it. Empty: the root.
	Project string
}

// HostPaths says which of the host's directories a program that a Launcher
// prepares uses beside the step's inputs: what it is made of, and its caches.
// A step that sees its declared inputs only sees them too.
type HostPaths interface {
	HostPaths(ctx context.Context, s *Step) (read, write []string, err error)
}

// Share is a step's part of the machine: how many processors it may keep busy.
type Share struct{ CPU int }

// A Tool is work that airbuild does in its own process and keys like any
// other. It must be deterministic in Args, Env and In.
type Tool interface {
	Run(context.Context, *ToolCall) error
}

// A ToolCall is one run of a Tool. A Tool reports failure of the user's work
// with an *ExitError or any other error; the text goes to the log.
type ToolCall struct {
	Args []string // Command.Arguments without the tool's name and version
	Env  []string // "NAME=value", the command's own
	// Environ is the whole environment that a process without one of its own
	// gets: Env and what the executor adds (PATH, a private HOME and TMPDIR).
	// A tool that reads more of it than PATH makes its result hang on the
	// host.
	Environ []string
	// In is the input root. Reading a file to its end verifies its content.
	In fs.FS
	// Dir is the absolute directory that the outputs are written to, at
	// their path relative to the project root; parents of outputs exist. In a
	// Staged step it holds the inputs too.
	Dir string
	// WorkDir is Dir joined with the command's working directory; in a
	// Workspace step it is the working directory in the project itself.
	WorkDir string
	// Private is what the step's InputDiscoverer found for the Tool alone.
	Private any
	Log     io.Writer
	// Place says where a file is that the step's processes know by an absolute
	// path, and whether they may open it so. A tool that opens files whose
	// names come from the user asks it, and treats what they may not open as
	// not there. Nil: every file is where its name says.
	Place func(path string, write bool) (at string, ok bool)
	// Run runs a process under the executor's supervision (process group,
	// polite stop, environment). It returns an *ExitError for a non-zero exit.
	Run func(context.Context, *Process) error
}

// A Process is a program that a Tool starts.
type Process struct {
	Path   string   // absolute, or a name that a Launcher or PATH resolves
	Args   []string // without the program's name
	Env    []string // the whole environment; nil means the step's
	Dir    string   // absolute; empty means WorkDir
	Stdin  io.Reader
	Stdout io.Writer // nil means Log
	Stderr io.Writer
}

// An ExitError is a program's own failure, as opposed to airbuild's.
type ExitError struct {
	Program string
	Code    int
	Err     error // more detail; may be nil
}

func (e *ExitError) Error() string {
	s := e.Program + ": exit status " + strconv.Itoa(e.Code)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *ExitError) Unwrap() error { return e.Err }

// A Store holds blobs by digest (CAS) and results by action digest (AC): the
// verbs of the Remote Execution API. Implementations are safe for use by many
// goroutines, and the disk store by many processes.
type Store interface {
	// Missing returns those of the digests that the store cannot serve.
	Missing(context.Context, []action.Digest) ([]action.Digest, error)
	// Open returns the content of d; the reader fails at the end if the
	// bytes are not d's. The error is (or wraps) fs.ErrNotExist if d is not there.
	Open(context.Context, action.Digest) (io.ReadCloser, error)
	// Put stores what r gives and returns its digest.
	Put(context.Context, io.Reader) (action.Digest, error)
	// Result returns the recorded result of an action, or nil if there is
	// none. A damaged entry is none, with the reason as a *Damaged error.
	Result(context.Context, action.Digest) (*action.Result, error)
	// PutResult records r as the outcome of a. Every blob r names must
	// already be stored: a reader that sees the entry may open them at once.
	PutResult(ctx context.Context, a action.Digest, r *action.Result) error
}

// A Withholder is a Store that may have results which do not count for this run.
type Withholder interface {
	// Withheld says in a few words why the store keeps back a result of the action;
	// empty if it has none. It is asked about misses only.
	Withheld(context.Context, action.Digest) string
}

// Damaged reports a store entry that did not hold what its name says. It was
// thrown away; the step is a miss.
type Damaged = action.Damaged

// An Executor does a step's work. The result names only blobs that it has put
// into the store. A command that ran and failed is a Result with a non-zero
// ExitCode; an error means that it could not be run.
type Executor interface {
	Execute(context.Context, *Prepared) (*action.Result, error)
}
