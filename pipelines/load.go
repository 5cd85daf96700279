package pipelines

import (
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"

	version "github.com/hashicorp/go-version"
	"github.com/hashicorp/hcl/v2"
	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/internal/lists"
	"github.com/airbuild/airbuild/pipelines/internal/decode"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
	"github.com/airbuild/airbuild/tasks"
)

// Load reads the named Airbuildfile of the project fsys with all that it
// includes and uses, evaluates it, and plans its stages. All mistakes of all
// phases are reported together. The plan is never nil: its Sources are there
// for printing diagnostics, and its Graph must be run only if there are none
// with severity error.
func Load(fsys fs.FS, name string, opts Options) (*Plan, hcl.Diagnostics) {
	p := &planner{
		opts:    opts,
		plan:    &Plan{Graph: &engine.Graph{}, Sources: map[string][]byte{}},
		byName:  map[string]*stage{},
		schemas: map[string]*tasks.Schema{},
		looked:  map[string]bool{},
		project: opts.Project,
	}
	p.outputs.report = &p.report
	p.pipelines = &pipelinePlanner{planner: p}
	p.project.Files = cmp.Or(p.project.Files, fsys)
	fsys, p.project.Files = projectfs.WithoutStale(fsys, opts.Stale), projectfs.WithoutStale(p.project.Files, opts.Stale)
	p.project.Memo = &sync.Map{}
	p.project.FindTool = projectfs.FindOnce(p.project.FindTool)
	p.load(fsys, name)
	p.settle()
	p.checkToolchains()
	return p.plan, p.finish()
}

// A planner makes a Plan.
type planner struct {
	opts    Options
	plan    *Plan
	project tasks.Project
	files   *projectfs.ProjectFiles
	report  diag.Report

	written    map[string][]byte // the Airbuildfile and what it includes
	user       *eval.Scope       // of the Airbuildfile
	scopes     []*eval.Scope
	uses       []*use
	stages     []*stage // in source order
	byName     map[string]*stage
	schemas    map[string]*tasks.Schema // by stage type
	stageNames []string                 // sorted
	looked     map[string]bool          // stages whose paths or cells something asks for
	pipelines  *pipelinePlanner
	outputs    outputs
	suspects   *decode.Suspects

	incomplete bool // a file could not be read: names may be missing
	anyBroken  bool // a stage was left out
}

// load parses the file and the embedded files that its pipelines use.
func (p *planner) load(fsys fs.FS, name string) {
	module, diags := dsl.Load(fsys, name)
	p.report.Add(diags...)
	p.plan.Module = module
	p.incomplete = module.Incomplete
	maps.Copy(p.plan.Sources, module.Sources)
	p.plan.Dist = module.Settings.Dist
	p.project.Dist = module.Settings.Dist
	p.files = projectfs.NewProjectFiles(p.project.Files, p.project.Dist, p.outputs.source)
	p.checkVersion(module)
	for _, decl := range module.Pipelines {
		if u := p.findUse(decl); u != nil {
			p.uses = append(p.uses, u)
		}
	}
}

// checkVersion holds required_version against airbuild's own.
func (p *planner) checkVersion(module *dsl.Module) {
	wanted := module.Settings.RequiredVersion
	if wanted == "" {
		return
	}
	at := module.Settings.RequiredRange
	constraint, err := version.NewConstraint(wanted)
	if err != nil {
		p.report.Add(diag.ErrorAt(at, "Invalid version constraint", "%q is not a constraint: write one such as \">= 0.1.0\" or \"~> 1.2\".", wanted))
		return
	}
	if p.opts.Version == "" || p.opts.Version == "dev" {
		return
	}
	own, err := version.NewVersion(p.opts.Version)
	if err != nil {
		p.report.Add(diag.ErrorAt(at, "Unknown version", "This airbuild's version is %q, which cannot be compared.", p.opts.Version))
		return
	}
	// A constraint without a pre-release would refuse every pre-release.
	if !constraint.Check(own.Core()) {
		p.report.Add(diag.ErrorAt(at, "Wrong version of airbuild", "The file needs airbuild %s and this is %s: install another one.", wanted, own))
	}
}

