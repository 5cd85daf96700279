package pipelines

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/cells"
	"github.com/airbuild/airbuild/pipelines/internal/decode"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/tasks"
)

// A bodyReader evaluates the body of one stage, cell by cell.
//
// Several may read cells of one stage at once (ahead.go): what a cell's
// expressions come to is written to nothing but eval and decode.
type bodyReader struct {
	planner *planner
	stage   *stage
	eval    *eval.Evaluator
	decode  *decode.Decoder
}

// check reports every reference of the body that cannot be right, so that
// what is left can be evaluated.
func (b *bodyReader) check() {
	b.eval.Check()
	for _, ref := range b.stage.refs {
		if other := b.planner.byName[ref.name]; other == nil || other.broken {
			b.eval.Poisoned = true
		}
	}
}

// planStage makes the cells and steps of a stage. After a mistake in it, or in
// what it refers to, the stage is broken and has neither.
func (p *planner) planStage(s *stage) {
	on := eval.New(&p.report, s.scope, s.Decl, p.contextOf(s))
	b := &bodyReader{
		planner: p, stage: s, eval: on,
		decode: &decode.Decoder{
			Eval: on, Stage: &s.Stage, Schema: s.schema, Project: &p.project, Files: p.files, Suspects: p.suspects,
			ByName: p.planned,
			Needed: func() []*eval.Stage { return p.needed(s) },
			Source: p.outputs.source,
			Step:   func(id engine.StepID) *engine.Step { return &p.plan.Graph.Steps[id] },
		},
	}
	b.check()
	b.planCells()
	p.report.Cell = nil
	if s.broken = s.broken || b.eval.Unusable() || s.task == nil; s.broken {
		p.anyBroken = true
		s.Cells = nil
	}
	s.value = p.valueOf(s)
	s.planned.Uses = uses(s.refs)
	for _, c := range s.Cells {
		if !c.Dropped {
			s.planned.Cells = append(s.planned.Cells, Cell{Key: c.Key, Step: c.Step, Outputs: c.Outputs})
		}
	}
}

// planned returns a stage by its name, or nil.
func (p *planner) planned(name string) *eval.Stage {
	if s := p.byName[name]; s != nil {
		return &s.Stage
	}
	return nil
}

// needed are the stages that one refers to, directly or through
// others.
func (p *planner) needed(of *stage) []*eval.Stage {
	seen := map[*stage]bool{of: true}
	var out []*eval.Stage
	var walk func(s *stage)
	walk = func(s *stage) {
		for _, ref := range s.refs {
			if other := p.byName[ref.name]; other != nil && !seen[other] {
				seen[other] = true
				out = append(out, &other.Stage)
				walk(other)
			}
		}
	}
	walk(of)
	return out
}

// valueOf is what references to a planned stage see.
func (p *planner) valueOf(s *stage) cty.Value {
	switch {
	case s.broken:
		return cty.DynamicVal
	case p.looked[s.name]:
		return eval.StageValue(&s.Stage)
	}
	return eval.PlainValue(&s.Stage)
}

// contextOf is what the stage's expressions see: its scope, and those stages
// that it refers to.
func (p *planner) contextOf(s *stage) *hcl.EvalContext {
	if len(s.refs) == 0 {
		return s.scope.Context
	}
	values := map[string]cty.Value{}
	for _, ref := range s.refs {
		values[ref.name] = cty.DynamicVal
		if other := p.byName[ref.name]; other != nil && other.value != cty.NilVal && !other.broken {
			values[ref.name] = other.value
		}
	}
	child := s.scope.Context.NewChild()
	child.Variables = map[string]cty.Value{"stage": cty.ObjectVal(values)}
	return child
}

