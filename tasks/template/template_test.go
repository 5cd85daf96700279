package template

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/function/stdlib"

	"github.com/airbuild/airbuild/engine"
	"github.com/airbuild/airbuild/tasks"
	"github.com/airbuild/airbuild/tasks/tasktest"
)

func block(tmpl string, attrs map[string]any) *tasks.Block {
	b := tasktest.Block("template", "conf", fstest.MapFS{"etc/site.conf.tmpl": {Data: []byte(tmpl)}})
	b.Project.Language = tasktest.Language{"upper": stdlib.UpperFunc}
	tasktest.Set(b, "source", tasktest.Files("etc/site.conf.tmpl"))
	for k, v := range attrs {
		tasktest.Set(b, k, v)
	}
	return b
}

// hosts is a site's values.
var hosts = cty.ObjectVal(map[string]cty.Value{
	"hosts": cty.TupleVal([]cty.Value{cty.StringVal("a"), cty.StringVal("b")}),
	"debug": cty.False,
	"site":  cty.StringVal("Köln"),
})

const siteTemplate = "site ${upper(site)}\n%{ for h in hosts ~}\nhost ${h}\n%{ endfor ~}\n%{ if debug }debug%{ else }quiet%{ endif }\n$${HOME}\n"

func TestRender(t *testing.T) {
	b := block(siteTemplate, map[string]any{"vars": hosts, "executable": true})
	s := tasktest.Step(t, task{}, b)
	if got := fmt.Sprint(s.Command.Arguments, s.Command.OutputPaths); got != `[airbuild:template 1 {"output":"etc/site.conf","executable":true}] [etc/site.conf]` {
		t.Error(got)
	}
	in := s.Inputs[0]
	const want = "site KÖLN\nhost a\nhost b\nquiet\n${HOME}\n"
	if in.Kind != engine.FromText || string(in.Text) != want || in.Path != "etc/site.conf" {
		t.Fatalf("input %+v: %q", in, in.Text)
	}
	dir, _, err := tasktest.Run(t, Tools(), s, fstest.MapFS{in.Path: {Data: in.Text}})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "etc", "site.conf")
	if got, err := os.ReadFile(name); string(got) != want {
		t.Errorf("%v: %q", err, got)
	}
	if info, err := os.Stat(name); err != nil || runtime.GOOS != "windows" && info.Mode()&0o100 == 0 {
		t.Errorf("%v %v", info, err)
	}
}

func TestText(t *testing.T) {
	b := tasktest.Block("template", "conf", nil)
	b.Meta.Dir = "sub"
	tasktest.Set(b, "text", "kept: ${as is}\n")
	tasktest.Set(b, "output", "a/b.txt")
	s := tasktest.Step(t, task{}, b)
	if got := string(s.Inputs[0].Text) + s.Command.OutputPaths[0]; got != "kept: ${as is}\nsub/a/b.txt" || s.Command.WorkingDirectory != "" {
		t.Errorf("%q in %q", got, s.Command.WorkingDirectory)
	}
}

func TestMistakes(t *testing.T) {
	for _, tt := range []struct {
		name, tmpl string
		attrs      map[string]any
		words      string
	}{
		{"unknown name", "x\n${sitte}", map[string]any{"vars": hosts, "allow_unused": true}, `etc/site.conf.tmpl:2,3-8: Unknown variable; There is no variable named "sitte". Did you mean "site"?`},
		{"unknown name without vars", "${x}", nil, "etc/site.conf.tmpl:1,3-4"},
		{"unknown function", "${lower(\"x\")}", nil, "etc/site.conf.tmpl:1,3-8"},
		{"syntax", "a\nb ${", nil, "etc/site.conf.tmpl:2"},
		{"unused", "${site} ${debug}", map[string]any{"vars": hosts}, `does not use "hosts"`},
		{"unused and misspelt", "${sitte} ${debug} ${hosts[0]}", map[string]any{"vars": hosts}, `does not use "site". Did you mean "sitte"?`},
		{"no string", "${hosts}", map[string]any{"vars": hosts, "allow_unused": true}, "not a string"},
		{"vars is not an object", "", map[string]any{"vars": cty.True}, "vars is an object"},
		{"name cannot be said", "", map[string]any{"vars": map[string]string{"a b": ""}}, `refer to "a b"`},
		{"made by a stage", "", map[string]any{"source": tasktest.Made("dist/x.tmpl")}, "made by another stage"},
		{"missing", "", map[string]any{"source": tasktest.Files("etc/gone.tmpl")}, "cannot be read"},
		{"no output", "", map[string]any{"source": tasktest.Files("etc/site.conf")}, "No output"},
		{"over itself", "", map[string]any{"output": "etc/site.conf.tmpl"}, "template itself"},
		{"directory", "", map[string]any{"output": "etc/"}, "add its name"},
		{"both", "", map[string]any{"text": "x"}, "one of the two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tasktest.WantError(t, task{}, block(tt.tmpl, tt.attrs), tt.words)
		})
	}
	b := tasktest.Block("template", "conf", nil)
	tasktest.Set(b, "output", "x")
	tasktest.WantError(t, task{}, b, "Nothing to render")
	tasktest.Set(b, "text", "x")
	tasktest.Set(b, "vars", hosts)
	tasktest.WantError(t, task{}, b, "written as it is")
}

// TestRefsAndSecrets: what the values came from is a dependency, and what is
// sensitive in them is masked.
func TestRefsAndSecrets(t *testing.T) {
	b := block("${site.pw} ${site.x}", map[string]any{"vars": cty.ObjectVal(map[string]cty.Value{
		"site": cty.MapVal(map[string]cty.Value{"pw": cty.StringVal("hunter2"), "x": cty.StringVal("")}),
	})})
	v := b.Values["vars"]
	v.Sensitive, v.Refs = true, []tasks.Ref{{Step: 3, Path: "dist/a"}, {Step: 4}}
	b.Values["vars"] = v
	s := tasktest.Step(t, task{}, b)
	if len(s.Mask) != 1 || s.Mask[0] != "hunter2" {
		t.Errorf("mask %q", s.Mask)
	}
	if len(s.Inputs) != 1 || fmt.Sprint(s.After) != "[3 4]" {
		t.Errorf("inputs %+v, after %v", s.Inputs, s.After)
	}
}
