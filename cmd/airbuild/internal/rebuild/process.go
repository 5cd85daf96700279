package rebuild

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
	"github.com/airbuild/airbuild/engine/local"
	"github.com/airbuild/airbuild/engine/trace"
)

// Arg is the one argument of the process that builds again. It is no
// command, so that nobody hits it by accident; what it is to do comes on its
// standard input.
const Arg = "verify-rebuild:1"

// runInCopy runs the second build and takes down what it tells.
func (v *Rebuild) runInCopy(ctx context.Context) (map[string]stepResult, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find airbuild's own program: %w", err)
	}
	in, err := json.Marshal(v.conditions)
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, self, Arg)
	cmd.Env, cmd.Dir, cmd.Stdin, cmd.Stderr = v.conditions.env, v.copy.Project, bytes.NewReader(in), &stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	v.conditions.attach(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("build again: %w", err)
	}
	made, problem := readRebuilt(out)
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return nil, fmt.Errorf("build again: %w", err)
	}
	if len(made) == 0 && err != nil {
		if problem == "" {
			problem = strings.TrimSpace(stderr.String())
		}
		return nil, fmt.Errorf("build again: %s", problem)
	}
	return made, nil
}

// readRebuilt reads the JSON lines of a run.
func readRebuilt(r io.Reader) (made map[string]stepResult, problem string) {
	made = map[string]stepResult{}
	logs := map[string]string{}
	sc := bufio.NewScanner(r)
	sc.Buffer(nil, 64<<20)
	for sc.Scan() {
		var e struct{ Event, Step, Status, Key, Error, Reason, Text, Severity, Summary, Detail string }
		if json.Unmarshal(sc.Bytes(), &e) != nil {
			continue
		}
		switch {
		case e.Event == "diagnostic" && e.Severity == "error":
			problem = strings.TrimSpace(e.Summary + ": " + e.Detail)
		case e.Event == "log":
			logs[e.Step] += e.Text
		case e.Event == "step" && e.Status != engine.Running.String():
			b := stepResult{status: e.Status, err: e.Error, log: logs[e.Step]}
			b.err = cmp.Or(b.err, e.Reason)
			if hash, err := action.ParseHash(e.Key); err == nil {
				b.key.Hash = hash
			}
			made[e.Step] = b
		}
	}
	io.Copy(io.Discard, r)
	return made, problem
}

// Enter is for the process that builds again: it reads from in what it is to
// make of itself, and does so.
func Enter(in io.Reader) (*Conditions, error) {
	w := &Conditions{}
	if err := json.NewDecoder(in).Decode(w); err != nil {
		return nil, exit.UsageError("this command is started by airbuild itself only")
	}
	return w, w.enter()
}

// Tracer shows steps another time of day, if that is wanted; else it is nil.
func (w *Conditions) Tracer() (local.Tracer, error) {
	if w.Clock == 0 {
		return nil, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return clockTracer{self, w.Clock}, nil
}

// A clockTracer shows steps another time of day.
type clockTracer struct {
	self  string
	clock time.Duration
}

// Trace implements local.Tracer.
func (t clockTracer) Trace(p *engine.Prepared, _, path string, argv []string) ([]string, error) {
	if compilesGoOnly(p.Step) {
		return nil, nil
	}
	return trace.Command(t.self, trace.Options{Clock: t.clock}, path, argv)
}

// compilesGoOnly reports whether a step runs nothing but the Go toolchain: to
// follow each of its many looks at the clock takes three times the work, and its
// outputs hold no time. With cgo a C compiler may write one (__DATE__).
func compilesGoOnly(s *engine.Step) bool {
	return s.Traits.ToolchainOnly && slices.Contains(s.Command.Env, action.EnvVar{Name: "CGO_ENABLED", Value: "0"})
}

// HostPaths implements local.Tracer.
func (t clockTracer) HostPaths() (read, write []string) { return []string{t.self}, nil }

var _ local.Tracer = clockTracer{}

// Touch implements local.Tracer.
func (clockTracer) Touch(*engine.Prepared, string, string, bool) {}
