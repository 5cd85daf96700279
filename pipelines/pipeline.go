package pipelines

import (
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
)

// A pipeline is a pipeline on its way through planning.
type pipeline struct {
	node
	decl      *dsl.Pipeline
	scope     *eval.Scope
	use       *use // of the user's block; nil if it has none
	stageRefs []reference
	planned   *Pipeline
}

// A pipelinePlanner plans the pipelines of a file whose stages are planned.
type pipelinePlanner struct {
	planner *planner
	all     []*pipeline
}

// plan resolves what every pipeline asks for. Ready-made pipelines take part
// under a name that no user can write.
func (q *pipelinePlanner) plan() {
	for _, u := range q.planner.uses {
		if u.taken != nil && u.scope != nil {
			q.add(u.taken, u.scope, nil, "use "+u.decl.Name)
		}
	}
	var names []string
	for _, decl := range q.planner.plan.Module.Pipelines {
		l := q.add(decl, q.planner.user, q.planner.useOf(decl), decl.Name)
		q.planner.plan.Pipelines = append(q.planner.plan.Pipelines, l.planned)
		names = append(names, decl.Name)
	}
	slices.Sort(names)
	has := func(name string) bool { return slices.Contains(names, name) }
	nodes := make([]*node, len(q.all))
	for i, l := range q.all {
		q.references(l, has, names)
		nodes[i] = &l.node
	}
	q.planner.report.Add(inOrder(nodes, func(i int) { q.planOne(q.all[i]) })...)
}

func (q *pipelinePlanner) add(decl *dsl.Pipeline, s *eval.Scope, u *use, name string) *pipeline {
	l := &pipeline{decl: decl, scope: s, use: u, planned: &Pipeline{Name: decl.Name, Range: decl.Range}}
	l.name = name
	if u != nil {
		l.planned.Use = u.name
		l.refs = []reference{{name: "use " + decl.Name, Range: u.at}}
	}
	q.all = append(q.all, l)
	return l
}

// references finds what a pipeline's stages attribute refers to.
func (q *pipelinePlanner) references(l *pipeline, has func(string) bool, names []string) {
	var own hclsyntax.Body
	own.Attributes = hclsyntax.Attributes{}
	for _, name := range [...]string{"stages", "description", "notice"} {
		if attr := l.decl.Body.Attributes[name]; attr != nil {
			own.Attributes[name] = attr
		}
	}
	stageRefs, diags := references(&own, "stage")
	q.planner.report.Add(diags...)
	pipelineRefs, more := references(&own, "pipeline")
	q.planner.report.Add(more...)
	l.stageRefs = stageRefs
	l.broken = diags.HasErrors() || more.HasErrors()
	l.broken = q.planner.unknownNames(stageRefs, "stage", q.planner.hasStage, q.planner.stageNames) || l.broken
	l.broken = q.planner.unknownNames(pipelineRefs, "pipeline", has, names) || l.broken
	l.refs = append(l.refs, pipelineRefs...)
}

// planOne evaluates a pipeline whose parts are planned.
func (q *pipelinePlanner) planOne(l *pipeline) {
	q.checkBody(l)
	context := q.contextOf(l)
	if l.use != nil {
		if taken := q.named("use " + l.decl.Name); taken != nil {
			l.planned.Description = taken.planned.Description
			l.take(taken)
		}
	}
	if attr := l.decl.Body.Attributes["description"]; attr != nil {
		if v, ok := q.value(l, attr, context); ok {
			l.planned.Description = q.shownText(attr, v)
		}
	}
	if attr := l.decl.Body.Attributes["stages"]; attr != nil {
		if v, ok := q.value(l, attr, context); ok {
			q.takeStages(l, attr.Expr, v)
		}
	}
	if attr := l.decl.Body.Attributes["notice"]; attr != nil {
		if v, ok := q.value(l, attr, context); ok {
			l.planned.addNotice(q.shownText(attr, v))
		}
	}
	l.planned.Steps = lists.Unique(l.planned.Steps)
}

// shownText is the string of an attribute that users are shown; "" after a
// mistake.
func (q *pipelinePlanner) shownText(attr *hclsyntax.Attribute, v cty.Value) string {
	at := attr.Expr.Range()
	switch {
	case v.Type() != cty.String:
		q.planner.report.Add(diag.ErrorAt(at, "Wrong type", "%q is a string, not %s.", attr.Name, eval.Describe(v)))
	case v.HasMark(dsl.Sensitive):
		q.planner.report.Add(diag.ErrorAt(at, "Sensitive value shown", "%q would show it: use a value that is not sensitive.", attr.Name))
	default:
		v, _ = v.Unmark()
		return v.AsString()
	}
	return ""
}

