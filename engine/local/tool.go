package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/engine/tree"
)

// runTool runs a tool in airbuild's own process.
func (r *runner) runTool(ctx context.Context, name string, args []string, in *inputs) error {
	t, ok := r.e.Tools[name]
	if !ok || len(args) == 0 {
		return fmt.Errorf("this airbuild has no tool %q", name)
	}
	call := &engine.ToolCall{
		Args:    args[1:],
		Env:     r.env.command(),
		Environ: dedupe(slices.Concat(r.env.base, r.env.command())),
		In:      tree.FS(r.p.Inputs, func(f tree.File) (io.ReadCloser, error) { return in.open(ctx, f) }),
		Dir:     r.out,
		WorkDir: r.runDir(),
		Private: r.p.Private,
		Log:     r.log,
		Run:     r.run,
		Place:   r.touching(r.sandbox.place(ctx)),
	}
	err := t.Run(ctx, call)
	if err == nil || ctx.Err() != nil {
		return err
	}
	if exit, ok := errors.AsType[*engine.ExitError](err); ok {
		if exit.Err != nil {
			fmt.Fprintln(r.log, exit.Err)
		}
		return exit
	}
	return fmt.Errorf("%s: %w", name, err)
}

// touching has the Tracer know what a tool opens.
func (r *runner) touching(place func(string, bool) (string, bool)) func(string, bool) (string, bool) {
	if r.e.Tracer == nil {
		return place
	}
	return func(p string, write bool) (string, bool) {
		r.e.Tracer.Touch(r.p, r.out, p, write)
		if place == nil {
			return p, true
		}
		return place(p, write)
	}
}