// planCells reads every cell, and only if all are right makes their steps.
func (b *bodyReader) planCells() {
	var bodies []decode.Body
	var labels map[string][]string
	if b.stage.task != nil {
		bodies, labels = b.decode.Bodies()
	}
	found, known := cells.Expand(b.eval)
	if !known || b.stage.task == nil {
		// Without cells, or a type, something else may be wrong all the same.
		b.eval.Enter(nil)
		b.whenHolds()
		b.decode.Values(bodies, b.decode.Meta().Dir)
		return
	}
	ready := b.readCells(found, bodies)
	if b.eval.Unusable() {
		return
	}
	b.stage.Cells = found
	b.planner.plan.Graph.Steps = slices.Grow(b.planner.plan.Graph.Steps, len(ready))
	for some := range slices.Chunk(ready, cellsAhead) {
		ahead := b.planAhead(some, labels)
		for i := range some {
			r := &some[i]
			b.eval.Report.Cell = r.Cell
			b.stage.planned.Description = cmp.Or(b.stage.planned.Description, r.meta.Description)
			if ahead[i].block.First != engine.StepID(len(b.planner.plan.Graph.Steps)) {
				ahead[i] = b.planCell(r, labels, engine.StepID(len(b.planner.plan.Graph.Steps)))
			}
			b.takeSteps(r, &ahead[i])
		}
	}
}

// readSome reads cells one after the other; those that when drops are left out.
func (b *bodyReader) readSome(cells []*eval.Cell, bodies []decode.Body) []readyCell {
	ready := make([]readyCell, 0, len(cells))
	for _, c := range cells {
		b.eval.Enter(c)
		if c.Dropped = !b.whenHolds(); c.Dropped {
			continue
		}
		m := b.decode.Meta()
		c.Dir = m.Dir
		ready = append(ready, readyCell{c, m, b.decode.Values(bodies, m.Dir)})
	}
	return ready
}

// A readyCell is a cell whose body was read without a mistake.
type readyCell struct {
	*eval.Cell
	meta   *decode.Meta
	values map[string]tasks.Value
}

// whenHolds reports whether the present cell is there at all.
func (b *bodyReader) whenHolds() bool {
	attr := b.stage.Decl.Body.Attributes["when"]
	if attr == nil {
		return true
	}
	d := b.decode.Attribute(attr, &tasks.Attr{Name: "when", Kind: tasks.Bool}, b.eval.Scope.Dir)
	return !d.Set || d.Value.Cty.True()
}

// A plannedCell is what the task made of a cell. It holds if block.First is the
// id that the first step gets.
type plannedCell struct {
	block *tasks.Block
	steps []engine.Step
	diags hcl.Diagnostics
}

// planCell lets the task plan one cell.
func (b *bodyReader) planCell(r *readyCell, labels map[string][]string, first engine.StepID) plannedCell {
	p := plannedCell{block: b.block(r, labels, first)}
	p.steps, p.diags = b.stage.task.Plan(p.block)
	return p
}

// takeSteps takes the steps of a cell into the graph.
func (b *bodyReader) takeSteps(r *readyCell, p *plannedCell) {
	block, steps := p.block, p.steps
	b.eval.Report.Add(p.diags...)
	if p.diags.HasErrors() {
		b.eval.Failed = true
		return
	}
	if len(steps) == 0 {
		b.eval.Fail(diag.ErrorAt(b.stage.Decl.Range, "Nothing to do", "The stage type %s made no step of %s.", block.Type, block.StepName))
		return
	}
	after := slices.Concat(r.meta.After, refSteps(r.meta.Refs))
	for _, v := range block.Values {
		after = append(after, refSteps(v.Refs)...)
	}
	after = lists.Unique(after)
	if b.tellsSecret(block, steps) {
		return
	}
	for i := range steps {
		steps[i].Traits = b.stage.schema.Traits.Traits
		steps[i].Mask = slices.Concat(steps[i].Mask, b.eval.Scope.Secrets())
		steps[i].After = append(steps[i].After, after...)
		steps[i].Inner = i < len(steps)-1
		id, err := b.planner.plan.Graph.Add(steps[i])
		if err != nil {
			b.eval.Fail(diag.ErrorAt(b.stage.Decl.Range, "Stage cannot be planned", "%s.", err))
			return
		}
		r.Step = id
	}
	b.takeOutputs(r.Cell, &steps[len(steps)-1])
}

