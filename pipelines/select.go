package pipelines

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
)

// defaultPipeline is run if no target is named.
const defaultPipeline = "default"

// Select returns the steps that the targets ask for, sorted, and the targets'
// names. A target is a pipeline, a stage, or cells of a stage: "bin[linux/amd64]"
// is every cell of bin that has linux/amd64 among its values. A pipeline goes
// before a stage of the same name. Without targets it is the pipeline named
// "default", or the only one. The error is a message for the user.
func (p *Plan) Select(targets []string) (steps []engine.StepID, names []string, err error) {
	if len(targets) == 0 {
		name, err := p.defaultTarget()
		if err != nil {
			return nil, nil, err
		}
		targets = []string{name}
	}
	var errs []error
	for _, t := range targets {
		ids, err := p.target(t)
		errs = append(errs, err)
		steps = append(steps, ids...)
		if !slices.Contains(names, t) {
			names = append(names, t)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, nil, err
	}
	return lists.Unique(steps), names, nil
}

// Notices are what the pipelines among the targets say at the end of a run, each
// once. Targets are as for Select, which says what is wrong with them.
func (p *Plan) Notices(targets []string) []string {
	if len(targets) == 0 {
		if name, err := p.defaultTarget(); err == nil {
			targets = []string{name}
		}
	}
	var said Pipeline
	for _, name := range targets {
		if l := p.Pipeline(name); l != nil {
			for _, text := range l.Notices {
				said.addNotice(text)
			}
		}
	}
	return said.Notices
}

func (p *Plan) defaultTarget() (string, error) {
	switch {
	case p.Pipeline(defaultPipeline) != nil:
		return defaultPipeline, nil
	case len(p.Pipelines) == 1:
		return p.Pipelines[0].Name, nil
	case len(p.Pipelines) == 0:
		return "", errors.New("no target: the file has no pipeline; name a stage")
	}
	return "", fmt.Errorf("no target: name one of the pipelines %s, or call one of them %q", strings.Join(p.pipelineNames(), ", "), defaultPipeline)
}

func (p *Plan) pipelineNames() []string {
	return lists.Map(p.Pipelines, func(l *Pipeline) string { return l.Name })
}

func (p *Plan) stageNames() []string {
	return lists.Map(p.Stages, func(s *Stage) string { return s.Name })
}

func (p *Plan) target(t string) ([]engine.StepID, error) {
	name, cell, hasCell := strings.Cut(t, "[")
	if !hasCell {
		if l := p.Pipeline(name); l != nil {
			return l.Steps, nil
		}
	}
	s := p.Stage(name)
	if s == nil {
		hint := cmp.Or(dsl.DidYouMean(name, append(p.pipelineNames(), p.stageNames()...)), " All of them: airbuild list.")
		return nil, fmt.Errorf("no pipeline or stage %q.%s", name, hint)
	}
	if !hasCell {
		return stepsOf(s), nil
	}
	key, closed := strings.CutSuffix(cell, "]")
	if !closed {
		return nil, fmt.Errorf("target %q: the bracket is not closed", t)
	}
	return cellsMatching(s, strings.Trim(key, `"`))
}

// cellsMatching returns the cell of that key or, if there is none, those that
// have all of its values.
func cellsMatching(s *Stage, key string) ([]engine.StepID, error) {
	wanted := strings.Split(key, ",")
	for i := range wanted {
		wanted[i] = strings.Trim(strings.TrimSpace(wanted[i]), `"`)
	}
	key = strings.Join(wanted, ",")
	var ids []engine.StepID
	var keys, parts []string
	for _, c := range s.Cells {
		if c.Key == key {
			return []engine.StepID{c.Step}, nil
		}
		keys = append(keys, c.Key)
		values := strings.Split(c.Key, ",")
		parts = append(parts, values...)
		if !slices.ContainsFunc(wanted, func(w string) bool { return !slices.Contains(values, w) }) {
			ids = append(ids, c.Step)
		}
	}
	if len(ids) > 0 {
		return ids, nil
	}
	hint := dsl.DidYouMean(key, slices.Concat(keys, parts))
	if hint == "" {
		hint = " It has " + diag.ListNames(keys) + "."
	}
	if len(keys) == 0 || len(keys) == 1 && keys[0] == "" {
		hint = " It has no cells."
	}
	return nil, fmt.Errorf("stage %s has no cell %q.%s", s.Name, key, hint)
}