// evaluate finds the values of variables and locals, the user's first: they
// may be parameters of the embedded files.
func (p *planner) evaluate() {
	module := p.plan.Module
	p.stages, p.byName, p.scopes = nil, map[string]*stage{}, nil
	for _, u := range p.uses {
		u.scope = nil
	}
	in := p.opts.Inputs
	if p.opts.TagRules != nil {
		p.opts.TagRules(module.Settings.Tags)
	}
	in.Git = remember(in.Git)
	in.WantTime = in.WantTime || p.anyStage(func(t tasks.Traits) bool { return t.Timed })
	p.written = maps.Clone(module.Sources)
	p.user = p.evalModule(module, &in, &eval.Scope{Dir: path.Dir(module.Name)})
	maps.Copy(p.plan.Sources, module.Sources) // the variable files
	p.project.Tags = tasks.TagRules(module.Settings.Tags)
	p.project.Source = tasks.Source{Time: p.user.Time, Epoch: p.user.Epoch}
	p.project.Recipe = p.recipe(in.Git)
	p.project.FindCommit = func() string {
		if in.Git == nil {
			return ""
		}
		g, err := in.Git([]string{"commit"})
		if err != nil || g == nil {
			return "" // not a repository, or none that can be read: git.commit says why
		}
		return g.Commit
	}
	p.project.FindBuild = nil
	if p.opts.Build != nil {
		p.project.FindBuild = func() (*tasks.Commit, error) {
			return p.opts.Build(func(name string) bool {
				return name == p.project.Dist || strings.HasPrefix(name, p.project.Dist+"/") || p.outputs.makes(name)
			})
		}
	}
	p.project.Language = p.user
	p.project.Makes = p.outputs.makes
	p.addStages(module.Stages, p.user)
	for _, u := range p.uses {
		p.instantiate(u, &in)
	}
}

func (p *planner) evalModule(module *dsl.Module, in *dsl.Inputs, s *eval.Scope) *eval.Scope {
	evaluated, diags := module.Eval(in)
	if s.Use != "" {
		hintParameters(module, diags)
	}
	p.report.Add(diags...)
	s.Scope = evaluated
	s.Context = evaluated.EvalContext(nil)
	p.scopes = append(p.scopes, s)
	return s
}

// hintParameters adds to mistakes in a parameter's default that the parameter
// can be set.
func hintParameters(module *dsl.Module, diags hcl.Diagnostics) {
	for _, d := range diags {
		for _, v := range module.Variables {
			if d.Subject != nil && v.Default != nil && diag.Overlap(*d.Subject, v.Default.Range()) {
				d.Detail += fmt.Sprintf(" Or set the parameter %q in the pipeline block.", v.Name)
			}
		}
	}
}

// anyStage reports whether a stage of the file, or of a pipeline that it uses, is
// of a type with certain traits.
func (p *planner) anyStage(have func(tasks.Traits) bool) bool {
	has := func(s *dsl.Stage) bool {
		schema := p.schema(s.Type)
		return schema != nil && have(schema.Traits)
	}
	return slices.ContainsFunc(p.plan.Module.Stages, has) ||
		slices.ContainsFunc(p.uses, func(u *use) bool { return slices.ContainsFunc(u.module.Stages, has) })
}

// remember makes git answer from what it said before, where that is enough.
func remember(git func([]string) (*dsl.Git, error)) func([]string) (*dsl.Git, error) {
	if git == nil {
		return nil
	}
	var asked []string
	var got *dsl.Git
	return func(attrs []string) (*dsl.Git, error) {
		if got != nil && !slices.ContainsFunc(attrs, func(a string) bool { return !slices.Contains(asked, a) }) {
			return got, nil
		}
		found, err := git(attrs)
		if err == nil {
			asked, got = slices.Clone(attrs), found
		}
		return found, err
	}
}

// schema is that of a stage type; nil if there is none.
func (p *planner) schema(stageType string) *tasks.Schema {
	s := p.schemas[stageType]
	if t := p.opts.Tasks[stageType]; s == nil && t != nil {
		s = t.Schema()
		p.schemas[stageType] = s
	}
	return s
}

