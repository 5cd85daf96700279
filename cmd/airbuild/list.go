package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
)

// A listing is what `list` knows of a file.
type listing struct {
	Pipelines []listedPipeline `json:"pipelines"`
	Stages    []listedStage    `json:"stages"`
}

type listedPipeline struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Use         string   `json:"use,omitempty"`
	Stages      []string `json:"stages"`
	Steps       int      `json:"steps"` // with all that they need
}

type listedStage struct {
	Name        string       `json:"name"`
	Type        string       `json:"type"`
	Description string       `json:"description"`
	Uses        []string     `json:"uses"`
	Cells       []listedCell `json:"cells"`
}

type listedCell struct {
	Step    string   `json:"step"`
	Cell    string   `json:"cell"`
	Outputs []string `json:"outputs"`
}

func listCommand(a *app) *cobra.Command {
	format := ""
	c := &cobra.Command{
		Use:   "list",
		Short: "List pipelines and stages",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			asJSON, err := a.formatFlag(format, "text", "json")
			if err != nil {
				return err
			}
			return runList(c.Context(), a, asJSON == "json")
		},
	}
	c.Flags().StringVar(&format, "format", "", "`text|json` (default text, or what --output says)")
	return c
}

// formatFlag checks a --format flag; without it --output json asks for JSON
// and the first of the known formats is taken otherwise.
func (a *app) formatFlag(format string, known ...string) (string, error) {
	switch {
	case format == "" && a.json():
		return "json", nil
	case format == "":
		return known[0], nil
	case slices.Contains(known, format):
		return format, nil
	}
	return "", exit.UsageError("--format %q: want %s", format, strings.Join(known, ", "))
}

func runList(ctx context.Context, a *app, asJSON bool) error {
	p, err := a.load(ctx, nil)
	if err != nil {
		return err
	}
	l := listingOf(p)
	if asJSON {
		return a.writeJSON(l)
	}
	return a.writeTable(func(w io.Writer) { l.write(w) })
}

func (l *listing) write(w io.Writer) {
	if len(l.Pipelines) > 0 {
		fmt.Fprintln(w, "Pipelines:")
	}
	for _, x := range l.Pipelines {
		fmt.Fprintf(w, "  %s\t%s\t%s\n", x.Name, human.Count(x.Steps, "step"), human.OneLine(x.Description))
	}
	if len(l.Stages) > 0 {
		fmt.Fprintln(w, "Stages:")
	}
	for _, x := range l.Stages {
		cells := ""
		switch {
		case len(x.Cells) == 0:
			cells = "not in use"
		case x.Cells[0].Cell != "":
			cells = human.Count(len(x.Cells), "cell")
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", x.Name, x.Type, cells, human.OneLine(x.Description))
	}
}

func listingOf(p *project.Project) listing {
	l := listing{Pipelines: []listedPipeline{}, Stages: []listedStage{}}
	for _, x := range p.Plan.Pipelines {
		l.Pipelines = append(l.Pipelines, listedPipeline{
			Name: x.Name, Description: x.Description, Use: x.Use, Stages: orEmpty(x.Stages),
			Steps: len(p.Plan.Graph.Closure(x.Steps)),
		})
	}
	for _, x := range p.Plan.Stages {
		s := listedStage{Name: x.Name, Type: x.Type, Description: x.Description, Uses: orEmpty(x.Uses), Cells: []listedCell{}}
		for _, cell := range x.Cells {
			s.Cells = append(s.Cells, listedCell{p.Plan.Graph.Steps[cell.Step].Name, cell.Key, orEmpty(cell.Outputs)})
		}
		l.Stages = append(l.Stages, s)
	}
	return l
}

// orEmpty is the list, [] in JSON rather than null.
func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
