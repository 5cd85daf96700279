package engine

import (
	"io"

	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/tree"
)

// A Prepared is a step whose inputs are known: an Action with its key, ready
// to be looked up or executed.
type Prepared struct {
	ID        StepID
	Step      *Step
	Action    action.Action
	Key       action.Digest // of the canonical bytes of Action
	Command   action.Command
	Inputs    *tree.Tree // the input root, with where its bytes are; whoever executes has it
	Notes     []string   // of the InputDiscoverer
	Share     Share
	discovery Discovery // what the InputDiscoverer found
	// before are the files that were where the outputs land before the step
	// ran, if it may write them in place.
	before map[string]bool

	// Unseen and Uncached are the InputDiscoverer's; see Discovery. Whoever executes has
	// them.
	Unseen   []Unseen
	Uncached string
	// Private is the InputDiscoverer's, for the Tool.
	Private any
	// Facts are those of the step and of its Discoverer: what Action.Salt was made of.
	Facts []Fact
	// Compiled is filled by an Executor that knows of it, and is reported when the
	// step has ended. It adds up over the tries of a step.
	Compiled Compiled
	// Altered names an input that was not what the key says when the step got
	// it, if its Executor found one; then the result is not kept.
	Altered string
	// Log receives the step's output as it comes. Writes are whole or part
	// lines; it is safe for use by several goroutines.
	Log io.Writer
	// Blocked receives each attempt to reach the network, once, and Notice what
	// else the user should know. Any goroutine may call them; they may be nil.
	Blocked func(Attempt)
	Notice  func(text string)
}
