package pipelines

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
)

// A pipeline is a pipeline on its way through planning.
type pipeline struct {
	node
	decl      *dsl.Pipeline
	scope     *scope
	use       *use // of the user's block; nil if it has none
	stageRefs []reference
	planned   *Pipeline
}

// planPipelines resolves what every pipeline asks for. Ready-made pipelines
// take part under a name that no user can write.
func (p *planner) planPipelines() {
	for _, u := range p.uses {
		if u.taken != nil && u.scope != nil {
			p.addPipeline(u.taken, u.scope, nil, "use "+u.decl.Name)
		}
	}
	var names []string
	for _, decl := range p.plan.Module.Pipelines {
		l := p.addPipeline(decl, p.user, p.useOf(decl), decl.Name)
		p.plan.Pipelines = append(p.plan.Pipelines, l.planned)
		names = append(names, decl.Name)
	}
	slices.Sort(names)
	has := func(name string) bool { return slices.Contains(names, name) }
	nodes := make([]*node, len(p.pipelines))
	for i, l := range p.pipelines {
		p.pipelineReferences(l, has, names)
		nodes[i] = &l.node
	}
	p.report.add(inOrder(nodes, func(i int) { p.planPipeline(p.pipelines[i]) })...)
}

func (p *planner) addPipeline(decl *dsl.Pipeline, s *scope, u *use, name string) *pipeline {
	l := &pipeline{decl: decl, scope: s, use: u, planned: &Pipeline{Name: decl.Name, Range: decl.Range}}
	l.name = name
	if u != nil {
		l.planned.Use = u.name
		l.refs = []reference{{name: "use " + decl.Name, Range: u.at}}
	}
	p.pipelines = append(p.pipelines, l)
	return l
}

func (p *planner) useOf(decl *dsl.Pipeline) *use {
	i := slices.IndexFunc(p.uses, func(u *use) bool { return u.decl == decl })
	if i < 0 {
		return nil
	}
	return p.uses[i]
}

// pipelineReferences finds what a pipeline's stages attribute refers to.
func (p *planner) pipelineReferences(l *pipeline, has func(string) bool, names []string) {
	var own hclsyntax.Body
	own.Attributes = hclsyntax.Attributes{}
	for _, name := range [...]string{"stages", "description", "notice"} {
		if attr := l.decl.Body.Attributes[name]; attr != nil {
			own.Attributes[name] = attr
		}
	}
	stageRefs, diags := references(&own, "stage")
	p.report.add(diags...)
	pipelineRefs, more := references(&own, "pipeline")
	p.report.add(more...)
	l.stageRefs = stageRefs
	l.broken = diags.HasErrors() || more.HasErrors()
	l.broken = p.unknownNames(stageRefs, "stage", p.hasStage, p.stageNames) || l.broken
	l.broken = p.unknownNames(pipelineRefs, "pipeline", has, names) || l.broken
	l.refs = append(l.refs, pipelineRefs...)
}

// planPipeline evaluates a pipeline whose parts are planned.
func (p *planner) planPipeline(l *pipeline) {
	p.checkPipelineBody(l)
	context := p.pipelineContext(l)
	if l.use != nil {
		if taken := p.pipelineNamed("use " + l.decl.Name); taken != nil {
			l.planned.Description = taken.planned.Description
			l.take(taken)
		}
	}
	if attr := l.decl.Body.Attributes["description"]; attr != nil {
		if v, ok := p.pipelineValue(l, attr, context); ok {
			l.planned.Description = p.shownText(attr, v)
		}
	}
	if attr := l.decl.Body.Attributes["stages"]; attr != nil {
		if v, ok := p.pipelineValue(l, attr, context); ok {
			p.takeStages(l, attr.Expr, v)
		}
	}
	if attr := l.decl.Body.Attributes["notice"]; attr != nil {
		if v, ok := p.pipelineValue(l, attr, context); ok {
			l.planned.addNotice(p.shownText(attr, v))
		}
	}
	slices.Sort(l.planned.Steps)
	l.planned.Steps = slices.Compact(l.planned.Steps)
}

// shownText is the string of an attribute that users are shown; "" after a
// mistake.
func (p *planner) shownText(attr *hclsyntax.Attribute, v cty.Value) string {
	at := attr.Expr.Range()
	switch {
	case v.Type() != cty.String:
		p.report.add(errorAt(at, "Wrong type", "%q is a string, not %s.", attr.Name, describe(v)))
	case v.HasMark(dsl.Sensitive):
		p.report.add(errorAt(at, "Sensitive value shown", "%q would show it: use a value that is not sensitive.", attr.Name))
	default:
		v, _ = v.Unmark()
		return v.AsString()
	}
	return ""
}