// checkBody reports what does not belong in the block. Parameters are
// checked with the use.
func (q *pipelinePlanner) checkBody(l *pipeline) {
	body := l.decl.Body
	uses := body.Attributes["use"] != nil
	if body.Attributes["stages"] == nil && !uses {
		q.planner.report.Add(diag.ErrorAt(l.decl.Range, "Missing attribute", "A pipeline needs \"stages\", the list of what it runs, or \"use\", the name of a ready-made pipeline."))
	}
	for _, attr := range eval.SortedAttributes(body) {
		if uses || slices.Contains(reserved[:], attr.Name) {
			continue
		}
		q.planner.report.Add(diag.ErrorAt(attr.NameRange, "Unknown attribute", "A pipeline without use has no attribute %q.%s", attr.Name, dsl.DidYouMean(attr.Name, reserved[:])))
	}
	for _, block := range body.Blocks {
		q.planner.report.Add(diag.ErrorAt(block.TypeRange, "Unknown block", "A pipeline has no blocks: declare stages at the top level and list them in stages."))
	}
}

// contextOf is what a pipeline's expressions see.
func (q *pipelinePlanner) contextOf(l *pipeline) *hcl.EvalContext {
	stages, parts := map[string]cty.Value{}, map[string]cty.Value{}
	for _, ref := range l.stageRefs {
		stages[ref.name] = cty.DynamicVal
		if s := q.planner.byName[ref.name]; s != nil && s.value != cty.NilVal {
			stages[ref.name] = s.value
		}
	}
	for _, ref := range l.refs {
		parts[ref.name] = cty.DynamicVal
		if part := q.named(ref.name); part != nil && !part.broken {
			parts[ref.name] = eval.PipelineValue(part.decl.Name, part.name)
		}
	}
	child := l.scope.Context.NewChild()
	child.Variables = map[string]cty.Value{"stage": cty.ObjectVal(stages), "pipeline": cty.ObjectVal(parts)}
	return child
}

func (q *pipelinePlanner) named(name string) *pipeline {
	i := slices.IndexFunc(q.all, func(l *pipeline) bool { return l.name == name })
	if i < 0 {
		return nil
	}
	return q.all[i]
}

// value evaluates an attribute; it is not ok after a mistake, and for
// null and unknown values.
func (q *pipelinePlanner) value(l *pipeline, attr *hclsyntax.Attribute, context *hcl.EvalContext) (cty.Value, bool) {
	roots := map[string]dsl.Names{"stage": {Noun: "stage"}, "pipeline": {Noun: "pipeline"}}
	if diags := l.scope.CheckTraversals(attr.Expr, roots); diags.HasErrors() {
		q.planner.report.Add(diags...)
		return cty.DynamicVal, false
	}
	v, diags := l.scope.Value(attr.Expr, context)
	q.planner.report.Add(eval.ExplainAll(diags, attr.Expr, context)...)
	return v, !diags.HasErrors() && v.IsKnown() && !v.IsNull()
}

// takeStages takes the elements of a stages attribute.
func (q *pipelinePlanner) takeStages(l *pipeline, expr hcl.Expression, v cty.Value) {
	if _, isStage := eval.HandleOf(v); isStage || !eval.IsList(v) {
		q.takeElement(l, v, expr.Range())
		return
	}
	for i, e := range eval.ElementsOf(v) {
		at := eval.ElementExpr(eval.Written(expr, l.decl.Module), i).Range()
		if eval.IsList(e) {
			for _, inner := range eval.ElementsOf(e) {
				q.takeElement(l, inner, at)
			}
			continue
		}
		q.takeElement(l, e, at)
	}
}

func (q *pipelinePlanner) takeElement(l *pipeline, v cty.Value, at hcl.Range) {
	if !v.IsKnown() || v.IsNull() {
		return
	}
	if name, ok := eval.PipelineOf(v); ok {
		l.take(q.named(name))
		return
	}
	h, ok := eval.HandleOf(v)
	if !ok {
		q.planner.report.Add(diag.ErrorAt(at, "Wrong type", "stages is a list of stages, cells and pipelines, as in [stage.NAME, pipeline.NAME], not of %s.", eval.Plural(v)))
		return
	}
	l.planned.addStage(h.Stage.Decl.Name)
	for _, c := range h.Cells() {
		l.planned.Steps = append(l.planned.Steps, c.Step)
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
	return lists.Map(s.Cells, func(c Cell) engine.StepID { return c.Step })
}
