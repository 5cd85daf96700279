package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/airbuild/airbuild/cmd/airbuild/internal/exit"
	"github.com/airbuild/airbuild/cmd/airbuild/internal/project"
	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
)

// stepsOf are the steps of stages of one type, by the names of stages or cells.
func stepsOf(p *project.Project, typ string, names []string) ([]engine.StepID, error) {
	all := map[string][]engine.StepID{}
	var known []string
	for _, s := range p.Plan.Stages {
		if s.Type != typ {
			continue
		}
		known = append(known, s.Name)
		for _, c := range s.Cells {
			all[s.Name] = append(all[s.Name], c.Step)
			if c.Key != "" {
				all[p.Plan.Graph.Steps[c.Step].Name] = []engine.StepID{c.Step}
			}
		}
	}
	if len(known) == 0 {
		return nil, exit.UsageError("%s has no stage of type %s", p.File, typ)
	}
	if len(names) == 0 {
		names = known
	}
	var ids []engine.StepID
	for _, name := range names {
		found, ok := all[name]
		if !ok {
			if hint := dsl.DidYouMean(name, known); hint != "" {
				return nil, exit.UsageError("there is no %s stage %q.%s", typ, name, hint)
			}
			return nil, exit.UsageError("there is no %s stage %q. There are: %s.", typ, name, strings.Join(known, ", "))
		}
		ids = append(ids, found...)
	}
	return ids, nil
}

// oneStepOf is the only step of a stage of one type.
func oneStepOf(p *project.Project, typ, name string) (*engine.Step, error) {
	ids, err := stepsOf(p, typ, []string{name})
	if err != nil {
		return nil, err
	}
	if len(ids) != 1 {
		return nil, exit.UsageError("%s has %d cells; name one of: %s", name, len(ids), stepNames(p.Plan.Graph, ids))
	}
	return &p.Plan.Graph.Steps[ids[0]], nil
}

// runSteps runs the steps of stages of one type, and what they need.
func runSteps(ctx context.Context, a *app, typ string, names []string, f *runFlags, after func(*project.Project, []engine.StepID)) (err error) {
	sink, js := a.sink()
	defer func() { err = endOutput(sink, err) }()
	p, err := a.load(ctx, js)
	if err != nil {
		return err
	}
	ids, err := stepsOf(p, typ, names)
	if err != nil {
		return err
	}
	s, err := p.Open(nil)
	if err != nil {
		return err
	}
	defer func() { err = exit.First(err, s.Close()) }()
	err = runSession(ctx, a, s, ids, "", f, sink)
	if after != nil {
		after(p, ids)
	}
	return err
}

// completeStages offers the stages of one type.
func (a *app) completeStages(typ string) cobra.CompletionFunc {
	return func(c *cobra.Command, _ []string, prefix string) (names []string, _ cobra.ShellCompDirective) {
		p, err := a.loadToComplete(c.Context())
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, s := range p.Plan.Stages {
			if s.Type == typ && strings.HasPrefix(s.Name, prefix) {
				names = append(names, fmt.Sprintf("%s\t%s", s.Name, s.Description))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}