// checkPipelineBody reports what does not belong in the block. Parameters are
// checked with the use.
func (p *planner) checkPipelineBody(l *pipeline) {
	body := l.decl.Body
	uses := body.Attributes["use"] != nil
	if body.Attributes["stages"] == nil && !uses {
		p.report.add(errorAt(l.decl.Range, "Missing attribute", "A pipeline needs \"stages\", the list of what it runs, or \"use\", the name of a ready-made pipeline."))
	}
	for _, attr := range sortedAttributes(body) {
		if uses || slices.Contains(reserved[:], attr.Name) {
			continue
		}
		p.report.add(errorAt(attr.NameRange, "Unknown attribute", "A pipeline without use has no attribute %q.%s", attr.Name, dsl.DidYouMean(attr.Name, reserved[:])))
	}
	for _, block := range body.Blocks {
		p.report.add(errorAt(block.TypeRange, "Unknown block", "A pipeline has no blocks: declare stages at the top level and list them in stages."))
	}
}

// pipelineContext is what a pipeline's expressions see.
func (p *planner) pipelineContext(l *pipeline) *hcl.EvalContext {
	stages, parts := map[string]cty.Value{}, map[string]cty.Value{}
	for _, ref := range l.stageRefs {
		stages[ref.name] = cty.DynamicVal
		if s := p.byName[ref.name]; s != nil && s.value != cty.NilVal {
			stages[ref.name] = s.value
		}
	}
	for _, ref := range l.refs {
		parts[ref.name] = cty.DynamicVal
		if part := p.pipelineNamed(ref.name); part != nil && !part.broken {
			parts[ref.name] = cty.ObjectVal(map[string]cty.Value{
				"name":     cty.StringVal(part.decl.Name),
				handleAttr: cty.CapsuleVal(pipelineHandleType, &pipelineHandle{part}),
			})
		}
	}
	child := l.scope.context.NewChild()
	child.Variables = map[string]cty.Value{"stage": cty.ObjectVal(stages), "pipeline": cty.ObjectVal(parts)}
	return child
}

func (p *planner) pipelineNamed(name string) *pipeline {
	i := slices.IndexFunc(p.pipelines, func(l *pipeline) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return p.pipelines[i]
}

// pipelineValue evaluates an attribute; it is not ok after a mistake, and for
// null and unknown values.
func (p *planner) pipelineValue(l *pipeline, attr *hclsyntax.Attribute, context *hcl.EvalContext) (cty.Value, bool) {
	roots := map[string]dsl.Names{"stage": {Noun: "stage"}, "pipeline": {Noun: "pipeline"}}
	if diags := l.scope.CheckTraversals(attr.Expr, roots); diags.HasErrors() {
		p.report.add(diags...)
		return cty.DynamicVal, false
	}
	v, diags := l.scope.Value(attr.Expr, context)
	p.report.add(explainAll(diags, attr.Expr, context)...)
	return v, !diags.HasErrors() && v.IsKnown() && !v.IsNull()
}

// takeStages takes the elements of a stages attribute.
func (p *planner) takeStages(l *pipeline, expr hcl.Expression, v cty.Value) {
	if _, isStage := handleOf(v); isStage || !isList(v) {
		p.takeElement(l, v, expr.Range())
		return
	}
	for i, e := range elementsOf(v) {
		at := elementExpr(written(expr, l.decl.Module), i).Range()
		if isList(e) {
			for _, inner := range elementsOf(e) {
				p.takeElement(l, inner, at)
			}
			continue
		}
		p.takeElement(l, e, at)
	}
}

func (p *planner) takeElement(l *pipeline, v cty.Value, at hcl.Range) {
	if !v.IsKnown() || v.IsNull() {
		return
	}
	if part, ok := pipelineOf(v); ok {
		l.take(part)
		return
	}
	h, ok := handleOf(v)
	if !ok {
		p.report.add(errorAt(at, "Wrong type", "stages is a list of stages, cells and pipelines, as in [stage.NAME, pipeline.NAME], not of %s.", plural(v)))
		return
	}
	l.planned.addStage(h.stage.decl.Name)
	for _, c := range h.cells() {
		l.planned.Steps = append(l.planned.Steps, c.step)
	}
}

// take adds all that another pipeline asks for.
func (l *pipeline) take(part *pipeline) {
	l.planned.Steps = append(l.planned.Steps, part.planned.Steps...)
	for _, name := range part.planned.Stages {
		l.planned.addStage(name)
	}
	for _, text := range part.planned.Notices {
		l.planned.addNotice(text)
	}
}

func (l *Pipeline) addStage(name string) {
	if !slices.Contains(l.Stages, name) {
		l.Stages = append(l.Stages, name)
	}
}

func (l *Pipeline) addNotice(text string) {
	if text != "" && !slices.Contains(l.Notices, text) {
		l.Notices = append(l.Notices, text)
	}
}

// stepsOf returns the steps of a stage's cells.
func stepsOf(s *Stage) []engine.StepID {
	var ids []engine.StepID
	for _, c := range s.Cells {
		ids = append(ids, c.Step)
	}
	return ids
}
