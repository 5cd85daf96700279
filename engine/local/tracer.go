package local

import (
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/sandbox"
)

// A Tracer runs the processes of steps under a program that watches them, or
// shows them another world. Its methods may be called from any goroutine.
type Tracer interface {
	// Trace is the command that runs path with argv, which begins with the
	// program's own name, for a step whose copy of the project is in dir: the
	// place of a Staged step's inputs. An empty command runs it as it is.
	Trace(p *engine.Prepared, dir, path string, argv []string) ([]string, error)
	// Touch is told of a file that a tool of the step opens in airbuild's own
	// process, or asks for, because its name came from the user.
	Touch(p *engine.Prepared, dir, path string, write bool)
	// Reach lists what the tracer itself reads and writes: a sandbox shows it.
	Reach() (read, write []string)
}

// watch puts the Tracer, if there is one, before a program.
func (j *job) watch(path string, argv []string) (string, []string, error) {
	if j.e.Tracer == nil {
		return path, argv, nil
	}
	cmd, err := j.e.Tracer.Trace(j.p, j.out, path, argv)
	if err != nil || len(cmd) == 0 {
		return path, argv, err
	}
	return cmd[0], cmd, nil
}

// watched has the Tracer told of what a tool opens.
func (j *job) watched(place func(string, bool) (string, bool)) func(string, bool) (string, bool) {
	if j.e.Tracer == nil {
		return place
	}
	return func(p string, write bool) (string, bool) {
		j.e.Tracer.Touch(j.p, j.out, p, write)
		if place == nil {
			return p, true
		}
		return place(p, write)
	}
}

// showTracer adds what the Tracer needs to a sandbox.
func (j *job) showTracer(s *sandbox.Spec) {
	if j.e.Tracer == nil {
		return
	}
	read, write := j.e.Tracer.Reach()
	s.Read, s.Write = append(s.Read, read...), append(s.Write, write...)
}
