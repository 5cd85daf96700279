package main

import (
	"context"
	"io/fs"

	"github.com/hashicorp/hcl/v2"
	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/langserver"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/pipelines"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/golang/gocmd"
)

func lspCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "lsp",
		Short: "Serve an editor: mistakes, completion, explanations, layout",
		Long: "Speak the Language Server Protocol on standard input and output. Editors start it for\n" +
			"files called Airbuildfile and *.airbuild.hcl. It runs nothing and writes nothing.",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runLSP(c.Context(), a) },
	}
}

func runLSP(ctx context.Context, a *app) error {
	o := langserver.Options{
		In: a.in, Out: a.out, Version: readVersion().Version, Check: a.check,
		Stages: map[string]*tasks.Schema{}, Meta: tasks.MetaSchema(),
	}
	p := project.New(a.quietly(), "", "", &gocmd.Config{LookupEnv: a.LookupEnv})
	for name, t := range p.StageTypes() {
		o.Stages[name] = t.Schema()
	}
	for _, e := range pipelines.Embedded() {
		o.Pipelines = append(o.Pipelines, e.Name)
	}
	return langserver.Serve(ctx, o)
}

// check plans a project from files for its mistakes. Toolchains are not looked for:
// that this host lacks one is no mistake of the file.
func (a *app) check(ctx context.Context, root, name string, files fs.FS) (map[string][]byte, hcl.Diagnostics) {
	if _, err := a.Variables(); err != nil {
		return nil, hcl.Diagnostics{{Severity: hcl.DiagError, Summary: err.Error()}}
	}
	p := project.New(a.quietly(), root, name, &gocmd.Config{LookupEnv: a.LookupEnv, Root: root})
	plan, diags, _ := p.Preview(ctx, files, func(string, string, []string) error { return nil })
	if plan == nil { // also when the context has ended
		return nil, diags
	}
	return plan.Sources, diags
}
