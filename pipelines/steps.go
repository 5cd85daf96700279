package pipelines

import (
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
)

// planStage makes the cells and steps of a stage. After a mistake in it, or in
// what it refers to, the stage is broken and has neither.
func (p *planner) planStage(s *stage) {
	b := &bodyReader{
		planner: p, report: &p.report, suspects: p.suspects,
		stage: s, scope: s.scope, body: s.decl.Body,
		shared: map[*hclsyntax.Attribute]decoded{},
		byCell: map[*hclsyntax.Attribute]bool{},
		wrong:  map[hcl.Expression]bool{},
	}
	b.context = p.contextOf(s)
	b.present = b.context
	b.check()
	b.planCells()
	p.report.cell = nil
	if s.broken = s.broken || b.unusable() || s.task == nil; s.broken {
		p.anyBroken = true
		s.cells = nil
	}
	s.value = p.valueOf(s)
	s.planned.Uses = uses(s.refs)
	for _, c := range s.cells {
		if !c.dropped {
			s.planned.Cells = append(s.planned.Cells, Cell{Key: c.key, Step: c.step, Outputs: c.outputs})
		}
	}
}

// valueOf is what references to a planned stage see.
func (p *planner) valueOf(s *stage) cty.Value {
	switch {
	case s.broken:
		return cty.DynamicVal
	case p.looked[s.name]:
		return stageValue(s)
	}
	return plainValue(s)
}

// contextOf is what the stage's expressions see: its scope, and those stages
// that it refers to.
func (p *planner) contextOf(s *stage) *hcl.EvalContext {
	if len(s.refs) == 0 {
		return s.scope.context
	}
	values := map[string]cty.Value{}
	for _, ref := range s.refs {
		values[ref.name] = cty.DynamicVal
		if other := p.byName[ref.name]; other != nil && other.value != cty.NilVal && !other.broken {
			values[ref.name] = other.value
		}
	}
	child := s.scope.context.NewChild()
	child.Variables = map[string]cty.Value{"stage": cty.ObjectVal(values)}
	return child
}

// planCells reads every cell, and only if all are right makes their steps.
func (b *bodyReader) planCells() {
	var bodies []leafBody
	var labels map[string][]string
	if b.stage.task != nil {
		bodies, labels = b.leafBodies()
	}
	cells, known := b.knownCells()
	if !known || b.stage.task == nil {
		// Without cells, or a type, something else may be wrong all the same.
		b.enter(nil)
		b.whenHolds()
		b.values(bodies, b.readMeta().meta.Dir)
		return
	}
	ready := b.readCells(cells, bodies)
	if b.unusable() {
		return
	}
	b.stage.cells = cells
	b.plan.Graph.Steps = slices.Grow(b.plan.Graph.Steps, len(ready))
	for some := range slices.Chunk(ready, cellsAhead) {
		ahead := b.planAhead(some, labels)
		for i := range some {
			r := &some[i]
			b.report.cell = r.cell
			if b.stage.planned.Description == "" {
				b.stage.planned.Description = r.meta.description
			}
			if ahead[i].block.First != engine.StepID(len(b.plan.Graph.Steps)) {
				ahead[i] = b.planCell(r, labels, engine.StepID(len(b.plan.Graph.Steps)))
			}
			b.takeSteps(r, &ahead[i])
		}
	}
}

// readSome reads cells one after the other; those that when drops are left out.
func (b *bodyReader) readSome(cells []*cell, bodies []leafBody) []readyCell {
	ready := make([]readyCell, 0, len(cells))
	for _, c := range cells {
		b.enter(c)
		if c.dropped = !b.whenHolds(); c.dropped {
			continue
		}
		m := b.readMeta()
		c.dir = m.meta.Dir
		ready = append(ready, readyCell{c, m, b.values(bodies, m.meta.Dir)})
	}
	return ready
}

// knownCells finds the stage's cells and reports whether that went well,
// whatever else is wrong with the stage.
func (b *bodyReader) knownCells() ([]*cell, bool) {
	failed, poisoned := b.failed, b.poisoned
	b.failed, b.poisoned = false, false
	cells := b.stageCells()
	known := !b.unusable()
	b.failed, b.poisoned = b.failed || failed, b.poisoned || poisoned
	return cells, known
}

// A readyCell is a cell whose body was read without a mistake.
type readyCell struct {
	*cell
	meta   *metaReader
	values map[string]tasks.Value
}

