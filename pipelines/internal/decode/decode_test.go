package decode

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/zclconf/go-cty/cty"

	"github.com/airbuild/airbuild/dsl"
	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/pipelines/internal/diag"
	"github.com/airbuild/airbuild/pipelines/internal/eval"
	"github.com/airbuild/airbuild/pipelines/internal/projectfs"
	"github.com/airbuild/airbuild/tasks"
)

func TestMetaSchemaNamesAll(t *testing.T) {
	var attrs, blocks []string
	for _, a := range tasks.MetaSchema().Attrs {
		attrs = append(attrs, a.Name)
	}
	for _, b := range tasks.MetaSchema().Blocks {
		blocks = append(blocks, b.Type)
	}
	if !slices.Equal(attrs, metaAttrs[:]) || !slices.Equal(blocks, metaBlocks[:]) {
		t.Errorf("MetaSchema has %v and %v", attrs, blocks)
	}
}

// decoder reads a stage with this body, in a project with a few files and a
// planned stage called made.
func decoder(t *testing.T, body string) *Decoder {
	t.Helper()
	fsys := fstest.MapFS{
		"Airbuildfile": {Data: []byte("stage \"make\" \"x\" {\n" + body + "\n}\n")},
		"in/a.txt":     {}, "in/b.txt": {}, "in/c.bin": {},
	}
	module, diags := dsl.Load(fsys, "Airbuildfile")
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	scope, diags := module.Eval(&dsl.Inputs{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	made := &eval.Stage{Decl: &dsl.Stage{Name: "made", Type: "make"}, Cells: []*eval.Cell{{Step: 3, Outputs: []string{"dist/m"}}}}
	context := scope.EvalContext(map[string]cty.Value{"stage": cty.ObjectVal(map[string]cty.Value{"made": eval.StageValue(made)})})
	source := func(string) bool { return true }
	return &Decoder{
		Eval:  eval.New(&diag.Report{}, &eval.Scope{Scope: scope, Context: context, Dir: "."}, module.Stages[0], context),
		Stage: &eval.Stage{Decl: module.Stages[0]},
		Schema: &tasks.Schema{
			Attrs: []tasks.Attr{
				{Name: "text", Kind: tasks.String}, {Name: "number", Kind: tasks.Number}, {Name: "words", Kind: tasks.Strings},
				{Name: "files", Kind: tasks.Paths}, {Name: "file", Kind: tasks.Path}, {Name: "output", Kind: tasks.Output},
				{Name: "wait", Kind: tasks.Duration}, {Name: "mode", Kind: tasks.String, Enum: []string{"check", "fix"}},
				{Name: "from", Kind: tasks.StageRef},
			},
			Blocks: []tasks.Nested{{Type: "tool", Labels: []string{"name"}, Attrs: []tasks.Attr{{Name: "file", Kind: tasks.Path, Required: true}}}},
		},
		Project:  &tasks.Project{Dist: "dist"},
		Files:    projectfs.NewProjectFiles(fsys, "dist", source),
		Suspects: &Suspects{},
		ByName:   func(name string) *eval.Stage { return map[string]*eval.Stage{"made": made}[name] },
		Needed:   func() []*eval.Stage { return []*eval.Stage{made} },
		Source:   source,
		Step:     func(id engine.StepID) *engine.Step { return &engine.Step{Name: "made"} },
	}
}

func TestValues(t *testing.T) {
	d := decoder(t, `
  text   = 1
  words  = "one"
  files  = ["in/*.txt", "!in/b.txt", stage.made]
  output = "sub/../o"
  wait   = "90s"
  from   = stage.made
  tool "cc" {
    file = "in/c.bin"
  }
  env   = { A = "b" }
  after = [stage.made]
  dir   = "in"
  inputs = ["*.txt"]
  retries = 2
`)
	bodies, labels := d.Bodies()
	meta := d.Meta()
	values := d.Values(bodies, ".")
	if d.Eval.Unusable() || !d.Eval.Report.Empty() {
		t.Fatal(d.Eval.Report.Sorted())
	}
	var files []string
	for _, p := range values["files"].Paths {
		files = append(files, p.Path)
	}
	if want := []string{"in/a.txt", "dist/m"}; !slices.Equal(files, want) {
		t.Errorf("files %v, want %v", files, want)
	}
	if refs := values["files"].Refs; len(refs) != 1 || refs[0].Step != 3 {
		t.Errorf("files come from %v", refs)
	}
	if s := values["text"].Cty.AsString(); s != "1" {
		t.Errorf("text %q", s)
	}
	if s := values["words"].Cty; s.LengthInt() != 1 {
		t.Errorf("words %#v", s)
	}
	if s := values["output"].Cty.AsString(); s != "o" {
		t.Errorf("output %q", s)
	}
	if w := values["wait"].Duration.Seconds(); w != 90 {
		t.Errorf("wait %v", w)
	}
	if p := values["tool.cc.file"].Paths; len(p) != 1 || p[0].Path != "in/c.bin" || !slices.Equal(labels["tool"], []string{"cc"}) {
		t.Errorf("tool %v, %v", p, labels)
	}
	if s := values["from"].Stages; len(s) != 1 || s[0].Steps[0].Step.Name != "made" {
		t.Errorf("from %v", s)
	}
	if meta.Dir != "in" || meta.Env["A"] != "b" || meta.Retries != 2 || !meta.Cache ||
		!slices.Equal(meta.After, []engine.StepID{3}) || !slices.Equal(meta.Inputs, []string{"*.txt"}) {
		t.Errorf("meta-arguments %+v", meta)
	}
}

func TestMistakesOfBodies(t *testing.T) {
	for _, test := range []struct{ body, want string }{
		{`text = ["a"]`, "Wrong type"},
		{`number = 1.5`, "Wrong type"},
		{`words = 1`, "Wrong type"},
		{`words = [null]`, "Null in a list"},
		{`wait = "90"`, "Invalid duration"},
		{`mode = "chek"`, "Invalid value"},
		{`output = "../o"`, "Invalid output"},
		{`output = "dist/o"`, "Invalid output"},
		{`file = "/etc/passwd"`, "Invalid path"},
		{`file = "in/*"`, "Pattern not allowed"},
		{`files = ["in/["]`, "Invalid pattern"},
		{`from = "made"`, "Wrong type"},
		{`txt = ""`, "Unknown attribute"},
		{`box {}`, "Unknown block"},
		{`tool {}`, "Missing label"},
		{`tool "cc" {}`, "Missing attribute"},
		{`dir = "none"`, "Folder not found"},
		{`retries = -1`, "Invalid value"},
		{"resources {\n memory = \"much\"\n}", "Invalid size"},
		{"sandbox {}\nsandbox {}", "Duplicate block"},
	} {
		d := decoder(t, test.body)
		bodies, _ := d.Bodies()
		d.Values(bodies, d.Meta().Dir)
		var said []string
		for _, diag := range d.Eval.Report.Sorted() {
			said = append(said, diag.Summary)
		}
		if !d.Eval.Failed || !slices.Equal(said, []string{test.want}) {
			t.Errorf("%s: %q, want %q", test.body, said, test.want)
		}
	}
}

// What is written out is looked at when all outputs are known, in the order of
// the source.
func TestSuspects(t *testing.T) {
	d := decoder(t, `
  text  = "dist/t"
  file  = "in/none"
  files = ["none/*"]
`)
	bodies, _ := d.Bodies()
	d.Values(bodies, ".")
	var got []string
	kinds := map[SuspectKind]bool{}
	for s, paths := range d.Suspects.Sorted() {
		got = append(got, strings.Join(paths, " "))
		kinds[s.Kind] = s.By == d.Stage
	}
	if want := []string{"dist/t", "in/none", "none/*"}; !slices.Equal(got, want) {
		t.Errorf("suspects %v, want %v", got, want)
	}
	if !kinds[AText] || !kinds[APath] || !kinds[AList] || len(kinds) != 3 {
		t.Errorf("kinds %v", kinds)
	}
}
