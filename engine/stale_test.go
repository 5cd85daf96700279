package engine_test

import (
	"strings"
	"testing"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// output is a step that makes one file in dist.
func output(name, path string, mask ...string) engine.Step {
	return engine.Step{Name: name, Stage: name, Mask: mask, Command: action.Command{
		Arguments: []string{"make", path}, OutputPaths: []string{path}, OutputFiles: []string{path},
	}}
}

// TestOutputBecomesDirectory: the file "a" of the last run gives way to "a/b";
// a file that no run made does not.
func TestOutputBecomesDirectory(t *testing.T) {
	b := newBench(t)
	b.opts.Pipeline = "p"
	b.add(output("x", "dist/a"))
	b.run()
	b.graph = engine.Graph{}
	b.add(output("x", "dist/a/b"))
	if sum := b.run(); !sum.OK() || !strings.Contains(b.read("dist/a/b"), "dist/a/b") {
		t.Errorf("%+v, %q", sum.Failures, b.read("dist/a/b"))
	}

	deep := newBench(t)
	deep.opts.Pipeline = "p"
	deep.add(output("x", "dist/a"))
	deep.run()
	deep.graph = engine.Graph{}
	deep.add(output("x", "dist/a/b/c"))
	if sum := deep.run(); !sum.OK() {
		t.Errorf("%+v", sum.Failures)
	}

	own := newBench(t)
	own.opts.Pipeline = "p"
	own.write("dist/a", "the user's")
	own.add(output("x", "dist/a/b"))
	if sum := own.run(); sum.OK() || own.read("dist/a") != "the user's" {
		t.Errorf("%+v, %q", sum, own.read("dist/a"))
	}
}

// TestStoredLogIsMasked: a value that became sensitive after the step ran is
// not shown.
func TestStoredLogIsMasked(t *testing.T) {
	b := newBench(t)
	b.add(output("x", "dist/a"))
	b.run()
	b.graph = engine.Graph{}
	b.add(output("x", "dist/a", "log of"))
	log := ""
	b.opts.OnEvent = func(e engine.Event) { log += string(e.Log) }
	b.run()
	b.want("hit x")
	if log != "*** x\n" {
		t.Errorf("log %q", log)
	}
}
