package main

import (
	"context"
	"fmt"

	"github.com/hashicorp/hcl/v2"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/ui"
	"github.com/airbuild/airbuild/engine"
)

// opening are the options of opening a project whose diagnostics go to js, or as
// text to err if that is nil.
func (a *app) opening(js *ui.JSONSink) project.Options {
	o := a.Options
	o.Password = func(ctx context.Context, name string) (string, error) { return a.keyPassword(ctx, name)() }
	o.Show = func(diags hcl.Diagnostics, sources map[string][]byte) error {
		return a.showDiagnostics(diags, sources, js)
	}
	o.Notify = func(line string) { fmt.Fprintln(a.err, line) }
	return o
}

// quietly are the options of opening a project of which nothing is shown.
func (a *app) quietly() project.Options {
	o := a.opening(nil)
	o.Show = func(diags hcl.Diagnostics, _ map[string][]byte) error { return diagnosticsError(diags) }
	return o
}

// load finds and plans the project.
func (a *app) load(ctx context.Context, js *ui.JSONSink) (*project.Project, error) {
	return project.Load(ctx, a.opening(js))
}

// openTargets loads the project and opens what running the targets needs.
func (a *app) openTargets(ctx context.Context, js *ui.JSONSink, args []string) (*project.Session, []engine.StepID, string, error) {
	return project.OpenTargets(ctx, a.opening(js), args)
}