// tellsSecret reports sensitive values that went into a command, where every
// store and every message would show them. Most tasks look for themselves;
// this is for what they cannot see.
func (b *bodyReader) tellsSecret(block *tasks.Block, steps []engine.Step) bool {
	secrets := b.eval.Scope.Secrets()
	if len(secrets) == 0 {
		return false
	}
	shown := func(arg string) bool {
		return slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(arg, secret) })
	}
	if !slices.ContainsFunc(steps, func(s engine.Step) bool { return slices.ContainsFunc(s.Command.Arguments, shown) }) {
		return false
	}
	found := false
	for _, v := range block.Values {
		if v.Sensitive {
			found = true
			b.eval.Fail(diag.ErrorAt(v.Range, "Sensitive value in a command",
				"Commands are stored and shown. Hand the value over in the environment: env = { NAME = … }."))
		}
	}
	return found
}

// takeOutputs records what the cell's last step makes.
func (b *bodyReader) takeOutputs(c *eval.Cell, s *engine.Step) {
	for _, out := range s.Command.OutputPaths {
		full := path.Join(s.Command.WorkingDirectory, out)
		if full == "." || decode.LeavesRoot(full) || path.IsAbs(full) || full == b.planner.project.Dist || inRepository(full) {
			b.eval.Fail(diag.ErrorAt(outputRange(b.stage), "Invalid output", "%s would make %s, which no stage may: name a file or folder inside the project.", s.Name, full))
			continue
		}
		if read := b.readFrom(full); read != "" {
			b.eval.Fail(diag.ErrorAt(outputRange(b.stage), "Invalid output", "%s would write over %s, which says what to do: give it another output.", s.Name, read))
			continue
		}
		c.Outputs = append(c.Outputs, full)
	}
	b.planner.outputs.claim(b.stage, c)
}

// readFrom is the file of the Airbuildfile's text, with all that it includes, that
// p is or has below it; empty if there is none.
func (b *bodyReader) readFrom(p string) string {
	for _, name := range slices.Sorted(maps.Keys(b.planner.user.Module.Sources)) {
		if name == p || strings.HasPrefix(name, p+"/") {
			return name
		}
	}
	return ""
}

// inRepository reports whether p is git's own: what lies there can make git
// run programs. Some file systems take .GIT for the same.
func inRepository(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return strings.EqualFold(first, ".git")
}

func refSteps(refs []tasks.Ref) []engine.StepID {
	return lists.Map(refs, func(r tasks.Ref) engine.StepID { return r.Step })
}

// block is what the task gets.
func (b *bodyReader) block(r *readyCell, labels map[string][]string, first engine.StepID) *tasks.Block {
	s := b.stage.Decl
	return &tasks.Block{
		Type: s.Type, Name: s.Name,
		Cell:        r.Key,
		StepName:    StepName(s.Name, r.Key),
		Description: r.meta.Description,
		First:       first,
		Meta:        r.meta.Meta,
		Platform:    r.Platform,
		Project:     &b.planner.project,
		Range:       s.Range,
		Values:      r.values,
		Labels:      labels,
	}
}

// unknownNames reports references to what is not there.
func (p *planner) unknownNames(refs []reference, what string, exists func(string) bool, names []string) (bad bool) {
	for _, ref := range refs {
		if exists(ref.name) {
			continue
		}
		bad = true
		if p.incomplete {
			continue
		}
		detail := dsl.DidYouMean(ref.name, names)
		if detail == "" && len(names) > 0 {
			detail = " There are " + diag.ListNames(names) + "."
		}
		p.report.Add(diag.ErrorAt(ref.Range, "Unknown "+what, "There is no %s %q.%s", what, ref.name, detail))
	}
	return bad
}
