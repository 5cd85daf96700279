package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines"
)

func pipelinesCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "pipelines",
		Short: "Read the ready-made pipelines that an Airbuildfile takes with use",
	}
	show := &cobra.Command{
		Use:   "show NAME",
		Short: "Print a ready-made pipeline's source",
		Args:  exactArgs(1, "one name"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return embeddedNames(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error { return pipelinesShow(a, args[0]) },
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the ready-made pipelines and their parameters",
		Args:  noArgs,
		RunE:  func(*cobra.Command, []string) error { return pipelinesList(a) },
	}
	c.AddCommand(list, show)
	return group(c)
}

func embeddedNames() []string {
	return lists.Map(pipelines.Embedded(), func(e pipelines.EmbeddedPipeline) string { return e.Name })
}

func pipelinesShow(a *app, name string) error {
	for _, e := range pipelines.Embedded() {
		if e.Name == name {
			_, err := a.out.Write(e.Source)
			return err
		}
	}
	return exit.UsageError("there is no ready-made pipeline %q.%s", name, dsl.DidYouMean(name, embeddedNames()))
}

func pipelinesList(a *app) error {
	if a.json() {
		return pipelinesJSON(a)
	}
	return a.writeTable(func(w io.Writer) {
		for _, e := range pipelines.Embedded() {
			fmt.Fprintf(w, "%s  %s\n", e.Name, e.Description)
			for _, p := range e.Parameters {
				fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, p.Type, human.OneLine(p.Description))
			}
		}
	})
}

func pipelinesJSON(a *app) error {
	type parameter struct {
		Name        string `json:"name"`
		Type        string `json:"type"`
		Default     string `json:"default"` // as written; empty if it must be set
		Description string `json:"description"`
	}
	type pipeline struct {
		Name        string      `json:"name"`
		Description string      `json:"description"`
		Parameters  []parameter `json:"parameters"`
	}
	var all []pipeline
	for _, e := range pipelines.Embedded() {
		x := pipeline{e.Name, e.Description, []parameter{}}
		for _, p := range e.Parameters {
			x.Parameters = append(x.Parameters, parameter{p.Name, p.Type, p.Default, p.Description})
		}
		all = append(all, x)
	}
	return a.writeJSON(all)
}
