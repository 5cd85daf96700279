package engine

import (
	"context"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/internal/outputs"
	"github.com/airbuild/airbuild/engine/memo"
	"github.com/airbuild/airbuild/engine/tree"
)

// Options are what a run needs beside the graph.
type Options struct {
	Store     Store
	Executor  Executor
	Workspace *tree.Workspace
	Jobs      int   // steps at once; zero means one per processor
	Memory    int64 // bytes that running steps may declare together; zero means any
	KeepGoing bool  // go on with what does not depend on a failure
	DryRun    bool  // look up, execute and write nothing
	Force     bool  // take nothing from the store
	// ForceSteps are steps that are run although the store has their results;
	// what they need is taken from it.
	ForceSteps map[StepID]bool
	// SecretSalt makes the hashes that stand for secrets in keys impossible to
	// guess for those who do not have it. Hosts that are to find each other's
	// results of steps with secrets need the same. Empty for none.
	SecretSalt []byte
	// Memo remembers the inputs of steps in Workspace. Nil: they are discovered in
	// every run.
	Memo *memo.Memo
	// Program identifies this program: inputs that another one remembered are not
	// used, because it may have discovered them in another way. Empty remembers
	// nothing.
	Program string
	// ProgramFile is the executable of this program, an absolute path with slashes.
	// Remembered inputs go into the store for other hosts that have the same one.
	// If it is empty they stay on this host.
	ProgramFile string
	// ExportInputs puts them into the store even if an earlier run discovered them,
	// and lists them in Summary.ExportedInputs.
	ExportInputs bool
	// File is the name of the Airbuildfile in the workspace: what is stale is
	// so by file.
	File string
	// Pipeline is the name under which the run's outputs are recorded, so
	// that the next run of it knows what is stale. Empty for single targets.
	Pipeline string
	// Pipelines are the names of all that the file has: what others left goes.
	// Nil if that is not known.
	Pipelines []string
	// Tracked says which of some paths, and of the files below them, are under
	// version control: those are never removed. It returns nil where that
	// cannot be known, and may be nil.
	Tracked func(paths []string) map[string]bool
	OnEvent func(Event) // called in order, from one goroutine; may be nil

	hashes *secretHashes
}

// A Locker is a Store that lets one process at a time do an action. While it
// waits for another process it has called onWait once.
type Locker interface {
	Lock(ctx context.Context, key action.Digest, onWait func()) (unlock func(), err error)
}

// A Copier is a Store that can put a blob into a directory by itself, by reflink or
// copy and rename, never as a link into the store and never through one.
type Copier = outputs.Copier

// A DamageReporter is a Store that notices damage by itself. TakeDamaged returns
// what it found since the last call, which is reported to the user.
type DamageReporter interface {
	TakeDamaged() []*action.Damaged
}

// forces reports whether a step is run whatever the store has.
func (o *Options) forces(id StepID) bool { return o.Force || o.ForceSteps[id] }
