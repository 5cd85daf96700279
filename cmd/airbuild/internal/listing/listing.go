// Package listing says which pipelines and stages a project has.
package listing

import (
	"fmt"
	"io"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/human"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
)

// A Listing is what `list` knows of a file.
type Listing struct {
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

// Write writes it as text, with tabs between columns.
func (l *Listing) Write(w io.Writer) {
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
			cells = "off (when = false)"
		case x.Cells[0].Cell != "":
			cells = human.Count(len(x.Cells), "cell")
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", x.Name, x.Type, cells, human.OneLine(x.Description))
	}
}

// Of lists what a project has.
func Of(p *project.Project) Listing {
	l := Listing{Pipelines: []listedPipeline{}, Stages: []listedStage{}}
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
