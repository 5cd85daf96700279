package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/action"
)

// A line without an end is shown, and does not run into the next try's.
func TestLogOfTriesIsApart(t *testing.T) {
	b := newBench(t)
	b.add(engine.Step{Name: "a", Retries: 1, Command: action.Command{Arguments: []string{"x"}}})
	try := 0
	b.exec.do["a"] = func(_ context.Context, p *engine.Prepared) (*action.Result, error) {
		try++
		fmt.Fprintf(p.Log, "try %d", try)
		return &action.Result{ExitCode: 1}, nil
	}
	var shown []string
	b.opts.OnEvent = func(e engine.Event) {
		if e.Kind == engine.StepOutput {
			shown = append(shown, string(e.Output))
		}
	}
	b.run()
	if want := []string{"try 1", "try 2"}; !slices.Equal(shown, want) {
		t.Errorf("shown %q, want %q", shown, want)
	}
}

// Output without line ends costs time in proportion.
func TestLogWithoutLines(t *testing.T) {
	b := newBench(t)
	b.step("a")
	b.exec.do["a"] = func(ctx context.Context, p *engine.Prepared) (*action.Result, error) {
		part := bytes.Repeat([]byte("."), 1<<10)
		for range 20_000 {
			p.Log.Write(part)
		}
		return b.exec.outputs(ctx, p, "a")
	}
	begin := time.Now()
	b.run()
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("20 MB without a line end took %v", took)
	}
}