// stageCells finds the stage's cells.
func (b *bodyReader) stageCells() []*cell {
	matrix, forEach := b.body.Attributes["matrix"], b.body.Attributes["for_each"]
	if matrix == nil {
		for _, name := range [...]string{"include", "exclude"} {
			if attr := b.body.Attributes[name]; attr != nil {
				b.fail(errorAt(attr.NameRange, "No matrix", "%s changes a matrix, and this stage has none.", name))
			}
		}
	}
	switch {
	case matrix != nil && forEach != nil:
		b.fail(errorAt(forEach.NameRange, "Two kinds of cells", "A stage has matrix or for_each, not both: use the stages' own matrix values through each."))
	case matrix != nil:
		return b.matrixCells(matrix)
	case forEach != nil:
		return b.forEachCells(forEach)
	}
	return []*cell{{}}
}

// whenHolds reports whether the present cell is there at all.
func (b *bodyReader) whenHolds() bool {
	attr := b.body.Attributes["when"]
	if attr == nil {
		return true
	}
	d := b.attribute(attr, &tasks.Attr{Name: "when", Kind: tasks.Bool}, b.scope.dir)
	return !d.set || d.value.Cty.True()
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
	b.report.add(p.diags...)
	if p.diags.HasErrors() {
		b.failed = true
		return
	}
	if len(steps) == 0 {
		b.fail(errorAt(b.stage.decl.Range, "Nothing to do", "The stage type %s made no step of %s.", block.Type, block.StepName))
		return
	}
	after := slices.Concat(r.meta.after, refSteps(r.meta.refs))
	for _, v := range block.Values {
		after = append(after, refSteps(v.Refs)...)
	}
	slices.Sort(after)
	after = slices.Compact(after)
	if b.tellsSecret(block, steps) {
		return
	}
	for i := range steps {
		steps[i].Traits = b.stage.schema.Traits.Traits
		steps[i].Mask = slices.Concat(steps[i].Mask, b.scope.Secrets())
		steps[i].After = append(steps[i].After, after...)
		steps[i].Inner = i < len(steps)-1
		id, err := b.plan.Graph.Add(steps[i])
		if err != nil {
			b.fail(errorAt(b.stage.decl.Range, "Stage cannot be planned", "%s.", err))
			return
		}
		r.step = id
	}
	b.takeOutputs(r.cell, &steps[len(steps)-1])
}

// tellsSecret reports sensitive values that went into a command, where every
// store and every message would show them. Most tasks look for themselves;
// this is for what they cannot see.
func (b *bodyReader) tellsSecret(block *tasks.Block, steps []engine.Step) bool {
	secrets := b.scope.Secrets()
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
			b.fail(errorAt(v.Range, "Sensitive value in a command",
				"Commands are stored and shown. Hand the value over in the environment: env = { NAME = … }."))
		}
	}
	return found
}

// takeOutputs records what the cell's last step makes.
func (b *bodyReader) takeOutputs(c *cell, s *engine.Step) {
	for _, out := range s.Command.OutputPaths {
		full := path.Join(s.Command.WorkingDirectory, out)
		if full == "." || leavesRoot(full) || path.IsAbs(full) || full == b.project.Dist || inRepository(full) {
			b.fail(errorAt(outputRange(b.stage), "Invalid output", "%s would make %s, which no stage may: name a file or folder inside the project.", s.Name, full))
			continue
		}
		if read := b.readFrom(full); read != "" {
			b.fail(errorAt(outputRange(b.stage), "Invalid output", "%s would write over %s, which says what to do: give it another output.", s.Name, read))
			continue
		}
		c.outputs = append(c.outputs, full)
	}
	b.claim(b.stage, c)
}

// readFrom is the file of the Airbuildfile's text, with all that it includes, that
// p is or has below it; empty if there is none.
func (b *bodyReader) readFrom(p string) string {
	for _, name := range slices.Sorted(maps.Keys(b.user.Module.Sources)) {
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
	ids := make([]engine.StepID, len(refs))
	for i, r := range refs {
		ids[i] = r.Step
	}
	return ids
}

// block is what the task gets.
func (b *bodyReader) block(r *readyCell, labels map[string][]string, first engine.StepID) *tasks.Block {
	s := b.stage.decl
	return &tasks.Block{
		Type: s.Type, Name: s.Name,
		Cell:        r.key,
		StepName:    StepName(s.Name, r.key),
		Description: r.meta.description,
		First:       first,
		Meta:        r.meta.meta,
		Platform:    r.platform,
		Project:     &b.project,
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
			detail = " There are " + listNames(names) + "."
		}
		p.report.add(errorAt(ref.Range, "Unknown "+what, "There is no %s %q.%s", what, ref.name, detail))
	}
	return bad
}