// addStages takes declared stages into the namespace of the file.
func (p *planner) addStages(decls []*dsl.Stage, s *eval.Scope) {
	for _, decl := range decls {
		if first := p.byName[decl.Name]; first != nil {
			p.clash(first, decl, s)
			continue
		}
		st := &stage{Stage: eval.Stage{Decl: decl}, scope: s}
		st.name = decl.Name
		p.byName[decl.Name] = st
		p.stages = append(p.stages, st)
	}
}

// planRounds bounds how often all is planned.
const planRounds = 5

// settle evaluates and plans the file. What is an output is known only at the
// end: something that asked may have been given a wrong answer before. Then all
// is done again, with the outputs of the round before known.
func (p *planner) settle() {
	before := p.report
	modules := []*dsl.Module{p.plan.Module}
	for _, u := range p.uses {
		modules = append(modules, u.module)
	}
	files := lists.Map(modules, func(m *dsl.Module) fs.FS { return m.Files })
	for range planRounds {
		p.report = before.Clone()
		p.files = projectfs.NewProjectFiles(p.project.Files, p.project.Dist, p.outputs.source)
		var seen []*projectfs.SourceFiles[owner]
		for i, m := range modules {
			f := projectfs.NewSourceFiles(files[i], p.outputs.before)
			m.Files = f.Seen()
			seen = append(seen, f)
		}
		p.evaluate()
		p.planHost()
		p.planAll()
		if !p.outputs.guessedWrong() && !slices.ContainsFunc(seen, func(f *projectfs.SourceFiles[owner]) bool { return f.Wrong(p.outputs.owners) }) {
			return
		}
		p.outputs.before = p.outputs.owners
	}
	p.report.Add(diag.ErrorAt(p.plan.Module.Settings.Range, "Outputs not settled",
		"The names of outputs depend on which files are outputs: a glob() or fileexists() looks where the stages that are made of it write. Have it look elsewhere."))
}

// planAll plans stages and pipelines.
func (p *planner) planAll() {
	p.reset()
	p.planStages()
	p.pipelines.plan()
	p.planBundles()
}

// reset takes back all planning.
func (p *planner) reset() {
	p.plan.Graph, p.plan.Stages, p.plan.Pipelines = &engine.Graph{}, nil, nil
	p.pipelines.all, p.anyBroken = nil, false
	p.outputs.reset()
	p.suspects = &decode.Suspects{}
	for _, s := range p.stages {
		s.refs, s.broken, s.Cells, s.value = nil, s.clashes, nil, cty.NilVal
		s.planned = &Stage{Name: s.Decl.Name, Type: s.Decl.Type, Range: s.Decl.Range}
		p.plan.Stages = append(p.plan.Stages, s.planned)
	}
}

// planStages finds the types and the order of the stages and plans each.
func (p *planner) planStages() {
	p.stageNames = slices.Sorted(maps.Keys(p.byName))
	nodes := make([]*node, len(p.stages))
	for i, s := range p.stages {
		p.findType(s)
		refs, diags := references(s.Decl.Body, "stage")
		p.report.Add(diags...)
		s.refs = refs
		s.broken = s.broken || diags.HasErrors() || p.unknownNames(refs, "stage", p.hasStage, p.stageNames)
		nodes[i] = &s.node
	}
	p.lookAround()
	p.report.Add(inOrder(nodes, func(i int) { p.planStage(p.stages[i]) })...)
	p.outputs.checkNesting()
	c := suspectChecker{
		report: &p.report, files: p.files, dist: p.project.Dist,
		owners: p.outputs.owners, stages: p.byName,
		incomplete: p.incomplete, broken: p.anyBroken,
	}
	c.check(p.suspects)
}

// lookAround notes which stages are more than named somewhere.
func (p *planner) lookAround() {
	note := func(refs []reference) {
		for _, ref := range refs {
			p.looked[ref.name] = p.looked[ref.name] || !ref.plain
		}
	}
	for _, s := range p.stages {
		note(s.refs)
	}
	decls := slices.Clone(p.plan.Module.Pipelines)
	for _, b := range p.plan.Module.Bundles {
		decls = append(decls, &dsl.Pipeline{Body: b.Body})
	}
	for _, u := range p.uses {
		decls = append(decls, u.module.Pipelines...)
	}
	for _, decl := range decls {
		refs, _ := references(decl.Body, "stage") // mistakes are reported with the pipeline
		note(refs)
	}
}

