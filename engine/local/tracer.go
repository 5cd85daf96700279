package local

import "github.com/airbuild/airbuild/engine"

// A Tracer runs the processes of steps under a program that watches them, or
// shows them another world. Its methods may be called from any goroutine.
type Tracer interface {
	// Trace is the command that runs path with argv, which begins with the
	// program's own name, for a step whose copy of the project is in dir: the
	// place of a Staged step's inputs. An empty command runs it as it is.
	Trace(p *engine.Prepared, dir, path string, argv []string) ([]string, error)
	// Touch receives each file that a tool of the step opens in airbuild's own
	// process, or asks for, because its name came from the user.
	Touch(p *engine.Prepared, dir, path string, write bool)
	// HostPaths lists what the tracer itself reads and writes: a sandbox shows it.
	HostPaths() (read, write []string)
}