func (p *planner) hasStage(name string) bool { return p.byName[name] != nil }

// findType finds the task of a stage. A schema with a mistake of ours would
// show up in every file, so it is not looked for here.
func (p *planner) findType(s *stage) {
	task, ok := p.opts.Tasks[s.Decl.Type]
	if !ok {
		known := slices.Sorted(maps.Keys(p.opts.Tasks))
		detail := dsl.DidYouMean(s.Decl.Type, known)
		if detail == "" {
			detail = " There are " + strings.Join(known, ", ") + "."
		}
		p.report.Add(diag.ErrorAt(s.Decl.TypeRange, "Unknown stage type", "There is no stage type %q.%s", s.Decl.Type, detail))
		s.broken, s.schema = true, &tasks.Schema{}
		return
	}
	s.task, s.schema = task, p.schema(s.Decl.Type)
}

// checkToolchains resolves the programs that the stages need. That one is missing
// concerns only the stages that need it: see Plan.Lacking.
func (p *planner) checkToolchains() {
	if p.opts.Toolchain == nil || p.report.Failed() {
		return
	}
	named := map[string]bool{}
	lacking := map[string]*hcl.Diagnostic{}
	for _, t := range p.plan.Module.Toolchains {
		named[t.Name] = true
		v, diags := p.user.Value(t.Version, p.user.Context)
		p.report.Add(diags...)
		v, _ = v.Unmark()
		if diags.HasErrors() || !v.IsKnown() {
			continue
		}
		if v.IsNull() || v.Type() != cty.String {
			p.report.Add(diag.ErrorAt(t.Version.Range(), "Wrong type", "version is a string, as in \"1.26.8\", not %s.", eval.Describe(v)))
			continue
		}
		if err := p.opts.Toolchain(t.Name, v.AsString(), nil); err != nil {
			lacking[t.Name] = hostProblem(diag.ErrorAt(t.Version.Range(), "Toolchain not available", "%s", diag.Sentence(err.Error())))
		}
	}
	for program, stages := range p.stagesByProgram() {
		if !named[program] {
			if err := p.opts.Toolchain(program, "", directories(stages)); err != nil {
				lacking[program] = hostProblem(diag.ErrorAt(stages[0].Decl.Range, "Toolchain not available", "%s", diag.Sentence(err.Error())))
			}
		}
		if d := lacking[program]; d != nil {
			for _, s := range stages {
				s.planned.lacking = d
			}
		}
	}
}

// stagesByProgram lists the stages that need a toolchain, in source order.
func (p *planner) stagesByProgram() map[string][]*stage {
	all := map[string][]*stage{}
	for _, s := range p.stages {
		if program, _, ok := strings.Cut(s.Decl.Type, "_"); ok && program == "go" && len(s.planned.Cells) > 0 {
			all[program] = append(all[program], s)
		}
	}
	return all
}

// directories are those of the stages' cells, sorted, each once.
func directories(stages []*stage) []string {
	var dirs []string
	for _, s := range stages {
		for _, c := range s.Cells {
			if !c.Dropped {
				dirs = append(dirs, c.Dir)
			}
		}
	}
	return lists.Unique(dirs)
}

// A HostProblem is the Extra of a diagnostic that is not about the file but
// about the machine: the file may be right, and cannot be run here.
type HostProblem struct{}

func hostProblem(d *hcl.Diagnostic) *hcl.Diagnostic {
	d.Extra = HostProblem{}
	return d
}

// finish returns the diagnostics, without secrets.
func (p *planner) finish() hcl.Diagnostics {
	if p.anyBroken && !p.report.Failed() {
		p.report.Add(&hcl.Diagnostic{
			Severity: hcl.DiagError, Summary: "Value not known",
			Detail: "A stage could not be planned because a value in it is not known before the run.",
		})
	}
	diags := p.report.Sorted()
	for _, s := range p.scopes {
		for _, secret := range s.Secrets() {
			for _, d := range diags {
				if len(secret) > 2 {
					d.Detail = strings.ReplaceAll(d.Detail, secret, "(sensitive)")
				}
			}
		}
	}
	return diags
}
